package store

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/span"
	"apmapp/internal/local/wire"
)

// chunk returns a trace of one span.
func chunk(id int, change ...func(*span.Span)) span.Chunk {
	s := span.Span{
		SpanID: uint64(id) + 1, Service: "web", Operation: "http.request", Resource: "GET /", Type: "web",
		Start: time.Unix(1_700_000_000+int64(id), 0), Duration: time.Millisecond,
		Tags: map[string]string{"http.status_code": "200"}, Metrics: map[string]float64{"_top_level": 1},
	}
	for _, f := range change {
		f(&s)
	}
	return span.Chunk{TraceID: fmt.Sprintf("6b060d8f00000000%016x", id+1), Spans: []span.Span{s}}
}

// storeAt returns a store whose time stands still.
func storeAt(at time.Time) *Store {
	s := New(0)
	s.Replay(at)
	return s
}

func TestTraceIsFoundByEachFormOfItsID(t *testing.T) {
	s := New(0)
	s.AddSpans(span.Chunk{TraceID: "6b060d8f000000007aa1645abafb4873", Spans: chunk(1).Spans})
	for _, id := range []string{"6b060d8f000000007aa1645abafb4873", "6B060D8F000000007AA1645ABAFB4873", "7aa1645abafb4873", "8836454284724488307"} {
		if got, ok := s.Trace(id); !ok || got.ID != "6b060d8f000000007aa1645abafb4873" {
			t.Errorf("%s: %v, %v", id, got.ID, ok)
		}
		if !span.SameTrace("6b060d8f000000007aa1645abafb4873", strings.ToLower(id)) {
			t.Errorf("SameTrace(%s) is false", id)
		}
	}
	for _, id := range []string{"", "x", "7aa1645abafb4874", "1", "-1"} {
		if _, ok := s.Trace(id); ok {
			t.Errorf("%q is found", id)
		}
	}
}

// TestTracersThatSendHalfOfTheID: the chunks of tracers with and without the upper half
// of a trace's ID are one trace, in any order. Two upper halves are two traces.
func TestTracersThatSendHalfOfTheID(t *testing.T) {
	const half, full, other = "00000000000000007aa1645abafb4873", "6b060d8f000000007aa1645abafb4873", "6b060d90000000007aa1645abafb4873"
	for _, c := range []struct {
		name string
		ids  []string
		want []string // "ID spans"
	}{
		{"whole first", []string{full, half}, []string{full + " 2"}},
		{"half first", []string{half, full}, []string{full + " 2"}},
		{"half, whole, half", []string{half, full, half}, []string{full + " 3"}},
		{"halves only", []string{half, half}, []string{half + " 2"}},
		{"two upper halves", []string{full, other}, []string{full + " 1", other + " 1"}},
		{"half between two", []string{full, half, other}, []string{full + " 2", other + " 1"}},
		{"other lower half", []string{full, "00000000000000007aa1645abafb4874"}, []string{"00000000000000007aa1645abafb4874 1", full + " 1"}},
	} {
		s := New(0)
		for i, id := range c.ids {
			s.AddSpans(span.Chunk{TraceID: id, Spans: chunk(i, func(sp *span.Span) { sp.ParentID = uint64(i) }).Spans})
		}
		listed, _ := s.Traces(Filter{Limit: 10})
		var got []string
		for _, l := range listed {
			got = append(got, fmt.Sprint(l.ID, " ", l.Spans))
		}
		slices.Sort(got)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		for _, id := range append(c.ids, "7aa1645abafb4873", "8836454284724488307") {
			if _, ok := s.Trace(id); !ok {
				t.Errorf("%s: no trace %s", c.name, id)
			}
		}
	}
	for _, c := range []struct {
		id, logged string
		want       bool
	}{{full, half, true}, {half, full, true}, {full, other, false}, {half, "7aa1645abafb4873", true}, {full, full[:31], false}} {
		if got := span.SameTrace(c.id, c.logged); got != c.want {
			t.Errorf("SameTrace(%s, %s) is %t", c.id, c.logged, got)
		}
	}
	// The index of lower halves has the stored traces, and no evicted one.
	s := New(MinBudget)
	for i := range 20_000 {
		c := chunk(i, func(sp *span.Span) { sp.Tags["text"] = strings.Repeat("x", 500) })
		if i%2 == 0 {
			s.AddSpans(span.Chunk{TraceID: half[:16] + c.TraceID[16:], Spans: c.Spans})
		}
		s.AddSpans(c)
	}
	n := 0
	for lower, all := range s.traces.lower {
		for _, of := range all {
			n++
			if s.traces.byID[of.ID] != of || of.ID[16:] != lower {
				t.Fatalf("trace %s is in the index of %s", of.ID, lower)
			}
		}
	}
	if u := s.Usage(); n != u.Traces || u.EvictedTraces == 0 {
		t.Errorf("the index has %d of %d traces, %d evicted", n, u.Traces, u.EvictedTraces)
	}
}

func TestChunksOfATraceAreJoined(t *testing.T) {
	s := storeAt(chunk(1).Spans[0].End())
	child := chunk(1, func(sp *span.Span) {
		sp.SpanID, sp.ParentID, sp.Service, sp.Resource = 77, 2, "db", "SELECT 1"
	})
	s.AddSpans(child)
	s.AddSpans(chunk(1))
	got, _ := s.Trace(child.TraceID)
	if len(got.Spans) != 2 || got.Root().SpanID != 2 {
		t.Errorf("%+v", got)
	}
	if listed, n := s.Traces(Filter{Limit: 10}); n != 1 || listed[0].Spans != 2 || listed[0].Resource != "GET /" {
		t.Errorf("%+v", listed)
	}
	if calls := s.Calls(); len(calls) != 1 || calls[0].From != "web" || calls[0].To != "db" { // the child arrived first
		t.Errorf("%v", calls)
	}
}

// TestBudget stores more traces than the budget holds: errors, the slowest and the
// latest are kept.
func TestBudget(t *testing.T) {
	s := New(MinBudget)
	const n = 30_000
	for i := range n {
		s.AddSpans(chunk(i, func(sp *span.Span) {
			sp.Tags["text"] = strings.Repeat("x", 500)
			sp.Error = i == 10
			if i == 20 {
				sp.Duration = time.Second
			}
		}))
	}
	u := s.Usage()
	if float64(u.TraceBytes) > traceShare*MinBudget || u.Traces < 1600 || u.EvictedTraces != int64(n-u.Traces) {
		t.Errorf("%+v", u)
	}
	for _, i := range []int{10, 20, n - 1, n - 1000} {
		if _, ok := s.Trace(chunk(i).TraceID); !ok {
			t.Errorf("trace %d was evicted", i)
		}
	}
	if _, ok := s.Trace(chunk(100).TraceID); ok {
		t.Error("trace 100 was not evicted")
	}
	for range 20_000 {
		s.AddLog(wire.DecodeLog([]byte(`{"msg":"`+strings.Repeat("y", 300)+`"}`), time.Now()))
	}
	if u := s.Usage(); float64(u.LogBytes) > logShare*MinBudget || u.EvictedLogs == 0 {
		t.Errorf("%+v", u)
	}
}

// TestServicesOfTraces: a service is known as long as a trace has a span of it.
func TestServicesOfTraces(t *testing.T) {
	s := newTraces(MinBudget)
	want := func(names ...string) {
		t.Helper()
		if got := slices.Sorted(slices.Values(s.serviceNames())); !slices.Equal(got, names) {
			t.Errorf("services %v, want %v", got, names)
		}
	}
	of := func(id int, service string) { s.add(chunk(id, func(sp *span.Span) { sp.Service = service })) }
	want()
	of(1, "a")
	of(2, "a")
	of(3, "b")
	of(3, "c") // the same span again
	want("a", "c")
	s.budget = 0
	s.evict() // all
	want()
	s.budget = MinBudget
	of(4, "d")
	want("d")
	s.clear(newTraces(0))
	want()
}

// TestProtectedTracesHaveHalfOfTheBytes: a few large traces with errors leave room for
// ordinary ones, and are themselves evicted when they are more than half.
func TestProtectedTracesHaveHalfOfTheBytes(t *testing.T) {
	const limit = int64(traceShare * MinBudget)
	failed := func(i int) span.Chunk {
		c := chunk(i, func(sp *span.Span) { sp.Error = true })
		for n := range 199 {
			c.Spans = append(c.Spans, chunk(i, func(sp *span.Span) {
				sp.SpanID, sp.ParentID = uint64(1_000_000+n), c.Spans[0].SpanID
				sp.Tags["text"] = strings.Repeat("x", 200)
			}).Spans[0])
		}
		return c
	}
	ordinary := func(i int) span.Chunk {
		return chunk(i, func(sp *span.Span) { sp.Tags["text"] = strings.Repeat("x", 700) })
	}
	s := New(MinBudget)
	for i := range 20 {
		s.AddSpans(failed(i))
	}
	size := s.Usage().TraceBytes / 20
	if 20*size < limit*3/4 || 20*size > limit {
		t.Fatalf("20 failed traces have %d bytes, want most of %d", 20*size, limit)
	}
	ordinaryKept := func() (n int) {
		for _, of := range s.traces.byID {
			if of.in == s.traces.plain {
				n++
			}
		}
		return n
	}
	for i := range 750 {
		s.AddSpans(ordinary(1000 + i))
	}
	if n := ordinaryKept(); n < 720 {
		t.Errorf("%d of 750 ordinary traces are kept", n)
	}
	for i := range 5000 {
		s.AddSpans(ordinary(10_000 + i))
	}
	if s.traces.guarded > limit/2 || s.traces.guarded < limit/2-size || s.traces.used > limit {
		t.Errorf("protected traces have %d of %d bytes, want nearly %d", s.traces.guarded, s.traces.used, limit/2)
	}
	// A trace that is protected later, and one that grows afterwards.
	s = New(MinBudget)
	for i := range 100 {
		c := failed(i)
		c.Spans[0].Error = false
		s.AddSpans(span.Chunk{TraceID: c.TraceID, Spans: c.Spans[1:100]})
		s.AddSpans(span.Chunk{TraceID: c.TraceID, Spans: c.Spans[100:]})
	}
	var all, protected int64
	for _, of := range s.traces.byID {
		all += of.size
		if of.in == s.traces.protected {
			protected += of.size
		}
	}
	if s.traces.used != all || s.traces.guarded != protected {
		t.Errorf("counted %d bytes, %d protected; traces have %d, %d", s.traces.used, s.traces.guarded, all, protected)
	}
}

// TestEventsAndLinksHaveASize: they count towards the budget.
func TestEventsAndLinksHaveASize(t *testing.T) {
	text := strings.Repeat("x", 1000)
	size := func(change ...func(*span.Span)) int64 { return newInterner().intern(chunk(1, change...).Spans)[0] }
	for name, change := range map[string]func(*span.Span){
		"name of an event": func(sp *span.Span) { sp.Events = []span.Event{{Name: text}} },
		"event":            func(sp *span.Span) { sp.Events = []span.Event{{Attributes: map[string]string{"a": text}}} },
		"link":             func(sp *span.Span) { sp.Links = []span.Link{{Attributes: map[string]string{text: "a"}}} },
	} {
		if got := size(change) - size(); got < 1000 || got > 1600 {
			t.Errorf("%s: %d bytes, want some more than 1000", name, got)
		}
	}
}

// TestSizesAreTrue compares the estimated size of traces with the memory that they need.
func TestSizesAreTrue(t *testing.T) {
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // frees what the first one has finalized
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	for _, spans := range []int{1, 2, 20, 200} {
		before := heap()
		s := newTraces(1 << 40)
		for i := 0; s.used < 20_000_000; i++ {
			c := span.Chunk{TraceID: fmt.Sprintf("6b060d8f00000000%016x", i+1), Spans: make([]span.Span, 0, spans)}
			for n := range spans {
				c.Spans = append(c.Spans, span.Span{
					SpanID: uint64(i*spans+n) + 1, ParentID: uint64(i*spans) + 1, Service: text("shop"), Operation: text("http.request"),
					Resource: fmt.Sprint("GET /items/", i%20), Type: text("web"), Start: time.Unix(1_700_000_000, 0), Duration: time.Millisecond,
					Tags: map[string]string{
						text("http.method"): text("GET"), text("http.status_code"): text("200"), text("http.url"): fmt.Sprint("http://127.0.0.1:5050/items/7?page=", i),
						text("http.useragent"): text("Mozilla/5.0 (X11; Linux x86_64)"), text("span.kind"): text("server"), text("component"): text("net/http"),
						text("env"): text("test"), text("version"): text("1.2.3"), text("language"): text("go"),
					},
					Metrics: map[string]float64{text("_sampling_priority_v1"): 1, text("_top_level"): 1, text("process_id"): 4711},
				})
			}
			s.add(c)
		}
		needed := heap() - before
		if ratio := float64(needed) / float64(s.used); ratio < 0.8 || ratio > 1.1 {
			t.Errorf("traces of %d spans need %.2f times the estimate", spans, ratio)
		}
		runtime.KeepAlive(s)
	}
}

// text returns a copy of its own, like a decoder.
func text(s string) string { return strings.Clone(s) }

func TestFilter(t *testing.T) {
	s := New(0)
	s.AddSpans(chunk(1))
	s.AddSpans(chunk(2, func(sp *span.Span) { sp.Service = "db"; sp.Duration = time.Second }))
	s.AddSpans(chunk(3, func(sp *span.Span) {
		sp.Resource, sp.Error, sp.Tags = "GET /api/trace", true, map[string]string{"http.status_code": "503", "error.message": "Dial TCP"}
	}))
	for name, test := range map[string]struct {
		filter Filter
		want   int
	}{
		"all":      {Filter{}, 3},
		"service":  {Filter{Service: "db"}, 1},
		"resource": {Filter{Resource: "GET /api/trace"}, 1},
		"status":   {Filter{Status: "503"}, 1},
		"statuses": {Filter{Status: "2xx"}, 2},
		"errors":   {Filter{Errors: true}, 1},
		"slow":     {Filter{MinDuration: 2 * time.Millisecond}, 1},
		"fast":     {Filter{MaxDuration: 2 * time.Millisecond}, 2},
		"from":     {Filter{From: time.Unix(1_700_000_002, 0)}, 2},
		"to":       {Filter{To: time.Unix(1_700_000_002, 0)}, 1},
		"text":     {Filter{Text: " dial tcp "}, 1},
		"ID":       {Filter{Text: chunk(2).TraceID}, 1},
		"both":     {Filter{Service: "web", Text: "GET"}, 2},
		"no match": {Filter{Service: "none"}, 0},
	} {
		test.filter.Limit = 10
		if listed, n := s.Traces(test.filter); n != test.want || len(listed) != n {
			t.Errorf("%s: %d, want %d", name, n, test.want)
		}
	}
	if listed, n := s.Traces(Filter{Limit: 1}); n != 3 || len(listed) != 1 || listed[0].Resource != "GET /api/trace" {
		t.Errorf("limit 1: %+v of %d, want the latest of 3", listed, n)
	}
}

func BenchmarkFilter(b *testing.B) {
	s := New(1 << 30)
	for i := range 50_000 {
		s.AddSpans(chunk(i))
	}
	for b.Loop() {
		if _, n := s.Traces(Filter{Text: "nowhere", Limit: 200}); n != 0 {
			b.Fatal(n)
		}
		if _, n := s.Traces(Filter{Service: "web", Limit: 200}); n != 50_000 {
			b.Fatal(n)
		}
	}
}

// TestGrowingTrace adds chunks of traces in any order, and compares what the store
// updates with what it computes from the whole trace.
func TestGrowingTrace(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		var all []span.Span
		for i := range 1 + r.IntN(12) {
			all = append(all, chunk(0, func(sp *span.Span) {
				sp.SpanID, sp.ParentID = uint64(i)+1, uint64(r.IntN(i+2)) // may be its own
				sp.Start = sp.Start.Add(time.Duration(r.IntN(20)) * time.Millisecond)
				sp.Service, sp.Resource = fmt.Sprint("s", r.IntN(3)), fmt.Sprint("r", i)
			}).Spans[0])
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		s, whole := storeAt(all[0].End()), storeAt(all[0].End())
		for rest := all; len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			s.AddSpans(span.Chunk{TraceID: trace1, Spans: rest[:n]})
			rest = rest[n:]
			got, _ := s.Traces(Filter{Limit: 1})
			trace, _ := s.Trace(trace1)
			if want := trace.Root(); got[0].Resource != want.Resource || got[0].Spans != len(trace.Spans) {
				t.Fatalf("seed %d, %d of %d spans: %s, want %s", seed, len(trace.Spans), len(all), got[0].Resource, want.Resource)
			}
		}
		whole.AddSpans(span.Chunk{TraceID: trace1, Spans: all})
		calls := func(s *Store) string {
			counted := map[string]int64{}
			for _, c := range s.Calls() {
				counted[c.From+" "+c.To] = c.Hits
			}
			return fmt.Sprint(counted)
		}
		if got, want := calls(s), calls(whole); got != want {
			t.Fatalf("seed %d: calls %s, want %s", seed, got, want)
		}
	}
}

const trace1 = "6b060d8f000000007aa1645abafb4873"

// BenchmarkGrowingTrace adds single spans to a trace that never ends.
func BenchmarkGrowingTrace(b *testing.B) {
	s := New(1 << 30)
	for i := 0; b.Loop(); i++ {
		c := chunk(i, func(sp *span.Span) { sp.ParentID = 1 << 60 })
		c.TraceID = trace1
		s.AddSpans(c)
	}
}

func TestBudgetInMB(t *testing.T) {
	for mb, want := range map[uint]string{
		7:             "0 must be at least 8 MB, got 7",
		8:             "8000000 <nil>",
		128:           "128000000 <nil>",
		9223372036854: "9223372036854000000 <nil>",
		9223372036855: "0 must be at most 9223372036854 MB, got 9223372036855",
	} {
		bytes, err := Budget(mb)
		if got := fmt.Sprint(bytes, " ", err); got != want {
			t.Errorf("%d: %s, want %s", mb, got, want)
		}
	}
}

func TestTracesBetween(t *testing.T) {
	s := New(0)
	for _, i := range []int{3, 1, 2, 4} {
		s.AddSpans(chunk(i, func(sp *span.Span) {
			sp.Start = time.Unix(int64(i), 0)
			sp.Metrics["_dd.rule_psr"] = 1 / float64(i)
		}))
	}
	var got []string
	for trace, weight := range s.TracesBetween(time.Unix(2, 0), time.Unix(4, 0)) {
		got = append(got, fmt.Sprintf("%d: %.0f", trace.Root().Start.Unix(), weight))
	}
	if want := []string{"2: 2", "3: 3"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
