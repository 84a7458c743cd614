package openloop

import (
	"context"
	"sync"
	"time"
)

// Client sends one request and reads its complete answer.
type Client interface {
	// Do requests a path. Several goroutines call it concurrently. The client
	// itself limits how long an answer may take, and returns soon after ctx ends.
	Do(ctx context.Context, path string) Exchange
}

// Workers returns a Sender that gives each request to a goroutine that calls
// client. At most n requests may be in flight. A nil clock means FineClock.
func Workers(client Client, n int, clock Clock) Sender {
	if clock == nil {
		clock = FineClock{}
	}
	w := &workers{client: client, clock: clock, most: n, due: make(chan Request)}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

type workers struct {
	client  Client
	clock   Clock
	release func()
	paths   []Path
	done    Done

	// ctx is not that of the run: requests in flight may finish when the run is
	// interrupted.
	ctx    context.Context
	cancel context.CancelFunc

	due     chan Request
	n, most int
	running sync.WaitGroup
}

func (w *workers) Start(paths []Path, done Done) error {
	w.paths, w.done = paths, done
	w.release = w.clock.Bind()
	return nil
}

func (w *workers) SleepUntil(ctx context.Context, t time.Time) { w.clock.SleepUntil(ctx, t) }

// Send gives a request to an idle worker, or to a new one. When all n workers
// exist, at least one is idle or about to be.
func (w *workers) Send(r Request) {
	select {
	case w.due <- r:
		return
	default:
	}
	if w.n == w.most {
		w.due <- r
		return
	}
	w.n++
	w.running.Go(func() { w.work(r) })
}

// work sends one request after the other as they become due.
func (w *workers) work(r Request) {
	for ok := true; ok; r, ok = <-w.due {
		sent := time.Now()
		x := w.client.Do(w.ctx, w.paths[r.Path].Path)
		w.done(r, sent, time.Now(), x)
	}
}

func (w *workers) Finish(ctx context.Context) {
	w.release()
	close(w.due)
	stop := context.AfterFunc(ctx, w.cancel)
	w.running.Wait()
	stop()
	w.cancel()
}
