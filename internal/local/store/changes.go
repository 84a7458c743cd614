package store

import (
	"maps"
	"sync"
	"sync/atomic"
)

// Kind is a set of kinds of telemetry.
type Kind uint8

// The kinds of telemetry.
const (
	Traces Kind = 1 << iota
	Statistics
	Logs
	Profiles
	Metrics
	// Monitors are the states of monitors. They are not in the store.
	Monitors
	All = Traces | Statistics | Logs | Profiles | Metrics | Monitors
)

// changes tells pages that something has arrived. Without pages, notify takes no lock.
type changes struct {
	watched atomic.Bool

	mu       sync.Mutex
	watchers map[*Watcher]Kind
}

// Watcher learns which kinds of telemetry have arrived.
type Watcher struct {
	changed chan struct{}
	kinds   atomic.Uint32
	stop    func()
}

// Changed returns a channel that receives a value after changes.
func (w *Watcher) Changed() <-chan struct{} { return w.changed }

// Take returns the kinds that have changed since the last call.
func (w *Watcher) Take() Kind { return Kind(w.kinds.Swap(0)) }

// Stop ends the watch.
func (w *Watcher) Stop() { w.stop() }

func (c *changes) watch(kinds Kind) *Watcher {
	w := &Watcher{changed: make(chan struct{}, 1)}
	w.stop = func() { c.update(func(all map[*Watcher]Kind) { delete(all, w) }) }
	c.update(func(all map[*Watcher]Kind) { all[w] = kinds })
	return w
}

func (c *changes) update(change func(map[*Watcher]Kind)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := maps.Clone(c.watchers)
	if all == nil {
		all = map[*Watcher]Kind{}
	}
	change(all)
	c.watchers = all
	c.watched.Store(len(all) > 0)
}

func (c *changes) notify(kinds Kind) {
	if !c.watched.Load() {
		return
	}
	c.mu.Lock()
	all := c.watchers
	c.mu.Unlock()
	for w, of := range all {
		if of&kinds == 0 {
			continue
		}
		w.kinds.Or(uint32(of & kinds))
		select {
		case w.changed <- struct{}{}:
		default: // it has not taken the last one
		}
	}
}
