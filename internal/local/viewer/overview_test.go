package viewer

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"apmapp/internal/local/series"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
)

// TestLayers: the layers of a chart are the requests by the class of their status, those
// without a status by their success. Empty layers are left out.
func TestLayers(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	for name, test := range map[string]struct {
		hits    float64
		classes series.Classes
		want    string // name, rate and top of each layer
	}{
		"all classes":     {150, series.Classes{0: 10, 1: 20, 2: 30, 3: 10, 4: 20, 5: 10}, "2xx 3 of 15, ok 5 of 12, 1xx 2 of 7, 3xx 1 of 5, 4xx 2 of 4, failed 1 of 2, 5xx 1 of 1, "},
		"served":          {10, series.Classes{2: 10}, "2xx 1 of 1, "},
		"without status":  {10, series.Classes{0: 5}, "ok 0.5 of 1, failed 0.5 of 0.5, "},
		"weighted":        {100.0 / 3, series.Classes{2: 100.0 / 3}, "2xx 3.33333 of 3.33333, "},
		"more than there": {10, series.Classes{2: 12}, "2xx 1.2 of 1.2, "},
	} {
		o := newOverTime([]series.Interval{{Start: begin, Hits: test.hits, Classes: test.classes}}, begin.Add(series.BucketLength))
		got := ""
		for _, l := range o.Layers {
			got += fmt.Sprintf("%s %.6g of %.6g, ", l.Name, l.Values[0], l.Top[0])
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// TestHealthBars: a bar for each ten seconds of the last five minutes shows requests, and
// before them the failed ones.
func TestHealthBars(t *testing.T) {
	now := time.Unix(1_700_000_005, 0)
	at := func(n int) time.Time {
		return now.Truncate(series.BucketLength).Add(time.Duration(n) * series.BucketLength)
	}
	got := ""
	for _, c := range healthBars([]series.Interval{{Start: at(-31), Hits: 900}, {Start: at(-30), Hits: 10}, {Start: at(-3), Hits: 20, Errors: 10}, {Start: at(-2)}, {Start: at(-1), Hits: 5000, Errors: 0.1}, {Start: at(0), Hits: 1}}, now) {
		got += fmt.Sprintf("%.1f %.1f %t, ", c.X, c.Height, c.Failed)
		if c.Y+c.Height != 24 {
			t.Errorf("a bar ends at %g, want 24", c.Y+c.Height)
		}
	}
	if want := "0.0 1.0 false, 90.0 1.0 false, 90.0 1.0 true, 96.7 23.0 false, 96.7 1.0 true, "; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestSilenceIsShown: a service whose requests have stopped is on the overview. The database
// that it calls has no episode of its own.
func TestSilenceIsShown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.New(0)
		id := uint64(0)
		for range 60 {
			time.Sleep(time.Second)
			for service, kind := range map[string]string{"web": "server", "db": "client"} {
				id++
				s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", id), Spans: []span.Span{{SpanID: id, Service: service, Start: time.Now(), Duration: time.Millisecond, Tags: map[string]string{"span.kind": kind}}}})
			}
		}
		last := s.Now().Truncate(series.BucketLength).Add(series.BucketLength)
		shown := func() []happening { return happenings(s.Services(), s.Now()) }
		if got := shown(); len(got) != 0 {
			t.Errorf("while requests arrive: %+v", got)
		}
		time.Sleep(30 * time.Second)
		want := happening{Service: "web", Start: last, End: s.Now(), Ongoing: true, Text: "no requests",
			Traces: fmt.Sprintf("/traces?from=%d&service=web&to=%d", last.Add(-time.Minute).UnixMilli(), last.UnixMilli())}
		if got := shown(); len(got) != 1 || !got[0].Start.Equal(want.Start) || !got[0].End.Equal(want.End) || got[0].Text != want.Text || got[0].Traces != want.Traces || !got[0].Ongoing || got[0].Service != "web" {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}
