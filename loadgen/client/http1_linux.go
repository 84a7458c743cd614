package client

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"apmapp/loadgen/openloop"
)

// http1 sends requests over HTTP/1.1, without TLS, from one thread: no request
// passes from one goroutine to another. It connects, writes and reads without
// blocking. While it waits for the next request to be due, each event of a
// connection wakes it up, so that nothing of a request waits for another one.
// docs/adr/0002-http-client.md has the measurements.
//
// Its parts: poller_linux.go waits for events, connect_linux.go opens connections,
// conn_linux.go writes requests and reads answers on them, exchanges_linux.go
// queues the requests in flight.
type http1 struct {
	o        Options
	requests []written // by path
	done     openloop.Done

	release func() // releases the thread
	poller  *poller
	polled  time.Time // when answers were last read
	in      receiver

	conns map[int32]*conn // by file descriptor
	idle  []*conn         // the last one used is the first to be used again
	queue exchanges       // in flight, the oldest first

	addresses []unix.Sockaddr // of the target, nil while none is known
	waiting   []*exchange     // for addresses
	lookups   sync.WaitGroup  // at most one
	looking   bool
	lookedUp  time.Time // when the last lookup ended
	found     chan found
	lookupCtx context.Context

	watched context.Context
	unwatch func()
}

// written is a request as it is sent.
type written struct {
	method string
	text   []byte
}

// pollEvery is the time that answers may wait while requests are overdue: sending
// has priority, but connections must become idle again.
const pollEvery = 100 * time.Microsecond

// HTTP1 returns a sender for a target without TLS.
func HTTP1(o Options) (openloop.Sender, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	return &http1{o: o, conns: map[int32]*conn{}, found: make(chan found, 1)}, nil
}

// Start implements openloop.Sender. The goroutine gets its own thread, so that
// the scheduler does not run anything between it and its timer.
func (h *http1) Start(paths []openloop.Path, done openloop.Done) error {
	h.done = done
	for _, p := range paths {
		req, err := h.o.request(context.Background(), p.Path)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := req.Write(&b); err != nil {
			return fmt.Errorf("write a request for %s: %w", p.Path, err)
		}
		h.requests = append(h.requests, written{req.Method, b.Bytes()})
	}
	var err error
	if h.poller, err = newPoller(); err != nil {
		return err
	}
	h.in.init()
	release := openloop.FineClock{}.Bind()
	ctx, cancel := context.WithCancel(context.Background())
	h.lookupCtx, h.release = ctx, func() { cancel(); release() }
	h.connectOnce()
	return nil
}

// Finish implements openloop.Sender.
func (h *http1) Finish(ctx context.Context) {
	h.watch(ctx)
	for h.queue.first != nil && ctx.Err() == nil {
		h.poll(h.deadline(h.queue.first), true)
		h.expire(time.Now())
	}
	for x := h.queue.first; x != nil; x = h.queue.first {
		h.abort(x, time.Now(), context.Canceled)
	}
	h.release()
	h.watch(context.Background())
	h.lookups.Wait()
	for _, c := range h.conns {
		_ = unix.Close(c.fd)
	}
	h.poller.close()
}

// SleepUntil implements openloop.Sender: it reads answers until t.
func (h *http1) SleepUntil(ctx context.Context, t time.Time) {
	h.watch(ctx)
	for {
		now := time.Now()
		h.expire(now)
		until := t
		if first := h.queue.first; first != nil && h.deadline(first).Before(t) {
			until = h.deadline(first)
		}
		over := !now.Before(t) || ctx.Err() != nil
		if over && now.Sub(h.polled) < pollEvery {
			return
		}
		h.poll(until, !over)
		if over {
			return
		}
	}
}

// watch makes the end of ctx end the sleep.
func (h *http1) watch(ctx context.Context) {
	if h.watched == ctx {
		return
	}
	if h.unwatch != nil {
		h.unwatch()
	}
	signaled := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		h.poller.signal()
		close(signaled)
	})
	h.watched, h.unwatch = ctx, func() {
		if !stop() {
			<-signaled
		}
	}
}

// poll handles the pending events. If wait is true, it first sleeps until there
// is an event, or until the given time.
func (h *http1) poll(until time.Time, wait bool) {
	var events []unix.EpollEvent
	if wait {
		events = h.poller.await(until)
	} else {
		events = h.poller.pending()
	}
	h.polled = time.Now()
	for _, event := range events {
		switch int(event.Fd) {
		case h.poller.timer:
			h.poller.armed = time.Time{}
		case h.poller.wake:
			h.poller.clearSignal()
			h.takeFound()
		default:
			if c := h.conns[event.Fd]; c != nil {
				h.handle(c, event.Events)
			}
		}
	}
}

// Send implements openloop.Sender.
func (h *http1) Send(r openloop.Request) {
	x := &exchange{Request: r, sent: time.Now()}
	h.queue.push(x)
	if n := len(h.idle); n > 0 {
		c := h.idle[n-1]
		h.idle = h.idle[:n-1]
		h.write(c, x)
		return
	}
	h.dial(x)
}

// deadline returns when an exchange times out.
func (h *http1) deadline(x *exchange) time.Time { return x.sent.Add(h.o.Timeout) }

// expire ends the exchanges that have timed out. All have the same timeout, so
// the oldest one is the first.
func (h *http1) expire(now time.Time) {
	for x := h.queue.first; x != nil && !now.Before(h.deadline(x)); x = h.queue.first {
		h.abort(x, now, os.ErrDeadlineExceeded)
	}
}

// abort ends an exchange and its connection, if it has one.
func (h *http1) abort(x *exchange, now time.Time, err error) {
	if x.conn == nil {
		h.end(x, now, failed(err))
		return
	}
	x.conn.others = nil
	h.fail(x.conn, err)
}

// end reports when and how an exchange ended, once.
func (h *http1) end(x *exchange, at time.Time, how openloop.Exchange) {
	if x.over {
		return
	}
	x.over = true
	h.queue.remove(x)
	h.done(x.Request, x.sent, at, how)
}
