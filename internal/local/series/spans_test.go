package series

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

// TestPoolEvictsTheOldest: a pool has a fixed number of distributions. Hits are kept.
func TestPoolEvictsTheOldest(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	pool := NewPool(10 * DistributionSize)
	var all []*Spans
	for range 20 {
		s := NewSpans(Window)
		s.Add(Span{End: now, Duration: time.Millisecond, Weight: 1}, now, pool)
		all = append(all, s)
	}
	for i, want := range map[int]time.Duration{0: 0, 9: 0, 10: time.Millisecond, 19: time.Millisecond} {
		n := all[i].Numbers(now)
		if n.Hits != 1 || n.P50.Round(100*time.Microsecond) != want {
			t.Errorf("series %d: %d hits, %s", i, n.Hits, n.P50)
		}
	}
	if pool.Bytes() != 10*DistributionSize {
		t.Errorf("%d bytes, want those of 10 distributions", pool.Bytes())
	}
}

// TestIntervals: intervals are in the order of time, however spans arrive, and leave after
// the time that is kept.
func TestIntervals(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	at := func(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }
	pool := NewPool(100 * DistributionSize)
	s := NewSpans(time.Minute)
	written := func() (text string) {
		for _, i := range s.Intervals() {
			text += fmt.Sprintf("%d:%g/%g/%s ", i.Start.Unix()-begin.Unix(), i.Hits, i.Errors, i.P99.Round(time.Millisecond))
		}
		return text
	}
	for _, end := range []int{25, 0, 9, 41, 10, 42} {
		s.Add(Span{End: at(end), Duration: time.Duration(end) * time.Millisecond, Error: end == 9, Weight: 2}, at(45), pool)
	}
	if got, want := written(), "0:4/2/9ms 10:2/0/10ms 20:2/0/25ms 40:4/0/42ms "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for end, want := range map[int]bool{55: true, 56: false, -20: true, -21: false} { // 10 s in the future, the seventh bucket
		if got := s.Add(Span{End: at(end), Weight: 1}, at(45), pool); got != want {
			t.Errorf("a span that ended at %d: %t, want %t", end, got, want)
		}
	}
	s.Add(Span{End: at(75), Weight: 1}, at(75), pool) // the seventh bucket begins at 10
	if got, want := written(), "10:2/0/10ms 20:2/0/25ms 40:4/0/42ms 50:1/0/0s 70:1/0/0s "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestClasses: requests are counted by the first digit of their status, whether spans or
// statistics arrive; failed ones without a status are counted apart.
func TestClasses(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for name, test := range map[string]struct {
		status         int
		failed         bool
		spans, grouped Classes
	}{
		"200":               {200, false, Classes{2: 2}, Classes{2: 5}},
		"299":               {299, false, Classes{2: 2}, Classes{2: 5}},
		"503 that failed":   {503, true, Classes{5: 2}, Classes{5: 5}},
		"101":               {101, false, Classes{1: 2}, Classes{1: 5}},
		"no status":         {0, false, Classes{}, Classes{}},
		"no status, failed": {0, true, Classes{0: 2}, Classes{0: 5}},
		"no such status":    {600, true, Classes{}, Classes{}},
		"negative":          {-200, true, Classes{}, Classes{}},
	} {
		pool := NewPool(10 * DistributionSize)
		s := NewSpans(Window)
		s.Add(Span{End: now, Status: test.status, Error: test.failed, Weight: 2}, now, pool)
		if got := s.Intervals()[0].Classes; got != test.spans {
			t.Errorf("%s: %v by spans, want %v", name, got, test.spans)
		}
		g := Group{Start: now, Hits: 5, Status: test.status}
		if test.failed {
			g.Errors = 5
		}
		s.AddGroup(g, Agent, now, pool)
		if got := s.Intervals()[0].Classes; got != test.grouped {
			t.Errorf("%s: %v by statistics, want %v", name, got, test.grouped)
		}
	}
}

// TestBetween: numbers of a time are the ones of the intervals that begin in it.
func TestBetween(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	pool := NewPool(100 * DistributionSize)
	s := NewSpans(time.Hour)
	for i := range 30 { // 10 requests in each ten seconds; slower and failing from the eleventh on
		for range 10 {
			s.Add(Span{End: begin.Add(time.Duration(i) * BucketLength), Duration: time.Millisecond * time.Duration(1+9*(i/10)), Error: i >= 10, Weight: 1}, begin.Add(5*time.Minute), pool)
		}
	}
	for _, test := range []struct {
		from, to     int // seconds
		hits, errors int64
		rate         float64
		p99          time.Duration
	}{
		{0, 100, 100, 0, 1, time.Millisecond},
		{100, 200, 100, 100, 1, 10 * time.Millisecond},
		{95, 105, 10, 10, 1, 10 * time.Millisecond},
		{100, 100, 0, 0, 0, 0},
		{290, 490, 10, 10, 0.05, 19 * time.Millisecond},
		{300, 400, 0, 0, 0, 0},
	} {
		n := s.Between(begin.Add(time.Duration(test.from)*time.Second), begin.Add(time.Duration(test.to)*time.Second))
		if n.Hits != test.hits || n.Errors != test.errors || n.Rate != test.rate || (n.P99-test.p99).Abs() > test.p99/50 {
			t.Errorf("from %d to %d: %+v, want %+v", test.from, test.to, n, test)
		}
	}
}

func FuzzDecodeDistribution(f *testing.F) {
	d := NewDistribution()
	d.Add(time.Millisecond, 1)
	data, err := proto.Marshal(d.sketch.ToProto())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		n := Numbers{durations: NewDistribution()}
		n.durations.Decode(data)
		n.quantiles()
		if n.P50 < 0 || n.P50 > n.P99 {
			t.Errorf("p50 %s, p99 %s", n.P50, n.P99)
		}
		n.Distribution()
	})
}
