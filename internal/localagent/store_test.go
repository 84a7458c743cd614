package localagent

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"mime/multipart"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/google/pprof/profile"
	"google.golang.org/protobuf/proto"

	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/poll"
	"apmapp/internal/traceagent"
)

// chunk returns a trace of one span.
func chunk(id int, change ...func(*traceagent.Span)) traceagent.Chunk {
	s := traceagent.Span{
		SpanID: uint64(id) + 1, Service: "web", Operation: "http.request", Resource: "GET /", Type: "web",
		Start: time.Unix(1_700_000_000+int64(id), 0), Duration: time.Millisecond,
		Tags: map[string]string{"http.status_code": "200"}, Metrics: map[string]float64{"_top_level": 1},
	}
	for _, f := range change {
		f(&s)
	}
	return traceagent.Chunk{TraceID: fmt.Sprintf("6b060d8f00000000%016x", id+1), Spans: []traceagent.Span{s}}
}

func TestTraceIsFoundByEachFormOfItsID(t *testing.T) {
	s := NewStore(0)
	s.AddSpans(traceagent.Chunk{TraceID: "6b060d8f000000007aa1645abafb4873", Spans: chunk(1).Spans})
	for _, id := range []string{"6b060d8f000000007aa1645abafb4873", "6B060D8F000000007AA1645ABAFB4873", "7aa1645abafb4873", "8836454284724488307"} {
		if got, ok := s.Trace(id); !ok || got.ID != "6b060d8f000000007aa1645abafb4873" {
			t.Errorf("%s: %v, %v", id, got.ID, ok)
		}
		if !SameTrace("6b060d8f000000007aa1645abafb4873", strings.ToLower(id)) {
			t.Errorf("SameTrace(%s) is false", id)
		}
	}
	for _, id := range []string{"", "x", "7aa1645abafb4874", "1", "-1"} {
		if _, ok := s.Trace(id); ok {
			t.Errorf("%q is found", id)
		}
	}
}

func TestChunksOfATraceAreJoined(t *testing.T) {
	s := NewStore(0)
	child := chunk(1, func(sp *traceagent.Span) {
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
	calls := s.services.calls // the child arrived first
	if of := calls[callKey{"web", "db"}]; of == nil || len(calls) != 1 {
		t.Errorf("%v", calls)
	}
}

// TestBudget stores more traces than the budget holds: errors, the slowest and the
// latest are kept.
func TestBudget(t *testing.T) {
	s := NewStore(MinBudget)
	const n = 30_000
	for i := range n {
		s.AddSpans(chunk(i, func(sp *traceagent.Span) {
			sp.Tags["text"] = strings.Repeat("x", 500)
			sp.Error = i == 10
			if i == 20 {
				sp.Duration = time.Second
			}
		}))
	}
	u := s.Usage()
	if float64(u.TraceBytes) > traceShare*MinBudget || u.Traces < 3000 || u.EvictedTraces != int64(n-u.Traces) {
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
		s.AddLog(ParseLog([]byte(`{"msg":"`+strings.Repeat("y", 300)+`"}`), time.Now()))
	}
	if u := s.Usage(); float64(u.LogBytes) > logShare*MinBudget || u.EvictedLogs == 0 {
		t.Errorf("%+v", u)
	}
}

func TestFilter(t *testing.T) {
	s := NewStore(0)
	s.AddSpans(chunk(1))
	s.AddSpans(chunk(2, func(sp *traceagent.Span) { sp.Service = "db"; sp.Duration = time.Second }))
	s.AddSpans(chunk(3, func(sp *traceagent.Span) {
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
	s := NewStore(1 << 30)
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

// TestGrowingTrace adds chunks of traces in any order, and compares what the store
// updates with what it computes from the whole trace.
func TestGrowingTrace(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		var all []traceagent.Span
		for i := range 1 + r.IntN(12) {
			all = append(all, chunk(0, func(sp *traceagent.Span) {
				sp.SpanID, sp.ParentID = uint64(i)+1, uint64(r.IntN(i+2)) // may be its own
				sp.Start = sp.Start.Add(time.Duration(r.IntN(20)) * time.Millisecond)
				sp.Service, sp.Resource = fmt.Sprint("s", r.IntN(3)), fmt.Sprint("r", i)
			}).Spans[0])
		}
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		s, whole := NewStore(0), NewStore(0)
		for rest := all; len(rest) > 0; {
			n := 1 + r.IntN(len(rest))
			s.AddSpans(traceagent.Chunk{TraceID: trace1, Spans: rest[:n]})
			rest = rest[n:]
			got, _ := s.Traces(Filter{Limit: 1})
			trace, _ := s.Trace(trace1)
			if want := trace.Root(); got[0].Resource != want.Resource || got[0].Spans != len(trace.Spans) {
				t.Fatalf("seed %d, %d of %d spans: %s, want %s", seed, len(trace.Spans), len(all), got[0].Resource, want.Resource)
			}
		}
		whole.AddSpans(traceagent.Chunk{TraceID: trace1, Spans: all})
		calls := func(s *Store) string {
			counted := map[string]float64{}
			for key, of := range s.services.calls {
				for _, b := range of.ring {
					if b != nil {
						counted[key.from+" "+key.to] += b.received
					}
				}
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
	s := NewStore(1 << 30)
	for i := 0; b.Loop(); i++ {
		c := chunk(i, func(sp *traceagent.Span) { sp.ParentID = 1 << 60 })
		c.TraceID = trace1
		s.AddSpans(c)
	}
}

func TestParseLog(t *testing.T) {
	now := time.Unix(5, 0)
	for line, want := range map[string]string{
		`{"msg":"m","level":"warn","dd.service":"s","dd.trace_id":"t","dd.span_id":"1","timestamp":"2026-01-02T03:04:05Z"}`: "2026-01-02T03:04:05Z WARN s m t 1",
		`{"message":"m","status":"error","dd":{"service":"s","trace_id":"12","span_id":7}}`:                                 "1970-01-01T00:00:05Z ERROR s m 12 7",
		`plain text`:             "1970-01-01T00:00:05Z INFO  plain text  ",
		`{"msg":`:                `1970-01-01T00:00:05Z INFO  {"msg":  `,
		`[1]`:                    "1970-01-01T00:00:05Z INFO  [1]  ",
		`{"msg":{"a":1}}`:        `1970-01-01T00:00:05Z INFO  {"msg":{"a":1}}  `,
		"{\"msg\":\"\xff bad\"}": "1970-01-01T00:00:05Z INFO  \uFFFD bad  ",
	} {
		l := ParseLog([]byte(line), now)
		got := fmt.Sprintf("%s %s %s %s %s %s", l.Time.UTC().Format(time.RFC3339), l.Level, l.Service, l.Message, l.TraceID, l.SpanID)
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", line, got, want)
		}
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add(`{"dd":{"trace_id":"1"},"msg":"m"}`)
	f.Fuzz(func(t *testing.T, line string) {
		l := ParseLog([]byte(line), time.Now())
		if len(l.Raw) > 3*len(line) || strings.ToValidUTF8(l.Raw, "") != l.Raw {
			t.Errorf("%q", l.Raw)
		}
	})
}

func TestLogWriter(t *testing.T) {
	s := NewStore(0)
	w := NewLogWriter(s)
	for _, piece := range []string{"one\ntw", "o\n\n", "three", "\n", strings.Repeat("x", maxLine+10), "\nfour\nfive"} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	lines, _ := s.Logs(LogFilter{Limit: 10})
	var got []string
	for _, l := range lines {
		got = append(got, l.Message[:min(5, len(l.Message))])
	}
	if want := "[four xxxxx three two one]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}

func TestFollow(t *testing.T) {
	name := filepath.Join(t.TempDir(), "service.log")
	var got lockedbuffer.Buffer
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- Follow(ctx, name, &got) }()
	write := func(flags int, text string) {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|flags, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, text)
		f.Close()
	}
	await := func(want string) {
		t.Helper()
		poll.True(t, fmt.Sprintf("%q is copied", want), func() bool { return got.String() == want })
	}
	write(0, "first\n")
	await("first\n")
	write(os.O_APPEND, "second\n")
	await("first\nsecond\n")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	write(0, "rotated\n")
	await("first\nsecond\nrotated\n")
	write(os.O_TRUNC, "cut\n")
	await("first\nsecond\nrotated\ncut\n")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestParseSample(t *testing.T) {
	for line, want := range map[string]string{
		"a.b:1|c":                        "a.b c [1] []",
		"a.b:1.5|g|#env:dev,x":           "a.b g [1.5] [env:dev x]",
		"a:2|c|@0.5":                     "a c [4] []",
		"a:1:2:3|d|#x:y|c:container|T16": "a d [1 2 3] [x:y]",
		"a:bob|s":                        "a s [1] []",
		"a:3|ms|@1":                      "a ms [3] []",
		"a":                              "error",
		"a:1":                            "error",
		":1|c":                           "error",
		"a:x|c":                          "error",
		"a:NaN|g":                        "error",
		"a:1|q":                          "error",
		"a:1|c|@0":                       "error",
		"a|b:1|c":                        "error",
		"a:|c":                           "error",
	} {
		got := "error"
		if s, err := ParseSample(line); err == nil {
			got = fmt.Sprint(s.Name, " ", s.Type, " ", s.Values, " ", s.Tags)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", line, got, want)
		}
	}
}

func FuzzParseSample(f *testing.F) {
	f.Add("a.b:1|c|@0.5|#x:y")
	f.Fuzz(func(t *testing.T, line string) {
		if s, err := ParseSample(line); err == nil && (s.Name == "" || len(s.Values) == 0) {
			t.Errorf("%+v", s)
		}
	})
}

func TestMetricsByTime(t *testing.T) {
	s := NewStore(0)
	now := time.Unix(1_700_000_000, 0)
	s.AddPacket("c:1|c|#b,a\nc:2|c|#a,b\ng:1|g\ng:5|g\nh:1|h\nh:3|h\n_e{1,1}:a|b\nbroken\n", now)
	s.AddPacket("c:4|c|#a,b", now.Add(bucketLength))
	got := map[string]string{}
	for _, m := range s.Metrics("") {
		var values []float64
		for _, p := range m.Points {
			values = append(values, p.Value)
		}
		got[m.Name+" "+m.Tags] = fmt.Sprint(values)
	}
	if want := "map[c a,b:[3 4] g :[5] h :[2]]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if n := s.Usage().MalformedPackets; n != 1 {
		t.Errorf("%d malformed, want 1", n)
	}
}

// form returns an upload like a profiler's.
func form(t *testing.T, files map[string][]byte) (contentType string, body *bytes.Buffer) {
	t.Helper()
	body = new(bytes.Buffer)
	w := multipart.NewWriter(body)
	for name, data := range files {
		field := strings.TrimSuffix(name, filepath.Ext(name))
		part, err := w.CreateFormFile(field, name)
		if err != nil {
			t.Fatal(err)
		}
		part.Write(data)
	}
	w.Close()
	return w.FormDataContentType(), body
}

func TestUpload(t *testing.T) {
	var heap bytes.Buffer
	if err := pprof.Lookup("heap").WriteTo(&heap, 0); err != nil {
		t.Fatal(err)
	}
	event := []byte(`{"start":"2026-01-02T03:04:05Z","end":"2026-01-02T03:05:05Z","tags_profiler":"env:dev,service:web"}`)
	s := NewStore(0)
	upload := func(files map[string][]byte) error {
		contentType, body := form(t, files)
		r := httptest.NewRequest("POST", "/profiling/v1/input", body)
		r.Header.Set("Content-Type", contentType)
		return s.Upload(r)
	}
	if err := upload(map[string][]byte{"event.json": event, "delta-heap.pprof": heap.Bytes(), "main.jfr": []byte("jfr")}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.LeftOut()); got != "map[.jfr:1]" {
		t.Errorf("left out: %s", got)
	}
	all := s.Profiles("web", "heap")
	if len(all) != 1 || all[0].Start.IsZero() || all[0].End.Sub(all[0].Start) != time.Minute {
		t.Fatalf("%+v", all)
	}
	if _, p, ok := s.Profile(all[0].ID); !ok || len(p.SampleType) != 4 {
		t.Error("the profile is not found, or has not 4 values")
	}
	if _, _, ok := s.Profile(all[0].ID + 1); ok {
		t.Error("a profile that was not uploaded is found")
	}
	for name, files := range map[string]map[string][]byte{
		"malformed profile":  {"event.json": event, "cpu.pprof": []byte("nonsense")},
		"malformed event":    {"event.json": []byte("{"), "cpu.pprof": heap.Bytes()},
		"no values":          {"event.json": event, "cpu.pprof": []byte("\x0a\x04\x08\x01\x10\x02\x12\x00\x32\x00\x32\x03cpu\x32\x0bnanoseconds")},
		"decompression bomb": {"event.json": event, "cpu.pprof": gzipped(t, maxProfile+1)},
		"truncated":          {"event.json": event, "cpu.pprof": heap.Bytes()[:heap.Len()/2]},
	} {
		if err := upload(files); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader("x"))
	if err := s.Upload(r); err == nil {
		t.Error("a body that is not a form is accepted")
	}
	if n := len(s.Profiles("", "")); n != 1 {
		t.Errorf("%d profiles, want 1", n)
	}
}

// gzipped returns n zeros, compressed.
func gzipped(t *testing.T, n int64) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.CopyN(w, zeros{}, n); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func FuzzUpload(f *testing.F) {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}},
		Sample:     []*profile.Sample{{Value: []int64{1}, Label: map[string][]string{spanLabel: {"7"}, endpointLabel: {"GET /"}}}},
	}
	var plain bytes.Buffer
	if err := p.WriteUncompressed(&plain); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"start":"2026-01-02T03:04:05Z","tags_profiler":"service:web"}`), plain.Bytes(), "cpu.pprof")
	f.Add([]byte(`{}`), []byte{0x1f, 0x8b}, "heap.pprof")
	f.Add([]byte(`[`), []byte{0x28, 0xb5, 0x2f, 0xfd}, "main.jfr")
	f.Fuzz(func(t *testing.T, event, data []byte, name string) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for field, content := range map[string][]byte{"event": event, name: data} {
			part, err := w.CreateFormFile(field, field)
			if err != nil {
				t.Skip(err)
			}
			part.Write(content)
		}
		w.Close()
		r := httptest.NewRequest("POST", "/profiling/v1/input", &body)
		r.Header.Set("Content-Type", w.FormDataContentType())
		s := NewStore(0)
		err := s.Upload(r)
		for _, stored := range s.Profiles("", "") {
			if _, read, ok := s.Profile(stored.ID); err != nil || !ok {
				t.Errorf("an invalid profile is stored: %v", err)
			} else {
				OnlyFor(read, "GET /", 7)
			}
		}
	})
}

func TestOnlyFor(t *testing.T) {
	sample := func(endpoint, span, root string) *profile.Sample {
		return &profile.Sample{Value: []int64{1, 10}, Label: map[string][]string{endpointLabel: {endpoint}, spanLabel: {span}, rootLabel: {root}}}
	}
	samples := func() *profile.Profile {
		return &profile.Profile{
			SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
			Sample: []*profile.Sample{sample("GET /", "1", "1"), sample("GET /", "2", "1"), sample("GET /x", "3", "3"), {Value: []int64{1, 10}},
				{Value: []int64{1, 10}, NumLabel: map[string][]int64{spanLabel: {-1}}}}, // half of all IDs are negative as int64
		}
	}
	if got := fmt.Sprint(Endpoints(samples())); got != "map[GET /:2 GET /x:1]" {
		t.Error(got)
	}
	if got := fmt.Sprint(spans(samples())); got != "map[1:20ns 2:10ns 3:10ns 18446744073709551615:10ns]" {
		t.Error(got)
	}
	if got := spans(&profile.Profile{SampleType: []*profile.ValueType{{Type: "delay", Unit: "nanoseconds"}}}); got != nil {
		t.Error(got)
	}
	for _, test := range []struct {
		endpoint string
		span     uint64
		want     int
	}{{"", 0, 5}, {"GET /", 0, 2}, {"", 2, 1}, {"", 1, 2}, {"GET /x", 1, 0}, {"", math.MaxUint64, 1}} {
		p := samples()
		if OnlyFor(p, test.endpoint, test.span); len(p.Sample) != test.want {
			t.Errorf("%q, %d: %d samples, want %d", test.endpoint, test.span, len(p.Sample), test.want)
		}
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
