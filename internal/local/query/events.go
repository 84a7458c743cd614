package query

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// events is a query of spans or logs.
type events struct {
	source  string
	search  *Search
	compute computation
	by      []facet
	notes   []string
}

// computation reduces events to a number.
type computation struct {
	aggregation string  // count, cardinality, sum, min, max, avg, percentile
	quantile    float64 // of percentile
	attribute   string
}

// facet is a level of groups.
type facet struct {
	name      string
	limit     int
	rank      computation
	ascending bool
}

// parseEvents parses a query of the data sources spans and logs.
func parseEvents(o object, v Variables) (*events, error) {
	q := &events{source: o.text("data_source")}
	var err error
	if q.search, err = ParseSearch(q.source, o.object("search").text("query"), v); err != nil {
		return nil, err
	}
	if q.compute, err = parseComputation(o.object("compute")); err != nil {
		return nil, fmt.Errorf("compute: %w", err)
	}
	if n := o.object("compute").number("interval"); n != nil {
		q.notes = append(q.notes, fmt.Sprintf("the interval of %g s of a query of %s is not evaluated here", *n/1000, q.source))
	}
	if indexes := o.texts("indexes"); len(indexes) > 0 && !slices.Contains(indexes, "*") {
		q.notes = append(q.notes, fmt.Sprintf("indexes do not exist here: a query of %s reads all", q.source))
	}
	for _, g := range o.objects("group_by") {
		f := facet{name: g.text("facet"), limit: 10, rank: q.compute}
		if n := g.number("limit"); n != nil {
			f.limit = int(*n)
		}
		if sort := g.object("sort"); sort.fields != nil {
			if f.rank, err = parseComputation(sort); err != nil {
				return nil, fmt.Errorf("%s: %w", sort.at, err)
			}
			f.ascending = sort.text("order") == "asc"
		}
		q.by = append(q.by, f)
	}
	return q, nil
}

func parseComputation(o object) (computation, error) {
	c := computation{aggregation: o.text("aggregation"), attribute: o.text("metric")}
	switch c.aggregation {
	case "count":
		return c, nil
	case "cardinality", "sum", "min", "max", "avg":
	case "median":
		c.aggregation, c.quantile = "percentile", 0.5
	default:
		percent, ok := strings.CutPrefix(c.aggregation, "pc")
		n, err := strconv.Atoi(percent)
		if !ok || err != nil || n < 1 || n > 99 {
			return c, fmt.Errorf("the aggregation %q is not evaluated here", c.aggregation)
		}
		c.aggregation, c.quantile = "percentile", float64(n)/100
	}
	if c.attribute == "" {
		return c, fmt.Errorf("the aggregation %s needs a metric, such as @duration", o.text("aggregation"))
	}
	return c, nil
}

// tally accumulates events.
type tally struct {
	count    float64
	distinct map[string]bool
	values   *Sketch
}

func (t *tally) add(c computation, e Event) {
	w := e.Weight()
	if c.aggregation == "count" {
		t.count += w
		return
	}
	v, ok := e.Attribute(c.attribute)
	if !ok {
		return
	}
	if c.aggregation == "cardinality" {
		if t.distinct == nil {
			t.distinct = map[string]bool{}
		}
		t.distinct[textOf(v)] = true
		return
	}
	if n, ok := numberOf(v); ok {
		if t.values == nil {
			t.values = NewSketch()
		}
		t.values.Add(n, w)
	}
}

// result is NaN if there was nothing to compute from.
func (t *tally) result(c computation) float64 {
	switch {
	case t == nil:
		return math.NaN()
	case c.aggregation == "count":
		return t.count
	case c.aggregation == "cardinality" && t.distinct != nil:
		return float64(len(t.distinct))
	case t.values == nil || t.values.count == 0:
		return math.NaN()
	}
	switch c.aggregation {
	case "sum":
		return t.values.sum
	case "min":
		return t.values.min
	case "max":
		return t.values.max
	case "avg":
		return t.values.sum / t.values.count
	}
	return t.values.Quantile(c.quantile)
}

// selection is a group of events at one level, with the groups below it.
type selection struct {
	group   Tags
	rank    tally
	buckets []*tally
	below   map[string]*selection
}

func (q *events) eval(e *evaluator) frame {
	for _, note := range q.notes {
		e.notes.add(note)
	}
	top := &selection{}
	for ev := range q.src(e) {
		i := (ev.Time().Unix() - e.start) / e.step
		if i < 0 || i >= int64(e.buckets) || !q.search.Match(ev) {
			continue
		}
		path, ok := q.path(ev)
		if !ok {
			continue // events without a facet are in no group
		}
		s := top
		for k, value := range path {
			if s.below == nil {
				s.below = map[string]*selection{}
			}
			if s.below[value] == nil {
				s.below[value] = &selection{group: append(slices.Clip(s.group), q.by[k].name+":"+value)}
			}
			s = s.below[value]
			s.rank.add(q.by[k].rank, ev)
		}
		if s.buckets == nil {
			s.buckets = make([]*tally, e.buckets)
		}
		if s.buckets[i] == nil {
			s.buckets[i] = &tally{}
		}
		s.buckets[i].add(q.compute, ev)
	}
	f := frame{counts: q.compute.aggregation == "count"}
	for _, by := range q.by {
		f.by = append(f.by, by.name)
	}
	q.lines(&f, top, 0, e)
	return f
}

func (q *events) src(e *evaluator) func(func(Event) bool) {
	return e.src.Events(q.source, time.Unix(e.from, 0), time.Unix(e.to, 0))
}

// path returns the values of the facets.
func (q *events) path(ev Event) (path []string, ok bool) {
	for _, by := range q.by {
		v, ok := ev.Attribute(by.name)
		if !ok || textOf(v) == "" {
			return nil, false
		}
		path = append(path, textOf(v))
	}
	return path, true
}

// lines adds the lines of the largest groups at a level, the largest first.
func (q *events) lines(f *frame, s *selection, level int, e *evaluator) {
	if level == len(q.by) {
		if s.buckets == nil {
			return
		}
		l := line{group: s.group, step: e.step, values: missing(e.buckets)}
		for i, t := range s.buckets {
			if l.values[i] = t.result(q.compute); !math.IsNaN(l.values[i]) {
				l.last = e.start + int64(i)*e.step
			}
		}
		f.lines = append(f.lines, l)
		return
	}
	var all []*selection
	for _, one := range s.below {
		all = append(all, one)
	}
	by := q.by[level]
	slices.SortFunc(all, func(a, b *selection) int {
		x, y := a.rank.result(by.rank), b.rank.result(by.rank)
		if by.ascending {
			x, y = y, x
		}
		return cmp.Or(cmp.Compare(y, x), slices.Compare(a.group, b.group))
	})
	for _, one := range all[:min(len(all), max(by.limit, 0))] {
		q.lines(f, one, level+1, e)
	}
}
