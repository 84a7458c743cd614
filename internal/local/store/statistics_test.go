package store

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/sketches-go/ddsketch/mapping"
	"github.com/DataDog/sketches-go/ddsketch/pb/sketchpb"
	"google.golang.org/protobuf/proto"

	"apmapp/internal/local/series"
	"apmapp/internal/local/span"
)

// accuracy is the one of the sketches that tracers send.
var accuracy, _ = mapping.NewLogarithmicMapping(0.01)

func TestNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(0)
		for i := range 200 {
			time.Sleep(100 * time.Millisecond)
			root := chunk(i, func(sp *span.Span) {
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
		bars := web.Distribution()
		for i, b := range bars {
			hits += b.Hits
			if b.To <= b.From || i == 0 && b.From > time.Millisecond || i == len(bars)-1 && b.To < 100*time.Millisecond {
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
		s.AddSpans(chunk(1000, func(sp *span.Span) { sp.Start = time.Now().Add(series.Window) })) // a wrong clock
		if web := s.Services()[1]; web.Hits != 200 {
			t.Errorf("%d hits, want 200: one lies in the future", web.Hits)
		}
		time.Sleep(series.Window + time.Minute)
		if web := s.Services()[1]; web.Hits != 0 || web.Rate != 0 {
			t.Errorf("minutes later: %+v", web.Numbers)
		}
	})
}

// later moves a store's time and returns a change of a span that then begins.
func later(s *Store, d time.Duration) func(*span.Span) {
	s.Replay(s.Now().Add(d))
	return func(sp *span.Span) { sp.Start = s.Now() }
}

func TestResourcesAreBounded(t *testing.T) {
	s := storeAt(time.Unix(1_700_000_000, 0))
	now := later(s, 0)
	resource := func(i int, now func(*span.Span)) {
		s.AddSpans(chunk(i, now, func(sp *span.Span) { sp.Resource = fmt.Sprint("GET /", i) }))
	}
	for i := range maxResources + 100 {
		resource(i, now)
	}
	all := s.Resources("")
	if u := s.Usage(); len(all) != maxResources+1 || all[0].Resource != others || all[0].Hits != 100 || u.Resources != maxResources+1 {
		t.Errorf("%d resources, the first is %+v; want %d, and %s with 100 hits", len(all), all[0], maxResources+1, others)
	}
	for i := range maxOperations + 100 {
		s.AddSpans(chunk(10_000+i, now, func(sp *span.Span) { sp.Service = fmt.Sprint("web", i) }))
	}
	services := s.Services()
	// web and 199 others have names of their own.
	if len(services) != maxOperations+1 || services[0].Name != others || services[0].Hits != 101 {
		t.Errorf("%d services, the first is %+v; want %d, and %s with 101 hits", len(services), services[0], maxOperations+1, others)
	}
	// Resources without spans for a while are replaced.
	now = later(s, series.Window)
	for i := 1000; i < 1000+maxResources; i++ {
		resource(i, now)
	}
	named := 0
	for _, r := range s.Resources("web") {
		if r.Hits == 1 && r.Resource != others {
			named++
		}
	}
	if named != maxResources || s.Usage().Resources != maxResources {
		t.Errorf("%d of %d new resources have names, %d in total", named, maxResources, s.Usage().Resources)
	}
	// After half an hour nothing is listed.
	now = later(s, keepSpans-1)
	if n := len(s.Resources("")); n != maxResources {
		t.Errorf("%d resources before half an hour, want %d", n, maxResources)
	}
	later(s, 1)
	if r, o, c := s.Resources(""), s.Services(), s.ServiceNames(); len(r) != 0 || len(o) != 0 || len(c) == 0 {
		t.Errorf("%d resources and %d services after half an hour; traces of %d services", len(r), len(o), len(c))
	}
	resource(1, now)
	if u := s.Usage(); u.Resources != 1 {
		t.Errorf("%d resources are kept, want 1", u.Resources)
	}
}

// TestPrimaryOperation: a service's numbers count requests to it, whatever calls it makes.
func TestPrimaryOperation(t *testing.T) {
	type operation struct {
		name, kind, typ string
		topLevel        bool
		spans           int
	}
	for name, test := range map[string]struct {
		operations []operation
		want       string
	}{
		"a server that makes more calls":  {[]operation{{"web.request", "server", "web", true, 6}, {"http.request", "client", "http", true, 15}, {"express.request", "internal", "web", true, 20}}, "web web.request 6 hits, [web.request express.request http.request]"},
		"a consumer":                      {[]operation{{"kafka.consume", "consumer", "queue", true, 2}, {"redis.command", "client", "redis", true, 9}}, "queue kafka.consume 2 hits, [kafka.consume redis.command]"},
		"two kinds of requests":           {[]operation{{"http.request", "server", "web", true, 2}, {"grpc.server", "server", "rpc", true, 3}}, "rpc grpc.server 3 hits, [grpc.server http.request]"},
		"a tracer that sends no kinds":    {[]operation{{"rack.request", "", "web", true, 2}, {"http.request", "client", "http", true, 5}}, "web rack.request 2 hits, [rack.request http.request]"},
		"a database, seen by its clients": {[]operation{{"mysql.query", "client", "sql", true, 4}, {"mysql.prepare", "client", "sql", false, 9}}, "sql mysql.query 4 hits, [mysql.query mysql.prepare]"},
		"measured spans only":             {[]operation{{"a", "internal", "x", false, 1}, {"b", "internal", "y", false, 2}}, "y b 2 hits, [b a]"},
	} {
		s := storeAt(time.Unix(1_700_000_000, 0))
		n := 0
		for _, o := range test.operations {
			for range o.spans {
				n++
				s.AddSpans(chunk(n, later(s, 0), func(sp *span.Span) {
					sp.Operation, sp.Type, sp.Tags = o.name, o.typ, map[string]string{"span.kind": o.kind}
					sp.Metrics = map[string]float64{"_dd.measured": 1}
					if o.topLevel {
						sp.Metrics["_top_level"] = 1
					}
				}))
			}
		}
		web := s.Services()[0]
		var names []string
		for _, o := range web.Operations {
			names = append(names, o.Name)
		}
		if got := fmt.Sprintf("%s %s %d hits, %v", web.Type, web.Operation, web.Hits, names); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
		for i, r := range s.Resources("web") {
			if r.Primary != (r.Operation == web.Operation) || (i == 0) != r.Primary {
				t.Errorf("%s: resource %d is of %s, primary: %t", name, i, r.Operation, r.Primary)
			}
		}
	}
}

// TestSpansThatArriveAgain are stored once and counted once, with the values that arrived
// last. Spans that had not ended are counted when they have.
func TestSpansThatArriveAgain(t *testing.T) {
	s := storeAt(time.Unix(1_700_000_000, 0))
	now := later(s, 0)
	child := func(sp *span.Span) { sp.SpanID, sp.ParentID, sp.Service = 77, 2, "db" }
	tag := func(value string) func(*span.Span) { return func(sp *span.Span) { sp.Tags["value"] = value } }
	both := chunk(1, now)
	both.Spans = append(both.Spans, chunk(1, now, child, tag("first")).Spans...)
	s.AddSpans(both)
	before, _ := s.Trace(both.TraceID)
	s.AddSpans(chunk(1, now, child, tag("second")))
	s.AddSpans(both)
	s.AddSpans(chunk(1, now, child, tag("third, and longer")))
	got, _ := s.Trace(both.TraceID)
	if len(got.Spans) != 2 || got.Spans[1].Tags["value"] != "third, and longer" || before.Spans[1].Tags["value"] != "first" {
		t.Errorf("%+v; before %+v", got.Spans, before.Spans)
	}
	u, size := s.Usage(), int64(traceSize)
	for _, of := range s.traces.byID[both.TraceID].sizes {
		size += of
	}
	if u.DuplicateSpans != 4 || u.TraceBytes != size || size > traceSize+2*1000 {
		t.Errorf("%d duplicates, want 4; %d bytes, the spans have %d", u.DuplicateSpans, u.TraceBytes, size)
	}
	if web, db := s.Services()[1], s.Services()[0]; web.Hits != 1 || db.Hits != 1 || s.Calls()[0].Hits != 1 {
		t.Errorf("%d and %d hits, %d calls, want 1 of each", web.Hits, db.Hits, s.Calls()[0].Hits)
	}
	// The same ID and another start is another span.
	s.AddSpans(chunk(1, now, child, func(sp *span.Span) { sp.Start = sp.Start.Add(1) }))
	if got, _ := s.Trace(both.TraceID); len(got.Spans) != 3 || s.Services()[0].Hits != 2 {
		t.Errorf("%d spans, %d hits, want 3 and 2", len(got.Spans), s.Services()[0].Hits)
	}

	s = storeAt(time.Unix(1_700_000_000, 0))
	unfinished := func(version float64) func(*span.Span) {
		return func(sp *span.Span) { sp.Metrics["_dd.partial_version"], sp.Duration = version, time.Duration(version) }
	}
	s.AddSpans(chunk(1, now, unfinished(0)))
	s.AddSpans(chunk(1, now, unfinished(5)))
	if services := s.Services(); len(services) != 0 {
		t.Errorf("a span that has not ended is counted: %+v", services)
	}
	s.AddSpans(chunk(1, now))
	s.AddSpans(chunk(1, now))
	if got, _ := s.Trace(both.TraceID); len(got.Spans) != 1 || s.Services()[0].Hits != 1 || got.Spans[0].Duration != time.Millisecond {
		t.Errorf("%d spans, %d hits, %s, want 1, 1 and 1 ms", len(got.Spans), s.Services()[0].Hits, got.Spans[0].Duration)
	}
	// A report from before the end arrives late, and the end once more.
	size = s.Usage().TraceBytes
	s.AddSpans(chunk(1, now, unfinished(7), tag("a longer one")))
	if got, _ := s.Trace(both.TraceID); got.Spans[0].IsPartial() || s.Usage().TraceBytes != size {
		t.Errorf("a report from before the end replaces the span: %+v, %d bytes, want %d", got.Spans[0], s.Usage().TraceBytes, size)
	}
	s.AddSpans(chunk(1, now))
	if s.Services()[0].Hits != 1 {
		t.Errorf("%d hits, want 1", s.Services()[0].Hits)
	}
}

// TestLateSpans: spans with a wrong clock are stored, and are not counted.
func TestLateSpans(t *testing.T) {
	s := storeAt(time.Unix(1_700_000_005, 0))
	for i, c := range []struct {
		ago  time.Duration // its end
		late bool
	}{{0, false}, {-10 * time.Second, false}, {-10*time.Second - 1, true}, {series.Window, false}, {series.Window + 5*time.Second, false}, {series.Window + 5*time.Second + 1, true}, {time.Hour, true}} {
		before := s.Usage().LateSpans
		s.AddSpans(chunk(i, func(sp *span.Span) { sp.Start, sp.Duration = s.Now().Add(-c.ago-time.Second), time.Second }))
		if late := s.Usage().LateSpans > before; late != c.late {
			t.Errorf("%s ago: late is %t", c.ago, late)
		}
	}
	if u := s.Usage(); u.Traces != 7 || u.LateSpans != 3 {
		t.Errorf("%d traces, %d late spans, want 7 and 3", u.Traces, u.LateSpans)
	}
	// The Agent's statistics are of spans that were received, a tracer's also of others.
	for i, clientComputed := range []bool{false, true} {
		s.AddStatistics(&pb.StatsPayload{ClientComputed: clientComputed, Stats: []*pb.ClientStatsPayload{{Stats: []*pb.ClientStatsBucket{{
			Start: uint64(s.Now().Add(-time.Hour).UnixNano()), Stats: []*pb.ClientGroupedStats{{Service: "web", Hits: 2}}}}}}})
		if u := s.Usage(); u.LateSpans != 3+2*i {
			t.Errorf("statistics of a tracer %t: %d late spans", clientComputed, u.LateSpans)
		}
	}
}

// TestStatistics adds statistics that count more or fewer spans than were received.
func TestStatistics(t *testing.T) {
	data, err := proto.Marshal(&sketchpb.DDSketch{Mapping: accuracy.ToProto(), PositiveValues: &sketchpb.Store{BinCounts: map[int32]float64{int32(accuracy.Index(8e6)): 90}}})
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1_700_000_000, 0)
	group := func(change ...func(*pb.ClientGroupedStats)) *pb.ClientGroupedStats {
		g := &pb.ClientGroupedStats{Service: "web", Name: "http.request", Resource: "GET /", Type: "web", Hits: 90, Errors: 9, TopLevelHits: 90, SpanKind: "server", OkSummary: data}
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
		"more errors":        {[]*pb.ClientGroupedStats{group(func(g *pb.ClientGroupedStats) { g.Errors = 91 })}, 0, 0, "90 hits, 90 errors, p50 8ms"},
		"two groups":         {[]*pb.ClientGroupedStats{group(), group()}, 0, 0, "180 hits, 18 errors, p50 8ms"},
		"measured spans":     {[]*pb.ClientGroupedStats{group(func(g *pb.ClientGroupedStats) { g.TopLevelHits, g.SpanKind = 0, "internal" })}, 2, 0, "90 hits, 9 errors, p50 8ms"},
		"unreadable":         {[]*pb.ClientGroupedStats{group(func(g *pb.ClientGroupedStats) { g.OkSummary = []byte("no") })}, 2, 0, "90 hits, 9 errors, p50 0s"},
	} {
		s := storeAt(at.Add(5 * time.Second))
		for i := range test.received {
			s.AddSpans(chunk(i, func(sp *span.Span) {
				sp.Start = at
				if test.rate > 0 {
					sp.Metrics["_dd.rule_psr"] = test.rate
				}
			}))
		}
		s.AddStatistics(&pb.StatsPayload{Stats: []*pb.ClientStatsPayload{{Stats: []*pb.ClientStatsBucket{{Start: uint64(at.UnixNano()), Stats: test.groups}}}}})
		n := s.Resources("web")[0].Numbers
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
		"most hits":                {&pb.ClientGroupedStats{Hits: series.MaxHits, OkSummary: sketch(1)}, 0, series.MaxHits},
		"too many hits":            {&pb.ClientGroupedStats{Hits: series.MaxHits + 1}, 1, 1},
		"too many errors":          {&pb.ClientGroupedStats{Hits: 1, Errors: math.MaxUint64}, 1, 1},
		"a count of NaN":           {&pb.ClientGroupedStats{Hits: 3, OkSummary: sketch(math.NaN())}, 1, 3},
		"an infinite count":        {&pb.ClientGroupedStats{Hits: 3, ErrorSummary: sketch(math.Inf(1))}, 1, 3},
		"a count below 0":          {&pb.ClientGroupedStats{Hits: 3, OkSummary: sketch(-2)}, 1, 3},
		"counts that are too many": {&pb.ClientGroupedStats{Hits: 3, OkSummary: sketch(2 * series.MaxHits)}, 1, 3},
		"no sketch":                {&pb.ClientGroupedStats{Hits: 3}, 0, 3},
		"not a sketch":             {&pb.ClientGroupedStats{Hits: 3, OkSummary: []byte("no")}, 1, 3},
	} {
		s := storeAt(at.Add(5 * time.Second))
		s.AddSpans(chunk(0, func(sp *span.Span) { sp.Start = at }))
		test.group.Service, test.group.Name, test.group.Resource, test.group.TopLevelHits = "web", "http.request", "GET /", 1
		s.AddStatistics(&pb.StatsPayload{Stats: []*pb.ClientStatsPayload{{Stats: []*pb.ClientStatsBucket{{Start: uint64(at.UnixNano()), Stats: []*pb.ClientGroupedStats{test.group}}}}}})
		n := s.Resources("web")[0].Numbers
		if got := s.Usage().RefusedStatistics; got != test.refused || n.Hits != test.hits {
			t.Errorf("%s: %d refused and %d hits, want %d and %d", name, got, n.Hits, test.refused, test.hits)
		}
	}

	s := storeAt(at.Add(5 * time.Second))
	group := &pb.ClientGroupedStats{Service: "web", Name: "http.request", Resource: "GET /", TopLevelHits: 1, Hits: series.MaxHits, Errors: series.MaxHits}
	groups := slices.Repeat([]*pb.ClientGroupedStats{group}, 100)
	s.AddStatistics(&pb.StatsPayload{Stats: []*pb.ClientStatsPayload{{Stats: []*pb.ClientStatsBucket{{Start: uint64(at.UnixNano()), Stats: groups}}}}})
	if n := s.Resources("web")[0].Numbers; n.Hits != series.MaxHits || n.Errors != series.MaxHits {
		t.Errorf("the sum of large statistics is %d hits, %d errors, want %d of both", n.Hits, n.Errors, int64(series.MaxHits))
	}

	s = storeAt(at.Add(5 * time.Second))
	s.AddSpans(chunk(0, func(sp *span.Span) {
		sp.Start = at
		sp.Metrics["_dd.rule_psr"], sp.Metrics["_dd.agent_psr"] = 1e-300, 1e-300
	}))
	if n := s.Resources("web")[0].Numbers; n.Hits != 1/leastRate {
		t.Errorf("a trace with a rate of 0 counts %d times, want %d", n.Hits, int64(1/leastRate))
	}
}
