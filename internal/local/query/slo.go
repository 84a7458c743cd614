package query

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/format"
)

// SLO is a parsed SLO.
type SLO struct {
	Key, ID, Name, Description string
	Account                    string // its ID in the account, if the definition has it
	Type                       string // metric or time_slice
	Tags                       Tags
	Timeframe                  string // the primary one: 7d, 30d or 90d
	Targets                    []Target

	// Of a count SLO: good and bad events, or all of them.
	good, bad, total node
	// Of a time-slice SLO.
	slice      node
	sliceStep  int64 // seconds
	comparator string
	threshold  float64
}

// Target is what an SLO promises for a time frame.
type Target struct {
	Timeframe       string // 7d, 30d or 90d
	Target, Warning float64
	HasWarning      bool
}

// SLOStatus is the state of an SLO in a time frame that ends now.
type SLOStatus struct {
	Target
	// SLI is in percent. It is NaN without any data: then nothing is green.
	SLI float64
	// Remaining is the rest of the error budget in percent; it may be negative. NaN without
	// data.
	Remaining float64
	// State is OK at or above the target and the warning, Warn between them, Alert below
	// the target, NoData without data.
	State State
	// Good and Bad are events of a count SLO.
	Good, Bad float64
	// Up, Down and Missing are slices of a time-slice SLO. Missing ones count as up.
	Up, Down, Missing int
	// Recorded is the part of the time frame that the source knows.
	Recorded time.Duration
	Notes    []string
}

// NewSLO parses an SLO, as JSON after placeholders were replaced.
func NewSLO(key, id string, body map[string]any) (*SLO, error) {
	var wrong error
	s, err := newSLO(key, id, newObject(body, &wrong))
	if wrong != nil {
		return nil, wrong
	}
	return s, err
}

func newSLO(key, id string, o object) (*SLO, error) {
	s := &SLO{Key: key, ID: id, Account: o.id("id"), Name: o.text("name"), Description: o.text("description"), Type: o.text("type"), Tags: NewTags(o.texts("tags")...), Timeframe: o.text("timeframe")}
	for _, t := range o.objects("thresholds") {
		one := Target{Timeframe: t.text("timeframe")}
		target := t.number("target")
		if _, ok := days(one.Timeframe); !ok || target == nil {
			return nil, fmt.Errorf("%s: needs a timeframe such as 30d and a target", t.at)
		}
		if *target <= 0 || *target >= 100 {
			return nil, fmt.Errorf("%s: the target %g is not between 0 and 100", t.at, *target)
		}
		one.Target = *target
		if w := t.number("warning"); w != nil {
			one.Warning, one.HasWarning = *w, true
		}
		s.Targets = append(s.Targets, one)
	}
	if len(s.Targets) == 0 {
		return nil, errors.New("thresholds is empty")
	}
	s.Timeframe = cmp.Or(s.Timeframe, s.Targets[0].Timeframe)
	specification := o.object("sli_specification")
	switch s.Type {
	case "metric":
		if count := specification.object("count"); count.fields != nil {
			return s, s.parseCount(count)
		}
		return s, s.parseFraction(o.object("query"))
	case "time_slice":
		return s, s.parseSlice(specification.object("time_slice"))
	}
	return nil, fmt.Errorf("an SLO of the type %q is not evaluated here", s.Type)
}

func (s *SLO) parseCount(o object) error {
	queries, _, err := parseQueries(o.objects("queries"), nil)
	if err != nil {
		return err
	}
	formula := func(key string) (n node) {
		text := o.object(key).text("formula")
		if text == "" || err != nil {
			return nil
		}
		if n, err = parseExpression(text, nil, queries); err != nil {
			err = fmt.Errorf("%s.%s: %w", o.at, key, err)
		}
		return n
	}
	s.good, s.bad, s.total = formula("good_events_formula"), formula("bad_events_formula"), formula("total_events_formula")
	if err == nil && (s.good == nil || s.bad == nil && s.total == nil) {
		err = fmt.Errorf("%s: needs good_events_formula, and bad_events_formula or total_events_formula", o.at)
	}
	return err
}

// parseFraction parses the older form of a count SLO.
func (s *SLO) parseFraction(o object) (err error) {
	if s.good, err = parseExpression(o.text("numerator"), nil, nil); err != nil {
		return fmt.Errorf("query.numerator: %w", err)
	}
	if s.total, err = parseExpression(o.text("denominator"), nil, nil); err != nil {
		return fmt.Errorf("query.denominator: %w", err)
	}
	return nil
}

func (s *SLO) parseSlice(o object) error {
	q := o.object("query")
	queries, _, err := parseQueries(q.objects("queries"), nil)
	if err != nil {
		return err
	}
	formulas := q.objects("formulas")
	if len(formulas) != 1 {
		return fmt.Errorf("%s: needs one formula, got %d", q.at, len(formulas))
	}
	if s.slice, err = parseExpression(formulas[0].text("formula"), nil, queries); err != nil {
		return err
	}
	s.sliceStep = 300
	if n := o.number("query_interval_seconds"); n != nil {
		s.sliceStep = int64(*n)
	}
	if s.sliceStep != 60 && s.sliceStep != 300 {
		return fmt.Errorf("%s: query_interval_seconds is 60 or 300, got %d", o.at, s.sliceStep)
	}
	if s.comparator = o.text("comparator"); !slices.Contains([]string{"<", "<=", ">", ">="}, s.comparator) {
		return fmt.Errorf("%s: the comparator %q is not one of < <= > >=", o.at, s.comparator)
	}
	threshold := o.number("threshold")
	if threshold == nil {
		return fmt.Errorf("%s: lacks a threshold", o.at)
	}
	s.threshold = *threshold
	return nil
}

// days returns the length of a time frame such as 30d.
func days(timeframe string) (time.Duration, bool) {
	n, err := strconv.Atoi(strings.TrimSuffix(timeframe, "d"))
	if err != nil || !strings.HasSuffix(timeframe, "d") || n < 1 || n > 366 {
		return 0, false
	}
	return time.Duration(n) * 24 * time.Hour, true
}

// target returns the target of a time frame.
func (s *SLO) target(timeframe string) (Target, bool) {
	i := slices.IndexFunc(s.Targets, func(t Target) bool { return t.Timeframe == timeframe })
	if i < 0 {
		return Target{}, false
	}
	return s.Targets[i], true
}

// compare reports whether a condition holds.
func compare(v float64, comparator string, threshold float64) bool {
	switch comparator {
	case ">":
		return v > threshold
	case ">=":
		return v >= threshold
	case "<":
		return v < threshold
	case "<=":
		return v <= threshold
	case "==":
		return v == threshold
	case "!=":
		return v != threshold
	}
	return false
}

// events returns the good and bad events of [from, to). ok is false without any.
func (s *SLO) events(src Source, from, to time.Time, n *notes) (good, bad float64, ok bool) {
	e := (&evaluator{src: src, notes: n}).window(from.Unix(), to.Unix())
	sum := func(of node) float64 {
		f := scalars(of, e, "sum", from.Unix())
		all := 0.0
		for _, l := range f.lines {
			if !math.IsNaN(l.values[0]) {
				all, ok = all+l.values[0], true
			}
		}
		return all
	}
	good = sum(s.good)
	if s.bad != nil {
		bad = sum(s.bad)
	} else {
		bad = sum(s.total) - good
	}
	return good, bad, ok && good+bad > 0
}

// slices returns whether each whole slice that ends in (from, to] was up: 1, down: 0, or
// NaN for a slice without data. Any group that is down makes the slice down.
func (s *SLO) slices(src Source, from, to time.Time, n *notes) (start int64, up []float64) {
	start, end := floor(from.Unix()+s.sliceStep-1, s.sliceStep), floor(to.Unix(), s.sliceStep)
	e := newEvaluator(src, time.Unix(start, 0), time.Unix(max(end, start), 0), s.sliceStep, n)
	up = missing(e.buckets)
	for _, l := range s.slice.eval(e).lines {
		for i, v := range l.values {
			switch {
			case math.IsNaN(v):
			case !compare(v, s.comparator, s.threshold):
				up[i] = 0
			case math.IsNaN(up[i]):
				up[i] = 1
			}
		}
	}
	return start, up
}

// Status returns the state in a time frame of s.Targets.
func (s *SLO) Status(src Source, timeframe string, now time.Time) SLOStatus {
	t, ok := s.target(timeframe)
	status := SLOStatus{Target: t, SLI: math.NaN(), Remaining: math.NaN(), State: NoData}
	if !ok {
		status.Timeframe = timeframe
		status.Notes = []string{"the SLO has no target for " + timeframe}
		return status
	}
	n := &notes{}
	length, _ := days(timeframe)
	from := now.Add(-length)
	status.Recorded = length
	if since := src.Since(); since.After(from) {
		status.Recorded = max(now.Sub(since), 0)
		n.add(fmt.Sprintf("of the %s recorded; earlier data is unknown", format.Length(status.Recorded)))
	}
	if s.Type == "metric" {
		if status.Good, status.Bad, ok = s.events(src, from, now, n); ok {
			status.SLI = 100 * status.Good / (status.Good + status.Bad)
		}
	} else {
		// Slices are at multiples of their length: those that ended in the time frame count.
		_, up := s.slices(src, from, now, n)
		for _, v := range up {
			switch {
			case math.IsNaN(v):
				status.Missing++
			case v == 1:
				status.Up++
			default:
				status.Down++
			}
		}
		if status.Up+status.Down > 0 {
			status.SLI = 100 * float64(status.Up+status.Missing) / float64(len(up))
			if status.Missing > 0 {
				n.add(fmt.Sprintf("%d of %d intervals have no data and count as up", status.Missing, len(up)))
			}
		}
	}
	if !math.IsNaN(status.SLI) {
		status.Remaining = 100 * (status.SLI - t.Target) / (100 - t.Target)
		switch {
		case status.SLI < t.Target:
			status.State = Alert
		case t.HasWarning && status.SLI < t.Warning:
			status.State = Warn
		default:
			status.State = OK
		}
	}
	status.Notes = *n
	return status
}

// BurnRate returns how many times faster than sustainable the error budget of a time
// frame was used in a window that ends now: 1 uses it up exactly in the time frame. It is
// NaN without data.
// https://docs.datadoghq.com/service_management/service_level_objectives/burn_rate/
func (s *SLO) BurnRate(src Source, timeframe string, window time.Duration, now time.Time) (float64, []string) {
	n := &notes{}
	t, ok := s.target(timeframe)
	if !ok {
		return math.NaN(), []string{"the SLO has no target for " + timeframe}
	}
	failed := math.NaN()
	if s.Type == "metric" {
		if good, bad, ok := s.events(src, now.Add(-window), now, n); ok {
			failed = bad / (good + bad)
		}
	} else {
		// The whole slices that ended last. Which ones Datadog takes is not documented.
		end := floor(now.Unix(), s.sliceStep)
		_, up := s.slices(src, time.Unix(end, 0).Add(-window), time.Unix(end, 0), n)
		down, known := 0, false
		for _, v := range up {
			known = known || !math.IsNaN(v)
			if v == 0 {
				down++
			}
		}
		if known {
			failed = float64(down) / float64(len(up))
		}
	}
	// 0.003 / (1 - 0.999) is 3, not the 3.0000000000003 of floating-point numbers.
	return math.Round(failed/(1-t.Target/100)*1e9) / 1e9, *n
}

// History returns the SLI of each step in [from, to), in percent.
func (s *SLO) History(src Source, from, to time.Time, step time.Duration) Result {
	n := &notes{}
	seconds := max(int64(step/time.Second), max(s.sliceStep, 10))
	e := newEvaluator(src, from, to, seconds, n)
	values := missing(e.buckets)
	for i := range values {
		begin := e.start + int64(i)*seconds
		if s.Type == "metric" {
			if good, bad, ok := s.events(src, time.Unix(begin, 0), time.Unix(begin+seconds, 0), n); ok {
				values[i] = 100 * good / (good + bad)
			}
			continue
		}
		_, up := s.slices(src, time.Unix(begin, 0), time.Unix(begin+seconds, 0), n)
		sum, known := 0.0, 0.0
		for _, v := range up {
			if !math.IsNaN(v) {
				sum, known = sum+v, known+1
			}
		}
		if known > 0 {
			values[i] = 100 * (sum + float64(len(up)) - known) / float64(len(up))
		}
	}
	return Result{Start: e.start, Step: seconds, Buckets: e.buckets, Lines: []Line{{Name: s.Name, Step: seconds, Values: values}}, Notes: *n}
}
