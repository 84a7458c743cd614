package query

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Document is one definition, after placeholders were replaced.
type Document struct {
	Kind string // monitor, slo, downtime or dashboard
	Key  string // from the name of the file
	// ID is what other definitions call it. Any text serves.
	ID   string
	Body map[string]any // numbers are json.Number or float64
}

// Catalog holds definitions that refer to each other.
type Catalog struct {
	Monitors  []*Monitor
	SLOs      []*SLO
	Downtimes []*Downtime
	// Refused are the errors of documents that are not evaluated, in the documents' order.
	Refused []error
	// HostIP returns the address of a host for messages; nil or "" if it is unknown.
	HostIP func(host string) string
}

// NewCatalog parses documents. It ignores dashboards. A document that cannot be parsed is in
// Refused.
func NewCatalog(documents []Document) *Catalog {
	c := &Catalog{}
	for _, d := range documents {
		var err error
		switch d.Kind {
		case "monitor":
			var m *Monitor
			if m, err = NewMonitor(d.Key, d.ID, d.Body); err == nil {
				c.Monitors = append(c.Monitors, m)
			}
		case "slo":
			var s *SLO
			if s, err = NewSLO(d.Key, d.ID, d.Body); err == nil {
				c.SLOs = append(c.SLOs, s)
			}
		case "downtime":
			var t *Downtime
			if t, err = NewDowntime(d.Key, d.ID, d.Body); err == nil {
				c.Downtimes = append(c.Downtimes, t)
			}
		}
		if err != nil {
			c.Refused = append(c.Refused, fmt.Errorf("%s %s: %w", d.Kind, d.Key, err))
		}
	}
	return c
}

// SLO returns an SLO by its ID here or in the account; nil if it does not exist.
func (c *Catalog) SLO(id string) *SLO {
	return one(c.SLOs, func(s *SLO) bool { return id != "" && (s.ID == id || s.Account == id) })
}

// MonitorByID returns a monitor by its ID here or in the account; nil if it does not exist.
func (c *Catalog) MonitorByID(id string) *Monitor {
	return one(c.Monitors, func(m *Monitor) bool { return id != "" && (m.ID == id || m.Account == id) })
}

// Monitor returns a monitor by its key; nil if it does not exist.
func (c *Catalog) Monitor(key string) *Monitor {
	return one(c.Monitors, func(m *Monitor) bool { return m.Key == key })
}

// one returns the first match; nil without one.
func one[T any](all []*T, matches func(*T) bool) *T {
	i := slices.IndexFunc(all, matches)
	if i < 0 {
		return nil
	}
	return all[i]
}

// Evaluate evaluates all monitors at a time. Call it once a minute, with times that do
// not go back.
func (c *Catalog) Evaluate(src Source, now time.Time) []Transition {
	var all, composites []*Monitor // composites follow the monitors that they join
	for _, m := range c.Monitors {
		if m.Members() != nil {
			composites = append(composites, m)
		} else {
			all = append(all, m)
		}
	}
	return c.evaluate(append(all, composites...), src, now)
}

func (c *Catalog) evaluate(monitors []*Monitor, src Source, now time.Time) []Transition {
	var all []Transition
	for _, m := range monitors {
		before := map[*group]bool{} // groups whose state changed
		for _, t := range m.evaluate(src, c, now) {
			g := m.find(t.Group)
			before[g] = true
			t.MutedBy = c.mutedBy(m, t, now)
			all = append(all, t)
		}
		for _, g := range m.groups {
			ended := g.mutedBy
			g.mutedBy = c.Muting(m, g.Tags, now)
			if before[g] || len(ended) == 0 || len(g.mutedBy) > 0 {
				continue
			}
			if t, ok := c.ended(m, g, ended, now); ok {
				all = append(all, t)
			}
		}
	}
	return all
}

// Muting returns the keys of the downtimes that are active for a group.
func (c *Catalog) Muting(m *Monitor, group Tags, now time.Time) (keys []string) {
	for _, d := range c.Downtimes {
		if _, active := d.Active(now); active && d.Mutes(m, group) {
			keys = append(keys, d.Key)
		}
	}
	return keys
}

// mutedBy returns the downtimes that suppress a notification. The first recovery from a
// state that began before the downtime is notified, unless the downtime mutes this, too.
// https://docs.datadoghq.com/monitors/downtimes/
func (c *Catalog) mutedBy(m *Monitor, t Transition, now time.Time) (keys []string) {
	g := m.find(t.Group)
	for _, d := range c.Downtimes {
		o, active := d.Active(now)
		if !active || !d.Mutes(m, t.Group) {
			continue
		}
		if t.To == OK && t.From != Waiting && !d.muteFirstRecovery && g != nil && g.firstTriggered.Before(c.begun(m, t.Group, o, now)) {
			continue
		}
		keys = append(keys, d.Key)
	}
	return keys
}

// begun returns when the mute of a group began: downtimes that follow each other are one.
func (c *Catalog) begun(m *Monitor, group Tags, o Occurrence, now time.Time) time.Time {
	begin := o.Start
	for range len(c.Downtimes) + 1 {
		for _, d := range c.Downtimes {
			if !d.Mutes(m, group) {
				continue
			}
			if earlier, ok := d.Active(begin.Add(-time.Second)); ok && earlier.Start.Before(begin) {
				begin = earlier.Start
			}
		}
	}
	return begin
}

// ended returns the notification of a state that a downtime muted until now.
func (c *Catalog) ended(m *Monitor, g *group, keys []string, now time.Time) (Transition, bool) {
	name := map[State]string{Alert: "alert", Warn: "warn", NoData: "no data"}[g.State]
	for _, d := range c.Downtimes {
		if slices.Contains(keys, d.Key) && d.onExpiry && slices.Contains(d.endStates, name) {
			t := Transition{At: now, Monitor: m, Group: g.Tags, From: g.State, To: g.State, Value: g.Value, Notify: true,
				Reason: fmt.Sprintf("downtime %s ended", strings.Join(keys, ", "))}
			m.write(c, g, &t, now)
			return t, true
		}
	}
	return Transition{}, false
}

// saved is the state of a group as JSON.
type saved struct {
	Monitor, Query                string
	Tags                          Tags
	State                         State
	Since, Evaluated, First       time.Time
	FirstTriggered, LastTriggered time.Time
	Value                         *float64
	LastData                      int64
	Notified                      bool
	Variables                     map[string]string
	MutedBy                       []string
}

// SaveState returns the states of all monitors as JSON, for [Catalog.RestoreState] after a
// restart.
func (c *Catalog) SaveState() []byte {
	all := []saved{}
	for _, m := range c.Monitors {
		for _, g := range m.groups {
			s := saved{m.Key, m.Query, g.Tags, g.State, g.Since, g.Evaluated, g.first, g.firstTriggered, g.lastTriggered, nil, g.lastData, g.notified, g.variables, g.mutedBy}
			if !math.IsNaN(g.Value) && !math.IsInf(g.Value, 0) {
				s.Value = &g.Value
			}
			all = append(all, s)
		}
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(err) // nothing in it can fail
	}
	return b
}

// RestoreState sets the states of monitors with the same key and query. It ignores others.
func (c *Catalog) RestoreState(state []byte) error {
	var all []saved
	if err := json.Unmarshal(state, &all); err != nil {
		return fmt.Errorf("states of monitors: %w", err)
	}
	for _, s := range all {
		if s.State < Waiting || s.State > Alert {
			return fmt.Errorf("states of monitors: %s has the unknown state %d", s.Monitor, s.State)
		}
		i := slices.IndexFunc(c.Monitors, func(m *Monitor) bool { return m.Key == s.Monitor && m.Query == s.Query })
		if i < 0 {
			continue
		}
		m := c.Monitors[i]
		g := m.find(s.Tags)
		if g == nil {
			g = &group{}
			m.groups = append(m.groups, g)
		}
		*g = group{Group{s.Tags, s.State, s.Since, math.NaN(), s.Evaluated, ""}, s.First, s.LastData, s.FirstTriggered, s.LastTriggered, s.Notified, s.Variables, s.MutedBy}
		if s.Value != nil {
			g.Value = *s.Value
		}
	}
	return nil
}
