package query

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// State is the state of a monitor or of one of its groups. The worst has the greatest number.
type State int

// The states. A group without any data so far is Waiting, not NoData.
const (
	Waiting State = iota
	OK
	Unknown // of service checks
	NoData
	Warn
	Alert
)

var stateNames = [...]string{"waiting for first data", "OK", "Unknown", "No Data", "Warn", "Alert"}

func (s State) String() string { return stateNames[s] }

// Monitor is a parsed monitor with its state.
type Monitor struct {
	Key, ID  string
	Account  string // its ID in the account, if the definition has it
	Name     string // a template
	Type     string
	Query    string
	Message  string // a template
	Priority string // P1 to P5, empty without one
	Tags     Tags
	Options  Options
	// Comparator precedes the query's threshold; empty for service checks.
	Comparator string
	// Notes are the reasons for which Datadog's states may differ. A monitor that cannot be
	// evaluated has [Monitor.Unevaluated].
	Notes []string
	// LastNotes are further reasons that the last evaluation found in the data.
	LastNotes []string
	// Unevaluated is the reason for which this monitor is never evaluated, empty for others.
	// Its state stays Waiting.
	Unevaluated string

	rule          rule
	grouped       bool
	name, message *Template
	groups        []*group // by tags
}

// Options are a monitor's options. Pointers are nil for absent thresholds.
type Options struct {
	Critical, Warning                 *float64
	CriticalRecovery, WarningRecovery *float64
	OK, Unknown                       *float64 // of service checks
	RequireFullWindow                 bool
	NotifyNoData                      bool
	NoDataTimeframe                   time.Duration
	OnMissingData                     string
	NewGroupDelay                     time.Duration
	Timeout                           time.Duration // timeout_h
	EvaluationDelay                   time.Duration
	IncludeTags                       bool
}

// rule is a monitor's query.
type rule interface {
	// readings returns a reading for each group that has data, or zeros by default.
	readings(src Source, c *Catalog, m *Monitor, now time.Time, n *notes) []reading
}

// reading is what an evaluation finds for a group.
type reading struct {
	group Tags
	value float64 // NaN without a value
	// recovery is compared with the recovery thresholds instead of value, if not nil.
	recovery *float64
	// state is set by rules that do not compare with thresholds; others leave it at Waiting.
	state State
	// last is the time of the newest data, 0 without data.
	last int64
	// skipped is the reason for which there is neither a value nor a state.
	skipped   string
	variables map[string]string
}

// Groups returns the groups in the order of their tags.
func (m *Monitor) Groups() []Group {
	all := make([]Group, 0, len(m.groups))
	for _, g := range m.groups {
		all = append(all, g.Group)
	}
	return all
}

// State returns the worst state of the groups.
func (m *Monitor) State() State {
	worst := Waiting
	for _, g := range m.groups {
		state := g.State
		if state == Unknown { // the overall state stays OK
			state = OK
		}
		worst = max(worst, state)
	}
	return worst
}

// History returns the value that each evaluation would compare with the thresholds, at
// the end of each step in [from, to), by group. Alerts on burn rates have one line for each
// window, service checks the number of the newest status.
func (m *Monitor) History(src Source, c *Catalog, from, to time.Time, step time.Duration) Result {
	n := &notes{}
	seconds := max(int64(step/time.Second), 1)
	e := newEvaluator(src, from, to, seconds, n)
	r := Result{Start: e.start, Step: seconds, Buckets: e.buckets}
	if m.rule == nil {
		r.Notes = []string{m.Unevaluated}
		return r
	}
	if m.Members() != nil { // members have only the states of now
		r.Notes = []string{"a composite monitor has states, no values"}
		return r
	}
	index := map[string]int{}
	add := func(name string, group Tags, bucket int, v float64) {
		key := name + "\x00" + group.String()
		i, ok := index[key]
		if !ok {
			i = len(r.Lines)
			index[key] = i
			r.Lines = append(r.Lines, Line{Name: name, Group: group, Step: seconds, Values: missing(e.buckets)})
		}
		r.Lines[i].Values[bucket] = v
	}
	for i := range e.buckets {
		at := time.Unix(e.start+int64(i+1)*seconds, 0)
		for _, reading := range m.rule.readings(src, c, m, at, n) {
			if burn, ok := m.rule.(*burnRule); ok && !burn.budget {
				for _, name := range []string{"long_window_burn_rate", "short_window_burn_rate"} {
					if v, err := strconv.ParseFloat(reading.variables[name], 64); err == nil {
						add(name, reading.group, i, v)
					}
				}
				continue
			}
			add("value", reading.group, i, reading.value)
		}
	}
	slices.SortStableFunc(r.Lines, func(a, b Line) int {
		return cmp.Or(slices.Compare(a.Group, b.Group), cmp.Compare(a.Name, b.Name))
	})
	r.Notes = *n
	return r
}

// NewMonitor parses a monitor, as JSON after placeholders were replaced. A query that is not
// evaluated here is no error: see [Monitor.Unevaluated].
func NewMonitor(key, id string, body map[string]any) (*Monitor, error) {
	var err error
	o := newObject(body, &err)
	m := &Monitor{Key: key, ID: id, Account: o.id("id"), Name: o.text("name"), Type: o.text("type"), Query: o.text("query"), Message: o.text("message"), Tags: NewTags(o.texts("tags")...)}
	if p := o.number("priority"); p != nil {
		m.Priority = fmt.Sprintf("P%g", *p)
	}
	options := o.object("options")
	m.Options = parseOptions(options)
	for _, name := range ignoredOptions {
		if v := options.fields[name]; v != nil && Compact(v) != "0" && Compact(v) != "{}" && Compact(v) != "[]" {
			m.Notes = append(m.Notes, fmt.Sprintf("options.%s is not evaluated here", name))
		}
	}
	if err != nil {
		return nil, err
	}
	if !slices.Contains([]string{"", "default", "show_no_data", "show_and_notify_no_data", "resolve"}, m.Options.OnMissingData) {
		return nil, fmt.Errorf("options.on_missing_data %q is not default, show_no_data, show_and_notify_no_data or resolve", m.Options.OnMissingData)
	}
	if m.Name == "" || m.Query == "" {
		return nil, errors.New("name or query is empty")
	}
	if m.name, err = ParseTemplate(m.Name); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	if m.message, err = ParseTemplate(m.Message); err != nil {
		return nil, fmt.Errorf("message: %w", err)
	}
	if m.rule, err = m.parseRule(options.object("threshold_windows")); err != nil {
		m.rule, m.Unevaluated = nil, err.Error()
	}
	if m.Options.OnMissingData != "" && (m.Options.NotifyNoData || options.has("no_data_timeframe")) {
		return nil, errors.New("options.on_missing_data cannot be beside notify_no_data and no_data_timeframe")
	}
	return m, nil
}

// ignoredOptions change when a monitor notifies, and are not evaluated.
var ignoredOptions = []string{"renotify_interval", "group_retention_duration", "min_failure_duration", "new_host_delay", "notification_preset_name", "notify_by", "scheduling_options", "silenced"}

// maxDuration is the greatest time in options that is accepted here.
const maxDuration = 366 * 24 * time.Hour

func parseOptions(o object) Options {
	t := o.object("thresholds")
	duration := func(key string, unit, absent time.Duration) time.Duration {
		n := o.number(key)
		if n == nil {
			return absent
		}
		d := *n * float64(unit)
		if d < 0 || d > float64(maxDuration) {
			o.wrong(key, fmt.Sprintf("at least 0 and at most %g", float64(maxDuration/unit)))
			return absent
		}
		return time.Duration(d)
	}
	return Options{
		Critical: t.number("critical"), Warning: t.number("warning"), OK: t.number("ok"), Unknown: t.number("unknown"),
		CriticalRecovery: t.number("critical_recovery"), WarningRecovery: t.number("warning_recovery"),
		RequireFullWindow: o.flag("require_full_window"), NotifyNoData: o.flag("notify_no_data"),
		NoDataTimeframe: duration("no_data_timeframe", time.Minute, 0), OnMissingData: o.text("on_missing_data"),
		NewGroupDelay: duration("new_group_delay", time.Second, time.Minute), Timeout: duration("timeout_h", time.Hour, 0),
		EvaluationDelay: duration("evaluation_delay", time.Second, 0), IncludeTags: o.flag("include_tags") || !o.has("include_tags"),
	}
}

// parseRule parses the query by the monitor's type.
func (m *Monitor) parseRule(windows object) (rule, error) {
	switch m.Type {
	case "query alert", "metric alert":
		return m.parseMetricRule(windows)
	case "service check":
		return m.parseCheckRule()
	case "slo alert":
		return m.parseBurnRule()
	case "composite":
		return m.parseCompositeRule()
	}
	return nil, fmt.Errorf("monitors of the type %q are not evaluated here", m.Type)
}
