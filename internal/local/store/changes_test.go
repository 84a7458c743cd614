package store

import (
	"testing"
	"time"

	"apmapp/internal/local/wire"
)

// TestWatch: a page learns of changes of its own kinds only, at once and also if it was
// busy, and of nothing after it has left.
func TestWatch(t *testing.T) {
	s := New(0)
	s.AddPacket("a:1|c") // nobody watches
	page := s.Watch(Logs | Profiles)
	other := s.Watch(Traces)
	defer other.Stop()
	received := func(from *Watcher) bool {
		select {
		case <-from.Changed():
			return true
		default:
			return false
		}
	}
	for name, c := range map[string]struct {
		add  func()
		want Kind
	}{
		"a trace":                  {func() { s.AddSpans(chunk(1)) }, 0},
		"a metric":                 {func() { s.AddPacket("a:1|c") }, 0},
		"a log line":               {func() { s.AddLog(wire.Log{}) }, Logs},
		"a profile":                {func() { s.AddProfiles(wire.Upload{}) }, Profiles},
		"a cleared store":          {s.Clear, Logs | Profiles},
		"two log lines":            {func() { s.AddLog(wire.Log{}); s.AddLog(wire.Log{}) }, Logs},
		"a log line and a profile": {func() { s.AddLog(wire.Log{}); s.AddProfiles(wire.Upload{}) }, Logs | Profiles},
	} {
		c.add()
		if got := received(page); got != (c.want != 0) {
			t.Errorf("%s: changed is %t", name, got)
		}
		if received(page) {
			t.Errorf("%s: changed twice", name)
		}
		if got := page.Take(); got != c.want {
			t.Errorf("%s: kinds %b, want %b", name, got, c.want)
		}
	}
	s.AddSpans(chunk(2))
	if !received(other) {
		t.Error("the other page learns of no trace")
	}
	page.Stop()
	s.AddLog(wire.Log{})
	if received(page) {
		t.Error("a page that has left learns of a change")
	}
	if n := len(s.changes.watchers); n != 1 {
		t.Errorf("%d watchers, want 1", n)
	}
}

// TestSlowestAreBounded: the durations of many resources do not fill the memory.
func TestSlowestAreBounded(t *testing.T) {
	s := newTraces(1 << 30)
	for i := range maxResources + 50 {
		s.slowestOf(&Summary{Service: "web", Resource: time.Duration(i).String()}).add(1)
	}
	if n := len(s.slowest.index); n != maxResources {
		t.Errorf("%d resources, want %d", n, maxResources)
	}
	// The ten slowest of a resource are protected, in any order.
	var top slowest
	for i, d := range []time.Duration{5, 3, 9, 1, 7, 2, 8, 4, 6, 10, 1, 11, 2, 3} {
		if want := i < 10 || d == 11 || d == 3; top.add(d) != want {
			t.Errorf("%d: added is %t", d, !want)
		}
	}
	for i := range top[1:] {
		if top[i] > top[i+1] {
			t.Errorf("not sorted: %v", top)
		}
	}
}
