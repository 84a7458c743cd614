package query

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
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
	m := &Monitor{Key: key, ID: id, Name: o.text("name"), Type: o.text("type"), Query: o.text("query"), Message: o.text("message"), Tags: NewTags(o.texts("tags")...)}
	if p := o.number("priority"); p != nil {
		m.Priority = fmt.Sprintf("P%g", *p)
	}
	options := o.object("options")
	m.Options = parseOptions(options)
	for _, name := range ignoredOptions {
		if v := options.fields[name]; v != nil && compact(v) != "0" && compact(v) != "{}" && compact(v) != "[]" {
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
	}
	return nil, fmt.Errorf("monitors of the type %q are not evaluated here", m.Type)
}

// window matches the ranges of time of queries.
var window = regexp.MustCompile(`^last_([1-9][0-9]{0,4})(m|h|d|w|mo)$`)

func parseWindow(text string) (time.Duration, error) {
	w := window.FindStringSubmatch(text)
	if w == nil {
		return 0, fmt.Errorf("the window %q is not evaluated here; use one such as last_5m", text)
	}
	n, _ := strconv.Atoi(w[1])
	unit := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "mo": 30 * 24 * time.Hour}[w[2]]
	return time.Duration(n) * unit, nil
}

var comparators = []string{">=", "<=", "==", "!=", ">", "<"}

// metricRule is the query of a metric monitor: a number for a window, compared with
// thresholds.
type metricRule struct {
	aggregation string // avg, min, max, sum, percentile
	window      time.Duration
	root        node
	anomalies   *call
	interval    int64         // of anomalies, in seconds
	alert       time.Duration // the window of anomalies that is checked
	recovery    time.Duration
	zero        bool // default_zero: there is always a value
	counts      bool // every metric is a count
}

func (m *Monitor) parseMetricRule(windows object) (rule, error) {
	p := &parser{text: m.Query}
	r := &metricRule{aggregation: p.match(identifier)}
	if slices.Contains([]string{"change", "pct_change"}, r.aggregation) {
		return nil, fmt.Errorf("%s alerts are not evaluated here", r.aggregation)
	}
	if !slices.Contains([]string{"avg", "min", "max", "sum", "percentile"}, r.aggregation) {
		return nil, fmt.Errorf("%q does not begin with avg, min, max, sum or percentile of a window", m.Query)
	}
	err := p.expect("(")
	if err == nil {
		if r.window, err = parseWindow(p.match(identifier)); err == nil {
			err = cmp.Or(p.expect(")"), p.expect(":"))
		}
	}
	if err == nil {
		r.root, err = p.expression(0)
	}
	if err == nil {
		err = m.parseThreshold(p)
	}
	if err != nil {
		return nil, err
	}
	all := metricsOf(r.root)
	if len(all) == 0 {
		return nil, errors.New("the query has no metric")
	}
	r.counts = true
	for _, q := range all {
		m.grouped = m.grouped || len(q.by) > 0
		r.counts = r.counts && (q.asCount || q.asRate)
		if r.aggregation == "percentile" && q.aggregator != "percentile" {
			return nil, errors.New("percentile(…) needs a percentile of a distribution, such as p99:latency{*}")
		}
	}
	r.zero = callOf(r.root, "default_zero") != nil
	if c := callOf(r.root, "anomalies"); c != nil {
		return r, m.parseAnomalies(r, c, windows)
	}
	if r.window > time.Hour {
		m.Notes = append(m.Notes, fmt.Sprintf("the window of %s is read in steps of %d s; Datadog's steps are not documented", r.window, r.step()))
	}
	return r, nil
}

// parseThreshold parses the end of a query: the comparator and the critical threshold. The
// options may have the same threshold.
func (m *Monitor) parseThreshold(p *parser) error {
	for _, c := range comparators {
		if p.take(c) {
			m.Comparator = c
			break
		}
	}
	negative := m.Comparator != "" && p.take("-")
	v, ok := p.number()
	if m.Comparator == "" || !ok || !p.end() {
		return fmt.Errorf("the query lacks a comparison at its end, such as > 5: %s", p.rest())
	}
	if negative {
		v = -v
	}
	if m.Options.Critical == nil {
		m.Options.Critical = &v
	} else if *m.Options.Critical != v {
		return fmt.Errorf("the query's threshold %g is not options.thresholds.critical, %g", v, *m.Options.Critical)
	}
	return nil
}

func (m *Monitor) parseAnomalies(r *metricRule, c *call, windows object) error {
	if r.root != node(c) {
		return errors.New("anomalies inside of other functions are not evaluated here")
	}
	r.anomalies, r.interval, r.alert = c, 60, r.window
	if s := c.options["interval"]; s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 10 || n > 86400 {
			return fmt.Errorf("anomalies: the interval %q is not evaluated here", s)
		}
		r.interval = n
	}
	for _, w := range []struct {
		text string
		to   *time.Duration
	}{{c.options["alert_window"], &r.alert}, {windows.text("trigger_window"), &r.alert}, {windows.text("recovery_window"), &r.recovery}} {
		if w.text == "" {
			continue
		}
		length, err := parseWindow(w.text)
		if err != nil {
			return err
		}
		*w.to = length
	}
	r.recovery = cmp.Or(r.recovery, r.alert)
	if a := c.texts[0]; a == "basic" {
		m.Notes = append(m.Notes, "the band is like that of Datadog's 'basic', but its exact rule is not public")
	} else {
		m.Notes = append(m.Notes, fmt.Sprintf("the band is made from the same times of earlier seasons: Datadog's '%s' is a model that is not public, so its states may differ", a))
	}
	return nil
}

// step is the length of buckets in seconds: the recorded data of longer windows is coarser.
func (r *metricRule) step() int64 {
	switch {
	case r.window <= time.Hour:
		return 10
	case r.window <= 6*time.Hour:
		return 60
	}
	return 300
}

func (r *metricRule) readings(src Source, c *Catalog, m *Monitor, now time.Time, n *notes) []reading {
	to := now.Add(-m.Options.EvaluationDelay)
	if r.anomalies != nil {
		return r.unusual(src, to, n)
	}
	from := to.Add(-r.window)
	e := r.evaluator(src, from, to, r.step(), n)
	var f frame
	switch {
	case r.aggregation == "percentile":
		f = r.root.eval(e.window(from.Unix(), to.Unix()))
	case hasArithmetic(r.root) && slices.ContainsFunc(metricsOf(r.root), func(q *metric) bool { return q.asCount }):
		// Each operand is reduced first.
		// https://docs.datadoghq.com/monitors/guide/as-count-in-monitor-evaluations/
		f = scalars(r.root, e, r.aggregation, from.Unix())
	default:
		f = r.root.eval(e)
		for i, l := range f.lines {
			f.lines[i].values = []float64{reduce(l.values, r.aggregation, e.step)}
		}
	}
	var all []reading
	for _, l := range f.lines {
		one := reading{group: l.group, value: l.values[0], last: l.last}
		if math.IsNaN(one.value) {
			one.skipped = "no value in the window"
		} else if m.Options.RequireFullWindow && !r.full(src, from, to, l.group, n) {
			one.value, one.skipped = math.NaN(), "the window is not full of data (require_full_window)"
		}
		all = append(all, one)
	}
	return all
}

func (r *metricRule) evaluator(src Source, from, to time.Time, step int64, n *notes) *evaluator {
	return &evaluator{src: src, start: from.Unix(), step: step, buckets: int((to.Unix() - from.Unix() + step - 1) / step), from: from.Unix(), to: to.Unix(), monitor: true, notes: n}
}

// full reports whether the window has data everywhere: in its first bucket, and in all but
// three others.
// https://docs.datadoghq.com/monitors/types/metric/
func (r *metricRule) full(src Source, from, to time.Time, group Tags, n *notes) bool {
	step := int64(60)
	if r.window >= time.Hour {
		step = 600
	}
	if r.window >= 24*time.Hour {
		step = 3600
	}
	f := r.root.eval(r.evaluator(src, from, to, step, n))
	for _, l := range f.lines {
		if slices.Equal(l.group, group) {
			empty := 0
			for _, v := range l.values {
				if math.IsNaN(v) {
					empty++
				}
			}
			return !math.IsNaN(l.values[0]) && empty <= 3
		}
	}
	return false
}

// lastBefore returns the time of the newest data of the day before a time, 0 without
// data.
func (r *metricRule) lastBefore(src Source, now time.Time) int64 {
	newest := int64(0)
	for _, q := range metricsOf(r.root) {
		for _, s := range src.Series(q.name, now.Add(-24*time.Hour), now) {
			if q.scope.match(s.Tags) && len(s.Points) > 0 {
				newest = max(newest, s.Points[len(s.Points)-1].Time)
			}
		}
	}
	return newest
}

// firstSince returns the time of the oldest data since a time, or end without any: buckets
// of weeks without data would only take time.
func (r *metricRule) firstSince(src Source, since, end int64) int64 {
	oldest := end
	for _, q := range metricsOf(r.root) {
		for _, s := range src.Series(q.name, time.Unix(since, 0), time.Unix(end, 0)) {
			if q.scope.match(s.Tags) && len(s.Points) > 0 {
				oldest = min(oldest, max(s.Points[0].Time, since))
			}
		}
	}
	return oldest
}

// unusual returns the share of values outside of the band of anomalies.
func (r *metricRule) unusual(src Source, to time.Time, n *notes) []reading {
	c := r.anomalies
	basic := c.texts[0] == "basic"
	end := floor(to.Unix(), r.interval)
	windows := int64(max(r.alert, r.recovery) / time.Second)
	begin := end - windows - basicSpan*r.interval
	if !basic {
		since := max(src.Since().Unix(), end-longestHistory)
		begin = floor(r.firstSince(src, since, end), r.interval)
	}
	if begin >= end {
		return nil
	}
	e := r.evaluator(src, time.Unix(begin, 0), time.Unix(end, 0), r.interval, n)
	var all []reading
	for _, l := range c.of.eval(e).lines {
		first := slices.IndexFunc(l.values, func(v float64) bool { return !math.IsNaN(v) })
		if first < 0 {
			continue
		}
		if c.options["count_default_zero"] != "false" && r.counts {
			for i := first; i < len(l.values); i++ {
				if math.IsNaN(l.values[i]) {
					l.values[i] = 0
				}
			}
		}
		one := reading{group: l.group, value: math.NaN(), last: l.last}
		share := func(window time.Duration) float64 {
			buckets := int(window/time.Second) / int(r.interval)
			if basic {
				return c.recent(l, buckets)
			}
			return c.seasonal(l, r.interval, buckets)
		}
		recorded := time.Duration(end-(begin+int64(first)*r.interval)) * time.Second
		if need := c.history(); recorded < need {
			one.skipped = fmt.Sprintf("'%s' needs %s of history, the recording has %s", c.texts[0], need, recorded.Round(time.Minute))
		} else if one.value = share(r.alert); math.IsNaN(one.value) {
			one.skipped = "no value in the window"
		} else {
			recovery := share(r.recovery)
			one.recovery = &recovery
		}
		all = append(all, one)
	}
	return all
}

// checkRule is the query of a service check monitor.
type checkRule struct {
	check string
	over  allOf
	by    []string
	each  bool // by("*"): each set of tags is a group
	last  int
}

var (
	checkQuery = regexp.MustCompile(`^"([^"]+)"((?:\.[a-z_]+\([^()]*\))+)$`)
	checkPart  = regexp.MustCompile(`\.([a-z_]+)\(([^()]*)\)`)
	quotedText = regexp.MustCompile(`^\s*"([^"]*)"\s*$`)
)

func (m *Monitor) parseCheckRule() (rule, error) {
	q := checkQuery.FindStringSubmatch(m.Query)
	if q == nil {
		return nil, fmt.Errorf("%q is not a query of a service check, such as \"mysql.can_connect\".over(\"env:dev\").by(\"host\").last(4).count_by_status()", m.Query)
	}
	r := &checkRule{check: q[1]}
	counted := false
	for _, part := range checkPart.FindAllStringSubmatch(q[2], -1) {
		name := part[1]
		switch name {
		case "over", "by":
			list, err := quotedList(part[2])
			if err != nil {
				return nil, fmt.Errorf(".%s(%s): %w", name, part[2], err)
			}
			if name == "by" {
				r.by, r.each = list, slices.Equal(list, []string{"*"})
				continue
			}
			for _, tag := range list {
				if tag != "*" {
					r.over = append(r.over, tagIs{tag})
				}
			}
		case "last":
			n, err := strconv.Atoi(part[2])
			if err != nil || n < 1 || n > 100 {
				return nil, fmt.Errorf(".last(%s) is not a number from 1 to 100", part[2])
			}
			r.last = n
		case "count_by_status":
			counted = true
		default:
			return nil, fmt.Errorf(".%s is not evaluated here", name)
		}
	}
	if !counted || r.last == 0 {
		return nil, errors.New("the query lacks .last(n) or .count_by_status()")
	}
	for _, t := range []*float64{m.Options.Critical, m.Options.Warning, m.Options.OK, m.Options.Unknown} {
		if t != nil && (*t < 1 || int(*t) > r.last) {
			return nil, fmt.Errorf("the threshold %g is not from 1 to %d, which .last(%d) counts", *t, r.last, r.last)
		}
	}
	m.grouped = len(r.by) > 0
	return r, nil
}

// quotedList parses texts in quotation marks, separated by commas.
func quotedList(text string) ([]string, error) {
	var all []string
	for part := range splitOutside(text) {
		q := quotedText.FindStringSubmatch(part)
		if q == nil {
			return nil, fmt.Errorf("%q is not in quotation marks", part)
		}
		all = append(all, q[1])
	}
	return all, nil
}

// splitOutside yields the parts between commas that are outside of quotation marks.
func splitOutside(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		begin, quoted := 0, false
		for i := 0; i < len(text); i++ {
			switch {
			case text[i] == '"':
				quoted = !quoted
			case text[i] == ',' && !quoted:
				if !yield(text[begin:i]) {
					return
				}
				begin = i + 1
			}
		}
		yield(text[begin:])
	}
}

// checksKept bounds the age of the results of checks that are read.
const checksKept = 24 * time.Hour

func (r *checkRule) readings(src Source, _ *Catalog, m *Monitor, now time.Time, _ *notes) []reading {
	groups := map[string]*reading{}
	statuses := map[string][]CheckResult{}
	var order []string
	for _, result := range src.Checks(r.check, now.Add(-checksKept), now) {
		if !r.over.match(result.Tags) {
			continue
		}
		of, complete := []Tags{result.Tags}, true
		if !r.each {
			of, complete = groupsOf(result.Tags, r.by)
		}
		if !complete {
			continue
		}
		for _, g := range of {
			key := g.String()
			if groups[key] == nil {
				groups[key] = &reading{group: g}
				order = append(order, key)
			}
			statuses[key] = append(statuses[key], result)
		}
	}
	var all []reading
	for _, key := range order {
		one := groups[key]
		last := statuses[key]
		last = last[max(len(last)-r.last, 0):]
		newest := last[len(last)-1]
		one.value, one.last = float64(newest.Status), newest.Time
		run := 0
		for i := len(last) - 1; i >= 0 && last[i].Status == newest.Status; i-- {
			run++
		}
		one.variables = map[string]string{"check_message": newest.Message}
		if newest.Status == CheckOK { // Datadog drops the messages of these
			one.variables["check_message"] = ""
		}
		one.state, one.skipped = m.verdict(newest.Status, run)
		all = append(all, *one)
	}
	return all
}

// verdict returns the state for a run of equal statuses, or a reason for none.
func (m *Monitor) verdict(status Status, run int) (State, string) {
	threshold, state := m.Options.OK, OK
	switch status {
	case CheckWarning:
		threshold, state = m.Options.Warning, Warn
	case CheckCritical:
		threshold, state = m.Options.Critical, Alert
	case CheckUnknown:
		threshold, state = m.Options.Unknown, Unknown
	}
	name := [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[status]
	need := 1.0
	if threshold != nil {
		need = *threshold
	} else if status != CheckOK && status != CheckCritical {
		return Waiting, fmt.Sprintf("the newest result is %s, for which there is no threshold", name)
	}
	if float64(run) < need {
		return Waiting, fmt.Sprintf("%d of %g results in a row are %s", run, need, name)
	}
	return state, ""
}

// burnRule is the query of an SLO alert.
type burnRule struct {
	slo         string // its ID
	timeframe   string
	long, short time.Duration
	budget      bool // error_budget instead of burn_rate
}

var (
	burnQuery   = regexp.MustCompile(`^\s*burn_rate\("([^"]+)"\)\.over\("(\d+d)"\)\.long_window\("(\d+[mh])"\)\.short_window\("(\d+[mh])"\)`)
	budgetQuery = regexp.MustCompile(`^\s*error_budget\("([^"]+)"\)\.over\("(\d+d)"\)`)
)

func (m *Monitor) parseBurnRule() (rule, error) {
	r := &burnRule{}
	p := &parser{text: m.Query}
	if q := burnQuery.FindStringSubmatch(m.Query); q != nil {
		p.at = len(q[0])
		r.slo, r.timeframe = q[1], q[2]
		r.long, _ = time.ParseDuration(q[3])
		r.short, _ = time.ParseDuration(q[4])
		if r.short < 1 || r.long <= r.short {
			return nil, fmt.Errorf("the short window %s is not shorter than the long one, %s", q[4], q[3])
		}
	} else if q := budgetQuery.FindStringSubmatch(m.Query); q != nil {
		p.at = len(q[0])
		r.slo, r.timeframe, r.budget = q[1], q[2], true
	} else {
		return nil, fmt.Errorf("%q is neither a burn_rate nor an error_budget query", m.Query)
	}
	return r, m.parseThreshold(p)
}

func (r *burnRule) readings(src Source, c *Catalog, m *Monitor, now time.Time, n *notes) []reading {
	s := c.SLO(r.slo)
	if s == nil {
		n.add(fmt.Sprintf("the SLO %s is not among the definitions", r.slo))
		return []reading{{value: math.NaN(), skipped: fmt.Sprintf("the SLO %s is not among the definitions", r.slo)}}
	}
	one := reading{value: math.NaN(), variables: map[string]string{"timeframe": r.timeframe}}
	if r.budget {
		status := s.Status(src, r.timeframe, now)
		if one.value = 100 - status.Remaining; math.IsNaN(one.value) {
			one.skipped = "the SLO has no data"
			return []reading{one}
		}
		one.last = now.Unix()
		return []reading{one}
	}
	long, more := s.BurnRate(src, r.timeframe, r.long, now)
	short, _ := s.BurnRate(src, r.timeframe, r.short, now)
	for _, note := range more {
		n.add(note)
	}
	one.value = long
	if math.IsNaN(long) || math.IsNaN(short) {
		one.value, one.skipped = math.NaN(), "the SLO has no data in one of the windows"
		return []reading{one}
	}
	one.last = now.Unix()
	one.variables["long_window_burn_rate"], one.variables["short_window_burn_rate"] = formatNumber(long), formatNumber(short)
	one.state = OK
	both := func(threshold *float64) bool {
		return threshold != nil && compare(long, m.Comparator, *threshold) && compare(short, m.Comparator, *threshold)
	}
	switch {
	case both(m.Options.Critical):
		one.state = Alert
	case both(m.Options.Warning):
		one.state = Warn
	}
	return []reading{one}
}
