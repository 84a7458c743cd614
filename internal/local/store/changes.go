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
	All = Traces | Statistics | Logs | Profiles | Metrics
)

// changes tells pages that something has arrived. Without pages, notify takes no lock.
type changes struct {
	watched atomic.Bool

	mu       sync.Mutex
	watchers map[chan struct{}]Kind
}

func (c *changes) watch(kinds Kind) (<-chan struct{}, func()) {
	changed := make(chan struct{}, 1)
	c.update(func(all map[chan struct{}]Kind) { all[changed] = kinds })
	return changed, func() { c.update(func(all map[chan struct{}]Kind) { delete(all, changed) }) }
}

func (c *changes) update(change func(map[chan struct{}]Kind)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := maps.Clone(c.watchers)
	if all == nil {
		all = map[chan struct{}]Kind{}
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
	for changed, of := range all {
		if of&kinds == 0 {
			continue
		}
		select {
		case changed <- struct{}{}:
		default: // it has not taken the last one
		}
	}
}
