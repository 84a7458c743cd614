package query

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/format"
)

// Group is the state of one group of a monitor.
type Group struct {
	Tags  Tags // nil for a monitor without groups
	State State
	// Since is when the state began.
	Since time.Time
	// Value is the value of the last evaluation that had one, NaN before.
	Value float64
	// Evaluated is the time of the last evaluation that had a value.
	Evaluated time.Time
	// Skipped is the reason for which the last evaluation changed nothing, empty if it counted.
	Skipped string
}

// group is a group with what its next evaluation needs.
type group struct {
	Group
	// first is when the group was first seen, lastData the time of its newest data, in
	// seconds since 1970.
	first    time.Time
	lastData int64
	// When the group left OK, and when it entered its state.
	firstTriggered, lastTriggered time.Time
	notified                      bool // of the state that it is in
	variables                     map[string]string
	mutedBy                       []string // at the last evaluation
}

// Transition is a change of a group's state.
type Transition struct {
	At       time.Time
	Monitor  *Monitor
	Group    Tags
	From, To State
	// Reason is empty for changes of the state. A downtime that ended notifies of a state
	// that did not change.
	Reason string
	Value  float64 // NaN without a value
	// Title, Message and Recipients are what Datadog would send. Notify is false for changes
	// that notify nobody.
	Title, Message string
	Recipients     []string // @-handles of the message
	Notify         bool
	// MutedBy are the keys of downtimes that suppress the notification.
	MutedBy []string
	// Notes are the parts of the message that could not be rendered, with reasons.
	Notes []string
}

// A group without data is forgotten after a day, one of service checks that notify after two.
// https://docs.datadoghq.com/monitors/configuration/
const forgetAfter = 24 * time.Hour

// evaluate evaluates the monitor once.
func (m *Monitor) evaluate(src Source, c *Catalog, now time.Time) []Transition {
	if m.rule == nil {
		return nil
	}
	n := &notes{}
	readings := m.rule.readings(src, c, m, now, n)
	m.LastNotes = *n
	for _, r := range readings {
		if m.find(r.group) == nil {
			m.groups = append(m.groups, &group{Group: Group{Tags: r.group, Value: math.NaN()}, first: now})
		}
	}
	slices.SortFunc(m.groups, func(a, b *group) int { return slices.Compare(a.Tags, b.Tags) })
	var all []Transition
	for _, g := range m.groups {
		r := reading{group: g.Tags, value: math.NaN(), skipped: "no data in the window"}
		if i := slices.IndexFunc(readings, func(r reading) bool { return slices.Equal(r.group, g.Tags) }); i >= 0 {
			r = readings[i]
		}
		if t, changed := m.step(src, c, g, r, now); changed {
			all = append(all, t)
		}
	}
	m.groups = slices.DeleteFunc(m.groups, func(g *group) bool {
		keep := forgetAfter
		if _, ok := m.rule.(*checkRule); ok && m.Options.NotifyNoData {
			keep *= 2
		}
		return len(g.Tags) > 0 && g.lastData > 0 && now.Sub(time.Unix(g.lastData, 0)) >= keep
	})
	return all
}

func (m *Monitor) find(tags Tags) *group {
	i := slices.IndexFunc(m.groups, func(g *group) bool { return slices.Equal(g.Tags, tags) })
	if i < 0 {
		return nil
	}
	return m.groups[i]
}

// step evaluates one group.
func (m *Monitor) step(src Source, c *Catalog, g *group, r reading, now time.Time) (Transition, bool) {
	g.lastData = max(g.lastData, r.last)
	g.Skipped = ""
	if r.variables != nil {
		g.variables = r.variables
	}
	if rule, ok := m.rule.(*metricRule); ok && rule.zero && g.lastData == 0 {
		if g.lastData = rule.lastBefore(src, now); g.lastData == 0 {
			g.Skipped = "waiting for first data"
			return Transition{}, false
		}
	}
	if m.grouped && now.Sub(g.first) < m.Options.NewGroupDelay && g.State == Waiting {
		g.Skipped = fmt.Sprintf("a new group is evaluated after %s (new_group_delay)", m.Options.NewGroupDelay)
		return Transition{}, false
	}
	next, reason := g.State, ""
	silence := now.Sub(time.Unix(g.lastData, 0))
	_, isCheck := m.rule.(*checkRule)
	switch {
	case isCheck && m.Options.NotifyNoData && silence >= cmp.Or(m.Options.NoDataTimeframe, 24*time.Hour):
		next = NoData // results are kept for longer than a silence lasts
	case r.state != Waiting:
		next = r.state
	case m.Members() != nil:
		g.Skipped = r.skipped
	case math.IsNaN(r.value):
		next, reason = m.withoutData(g, silence)
		if next == g.State {
			g.Skipped = r.skipped
		}
	case r.skipped != "":
		g.Skipped = r.skipped
	default:
		next = m.next(g.State, r)
	}
	if !math.IsNaN(r.value) && next != NoData {
		g.Value, g.Evaluated = r.value, now
	}
	if next == g.State {
		return Transition{}, false
	}
	return m.change(c, g, next, reason, now), true
}

// withoutData returns the state after an evaluation without a value.
func (m *Monitor) withoutData(g *group, silence time.Duration) (State, string) {
	if g.lastData == 0 || g.State == Waiting {
		return g.State, ""
	}
	o := m.Options
	switch {
	case o.NotifyNoData && silence >= cmp.Or(o.NoDataTimeframe, 2*m.windowLength()):
		return NoData, ""
	case o.Timeout > 0 && silence >= o.Timeout && g.State != OK:
		return OK, fmt.Sprintf("no data for %s (timeout_h)", format.Length(o.Timeout))
	}
	if silence < m.windowLength() {
		return g.State, ""
	}
	switch o.OnMissingData {
	case "show_no_data", "show_and_notify_no_data":
		return NoData, ""
	case "resolve":
		return OK, "no data (on_missing_data: resolve)"
	case "default":
		if r, ok := m.rule.(*metricRule); ok && r.counts && !hasArithmetic(r.root) {
			return m.next(g.State, reading{value: 0}), "no data counts as 0 (on_missing_data: default)"
		}
	}
	return g.State, ""
}

func (m *Monitor) windowLength() time.Duration {
	if r, ok := m.rule.(*metricRule); ok {
		return r.window
	}
	return 0
}

// next returns the state for a value. With a recovery threshold, a group leaves its state
// only past that.
// https://docs.datadoghq.com/monitors/guide/recovery-thresholds/
func (m *Monitor) next(state State, r reading) State {
	o := m.Options
	holds := func(t *float64) bool { return t != nil && compare(r.value, m.Comparator, *t) }
	recovered := func(t *float64) bool {
		if t == nil {
			return true
		}
		v := r.value
		if r.recovery != nil { // anomalies: a share that is at most the threshold
			return *r.recovery <= *t
		}
		return !compare(v, m.Comparator, *t)
	}
	switch {
	case holds(o.Critical), state == Alert && !recovered(o.CriticalRecovery):
		return Alert
	case holds(o.Warning), state == Warn && o.Warning != nil && !recovered(o.WarningRecovery):
		return Warn
	}
	return OK
}

// change sets the state and returns the transition.
func (m *Monitor) change(c *Catalog, g *group, next State, reason string, now time.Time) Transition {
	from := g.State
	wasNotified := g.notified
	g.State, g.Since = next, now
	if next != OK {
		g.lastTriggered = now
		if from == OK || from == Waiting {
			g.firstTriggered = now
		}
	}
	switch next {
	case OK:
		g.notified = false
	case NoData:
		g.notified = m.Options.NotifyNoData || m.Options.OnMissingData == "show_and_notify_no_data"
	default:
		g.notified = true
	}
	t := Transition{At: now, Monitor: m, Group: g.Tags, From: from, To: next, Reason: reason, Value: g.Value,
		Notify: g.notified || next == OK && wasNotified}
	m.write(c, g, &t, now)
	return t
}

// states for the sections of messages.
// https://docs.datadoghq.com/monitors/notify/variables/
func holding(from, to State) []string {
	switch to {
	case Alert:
		return []string{"is_alert"}
	case Warn:
		if from == Alert {
			return []string{"is_warning", "is_alert_to_warning"}
		}
		return []string{"is_warning"}
	case NoData:
		return []string{"is_no_data"}
	case Unknown:
		return []string{"is_unknown"}
	}
	switch from {
	case Alert:
		return []string{"is_recovery", "is_alert_recovery"}
	case Warn:
		return []string{"is_recovery", "is_warning_recovery"}
	case NoData:
		return []string{"is_recovery", "is_no_data_recovery"}
	case Unknown:
		return []string{"is_recovery"}
	}
	return nil
}

// write renders title and message.
func (m *Monitor) write(c *Catalog, g *group, t *Transition, now time.Time) {
	message := Message{Conditions: holding(t.From, t.To), Variables: m.variables(c, g, t, now), Priority: m.Priority}
	n := &notes{}
	name, problems := m.name.Render(message)
	text, more := m.message.Render(message)
	for _, p := range append(problems, more...) {
		n.add(p)
	}
	word := map[State]string{Alert: "Triggered", Warn: "Warn", NoData: "No data", Unknown: "Unknown"}[t.To]
	word = cmp.Or(word, "Recovered")
	if m.Options.IncludeTags && len(g.Tags) > 0 {
		word += fmt.Sprintf(" on {%s}", g.Tags)
	}
	t.Title, t.Message, t.Notes = fmt.Sprintf("[%s] %s", word, name), strings.TrimSpace(text), *n
	t.Recipients = recipients(t.Message)
}

// variables returns the variables of a message.
func (m *Monitor) variables(c *Catalog, g *group, t *Transition, now time.Time) map[string]string {
	v := map[string]string{}
	for name, value := range g.variables {
		v[name] = value
	}
	if _, isMetric := m.rule.(*metricRule); isMetric || m.isBudget() {
		v["value"] = ""
		if t.To != NoData && !math.IsNaN(g.Value) {
			v["value"] = formatNumber(g.Value)
		}
	}
	if m.Comparator != "" {
		v["comparator"] = m.Comparator
	}
	for name, threshold := range map[string]*float64{"threshold": m.Options.Critical, "warn_threshold": m.Options.Warning, "ok_threshold": m.Options.OK,
		"alert_recovery_threshold": m.Options.CriticalRecovery, "warn_recovery_threshold": m.Options.WarningRecovery} {
		if threshold != nil {
			v[name] = formatNumber(*threshold)
		}
	}
	for name, at := range map[string]time.Time{"first_triggered_at": g.firstTriggered, "last_triggered_at": g.lastTriggered} {
		if !at.IsZero() {
			v[name], v[name+"_epoch"] = at.UTC().Format(utcTime), strconv.FormatInt(at.UnixMilli(), 10)
		}
	}
	if !g.firstTriggered.IsZero() {
		v["triggered_duration_sec"] = strconv.FormatInt(int64(now.Sub(g.firstTriggered)/time.Second), 10)
	}
	for _, tag := range g.Tags {
		key, value, _ := strings.Cut(tag, ":")
		if v[key+".name"] != "" {
			value = v[key+".name"] + "," + value
		}
		v[key+".name"] = value
	}
	if host, ok := g.Tags.Get("host"); ok && c.HostIP != nil {
		v["host.ip"] = c.HostIP(host)
	}
	return v
}

func (m *Monitor) isBudget() bool {
	r, ok := m.rule.(*burnRule)
	return ok && r.budget
}
