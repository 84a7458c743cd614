package containers

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// externalMetric is what the Datadog Cluster Agent reads for an autoscaler: the query of
// a DatadogMetric, by the rule of its source code (pkg/util/kubernetes/autoscalers and
// pkg/clusteragent/autoscaling/externalmetrics).
type externalMetric struct {
	query  string
	maxAge time.Duration
}

const (
	// traceInterval is the interval of trace metrics.
	traceInterval = 10 * time.Second
	// window is the time for which the Cluster Agent asks (external_metrics_provider.bucket_size).
	window = 5 * time.Minute
	// defaultMaxAge is external_metrics_provider.max_age. An older value is not used.
	defaultMaxAge = 2 * time.Minute
)

// point is a number of requests in one interval, and when Datadog has it.
type point struct {
	start, arrives time.Duration
	requests       float64
}

var queryForm = regexp.MustCompile(`^(default_zero\()?sum:[a-z.]+\{[^}]*\}\.as_(rate|count)\(\)(?:\.rollup\(sum, ([0-9]+)\))?\)?(?: / ([0-9]+))?$`)

// read returns the value at a time. Without a value it is not ok: then the autoscaler
// keeps the pods.
func (m externalMetric) read(points []point, now time.Duration) (value float64, ok bool, err error) {
	form := queryForm.FindStringSubmatch(m.query)
	if form == nil {
		return 0, false, fmt.Errorf("the test does not know the form of the query %s", m.query)
	}
	fillsZeros, isRate := form[1] != "", form[2] == "rate"
	interval, divisor := traceInterval, 1.0
	if seconds, err := strconv.Atoi(form[3]); err == nil {
		interval = time.Duration(seconds) * time.Second
	}
	if n, err := strconv.ParseFloat(form[4], 64); err == nil {
		divisor = n
	}
	if isRate {
		divisor *= interval.Seconds()
	}
	buckets := map[time.Duration]float64{}
	if fillsZeros {
		for start := (now - window).Truncate(interval); start <= now; start += interval {
			buckets[start] = 0
		}
	}
	for _, p := range points {
		if p.arrives <= now && p.start >= now-window && p.start <= now {
			buckets[p.start.Truncate(interval)] += p.requests / divisor
		}
	}
	// The last bucket may be incomplete, so the last but one counts.
	last := true
	for start := now.Truncate(interval); start >= now-window-interval; start -= interval {
		v, exists := buckets[start]
		switch {
		case !exists:
		case last:
			last = false
		default:
			return v, now-start <= m.maxAge, nil
		}
	}
	return 0, false, nil
}

// traffic returns the points of two pods that together get rate(t) requests per second
// until end. They arrive 25 and 45 seconds after their interval, the time for which
// tracers and Agents collect them, and up to 5 seconds later.
func traffic(end time.Duration, rate func(time.Duration) float64) (points []point) {
	for start := time.Duration(0); start < end; start += traceInterval {
		jitter := start / traceInterval * 3 % 6 * time.Second
		for _, late := range []time.Duration{25 * time.Second, 45 * time.Second} {
			points = append(points, point{start, start + traceInterval + late + jitter, rate(start) / 2 * traceInterval.Seconds()})
		}
	}
	return points
}

// problems feeds late points through the rule.
func (m externalMetric) problems() (problems []string) {
	const steady, end = 200.0, 20 * time.Minute
	points := traffic(end, func(time.Duration) float64 { return steady })
	for now := 5 * time.Minute; now < end+10*time.Minute; now += time.Second {
		value, ok, err := m.read(points, now)
		switch {
		case err != nil:
			return []string{err.Error()}
		case ok && (value < 0.8*steady || value > 1.01*steady):
			return []string{fmt.Sprintf("with %.0f requests per second until %s it reads %.0f at %s", steady, end, value, now)}
		case !ok && now < end:
			return []string{fmt.Sprintf("with %.0f requests per second it reads nothing at %s", steady, now)}
		case ok && now > end+5*time.Minute:
			return []string{fmt.Sprintf("without data it reads %.0f at %s, want no value: then the pods stay", value, now)}
		}
	}
	// A spike shows within three minutes, its end too.
	const begins, ends = 10 * time.Minute, 15 * time.Minute
	points = traffic(end, func(t time.Duration) float64 {
		if t >= begins && t < ends {
			return 500
		}
		return 20
	})
	for _, c := range []struct {
		at   time.Duration
		want float64
	}{{begins, 20}, {begins + 3*time.Minute, 500}, {ends + 4*time.Minute, 20}} {
		if value, _, _ := m.read(points, c.at); value < 0.9*c.want || value > 1.1*c.want {
			problems = append(problems, fmt.Sprintf("at %s of a spike from %s to %s it reads %.0f, want %.0f", c.at, begins, ends, value, c.want))
		}
	}
	return problems
}

// TestExternalMetric shows which queries read wrong values from late points.
func TestExternalMetric(t *testing.T) {
	const hits = "sum:trace.http.request.hits{env:dev}"
	for _, c := range []struct {
		query  string
		maxAge time.Duration
		want   string
	}{
		{hits + ".as_count().rollup(sum, 60) / 60", 3 * time.Minute, ""},
		{hits + ".as_rate().rollup(sum, 60)", 3 * time.Minute, ""},
		{"default_zero(" + hits + ".as_rate())", defaultMaxAge, "it reads 0 at"},
		{"default_zero(" + hits + ".as_count().rollup(sum, 60)) / 60", 3 * time.Minute, "it reads"},
		{hits + ".as_rate()", defaultMaxAge, "it reads 100 at"},
		{hits + ".as_count().rollup(sum, 60) / 60", defaultMaxAge, "it reads nothing at"},
		{hits + ".as_count().rollup(sum, 60)", 3 * time.Minute, "it reads 1"},
		{"avg:system.load.1{*}", defaultMaxAge, "does not know the form"},
	} {
		problems := externalMetric{c.query, c.maxAge}.problems()
		if c.want == "" {
			wantNoProblems(t, problems)
		} else {
			wantProblem(t, problems, c.want)
		}
	}
}
