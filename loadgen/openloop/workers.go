package openloop

import (
	"context"
	"sync"
	"time"
)

// Client sends one request and takes its whole answer.
type Client interface {
	// Do asks for a path. Several goroutines call it at once. It has a bound of
	// its own on how long an answer may take.
	Do(ctx context.Context, path string) Exchange
}

// Workers is the Sender that gives each request to a goroutine with a client;
// at most n requests may be in flight. A nil clock is FineClock.
func Workers(client Client, n int, clock Clock) Sender {
	if clock == nil {
		clock = FineClock{}
	}
	return &workers{client: client, clock: clock, most: n, due: make(chan Request)}
}

type workers struct {
	client  Client
	clock   Clock
	release func()
	paths   []Path
	done    Done

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

// Send gives a request to a worker that waits for one, or to a new one. With as
// many as may be in flight, one of them is about to wait.
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

// work sends requests, one after the other, as they arrive.
func (w *workers) work(r Request) {
	// Requests in flight get to end when the run does.
	ctx := context.Background()
	for ok := true; ok; r, ok = <-w.due {
		sent := time.Now()
		x := w.client.Do(ctx, w.paths[r.Path].Path)
		w.done(r, sent, time.Now(), x)
	}
}

func (w *workers) Finish() {
	w.release()
	close(w.due)
	w.running.Wait()
}
