package query

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// function is a function of expressions.
type function struct {
	// numbers and texts bound the arguments after the first one.
	numbers, texts int
	// valid checks the arguments, if not nil.
	valid func(*call) error
	apply func(*call, *evaluator) frame
}

func (f function) check(c *call) error {
	if c.name != "anomalies" && len(c.options) > 0 {
		return errors.New("takes no options")
	}
	if f.valid != nil {
		if err := f.valid(c); err != nil {
			return err
		}
	}
	if len(c.numbers) > f.numbers || len(c.texts) > f.texts {
		return fmt.Errorf("too many arguments: %d numbers and %d texts, at most %d and %d", len(c.numbers), len(c.texts), f.numbers, f.texts)
	}
	return nil
}

// ranked matches the short forms of top: top10_mean.
var ranked = regexp.MustCompile(`^(top|bottom)(5|10|15|20)(_(mean|min|max|last|area|l2norm))?$`)

// smoothed matches ewma_5 and median_5.
var smoothed = regexp.MustCompile(`^(ewma_(?:3|5|7|10|20)|median_(?:3|5|7|9))$`)

// before are shifts of time in seconds. A month is four weeks.
var before = map[string]int64{"hour_before": 3600, "day_before": 86400, "week_before": 7 * 86400, "month_before": 28 * 86400}

// functionOf returns a function by its name.
// https://docs.datadoghq.com/dashboards/functions/
func functionOf(name string) (function, bool) {
	switch name {
	case "per_second", "per_minute", "per_hour", "derivative", "diff", "monotonic_diff":
		return function{apply: difference}, true
	case "abs", "log2", "log10", "throughput":
		return function{apply: eachValue}, true
	case "cumsum", "integral", "exclude_null", "default_zero", "count_nonzero", "count_not_null":
		return function{apply: eachLine}, true
	case "clamp_min", "clamp_max", "cutoff_min", "cutoff_max":
		return function{numbers: 1, apply: eachValue, valid: func(c *call) error {
			if len(c.numbers) != 1 {
				return errors.New("needs a threshold")
			}
			return nil
		}}, true
	case "moving_rollup":
		return function{numbers: 1, texts: 1, apply: movingRollup, valid: func(c *call) error {
			if len(c.numbers) != 1 || c.numbers[0] < 1 || c.numbers[0] > 1e7 {
				return errors.New("needs a number of seconds")
			}
			if len(c.texts) == 1 && !slices.Contains(methods, c.texts[0]) {
				return fmt.Errorf("%q is not one of %s", c.texts[0], strings.Join(methods, ", "))
			}
			return nil
		}}, true
	case "timeshift":
		return function{numbers: 1, apply: shifted, valid: func(c *call) error {
			if len(c.numbers) != 1 || c.numbers[0] > 0 || c.numbers[0] < -1e8 {
				return errors.New("needs a negative number of seconds")
			}
			return nil
		}}, true
	case "top":
		return function{numbers: 1, texts: 2, apply: top, valid: func(c *call) error {
			if len(c.numbers) != 1 || c.numbers[0] < 1 || c.numbers[0] > 1000 {
				return errors.New("needs a number of lines")
			}
			by := []string{"max", "mean", "min", "sum", "last", "l2norm", "area"}
			if len(c.texts) > 0 && !slices.Contains(by, c.texts[0]) {
				return fmt.Errorf("%q is not one of %s", c.texts[0], strings.Join(by, ", "))
			}
			if len(c.texts) > 1 && c.texts[1] != "asc" && c.texts[1] != "desc" {
				return fmt.Errorf("%q is neither asc nor desc", c.texts[1])
			}
			return nil
		}}, true
	case "anomalies":
		return function{numbers: 1, texts: 1, apply: anomalies, valid: validAnomalies}, true
	}
	if ranked.MatchString(name) {
		return function{apply: top, valid: func(c *call) error {
			if len(c.numbers)+len(c.texts) > 0 {
				return errors.New("takes no arguments after the query")
			}
			m := ranked.FindStringSubmatch(c.name)
			n, _ := strconv.Atoi(m[2])
			c.numbers = []float64{float64(n)}
			c.texts = []string{cmp.Or(m[4], "mean"), map[string]string{"top": "desc", "bottom": "asc"}[m[1]]}
			return nil
		}, numbers: 1, texts: 2}, true
	}
	if smoothed.MatchString(name) {
		return function{apply: smooth}, true
	}
	if _, ok := before[name]; ok {
		return function{apply: shifted}, true
	}
	return function{}, false
}

// difference computes changes from one value to the next.
// https://docs.datadoghq.com/dashboards/functions/rate/
func difference(c *call, e *evaluator) frame {
	each := func(e *evaluator, values []float64) {
		before, at := math.NaN(), 0
		for i, v := range values {
			if math.IsNaN(v) {
				continue
			}
			values[i] = math.NaN()
			if !math.IsNaN(before) {
				values[i] = c.change(v-before, float64(int64(i-at)*e.step), e)
			}
			before, at = v, i
		}
	}
	of := c.of
	if n, ok := of.(named); ok {
		of = n.of
	}
	if m, ok := of.(*metric); ok { // before the aggregation of space
		f := m.series(e, each)
		f.counts = false
		return f
	}
	f := c.of.eval(e)
	f.counts = false
	for _, l := range f.lines {
		each(e, l.values)
	}
	return f
}

// change returns the value of a function of differences.
func (c *call) change(delta, seconds float64, e *evaluator) float64 {
	if delta < 0 && c.name != "diff" && c.name != "monotonic_diff" {
		e.notes.add(c.name + ": a value fell, as when a counter's process restarts; Datadog documents no correction, so the rate is negative there")
	}
	switch c.name {
	case "per_second", "derivative":
		return delta / seconds
	case "per_minute":
		return delta / seconds * 60
	case "per_hour":
		return delta / seconds * 3600
	case "monotonic_diff":
		if delta < 0 {
			return math.NaN()
		}
	}
	return delta
}

// eachValue computes functions of single values.
func eachValue(c *call, e *evaluator) frame {
	f := c.of.eval(e)
	limit := 0.0
	if len(c.numbers) > 0 {
		limit = c.numbers[0]
	}
	for _, l := range f.lines {
		for i, v := range l.values {
			switch c.name {
			case "abs":
				v = math.Abs(v)
			case "log2":
				v = math.Log2(v)
			case "log10":
				v = math.Log10(v)
			case "throughput":
				v /= float64(l.step)
			case "clamp_min":
				v = max(v, limit)
			case "clamp_max":
				v = min(v, limit)
			case "cutoff_min":
				if v < limit {
					v = math.NaN()
				}
			case "cutoff_max":
				if v > limit {
					v = math.NaN()
				}
			}
			if math.IsInf(v, 0) { // the logarithm of 0
				v = math.NaN()
			}
			l.values[i] = v
		}
	}
	return f
}

// eachLine computes functions of whole lines.
func eachLine(c *call, e *evaluator) frame {
	f := c.of.eval(e)
	switch c.name {
	case "cumsum", "integral":
		for _, l := range f.lines {
			accumulate(l, c.name == "integral")
		}
	case "default_zero":
		if len(f.lines) == 0 && len(f.by) == 0 {
			f.lines = []line{{step: e.step, values: missing(e.buckets)}}
		}
		for _, l := range f.lines {
			if !f.counts {
				fill(l.values, "linear", 300/e.step)
			}
			for i, v := range l.values {
				if math.IsNaN(v) {
					l.values[i] = 0
				}
			}
		}
	case "exclude_null":
		f.lines = slices.DeleteFunc(f.lines, func(l line) bool {
			return slices.ContainsFunc(l.group, func(tag string) bool { return strings.HasSuffix(tag, ":N/A") })
		})
	case "count_nonzero", "count_not_null":
		sum := line{step: e.step, values: missing(e.buckets)}
		for _, l := range f.lines {
			sum.last = max(sum.last, l.last)
			for i, v := range l.values {
				if math.IsNaN(v) || v == 0 && c.name == "count_nonzero" {
					continue
				}
				if math.IsNaN(sum.values[i]) {
					sum.values[i] = 0
				}
				sum.values[i]++
			}
		}
		f = frame{lines: []line{sum}}
	}
	return f
}

// accumulate replaces values by their sum so far, or by the sum of time difference ×
// value difference, which is how the documentation describes integral.
func accumulate(l line, integral bool) {
	sum, before, at := 0.0, math.NaN(), 0
	for i, v := range l.values {
		if math.IsNaN(v) {
			continue
		}
		if !integral {
			sum += v
		} else if !math.IsNaN(before) {
			sum += float64(int64(i-at)*l.step) * (v - before)
		}
		before, at = v, i
		l.values[i] = sum
	}
}

// movingRollup combines the points of the last seconds.
// https://docs.datadoghq.com/dashboards/functions/rollup/
func movingRollup(c *call, e *evaluator) frame {
	width := int(max(int64(c.numbers[0])/e.step, 1))
	wider := e.earlier(width - 1)
	f := c.of.eval(wider)
	method := "avg"
	if len(c.texts) == 1 {
		method = c.texts[0]
	}
	for k := range f.lines {
		l := &f.lines[k]
		values := missing(e.buckets)
		for i := range values {
			in := l.values[i : i+width]
			if values[i] = reduce(in, method, e.step); method == "count" && !math.IsNaN(values[i]) {
				values[i] = 0
				for _, v := range in {
					if !math.IsNaN(v) {
						values[i]++
					}
				}
			}
		}
		l.values = values
	}
	return f
}

// shifted evaluates at an earlier time.
// https://docs.datadoghq.com/dashboards/functions/timeshift/
func shifted(c *call, e *evaluator) frame {
	by := before[c.name]
	if c.name == "timeshift" {
		by = -int64(c.numbers[0])
	}
	w := *e
	w.start, w.from, w.to = e.start-by, e.from-by, e.to-by
	f := c.of.eval(&w)
	for i := range f.lines {
		if f.lines[i].last > 0 {
			f.lines[i].last += by
		}
	}
	return f
}

// top keeps some lines, by a number that each is reduced to.
// https://docs.datadoghq.com/dashboards/functions/rank/
func top(c *call, e *evaluator) frame {
	f := c.of.eval(e)
	by, ascending := "mean", false
	if len(c.texts) > 0 {
		by = c.texts[0]
	}
	if len(c.texts) > 1 {
		ascending = c.texts[1] == "asc"
	}
	rank := func(l line) float64 { return reduce(l.values, by, e.step) }
	f.lines = slices.DeleteFunc(f.lines, func(l line) bool { return math.IsNaN(rank(l)) })
	slices.SortStableFunc(f.lines, func(a, b line) int {
		if ascending {
			a, b = b, a
		}
		return cmp.Compare(rank(b), rank(a))
	})
	f.lines = f.lines[:min(len(f.lines), int(c.numbers[0]))]
	return f
}

// smooth computes moving averages and medians of the last values.
// https://docs.datadoghq.com/dashboards/functions/smoothing/
func smooth(c *call, e *evaluator) frame {
	f := c.of.eval(e)
	kind, span, _ := strings.Cut(c.name, "_")
	n, _ := strconv.Atoi(span)
	if kind == "ewma" {
		e.notes.add(fmt.Sprintf("%s: the newest value weighs 2/%d; the documentation names only the span", c.name, n+1))
	}
	for _, l := range f.lines {
		var last []float64
		average := math.NaN()
		for i, v := range l.values {
			if math.IsNaN(v) {
				continue
			}
			if kind == "ewma" {
				if math.IsNaN(average) {
					average = v
				}
				average += (v - average) * 2 / float64(n+1)
				l.values[i] = average
				continue
			}
			if last = append(last, v); len(last) > n {
				last = last[1:]
			}
			l.values[i] = median(last)
		}
	}
	return f
}

// median returns the middle of values, the mean of the two in the middle of an even number.
func median(values []float64) float64 { return quantileOf(values, 0.5) }

// quantileOf returns a quantile, interpolated between neighbours.
func quantileOf(values []float64, q float64) float64 {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	at := q * float64(len(sorted)-1)
	low := int(at)
	if low+1 >= len(sorted) {
		return sorted[low]
	}
	return sorted[low] + (sorted[low+1]-sorted[low])*(at-float64(low))
}
