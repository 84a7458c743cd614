package query

import (
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// zero is the time at which the tests' data begins: a full hour, at 08:00 UTC.
const zero = int64(1_800_000_000)

func at(seconds int) time.Time { return time.Unix(zero+int64(seconds), 0) }

// recorded is a source of fixed data.
type recorded struct {
	series []Series
	checks []CheckResult
	events []Event
	since  time.Time
}

func (r *recorded) Since() time.Time { return r.since }

func (r *recorded) Series(metric string, from, to time.Time) (all []Series) {
	for _, s := range r.series {
		if s.Metric != metric {
			continue
		}
		points := s.Points
		s.Points = nil
		for _, p := range points {
			if p.Time >= from.Unix() && p.Time < to.Unix() {
				s.Points = append(s.Points, p)
			}
		}
		if len(s.Points) > 0 {
			all = append(all, s)
		}
	}
	return all
}

func (r *recorded) Checks(name string, from, to time.Time) (all []CheckResult) {
	for _, c := range r.checks {
		if c.Time >= from.Unix() && c.Time < to.Unix() {
			all = append(all, c)
		}
	}
	return all
}

func (r *recorded) Events(source string, from, to time.Time) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for _, e := range r.events {
			if e.(event).source == source && !e.Time().Before(from) && e.Time().Before(to) && !yield(e) {
				return
			}
		}
	}
}

type event struct {
	source     string
	at         int
	weight     float64
	attributes map[string]any
}

func (e event) Time() time.Time { return at(e.at) }
func (e event) Weight() float64 { return e.weight }
func (e event) Attribute(name string) (any, bool) {
	v, ok := e.attributes[name]
	return v, ok
}

// series returns a series from a line such as "count hits{env:dev,host:a} 10 1 2 _ 4": kind, name, tags,
// interval in seconds, and a value for each interval from zero, _ for none. A value of a
// distribution is a list such as 1;2;3. 5*3 is a point of a gauge with three samples.
func series(t testing.TB, text string) Series {
	t.Helper()
	f := strings.Fields(text)
	name, tags, _ := strings.Cut(strings.TrimSuffix(f[1], "}"), "{")
	s := Series{Metric: name, Tags: NewTags(strings.Split(tags, ",")...)}
	for _, k := range []Kind{Gauge, Count, Rate, Distribution} {
		if k.String() == f[0] {
			s.Kind = k
		}
	}
	number := func(text string) float64 {
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	s.Interval = int64(number(f[2]))
	for i, v := range f[3:] {
		p := Point{Time: zero + int64(i)*s.Interval}
		switch {
		case v == "_":
			continue
		case s.Kind == Distribution:
			p.Sketch = NewSketch()
			for one := range strings.SplitSeq(v, ";") {
				p.Sketch.Add(number(one), 1)
			}
		case strings.Contains(v, "*"):
			value, samples, _ := strings.Cut(v, "*")
			p.Value, p.Samples = number(value), int(number(samples))
			p.Min, p.Max = p.Value-1, p.Value+1
		default:
			p.Value = number(v)
		}
		s.Points = append(s.Points, p)
	}
	return s
}

func record(t testing.TB, lines ...string) *recorded {
	t.Helper()
	r := &recorded{since: time.Unix(zero, 0)}
	for _, l := range lines {
		r.series = append(r.series, series(t, l))
	}
	return r
}

// numbers writes values with up to four significant digits, _ for none.
func numbers(values []float64) string {
	var all []string
	for _, v := range values {
		if math.IsNaN(v) {
			all = append(all, "_")
			continue
		}
		all = append(all, strconv.FormatFloat(v, 'g', 4, 64))
	}
	return strings.Join(all, " ")
}

// written writes the lines of a frame: group and values.
func written(lines []line) string {
	var all []string
	for _, l := range lines {
		all = append(all, strings.TrimSpace(l.group.String()+" "+numbers(l.values)))
	}
	return strings.Join(all, " | ")
}

// evaluate evaluates an expression in buckets of step seconds, as a graph does.
func evaluate(t testing.TB, src Source, text string, from, to, step int) (string, []string) {
	t.Helper()
	q, err := ParseMetric(text, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &notes{}
	f := q.root.eval(newGrid(src, []node{q.root}, at(from), at(to), int64(step), n))
	return written(f.lines), *n
}

// body returns JSON as a definition has it; text may contain verbs.
func body(t testing.TB, text string, arguments ...any) map[string]any {
	t.Helper()
	return parsed(t, fmt.Sprintf(text, arguments...))
}
