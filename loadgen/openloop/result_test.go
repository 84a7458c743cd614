package openloop

import (
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Two machines send their shares of one run. The second one starts a second
// later, wakes up late and drops arrivals.
func TestMergeIsOneRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := func(at time.Time) Exchange {
			x := Exchange{Status: 200, Bytes: 1, TraceID: fmt.Sprint(at.UnixNano())}
			switch at.UnixMilli() % 5 {
			case 0:
				x.Status, x.Bytes = 500, 3
			case 1:
				x.Failure = "closed"
			}
			time.Sleep(time.Duration(at.UnixNano()%97) * time.Millisecond)
			return x
		}
		results := make([]*Result, 2)
		var both sync.WaitGroup
		for i := range results {
			both.Go(func() {
				time.Sleep(time.Duration(i) * time.Second)
				cfg := config(t, &server{answer: answer}, 30+float64(i), 10*time.Second)
				cfg.Paths = []Path{{"/", 1}, {fmt.Sprint("/", i), 1}}
				if i == 1 {
					cfg.Sender = Workers(&server{answer: answer}, 1000, lateClock(7*time.Millisecond))
					cfg.MaxInFlight = 1
				}
				results[i] = run(t, t.Context(), cfg)
			})
		}
		both.Wait()
		a, b := read(t, results[0]), read(t, results[1]) // as two machines send them
		if b.Total.Dropped == 0 || a.Total.Failures["closed"] == 0 || b.Total.Failures["closed"] == 0 || b.Total.Statuses[500] == 0 {
			t.Fatalf("nothing to merge: %+v, %+v", a.Total, b.Total)
		}
		for _, order := range [][2]*Result{{a, b}, {b, a}} {
			m, err := Merge(order[0], order[1])
			if err != nil {
				t.Fatal(err)
			}
			checkSum(t, m.Total, a.Total, b.Total)
			checkHistogram(t, "lateness", m.Lateness, a.Lateness, b.Lateness)
			near(t, "lateness", m.Lateness.Max(), 7*time.Millisecond, 0.01)
			if !m.Start.Equal(a.Start) || m.Sending != 11*time.Second || m.Elapsed() != max(m.Sending, a.Elapsed(), b.Elapsed()+time.Second) {
				t.Errorf("from %s, sending for %s, elapsed %s", m.Start, m.Sending, m.Elapsed())
			}
			if len(m.Runs) != 2 || m.Runs[0] != order[0].Runs[0] || m.Runs[1] != order[1].Runs[0] {
				t.Errorf("runs %+v", m.Runs)
			}
			if len(m.Paths) != 3 {
				t.Fatalf("%d paths, want 3", len(m.Paths))
			}
			for _, p := range m.Paths {
				switch p.Path {
				case "/":
					checkSum(t, p, a.Paths[0], b.Paths[0])
				case "/0":
					checkSum(t, p, a.Paths[1])
				case "/1":
					checkSum(t, p, b.Paths[1])
				default:
					t.Errorf("path %q", p.Path)
				}
			}
			if len(m.Slowest) != samples || m.Slowest[0].Response != max(a.Slowest[0].Response, b.Slowest[0].Response) {
				t.Errorf("slowest: %+v", m.Slowest)
			}
			if len(m.Failed) != samples || m.Failed[0] != order[0].Failed[0] {
				t.Errorf("failed: %+v", m.Failed)
			}
			want := sums{610, b.Total.Dropped, m.Total.Failed(), m.Total.Completed() - m.Total.Failed(), m.Total.Completed()}
			if got := sum(t, m.Series); got != want {
				t.Errorf("the series counts %+v, want %+v", got, want)
			}
			for i, want := range []int64{30, 61, 61, 61, 61, 61, 61, 61, 61, 61, 31} {
				if got := m.Series.Intervals[i].Arrivals; got != want {
					t.Errorf("%d arrivals in second %d, want %d", got, i, want)
				}
			}
		}
		if !reflect.DeepEqual(a, read(t, results[0])) || !reflect.DeepEqual(b, read(t, results[1])) {
			t.Error("Merge changed what it merged")
		}
	})
}

// checkSum fails the test unless got counts what the parts count together.
func checkSum(t *testing.T, got PathResult, parts ...PathResult) {
	t.Helper()
	want := PathResult{Path: got.Path, Statuses: map[int]int64{}, Failures: map[string]int64{}}
	var response, service []*Histogram
	for _, p := range parts {
		want.Arrivals += p.Arrivals
		want.Dropped += p.Dropped
		want.Bytes += p.Bytes
		want.Unexpected += p.Unexpected
		for status, n := range p.Statuses {
			want.Statuses[status] += n
		}
		for kind, n := range p.Failures {
			want.Failures[kind] += n
		}
		response, service = append(response, p.Response), append(service, p.Service)
	}
	checkHistogram(t, "response of "+got.Path, got.Response, response...)
	checkHistogram(t, "service of "+got.Path, got.Service, service...)
	got.Response, got.Service = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func checkHistogram(t *testing.T, what string, got *Histogram, parts ...*Histogram) {
	t.Helper()
	want := NewHistogram()
	for _, p := range parts {
		want.Merge(p)
	}
	if !got.h.Equals(want.h) {
		t.Errorf("%s: %d durations, longest %s; want %d, %s", what, got.Count(), got.Max(), want.Count(), want.Max())
	}
}

// emptyResult is a result that passes Check.
func emptyResult(intervals int, length time.Duration) *Result {
	r := &Result{
		Start:    time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		Lateness: NewHistogram(),
		Total:    newPathResult(""),
		Series:   Series{Length: length, Intervals: make([]Interval, intervals)},
	}
	r.Sending = length * time.Duration(intervals)
	return r
}

// Series of different lengths merge into the longer intervals, and into fewer
// ones if there would be too many.
func TestMergeSeries(t *testing.T) {
	for _, test := range []struct {
		name      string
		a, b      *Result
		late      time.Duration // of b
		length    time.Duration
		intervals int
		last      int64 // arrivals of the last interval
	}{
		{"the same", emptyResult(3, time.Second), emptyResult(2, time.Second), 0, time.Second, 3, 1},
		{"one after the other", emptyResult(3, time.Second), emptyResult(2, time.Second), 4 * time.Second, time.Second, 6, 1},
		{"in the middle of an interval", emptyResult(3, time.Second), emptyResult(2, time.Second), 1500 * time.Millisecond, time.Second, 3, 2},
		{"one is coarser", emptyResult(3, 4*time.Second), emptyResult(5, time.Second), 4 * time.Second, 4 * time.Second, 3, 2},
		{"just fits", emptyResult(1, time.Second), emptyResult(1, time.Second), 1198 * time.Second, time.Second, 1199, 1},
		{"does not fit", emptyResult(1, time.Second), emptyResult(1, time.Second), 1199 * time.Second, 2 * time.Second, 600, 1},
		{"does not fit by far", emptyResult(1, time.Second), emptyResult(1, time.Second), 4000 * time.Second, 4 * time.Second, 1001, 1},
	} {
		for _, r := range []*Result{test.a, test.b} {
			for i := range r.Series.Intervals {
				r.Series.Intervals[i].Arrivals = 1
				r.Total.Arrivals++
			}
		}
		test.b.Start = test.b.Start.Add(test.late)
		m, err := Merge(test.a, test.b)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		s := m.Series
		if s.Length != test.length || len(s.Intervals) != test.intervals || s.Intervals[len(s.Intervals)-1].Arrivals != test.last {
			t.Errorf("%s: %d intervals of %s, the last with %d arrivals; want %d of %s with %d", test.name, len(s.Intervals), s.Length,
				s.Intervals[len(s.Intervals)-1].Arrivals, test.intervals, test.length, test.last)
		}
		if got := sum(t, s); got.arrivals != m.Total.Arrivals {
			t.Errorf("%s: %d arrivals in the series, want %d", test.name, got.arrivals, m.Total.Arrivals)
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	late, long, many := emptyResult(1, time.Second), emptyResult(1, time.Second), emptyResult(1, time.Second)
	late.Start = late.Start.Add(maxSpan + 1)
	long.Start = long.Start.Add(maxSpan)
	many.Total.Arrivals = maxCount
	for _, test := range []struct {
		a, b *Result
		want string
	}{
		{emptyResult(1, time.Second), late, "runs must start within 87600h0m0s, got 2026-01-02T15:04:05Z and 2035-12-31T15:04:05Z"},
		{late, emptyResult(1, time.Second), "runs must start within 87600h0m0s, got 2035-12-31T15:04:05Z and 2026-01-02T15:04:05Z"},
		{emptyResult(1, time.Second), long, "sending and waiting must be between 0s and 87600h0m0s, got 87600h0m1s and 0s"},
		{many, many, `path "": counts must be between 0 and 1125899906842624, got 0 to 2251799813685248`},
	} {
		if _, err := Merge(test.a, test.b); err == nil || err.Error() != test.want {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
}

func TestCheck(t *testing.T) {
	const counts = "counts must be between 0 and 1125899906842624, got "
	for _, test := range []struct {
		change func(*Result)
		want   string
	}{
		{func(r *Result) {}, ""},
		{func(r *Result) { r.Start = time.Time{} }, "not the result of a run: start or lateness is missing"},
		{func(r *Result) { r.Lateness = nil }, "not the result of a run: start or lateness is missing"},
		{func(r *Result) { r.Sending = -1 }, "sending and waiting must be between 0s and 87600h0m0s, got -1ns and 0s"},
		{func(r *Result) { r.Waiting = -1 }, "sending and waiting must be between 0s and 87600h0m0s, got 1s and -1ns"},
		{func(r *Result) { r.Sending, r.Waiting = 0, maxSpan }, ""},
		{func(r *Result) { r.Waiting = maxSpan + 1 }, "sending and waiting must be between 0s and 87600h0m0s, got 1s and 87600h0m0.000000001s"},
		{func(r *Result) { r.Achieved = -1 }, counts + "-1 to -1"},
		{func(r *Result) { r.Scheduled = maxCount }, ""},
		{func(r *Result) { r.Scheduled = -0.1 }, "scheduled requests must be between 0 and 1125899906842624, got -0.1"},
		{func(r *Result) { r.Scheduled = 1e300 }, "scheduled requests must be between 0 and 1125899906842624, got 1e+300"},
		{func(r *Result) { r.Series.Intervals[0].Scheduled = -1 }, "series: interval 0: scheduled requests must be between 0 and 1125899906842624, got -1"},
		{func(r *Result) { r.Total.Unexpected = -1 }, `path "": ` + counts + "-1 to 0"},
		{func(r *Result) { r.Total.Response = nil }, `path "": response, service, statuses or failures is missing`},
		{func(r *Result) { r.Total.Service = nil }, `path "": response, service, statuses or failures is missing`},
		{func(r *Result) { r.Total.Statuses = nil }, `path "": response, service, statuses or failures is missing`},
		{func(r *Result) { r.Paths = []PathResult{{Path: "/a", Statuses: map[int]int64{}}} }, `path "/a": response, service, statuses or failures is missing`},
		{func(r *Result) { r.Total.Arrivals = -1 }, `path "": ` + counts + "-1 to 0"},
		{func(r *Result) { r.Total.Dropped = -1 }, `path "": ` + counts + "-1 to 0"},
		{func(r *Result) { r.Total.Bytes = maxCount }, ""},
		{func(r *Result) { r.Total.Bytes = maxCount + 1 }, `path "": ` + counts + "0 to 1125899906842625"},
		{func(r *Result) { r.Total.Statuses[200] = -1 }, `path "": ` + counts + "-1 to 0"},
		{func(r *Result) { r.Total.Failures["reset"] = -1 }, `path "": ` + counts + "-1 to 0"},
		{func(r *Result) { r.Series.Length = 0 }, "series: length of an interval must be greater than 0s, got 0s"},
		{func(r *Result) { r.Series = Series{Length: 1} }, ""},
		{func(r *Result) { r.Series = Series{Length: time.Hour, Intervals: make([]Interval, 1200)} }, ""},
		{func(r *Result) { r.Series.Intervals = make([]Interval, 1201) }, "series: must have at most 1200 intervals and be at most 87600h0m0s long, got 1201 intervals of 1s"},
		{func(r *Result) { r.Series = Series{Length: maxSpan / 2, Intervals: make([]Interval, 2)} }, ""},
		{func(r *Result) { r.Series = Series{Length: maxSpan/2 + 1, Intervals: make([]Interval, 2)} }, "series: must have at most 1200 intervals and be at most 87600h0m0s long, got 2 intervals of 43800h0m0.000000001s"},
		{func(r *Result) { r.Series.Intervals[0].Served = -1 }, "series: interval 0: " + counts + "-1 to 0"},
		{func(r *Result) { r.Series.Intervals[0].Response.HDR = "?" }, "series: interval 0: hdr: illegal base64 data at input byte 0"},
		{func(r *Result) { r.Series.Intervals[0].Response.HDR = encoded(t, 2, 2*time.Hour) }, "series: interval 0: hdr: 1 durations are longer than 1h0m0s"},
		{func(r *Result) { r.Series.Intervals[0].Response.HDR = encoded(t, 3, time.Minute) }, ""},
	} {
		r := emptyResult(1, time.Second)
		test.change(r)
		got := ""
		if err := r.Check(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}

// The fields that other programs read.
func TestResultJSON(t *testing.T) {
	r := emptyResult(1, time.Second)
	r.Waiting, r.Scheduled, r.Achieved = 5, 20.5, 19
	r.Failed = []Sample{{TraceID: "t", Path: "/", Offset: 1, Status: 500, Failure: "closed", Response: 2}}
	r.Series.Intervals[0] = Interval{Scheduled: 0.5, Arrivals: 1, Dropped: 2, Failed: 3, Served: 4, Response: Summary{P50: 5, P99: 6, Max: 7}}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]string{
		"start":      "2026-01-02T15:04:05Z",
		"sending_ns": "1e+09",
		"waiting_ns": "5",
		"scheduled":  "20.5",
		"achieved":   "19",
		"failed":     "[map[failure:closed offset_ns:1 path:/ response_ns:2 status:500 trace_id:t]]",
		"series":     "map[intervals:[map[arrivals:1 dropped:2 failed:3 response:map[max_ns:7 p50_ns:5 p99_ns:6] scheduled:0.5 served:4]] length_ns:1e+09]",
	} {
		if got := fmt.Sprint(got[field]); got != want {
			t.Errorf("%s: got %s, want %s", field, got, want)
		}
	}
}
