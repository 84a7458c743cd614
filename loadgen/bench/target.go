package main

import (
	"bytes"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// behavior is how a target treats a request.
type behavior struct {
	name   string
	work   time.Duration // before the answer
	answer string
	close  bool // the connection, after the answer
}

// plain is the behavior of a usual service: it keeps connections.
var plain = behavior{name: "kept connections", answer: "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n"}

// target is a bare HTTP server that records when each request arrives.
type target struct {
	behavior
	listener    net.Listener
	mu          sync.Mutex
	arrivals    []time.Time
	frozenUntil func(time.Time) time.Time
}

func listen(b behavior) (*target, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &target{behavior: b, listener: l}
	go t.accept()
	return t, nil
}

func (t *target) url() string { return "http://" + t.listener.Addr().String() + "/" }

func (t *target) accept() {
	for {
		conn, err := t.listener.Accept()
		if err != nil {
			return
		}
		go t.serve(conn)
	}
}

// serve answers one request at a time. Requests have no body, and clients do not
// pipeline.
func (t *target) serve(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, 0, 16<<10)
	for {
		n, err := conn.Read(buf[len(buf):cap(buf)])
		now := time.Now()
		if err != nil || len(buf)+n == cap(buf) {
			return
		}
		buf = buf[:len(buf)+n]
		if !bytes.HasSuffix(buf, []byte("\r\n\r\n")) {
			continue
		}
		buf = buf[:0]
		t.mu.Lock()
		t.arrivals = append(t.arrivals, now)
		frozen := t.frozenUntil
		t.mu.Unlock()
		if frozen != nil {
			time.Sleep(time.Until(frozen(now)))
		}
		if t.work > 0 {
			time.Sleep(t.work)
		}
		if _, err := io.WriteString(conn, t.answer); err != nil || t.close {
			return
		}
	}
}

// take returns the arrivals since the last call.
func (t *target) take() []time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	arrivals := t.arrivals
	t.arrivals = make([]time.Time, 0, cap(arrivals))
	slices.SortFunc(arrivals, time.Time.Compare)
	return arrivals
}

// freezeAfter makes the target stop once for the given length, after a wait that
// counts from its next request. At the end of the freeze it answers the requests
// that arrived in it.
func (t *target) freezeAfter(wait, length time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var first time.Time
	var mu sync.Mutex
	t.frozenUntil = func(now time.Time) time.Time {
		mu.Lock()
		defer mu.Unlock()
		if first.IsZero() {
			first = now
		}
		if since := now.Sub(first); since >= wait && since < wait+length {
			return first.Add(wait + length)
		}
		return now
	}
}

func (t *target) thaw() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frozenUntil = nil
}

// deviation returns the distances of arrivals from a constant schedule, whose start
// is chosen so that half of the arrivals are early and half are late.
func deviation(arrivals []time.Time, rate float64) []time.Duration {
	if len(arrivals) == 0 {
		return nil
	}
	off := make([]time.Duration, len(arrivals))
	for i, at := range arrivals {
		off[i] = at.Sub(arrivals[0]) - time.Duration(float64(i)/rate*1e9)
	}
	middle := quantile(off, 0.5)
	for i := range off {
		off[i] = (off[i] - middle).Abs()
	}
	return off
}

func quantile(values []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
