package localagent

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/sketches-go/ddsketch/pb/sketchpb"
	"google.golang.org/protobuf/proto"

	"apmapp/internal/traceagent"
)

func TestNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStore(0)
		for i := range 200 {
			time.Sleep(100 * time.Millisecond)
			root := chunk(i, func(sp *traceagent.Span) {
				sp.Start, sp.Duration, sp.Error = time.Now(), time.Duration(i%100+1)*time.Millisecond, i%10 == 0
				sp.Resource = fmt.Sprint("GET /", i%2)
			})
			child := root.Spans[0]
			child.SpanID, child.ParentID, child.Service, child.Resource = 1_000_000+uint64(i), root.Spans[0].SpanID, "db", "SELECT 1"
			inner := child
			inner.SpanID, inner.ParentID, inner.Metrics = child.SpanID+1_000_000, child.SpanID, nil // not counted
			root.Spans = append(root.Spans, child, inner)
			s.AddSpans(root)
		}
		services := s.Services()
		if len(services) != 2 || services[1].Name != "web" || services[1].Type != "web" {
			t.Fatalf("%+v", services)
		}
		web := services[1]
		if web.Hits != 200 || web.Errors != 20 || web.Rate < 9 || web.Rate > 11 {
			t.Errorf("%d hits, %d errors, %.1f/s", web.Hits, web.Errors, web.Rate)
		}
		for _, q := range []struct{ got, want time.Duration }{{web.P50, 50}, {web.P95, 95}, {web.P99, 99}} {
			if off := q.got - q.want*time.Millisecond; off.Abs() > q.want*time.Millisecond/50 {
				t.Errorf("%s, want %d ms", q.got, q.want)
			}
		}
		var hits int64
		for i, b := range web.Distribution() {
			hits += b.Hits
			if b.To <= b.From || i == 0 && b.From > time.Millisecond || i == bars-1 && b.To < 100*time.Millisecond {
				t.Errorf("bar %d is from %s to %s", i, b.From, b.To)
			}
		}
		if hits != 200 {
			t.Errorf("%d in the distribution, want 200", hits)
		}
		calls := s.Calls()
		if len(calls) != 1 || calls[0].From != "web" || calls[0].To != "db" || calls[0].Hits != 200 {
			t.Errorf("%+v", calls)
		}
		s.AddSpans(chunk(1000, func(sp *traceagent.Span) { sp.Start = time.Now().Add(window) })) // a wrong clock
		if web := s.Services()[1]; web.Hits != 200 {
			t.Errorf("%d hits, want 200: one lies in the future", web.Hits)
		}
		time.Sleep(window + time.Minute)
		if web := s.Services()[1]; web.Hits != 0 || web.Rate != 0 {
			t.Errorf("minutes later: %+v", web.Numbers)
		}
	})
}

func TestResourcesAreBounded(t *testing.T) {
	s := NewStore(0)
	for i := range maxResources + 100 {
		s.AddSpans(chunk(i, func(sp *traceagent.Span) { sp.Resource = fmt.Sprint("GET /", i) }))
	}
	if n := s.Usage().Resources; n != maxResources+1 {
		t.Errorf("%d resources, want %d and \"(others)\"", n, maxResources)
	}
	for i := range 2 * maxServices {
		s.AddSpans(chunk(i, func(sp *traceagent.Span) { sp.Service = fmt.Sprint("web", i) }))
	}
	if n := s.Usage().Resources; n != maxResources+maxServices+1 {
		t.Errorf("%d resources, want %d, \"(others)\" of %d services and \"(others)\" of the rest", n, maxResources, maxServices)
	}
}

func TestDistributionsAreBounded(t *testing.T) {
	s := newServices(10 * distributionSize)
	for i := range 20 {
		c := chunk(i, func(sp *traceagent.Span) { sp.Resource = fmt.Sprint("GET /", i) })
		s.addSpan(&s.resource("web", c.Spans[0].Resource, "web").series, &c.Spans[0], 1)
	}
	now := time.Unix(1_700_000_030, 0)
	for i, want := range map[int]time.Duration{0: 0, 9: 0, 10: time.Millisecond, 19: time.Millisecond} {
		n := s.resources[resourceKey{"web", fmt.Sprint("GET /", i)}].series.numbers(now)
		if n.Hits != 1 || n.P50.Round(100*time.Microsecond) != want {
			t.Errorf("resource %d: %d hits, %s", i, n.Hits, n.P50)
		}
	}
}

// TestStatistics adds statistics that count more or fewer spans than were received.
func TestStatistics(t *testing.T) {
	durations := newDistribution()
	durations.add(8*time.Millisecond, 90)
	data, err := proto.Marshal(durations.sketch.ToProto())
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	group := func(change ...func(*pb.ClientGroupedStats)) *pb.ClientGroupedStats {
		g := &pb.ClientGroupedStats{Service: "web", Resource: "GET /", Type: "web", Hits: 90, Errors: 9, TopLevelHits: 90, SpanKind: "server", OkSummary: data}
		for _, f := range change {
			f(g)
		}
		return g
	}
	for name, test := range map[string]struct {
		groups   []*pb.ClientGroupedStats
		received int
		rate     float64 // of sampling; 0 is not set
		want     string
	}{
		"more than received": {[]*pb.ClientGroupedStats{group()}, 30, 0, "90 hits, 9 errors, p50 8ms"},
		"less than received": {[]*pb.ClientGroupedStats{group()}, 100, 0, "100 hits, 0 errors, p50 1ms"},
		"sampled, none yet":  {nil, 30, 0.5, "60 hits, 0 errors, p50 1ms"},
		"sampled":            {[]*pb.ClientGroupedStats{group()}, 30, 0.1, "90 hits, 9 errors, p50 8ms"},
		"two groups":         {[]*pb.ClientGroupedStats{group(), group()}, 0, 0, "180 hits, 18 errors, p50 8ms"},
		"client spans":       {[]*pb.ClientGroupedStats{group(func(g *pb.ClientGroupedStats) { g.TopLevelHits, g.SpanKind = 0, "client" })}, 2, 0, "2 hits, 0 errors, p50 1ms"},
		"measured spans":     {[]*pb.ClientGroupedStats{group(func(g *pb.ClientGroupedStats) { g.TopLevelHits, g.SpanKind = 0, "internal" })}, 2, 0, "90 hits, 9 errors, p50 8ms"},
		"unreadable":         {[]*pb.ClientGroupedStats{group(func(g *pb.ClientGroupedStats) { g.OkSummary = []byte("no") })}, 2, 0, "90 hits, 9 errors, p50 0s"},
	} {
		s := NewStore(0)
		for i := range test.received {
			s.AddSpans(chunk(i, func(sp *traceagent.Span) {
				sp.Start = at
				if test.rate > 0 {
					sp.Metrics["_dd.rule_psr"] = test.rate
				}
			}))
		}
		s.AddStatistics(&pb.StatsPayload{Stats: []*pb.ClientStatsPayload{{Stats: []*pb.ClientStatsBucket{{Start: uint64(at.UnixNano()), Stats: test.groups}}}}})
		n := s.services.resources[resourceKey{"web", "GET /"}].series.numbers(at)
		if got := fmt.Sprintf("%d hits, %d errors, p50 %s", n.Hits, n.Errors, n.P50.Round(200*time.Microsecond)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

// TestImpossibleNumbers: statistics and sampling rates that no service has do not
// change its numbers, and are counted.
func TestImpossibleNumbers(t *testing.T) {
	at := time.Unix(1_700_000_000, 0)
	sketch := func(count float64) []byte {
		t.Helper()
		data, err := proto.Marshal(&sketchpb.DDSketch{
			Mapping:        accuracy.ToProto(),
			PositiveValues: &sketchpb.Store{BinCounts: map[int32]float64{700: 1, 701: count}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, test := range map[string]struct {
		group   *pb.ClientGroupedStats
		refused int
		hits    int64
	}{
		"most hits":                {&pb.ClientGroupedStats{Hits: maxHits, OkSummary: sketch(1)}, 0, maxHits},
		"too many hits":            {&pb.ClientGroupedStats{Hits: maxHits + 1}, 1, 1},
		"too many errors":          {&pb.ClientGroupedStats{Hits: 1, Errors: math.MaxUint64}, 1, 1},
		"a count of NaN":           {&pb.ClientGroupedStats{Hits: 3, OkSummary: sketch(math.NaN())}, 1, 3},
		"an infinite count":        {&pb.ClientGroupedStats{Hits: 3, ErrorSummary: sketch(math.Inf(1))}, 1, 3},
		"a count below 0":          {&pb.ClientGroupedStats{Hits: 3, OkSummary: sketch(-2)}, 1, 3},
		"counts that are too many": {&pb.ClientGroupedStats{Hits: 3, OkSummary: sketch(2 * maxHits)}, 1, 3},
		"no sketch":                {&pb.ClientGroupedStats{Hits: 3}, 0, 3},
		"not a sketch":             {&pb.ClientGroupedStats{Hits: 3, OkSummary: []byte("no")}, 1, 3},
	} {
		s := NewStore(0)
		s.AddSpans(chunk(0, func(sp *traceagent.Span) { sp.Start = at }))
		test.group.Service, test.group.Resource, test.group.TopLevelHits = "web", "GET /", 1
		s.AddStatistics(&pb.StatsPayload{Stats: []*pb.ClientStatsPayload{{Stats: []*pb.ClientStatsBucket{{Start: uint64(at.UnixNano()), Stats: []*pb.ClientGroupedStats{test.group}}}}}})
		n := s.services.resources[resourceKey{"web", "GET /"}].series.numbers(at)
		if got := s.Usage().RefusedStatistics; got != test.refused || n.Hits != test.hits || math.IsInf(n.durations.sketch.GetCount(), 0) || math.IsNaN(n.durations.sketch.GetCount()) {
			t.Errorf("%s: %d refused and %d hits, want %d and %d", name, got, n.Hits, test.refused, test.hits)
		}
	}

	s := NewStore(0)
	group := &pb.ClientGroupedStats{Service: "web", Resource: "GET /", TopLevelHits: 1, Hits: maxHits, Errors: maxHits}
	groups := slices.Repeat([]*pb.ClientGroupedStats{group}, 100)
	s.AddStatistics(&pb.StatsPayload{Stats: []*pb.ClientStatsPayload{{Stats: []*pb.ClientStatsBucket{{Start: uint64(at.UnixNano()), Stats: groups}}}}})
	if n := s.services.resources[resourceKey{"web", "GET /"}].series.numbers(at); n.Hits != maxHits || n.Errors != maxHits {
		t.Errorf("the sum of large statistics is %d hits, %d errors, want %d of both", n.Hits, n.Errors, int64(maxHits))
	}

	s = NewStore(0)
	s.AddSpans(chunk(0, func(sp *traceagent.Span) {
		sp.Start = at
		sp.Metrics["_dd.rule_psr"], sp.Metrics["_dd.agent_psr"] = 1e-300, 1e-300
	}))
	if n := s.services.resources[resourceKey{"web", "GET /"}].series.numbers(at); n.Hits != 1/leastRate {
		t.Errorf("a trace with a rate of 0 counts %d times, want %d", n.Hits, int64(1/leastRate))
	}
}

func FuzzDecodeDistribution(f *testing.F) {
	d := newDistribution()
	d.add(time.Millisecond, 1)
	data, err := proto.Marshal(d.sketch.ToProto())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		n := Numbers{durations: newDistribution()}
		n.durations.decode(data)
		n.quantiles()
		if n.P50 < 0 || n.P50 > n.P99 {
			t.Errorf("p50 %s, p99 %s", n.P50, n.P99)
		}
		n.Distribution()
	})
}
