package main

import (
	"math"
	"sync"
	"time"

	"apmapp/loadgen/openloop"
)

// flow is the rate of the traffic. It can change while the traffic runs, and be 0.
type flow struct {
	start time.Time
	// length is the length of the schedule, 0 if it does not end.
	length time.Duration
	ended  <-chan struct{} // the traffic ends early

	mu      sync.Mutex
	next    float64       // the next request, from 0
	pieces  []piece       // the oldest first
	changed chan struct{} // closed when a piece is added
}

// piece is a rate from a time of the run on, with the requests before it.
type piece struct {
	at     time.Duration
	before float64
	rate   openloop.Constant
}

func newFlow(perSecond float64, length time.Duration, ended <-chan struct{}) *flow {
	return &flow{start: time.Now(), length: length, ended: ended, pieces: []piece{{rate: openloop.Constant(perSecond)}}, changed: make(chan struct{})}
}

// Set changes the rate. 0 stops the traffic. Requests that are late are left out: there are
// many after a rate that is too high for this machine.
func (f *flow) Set(perSecond float64) {
	at := time.Since(f.start)
	before := f.Requests(at)
	f.mu.Lock()
	defer f.mu.Unlock()
	before = min(before, f.next)
	f.pieces = append(f.pieces, piece{at, before, openloop.Constant(perSecond)})
	close(f.changed)
	f.changed = make(chan struct{})
}

// last returns the piece of a time.
func (f *flow) last(t time.Duration) piece {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.pieces) - 1; i > 0; i-- {
		if f.pieces[i].at <= t {
			return f.pieces[i]
		}
	}
	return f.pieces[0]
}

// Rate implements openloop.Profile.
func (f *flow) Rate(t time.Duration) float64 { return float64(f.last(t).rate) }

// Requests implements openloop.Profile.
func (f *flow) Requests(t time.Duration) float64 {
	p := f.last(t)
	return p.before + p.rate.Requests(t-p.at)
}

// Length implements openloop.Profile.
func (f *flow) Length() time.Duration { return 0 }

// never is beyond any run.
const never = math.MaxInt64

// Instant implements openloop.Profile. It waits while the rate is 0.
func (f *flow) Instant(n float64) time.Duration {
	var over <-chan time.Time
	if f.length > 0 {
		over = time.After(time.Until(f.start.Add(f.length)))
	}
	for {
		f.mu.Lock()
		f.next = n + 1
		p, changed := f.pieces[len(f.pieces)-1], f.changed
		f.mu.Unlock()
		if p.rate > 0 {
			return p.at + p.rate.Instant(max(0, n-p.before))
		}
		select {
		case <-changed:
		case <-over:
			return never
		case <-f.ended:
			return never
		}
	}
}
