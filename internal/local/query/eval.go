package query

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// frame is lines over the buckets of an evaluator.
type frame struct {
	// counts: values that are missing are 0 in arithmetic, as for as_count and as_rate.
	counts bool
	// constant: a number, for every group.
	constant bool
	// by has the keys of the groups, in order.
	by    []string
	lines []line
}

type line struct {
	group  Tags
	step   int64 // of its own buckets
	values []float64
	// last is the time of the newest point that the values come from, 0 without a point.
	last         int64
	lower, upper []float64
}

// evaluator evaluates expressions over buckets of step seconds, the first at start.
type evaluator struct {
	src         Source
	start, step int64
	buckets     int
	from, to    int64 // points are read from [from, to)
	// monitor: series without a tag that a query groups by are left out, not shown as N/A.
	monitor bool
	notes   *notes
}

// newEvaluator returns an evaluator for whole buckets, aligned to UNIX time.
func newEvaluator(src Source, from, to time.Time, step int64, n *notes) *evaluator {
	start := floor(from.Unix(), step)
	return &evaluator{src: src, start: start, step: step, buckets: int((to.Unix() - start + step - 1) / step), from: start, to: to.Unix(), notes: n}
}

// window returns an evaluator with one bucket of exactly a window.
func (e *evaluator) window(from, to int64) *evaluator {
	w := *e
	w.start, w.step, w.buckets, w.from, w.to = from, to-from, 1, from, to
	return &w
}

// earlier returns an evaluator with more buckets before the first one.
func (e *evaluator) earlier(buckets int) *evaluator {
	w := *e
	w.buckets += buckets
	w.start -= int64(buckets) * e.step
	w.from -= int64(buckets) * e.step
	return &w
}

// floor rounds down to a multiple.
func floor(t, step int64) int64 {
	r := t % step
	if r < 0 {
		r += step
	}
	return t - r
}

// missing returns n missing values.
func missing(n int) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = math.NaN()
	}
	return v
}

func (n number) eval(e *evaluator) frame {
	v := make([]float64, e.buckets)
	for i := range v {
		v[i] = float64(n)
	}
	return frame{counts: true, constant: true, lines: []line{{step: e.step, values: v}}}
}

func (n named) eval(e *evaluator) frame { return n.of.eval(e) }

func (c *call) eval(e *evaluator) frame { return c.apply(c, e) }

func (m *metric) eval(e *evaluator) frame { return m.series(e, nil) }

// groupsOf returns the groups that a series belongs to: one for each combination of the
// values of the keys. complete is false if the series lacks a key.
func groupsOf(tags Tags, by []string) (groups []Tags, complete bool) {
	groups, complete = []Tags{nil}, true
	for _, key := range by {
		var values []string
		for _, tag := range tags {
			if k, _, _ := strings.Cut(tag, ":"); k == key {
				values = append(values, tag)
			}
		}
		if len(values) == 0 {
			values, complete = []string{key + ":N/A"}, false
		}
		var next []Tags
		for _, g := range groups {
			for _, v := range values {
				next = append(next, append(slices.Clip(g), v))
			}
		}
		groups = next
	}
	return groups, complete
}

// series evaluates the metric. each, if not nil, changes the values of each series before
// they are joined: functions of differences are computed before the aggregation of space.
func (m *metric) series(e *evaluator, each func(*evaluator, []float64)) frame {
	own := *e
	if m.interval > e.step {
		own.step = m.interval
		own.start = floor(e.start, own.step)
		if own.start < e.start && e.monitor {
			own.start += own.step // a bucket that began before the window is skipped
		}
		own.from = own.start
		own.buckets = int((e.to - own.start + own.step - 1) / own.step)
	}
	f := frame{counts: m.asCount || m.asRate, by: m.by}
	groups := map[string]*members{}
	var order []*members
	for _, s := range e.src.Series(m.name, time.Unix(own.from, 0), time.Unix(own.to, 0)) {
		if !m.scope.match(s.Tags) {
			continue
		}
		of, complete := groupsOf(s.Tags, m.by)
		if !complete && e.monitor {
			continue
		}
		if s.Interval > own.step {
			e.notes.add(fmt.Sprintf("some points of %s are for %d s, longer than the intervals of %d s here", m.name, s.Interval, own.step))
		}
		for _, g := range of {
			key := strings.Join(g, "\x00")
			if groups[key] == nil {
				groups[key] = &members{group: g}
				order = append(order, groups[key])
			}
			groups[key].series = append(groups[key].series, s)
		}
	}
	for _, g := range order {
		l := m.join(&own, g, each)
		if own.step != e.step {
			l.values = spread(l.values, &own, e)
		}
		f.lines = append(f.lines, l)
	}
	f.sort()
	return f
}

// members are the series of one group.
type members struct {
	group  Tags
	series []Series
}

// spread puts the values of longer buckets where these begin.
func spread(values []float64, own, e *evaluator) []float64 {
	all := missing(e.buckets)
	for i, v := range values {
		if at := own.start + int64(i)*own.step - e.start; at >= 0 && at/e.step < int64(e.buckets) {
			all[at/e.step] = v
		}
	}
	return all
}

func (f *frame) sort() {
	slices.SortStableFunc(f.lines, func(a, b line) int { return slices.Compare(a.group, b.group) })
}

// bucket accumulates the points of one bucket.
type bucket struct {
	sum, samples, min, max float64
	points                 int
	seconds                float64 // of the points' own intervals
	sketches               []*Sketch
}

// collect returns the buckets of a series, and the time of its newest point.
func (e *evaluator) collect(s Series) ([]bucket, int64) {
	all := make([]bucket, e.buckets)
	last := int64(0)
	for _, p := range s.Points {
		if p.Time < e.from || p.Time >= e.to {
			continue
		}
		i := (p.Time - e.start) / e.step
		if i < 0 || i >= int64(len(all)) {
			continue
		}
		last = max(last, p.Time)
		b := &all[i]
		if s.Kind == Distribution {
			if p.Sketch != nil && p.Sketch.count > 0 {
				b.sketches = append(b.sketches, p.Sketch)
				b.points++
			}
			continue
		}
		samples, low, high := 1.0, p.Value, p.Value
		if s.Kind == Gauge && p.Samples > 1 {
			samples, low, high = float64(p.Samples), p.Min, p.Max
		}
		if b.points == 0 {
			b.min, b.max = low, high
		}
		b.min, b.max = min(b.min, low), max(b.max, high)
		b.sum += p.Value * samples
		b.samples += samples
		b.points++
		b.seconds += float64(s.Interval)
	}
	return all, last
}

// value is the aggregation of time: of one series in one bucket.
func (m *metric) value(s Series, b bucket, step int64) float64 {
	if b.points == 0 {
		return math.NaN()
	}
	modified := s.Kind != Gauge && (m.asCount || m.asRate)
	method := m.method
	if method == "" {
		method = "avg"
		if modified {
			method = "sum"
		}
	}
	v := math.NaN()
	switch method {
	case "avg":
		v = b.sum / b.samples
	case "sum":
		v = b.sum
	case "min":
		v = b.min
	case "max":
		v = b.max
	case "count":
		return b.samples
	}
	if !modified {
		return v
	}
	interval := float64(max(s.Interval, 1))
	if s.Kind == Rate { // a number per second
		v *= interval
	}
	if m.asRate {
		if method == "sum" {
			interval = max(float64(step), interval)
		}
		v /= interval
	}
	return v
}

// join is the aggregation of space: of the series of one group.
func (m *metric) join(e *evaluator, g *members, each func(*evaluator, []float64)) line {
	l := line{group: g.group, step: e.step, values: missing(e.buckets)}
	if g.series[0].Kind == Distribution {
		return m.joinSketches(e, g, l, each)
	}
	if m.aggregator == "percentile" || m.aggregator == "count" {
		e.notes.add(fmt.Sprintf("%s is a %s: percentiles and count: need a distribution", m.name, g.series[0].Kind))
		return l
	}
	var all [][]float64
	for _, s := range g.series {
		if s.Kind == Count && !m.asCount && !m.asRate && m.method == "" {
			e.notes.add(fmt.Sprintf("%s is a count, but without as_count() or as_rate() its points are averaged", m.name))
		}
		buckets, last := e.collect(s)
		l.last = max(l.last, last)
		values := missing(e.buckets)
		for i, b := range buckets {
			values[i] = m.value(s, b, e.step)
		}
		if each != nil {
			each(e, values)
		}
		m.interpolate(e, values, len(g.series) > 1)
		all = append(all, values)
	}
	for i := range l.values {
		n := 0
		for _, values := range all {
			v := values[i]
			if math.IsNaN(v) {
				continue
			}
			if n++; n == 1 {
				l.values[i] = v
				continue
			}
			switch m.aggregator {
			case "avg", "sum":
				l.values[i] += v
			case "min":
				l.values[i] = min(l.values[i], v)
			case "max":
				l.values[i] = max(l.values[i], v)
			}
		}
		if m.aggregator == "avg" && n > 0 {
			l.values[i] /= float64(n)
		}
	}
	return l
}

// joinSketches merges time and space at once.
// https://docs.datadoghq.com/metrics/faq/rollup-for-distributions-with-percentiles/
func (m *metric) joinSketches(e *evaluator, g *members, l line, each func(*evaluator, []float64)) line {
	all := make([][]*Sketch, e.buckets)
	for _, s := range g.series {
		buckets, last := e.collect(s)
		l.last = max(l.last, last)
		for i, b := range buckets {
			all[i] = append(all[i], b.sketches...)
		}
	}
	for i, sketches := range all {
		if len(sketches) == 0 {
			continue
		}
		s := merged(sketches)
		switch m.aggregator {
		case "percentile":
			l.values[i] = s.Quantile(m.quantile)
		case "avg":
			l.values[i] = s.sum / s.count
		case "sum":
			l.values[i] = s.sum
		case "min":
			l.values[i] = s.min
		case "max":
			l.values[i] = s.max
		case "count":
			l.values[i] = s.count
		}
		if m.asRate && (m.aggregator == "count" || m.aggregator == "sum") {
			l.values[i] /= float64(e.step)
		}
	}
	if each != nil {
		each(e, l.values)
	}
	m.interpolate(e, l.values, false)
	return l
}

// interpolate fills gaps: by .fill, else between the points of gauges that are joined. A group
// of one series has no interpolated points.
// https://docs.datadoghq.com/metrics/guide/interpolation-the-fill-modifier-explained/
func (m *metric) interpolate(e *evaluator, values []float64, several bool) {
	switch {
	case m.fill != "":
		fill(values, m.fill, m.limit/e.step)
	case several && !m.asCount && !m.asRate:
		fill(values, "linear", 300/e.step)
	}
}

// fill fills gaps of less than limit buckets from one value to the next.
func fill(values []float64, method string, limit int64) {
	if method == "null" {
		return
	}
	before := -1
	for i, v := range values {
		if math.IsNaN(v) {
			continue
		}
		if before >= 0 && int64(i-before) <= limit {
			for k := before + 1; k < i; k++ {
				values[k] = filler(method, values[before], v, float64(k-before)/float64(i-before))
			}
		}
		before = i
	}
	// After the newest value there is nothing to interpolate to, but last and zero hold.
	if before >= 0 && method != "linear" {
		for k := before + 1; k < len(values) && int64(k-before) <= limit; k++ {
			values[k] = filler(method, values[before], 0, 0)
		}
	}
}

func filler(method string, before, after, share float64) float64 {
	switch method {
	case "last":
		return before
	case "zero":
		return 0
	}
	return before + (after-before)*share
}

func (b binary) eval(e *evaluator) frame {
	return arithmetic(b.op, b.a.eval(e), b.b.eval(e), e)
}

// arithmetic joins the lines of equal groups. A line without a group joins all groups of
// the other side.
func arithmetic(op byte, a, b frame, e *evaluator) frame {
	f := frame{counts: a.counts && b.counts, constant: a.constant && b.constant, by: a.by}
	if len(a.by) == 0 {
		f.by = b.by
	}
	if len(a.by) > 0 && len(b.by) > 0 && !sameKeys(a.by, b.by) {
		e.notes.add(fmt.Sprintf("queries by {%s} and by {%s} have no groups in common", strings.Join(a.by, ","), strings.Join(b.by, ",")))
		return f
	}
	var groups []Tags
	for _, side := range []frame{a, b} {
		if len(side.by) == len(f.by) && !side.constant || f.constant {
			for _, l := range side.lines {
				groups = append(groups, sortedTags(l.group))
			}
		}
	}
	slices.SortFunc(groups, func(x, y Tags) int { return slices.Compare(x, y) })
	groups = slices.CompactFunc(groups, func(x, y Tags) bool { return slices.Equal(x, y) })
	for _, g := range groups {
		x, y := a.of(g), b.of(g)
		l := line{step: e.step, values: missing(e.buckets)}
		for _, side := range []*line{x, y} {
			if side != nil {
				l.last, l.step = max(l.last, side.last), max(l.step, side.step)
				if len(l.group) == 0 {
					l.group = side.group
				}
			}
		}
		for i := range l.values {
			l.values[i] = operate(op, operand(x, a.counts, i), operand(y, b.counts, i), !f.constant && absent(a, x, i) && absent(b, y, i))
		}
		f.lines = append(f.lines, l)
	}
	f.sort()
	return f
}

func sameKeys(a, b []string) bool {
	x, y := slices.Clone(a), slices.Clone(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}

func sortedTags(t Tags) Tags {
	s := slices.Clone(t)
	slices.Sort(s)
	return s
}

// of returns the line of a group.
func (f *frame) of(group Tags) *line {
	for i := range f.lines {
		if len(f.by) == 0 || slices.Equal(sortedTags(f.lines[i].group), group) {
			return &f.lines[i]
		}
	}
	return nil
}

// absent reports whether a line has no value in a bucket. A constant alone is no value.
func absent(f frame, l *line, i int) bool {
	return f.constant || l == nil || math.IsNaN(l.values[i])
}

// operand returns a value of a line; missing counts are 0.
func operand(l *line, counts bool, i int) float64 {
	if l != nil && !math.IsNaN(l.values[i]) {
		return l.values[i]
	}
	if counts {
		return 0
	}
	return math.NaN()
}

// operate computes one value. Nothing comes of two missing operands, nor of a division by
// zero.
// https://docs.datadoghq.com/monitors/guide/monitor-arithmetic-and-sparse-metrics/
func operate(op byte, a, b float64, bothAbsent bool) float64 {
	v := math.NaN()
	switch op {
	case '+':
		v = a + b
	case '-':
		v = a - b
	case '*':
		v = a * b
	case '/':
		v = a / b
	}
	if bothAbsent || math.IsInf(v, 0) {
		return math.NaN()
	}
	return v
}

// reduce reduces the values of a line to one number, NaN without values.
func reduce(values []float64, aggregator string, step int64) float64 {
	n, sum, squares := 0.0, 0.0, 0.0
	low, high, last := math.Inf(1), math.Inf(-1), math.NaN()
	for _, v := range values {
		if math.IsNaN(v) {
			continue
		}
		n++
		sum += v
		squares += v * v
		low, high, last = min(low, v), max(high, v), v
	}
	if n == 0 {
		return math.NaN()
	}
	switch cmp.Or(aggregator, "avg") {
	case "sum":
		return sum
	case "min":
		return low
	case "max":
		return high
	case "last":
		return last
	case "l2norm":
		return math.Sqrt(squares)
	case "area":
		return sum * float64(step)
	}
	return sum / n
}
