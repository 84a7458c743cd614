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
