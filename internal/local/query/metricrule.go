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

	"apmapp/internal/format"
)

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
	// shift is the time between the two values of a change; 0 for other monitors.
	shift time.Duration
}

func (m *Monitor) parseMetricRule(windows object) (rule, error) {
	p := &parser{text: m.Query}
	r := &metricRule{aggregation: p.match(identifier)}
	change := r.aggregation
	if change == "change" || change == "pct_change" {
		if err := p.expect("("); err != nil {
			return nil, err
		}
		r.aggregation = p.match(identifier)
	} else {
		change = ""
	}
	if r.aggregation == "formula" {
		return nil, errors.New("formula(…) with options.variables is not evaluated here; write the query without it, such as avg(last_5m):avg:load{*} > 5")
	}
	if !slices.Contains([]string{"avg", "min", "max", "sum", "percentile"}, r.aggregation) || change != "" && r.aggregation == "percentile" {
		return nil, fmt.Errorf("%q does not begin with avg, min, max, sum or percentile of a window, nor with a change of one", m.Query)
	}
	err := p.expect("(")
	if err == nil {
		if r.window, err = parseWindow(p.match(identifier)); err == nil {
			err = p.expect(")")
		}
	}
	if err == nil && change != "" {
		if err = p.expect(","); err == nil {
			if r.shift, err = parseShift(p.match(shiftText)); err == nil {
				err = p.expect(")")
			}
		}
	}
	if err == nil {
		err = p.expect(":")
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
		if change != "" {
			return nil, errors.New("changes of anomalies are not evaluated here")
		}
		return r, m.parseAnomalies(r, c, windows)
	}
	if change != "" {
		r.root = changeOf(r.root, r.shift, change == "pct_change")
		m.Notes = append(m.Notes, fmt.Sprintf("the change is computed for each interval of %d s; the length of Datadog's intervals is not documented", r.step()))
		return r, nil
	}
	if r.window > time.Hour {
		m.Notes = append(m.Notes, fmt.Sprintf("the window of %s is read in steps of %d s; Datadog's steps are not documented", format.Length(r.window), r.step()))
	}
	return r, nil
}

// shiftText matches the time shifts of changes, agoText their other form.
var (
	shiftText = regexp.MustCompile(`^[a-z0-9_]+`)
	agoText   = regexp.MustCompile(`^([1-9][0-9]{0,4}(?:m|h|d|w|mo))_ago$`)
)

// parseShift parses last_1h or 1h_ago.
func parseShift(text string) (time.Duration, error) {
	if ago := agoText.FindStringSubmatch(text); ago != nil {
		text = "last_" + ago[1]
	}
	return parseWindow(text)
}

// changeOf returns the change of an expression since a time before: a - b, or
// (a - b) / b × 100. It is computed for each interval and aggregated over the window
// afterwards; with as_count() each operand is aggregated first.
// https://docs.datadoghq.com/monitors/types/change-alert/
func changeOf(now node, shift time.Duration, percent bool) node {
	before := earlierBy(now, shift)
	change := binary{'-', now, before}
	if percent {
		return binary{'*', binary{'/', change, before}, number(100)}
	}
	return change
}

// earlierBy returns an expression whose queries read an earlier time.
func earlierBy(n node, shift time.Duration) node {
	switch n := n.(type) {
	case number:
		return n
	case binary:
		return binary{n.op, earlierBy(n.a, shift), earlierBy(n.b, shift)}
	}
	return &call{name: "timeshift", of: n, numbers: []float64{-shift.Seconds()}, apply: past}
}

// past is a time shift whose points are no news: a monitor has no data if only the past has.
func past(c *call, e *evaluator) frame {
	f := shifted(c, e)
	for i := range f.lines {
		f.lines[i].last = 0
	}
	return f
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
	case r.window <= time.Hour && r.shift == 0:
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
		if math.IsNaN(one.value) && r.shift > 0 {
			one.skipped = fmt.Sprintf("no value both in the window and %s before it", format.Length(r.shift))
		} else if math.IsNaN(one.value) {
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
			one.skipped = fmt.Sprintf("'%s' needs %s of history, the recording has %s", c.texts[0], format.Length(need), format.Length(recorded.Round(time.Minute)))
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
