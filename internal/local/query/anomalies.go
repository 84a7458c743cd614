package query

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Datadog does not publish how its algorithms compute a band. These rules are our own, and
// results have a note about it.
const (
	// basicSpan is the number of buckets before a value that make its band, and basicLeast
	// the number of values among them from which on there is a band.
	basicSpan, basicLeast = 60, 20
	// seasons is the number of seasons that agile and robust need.
	// https://docs.datadoghq.com/monitors/types/anomaly/
	seasons = 3
	// seasonSlack: a value is compared with those of up to seven minutes before and after
	// its time of day (or of the week, or the hour).
	seasonSlack = 7 * 60
	// longestHistory is how much agile and robust use at most.
	longestHistory = 6 * 7 * 86400
	// leastWidth is the least half-width of a band, as a share of its centre: a metric that
	// never changes would have a band without width.
	leastWidth = 0.01
)

// seasonLength has the lengths of seasons in seconds.
var seasonLength = map[string]int64{"hourly": 3600, "daily": 86400, "weekly": 7 * 86400}

func validAnomalies(c *call) error {
	if len(c.texts) != 1 || !slices.Contains([]string{"basic", "agile", "robust"}, c.texts[0]) {
		return fmt.Errorf("needs one of 'basic', 'agile', 'robust' after the query")
	}
	if len(c.numbers) != 1 || c.numbers[0] <= 0 {
		return fmt.Errorf("needs the bounds, a positive number, after the algorithm")
	}
	for key, v := range c.options {
		known, ok := map[string][]string{
			"direction": {"both", "above", "below"}, "seasonality": {"hourly", "daily", "weekly"},
			"count_default_zero": {"true", "false"}, "interval": nil, "alert_window": nil, "timezone": nil,
		}[key]
		if !ok || known != nil && !slices.Contains(known, v) {
			return fmt.Errorf("%s=%q is not evaluated here", key, v)
		}
	}
	return nil
}

// anomalies returns the lines with a band.
func anomalies(c *call, e *evaluator) frame {
	wider := e.earlier(basicSpan)
	f := c.of.eval(wider)
	e.notes.add(fmt.Sprintf("the band is the median of the %d intervals before ± %g × their scaled interquartile range: Datadog's basic works like this, but its exact rule is not public", basicSpan, c.numbers[0]))
	if a := c.texts[0]; a != "basic" {
		e.notes.add(fmt.Sprintf("'%s' needs days of history; a band like that of 'basic' is drawn instead", a))
	}
	for k := range f.lines {
		l := &f.lines[k]
		l.lower, l.upper = missing(e.buckets), missing(e.buckets)
		for i := range l.lower {
			l.lower[i], l.upper[i] = band(l.values[i:i+basicSpan], c.numbers[0])
		}
		l.values = l.values[basicSpan:]
	}
	return f
}

// band returns the edges of a band around values, NaN for too few.
func band(values []float64, bounds float64) (low, high float64) {
	var known []float64
	for _, v := range values {
		if !math.IsNaN(v) {
			known = append(known, v)
		}
	}
	if len(known) < basicLeast {
		return math.NaN(), math.NaN()
	}
	centre := median(known)
	// The interquartile range of a normal distribution is 1.349 standard deviations.
	deviation := (quantileOf(known, 0.75) - quantileOf(known, 0.25)) / 1.349
	half := bounds * max(deviation, leastWidth*math.Abs(centre))
	return centre - half, centre + half
}

// seasonal returns the share of values in the last buckets of a line that are outside of a
// band made of the same times of earlier seasons, in the direction that an anomaly monitor
// watches. It is NaN without enough history or without any value.
func (c *call) seasonal(l line, step int64, window int) float64 {
	per := c.season() / step // buckets in a season
	slack := seasonSlack / step
	return c.share(l, max(len(l.values)-window, 0), func(i int) (like []float64) {
		for back := int64(i) - per; back+slack >= 0; back -= per {
			for at := max(back-slack, 0); at <= back+slack; at++ {
				if at < int64(i) {
					like = append(like, l.values[at])
				}
			}
		}
		return like
	})
}

// share returns the share of the values of a line, from one on, that are outside of the band
// made of the values that like returns. It is NaN if no value has a band.
func (c *call) share(l line, from int, like func(i int) []float64) float64 {
	outside, n := 0.0, 0.0
	for i := from; i < len(l.values); i++ {
		v := l.values[i]
		if math.IsNaN(v) {
			continue
		}
		low, high := band(like(i), c.numbers[0])
		if math.IsNaN(low) {
			continue
		}
		n++
		if c.outside(v, low, high) {
			outside++
		}
	}
	if n == 0 {
		return math.NaN()
	}
	return outside / n
}

// season returns the length of the seasons in seconds.
func (c *call) season() int64 {
	if s, ok := seasonLength[c.options["seasonality"]]; ok {
		return s
	}
	return seasonLength["weekly"]
}

// history is how much data the algorithm needs.
func (c *call) history() time.Duration {
	if c.texts[0] == "basic" {
		return 0
	}
	return time.Duration(seasons*c.season()) * time.Second
}

// recent is like seasonal for the algorithm basic: the band is made of the values before.
func (c *call) recent(l line, window int) float64 {
	return c.share(l, max(len(l.values)-window, basicSpan), func(i int) []float64 { return l.values[i-basicSpan : i] })
}

func (c *call) outside(v, low, high float64) bool {
	direction := c.options["direction"]
	return v > high && direction != "below" || v < low && direction != "above"
}
