package store

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/sketches-go/ddsketch"
	sketches "github.com/DataDog/sketches-go/ddsketch/store"
	"google.golang.org/protobuf/proto"
)

// sketch returns durations in nanoseconds as tracers encode them.
func sketch(t *testing.T, durations ...time.Duration) []byte {
	t.Helper()
	s := ddsketch.NewDDSketchFromStoreProvider(accuracy, sketches.DenseStoreConstructor)
	for _, d := range durations {
		if err := s.Add(float64(d)); err != nil {
			t.Fatal(err)
		}
	}
	out, err := proto.Marshal(s.ToProto())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func stats(start time.Time, groups ...*pb.ClientGroupedStats) *pb.StatsPayload {
	return &pb.StatsPayload{ClientComputed: true, Stats: []*pb.ClientStatsPayload{{Env: "dev", Version: "1.2.3",
		Stats: []*pb.ClientStatsBucket{{Start: uint64(start.UnixNano()), Duration: uint64(10 * time.Second), Stats: groups}}}}}
}

func forever(s *Store, name string) []Past { return s.Past(name, time.Unix(0, 0), time.Unix(1<<40, 0)) }

func TestHistoryOfTraceMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(0)
		names := []string{"trace.http.request", "trace.http.request.hits", "trace.http.request.errors", "trace.http.request.apdex"}
		s.KeepHistory(names, names[1:3], Host{Name: "vm", Tags: []string{"env:host", "team:shop"}})
		group := func(resource string, status uint32, errors uint64) *pb.ClientGroupedStats {
			return &pb.ClientGroupedStats{Service: "My Shop", Name: "http.request", Resource: resource, HTTPStatusCode: status, Hits: 4, Errors: errors,
				OkSummary: sketch(t, 100*time.Millisecond, time.Second, 3*time.Second), ErrorSummary: sketch(t, 5*time.Second)}
		}
		s.AddStatistics(stats(time.Now(), group("GET /a", 200, 1), group("GET /a", 500, 1), group("GET /b", 200, 0)))
		s.AddStatistics(stats(time.Now(), &pb.ClientGroupedStats{Service: "My Shop", Name: "other", Resource: "x", Hits: 1}))

		hits := forever(s, names[1])
		var all []string
		for _, p := range hits {
			all = append(all, fmt.Sprint(p.Kind, " ", p.Cells[0].Sum, " ", strings.Join(p.Tags, " ")))
		}
		// from 1970 is older than six hours, so these are the slices
		if want := []string{"count 12 env:dev host:vm service:my_shop team:shop version:1.2.3"}; !slices.Equal(all, want) {
			t.Errorf("hits for 30 days: %q, want %q", all, want)
		}
		recent := func(name string) []Past { return s.Past(name, time.Now().Add(-time.Hour), time.Now().Add(time.Minute)) }
		all = nil
		for _, p := range recent(names[1]) {
			all = append(all, fmt.Sprint(p.Cells[0].Sum, " ", strings.Join(p.Tags, " ")))
		}
		want := []string{
			"4 env:dev host:vm http.status_code:200 resource:get_/a resource_name:get_/a service:my_shop team:shop version:1.2.3",
			"4 env:dev host:vm http.status_code:200 resource:get_/b resource_name:get_/b service:my_shop team:shop version:1.2.3",
			"4 env:dev host:vm http.status_code:500 resource:get_/a resource_name:get_/a service:my_shop team:shop version:1.2.3",
		}
		slices.Sort(all)
		if !slices.Equal(all, want) {
			t.Errorf("hits:\n%s\nwant\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
		}
		if got := recent(names[2]); len(got) != 2 || got[0].Cells[0].Sum != 1 {
			t.Errorf("errors of %d series, want 2 with an error each: %+v", len(got), got)
		}
		durations := recent(names[0])
		if len(durations) != 2 || durations[0].Kind != DistributionMetric || slices.ContainsFunc(durations[0].Tags, func(tag string) bool { return strings.HasPrefix(tag, "http.status_code") }) {
			t.Fatalf("durations: %+v, want two distributions without a status code", durations)
		}
		if c := durations[0].Cells[0]; c.Count != 8 || math.Abs(c.Values.Value(1)/float64(5*time.Second)-1) > 0.02 {
			t.Errorf("GET /a has %g durations up to %g ns, want 8 up to 5 s", c.Count, c.Values.Value(1))
		}
		// Of four requests one is quick, one is fair, two are slow or failed: (1 + 1/2)/4.
		if apdex := recent(names[3]); len(apdex) != 1 || apdex[0].Cells[0].Sum/apdex[0].Cells[0].Count != 0.375 {
			t.Errorf("Apdex: %+v, want 0.375", apdex)
		}
		if got := recent("trace.other.hits"); got != nil {
			t.Errorf("a metric that nobody asked for is kept: %+v", got)
		}
	})
}

func TestHistoryOfDogStatsD(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(0)
		s.AddPacket("early:1|c")
		s.KeepHistory([]string{"early", "count", "gauge", "timer.95percentile", "timer.max", "timer.avg", "timer.count", "timer.median", "dist", "check"}, []string{"dist"}, Host{Name: "vm", Tags: []string{"env:host"}})
		s.AddPacket("count:2|c|@0.5|#env:dev\ncount:3|c|#env:dev\ngauge:7|g\ngauge:5|g|#host:other\nother:1|c\n_sc|check|2|m:down")
		s.AddPacket("timer:10|ms\ntimer:20|ms\ntimer:30|ms\ndist:4|d|#env:dev,color:red\ndist:6|d|#env:dev,color:blue")
		for name, want := range map[string]string{
			"count":              "count 7 env:dev,host:vm",
			"gauge":              "gauge 5 env:host,host:other; gauge 7 env:host,host:vm",
			"timer.count":        "gauge 3 env:host,host:vm",
			"timer.avg":          "gauge 20 env:host,host:vm",
			"timer.median":       "gauge 20 env:host,host:vm",
			"timer.max":          "gauge 30 env:host,host:vm",
			"timer.95percentile": "gauge 20 env:host,host:vm", // the rank 1.9 of 0 to 2
			"other":              "",
			"early":              "",
		} {
			var got []string
			for _, p := range forever(s, name) {
				got = append(got, fmt.Sprintf("%s %.0f %s", p.Kind, p.Cells[0].Sum, strings.Join(p.Tags, ",")))
			}
			slices.Sort(got)
			if got := strings.Join(got, "; "); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		if old := forever(s, "dist"); len(old) != 1 || old[0].Cells[0].Count != 2 {
			t.Errorf("dist for 30 days: %+v, want one series of both colors", old)
		}
		results := s.PastChecks("check")
		if len(results) != 1 || results[0][0].Status != "critical" || !slices.Contains(results[0][0].Tags, "host:vm") {
			t.Errorf("results: %+v, want one critical result of host:vm", results)
		}
		for range maxResults {
			s.AddPacket("_sc|check|0")
		}
		if results = s.PastChecks("check"); len(results[0]) != maxResults || results[0][0].Status != "ok" {
			t.Errorf("%d results, want the latest %d", len(results[0]), maxResults)
		}
		s.Clear()
		if forever(s, "count") != nil || s.PastChecks("check") != nil {
			t.Error("Clear left metrics")
		}
		if s.AddPacket("count:1|c"); len(forever(s, "count")) != 1 {
			t.Error("after Clear the metric is no longer kept")
		}
	})
}

func TestHistoryStaysWithinBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := New(MinBudget)
		s.KeepHistory([]string{"d", "c"}, nil, Host{})
		budget := int64(historyShare * MinBudget)
		for i := range 2 * maxPast {
			s.AddPacket(fmt.Sprintf("c:1|c|#n:%d", i))
		}
		if u := s.Usage(); u.History != maxPast || u.RefusedHistory != maxPast {
			t.Errorf("%d series, %d values refused, want %d each", u.History, u.RefusedHistory, maxPast)
		}
		if s.Clear(); s.Usage().RefusedHistory != 0 {
			t.Error("Clear does not forget the refused values")
		}
		for range 400 {
			for i := range 10 {
				s.AddPacket(fmt.Sprintf("d:%d|d|#n:%d", i, i))
			}
			time.Sleep(10 * time.Second)
			if u := s.Usage(); u.HistoryBytes > budget {
				t.Fatalf("%d bytes, more than the budget of %d", u.HistoryBytes, budget)
			}
		}
		u := s.Usage()
		if u.HistoryFrom == nil {
			t.Fatal("nothing was evicted")
		}
		if got := forever(s, "d"); len(got) != 10 || got[0].Cells[0].Start+300 < u.HistoryFrom.Unix() {
			t.Errorf("%d series, the first from %d, want 10 from about %d", len(got), got[0].Cells[0].Start, u.HistoryFrom.Unix())
		}
		time.Sleep(7 * time.Hour)
		if s.AddPacket("c:1|c"); s.Usage().History != 1 {
			t.Errorf("%d series, want 1: the others have ended", s.Usage().History)
		}
	})
}

func TestHistoryIsReadBesideWriters(t *testing.T) {
	t.Parallel()
	s := New(0)
	s.KeepHistory([]string{"d", "check"}, []string{"d"}, Host{})
	var writers sync.WaitGroup
	for range 2 {
		writers.Go(func() {
			for i := range 300 {
				s.AddPacket(fmt.Sprintf("d:%d|d\n_sc|check|0", i))
			}
		})
	}
	for range 50 {
		for _, p := range forever(s, "d") {
			for _, c := range p.Cells {
				c.Values.Value(0.5)
			}
		}
		s.PastChecks("check")
		s.Usage()
	}
	writers.Wait()
	sum := 0.0
	for _, p := range s.Past("d", time.Now().Add(-time.Hour), time.Now().Add(time.Hour)) {
		for _, c := range p.Cells {
			sum += c.Count
		}
	}
	if sum != 600 {
		t.Errorf("%g values, want 600", sum)
	}
}

func TestHistoryIsSaved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		names := []string{"c", "g", "d", "check"}
		s := New(0)
		s.KeepHistory(names, []string{"c", "d"}, Host{Name: "vm"})
		began := s.PastSince()
		for i := range 800 {
			s.AddPacket(fmt.Sprintf("c:2|c|#env:dev\ng:%d|g\nd:%d|d|#env:dev\n_sc|check|%d|m:%d", i, i%100+1, i%3, i))
			time.Sleep(10 * time.Second)
		}
		var file bytes.Buffer
		if err := s.SaveHistory(&file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		s.AddPacket("other:1|c") // cells become older
		again := New(0)
		again.KeepHistory(names[:3], []string{"c", "d"}, Host{Name: "vm"})
		content := file.Bytes()
		if err := again.RestoreHistory(bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if got := again.PastSince(); !got.Equal(began) {
			t.Errorf("kept since %s, want %s", got, began)
		}
		for _, name := range names[:3] {
			for _, from := range []time.Time{time.Unix(0, 0), time.Now().Add(-3 * time.Hour)} {
				before, after := s.Past(name, from, time.Now()), again.Past(name, from, time.Now())
				if got, want := sums(after), sums(before); got != want || want == "" {
					t.Errorf("%s from %s: %s, want %s", name, from, got, want)
				}
			}
		}
		if u := again.Usage(); u.HistoryBytes != s.Usage().HistoryBytes || u.HistoryBytes == 0 {
			t.Errorf("%d bytes, want %d", u.HistoryBytes, s.Usage().HistoryBytes)
		}
		if again.PastChecks("check") != nil {
			t.Error("a check that is no longer kept is restored")
		}
		again = New(0)
		again.KeepHistory(names, nil, Host{})
		if err := again.RestoreHistory(bytes.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		if got := again.PastChecks("check"); len(got) != 1 || len(got[0]) != maxResults || got[0][maxResults-1].Message != "799" || got[0][maxResults-1].Status != "warning" {
			t.Errorf("checks: %+v", got)
		}
		for _, damaged := range [][]byte{nil, content[:len(content)/2], []byte("something else")} {
			if err := New(0).RestoreHistory(bytes.NewReader(damaged)); !errors.Is(err, errDamaged) {
				t.Errorf("%d bytes of a history: %v, want an error", len(damaged), err)
			}
		}
	})
}

// TestHistoryOfARecording begins with the recording, not with the program.
func TestHistoryOfARecording(t *testing.T) {
	t.Parallel()
	s := New(0)
	s.KeepHistory(nil, []string{"c"}, Host{})
	at := time.Unix(1_700_000_000, 0)
	s.Replay(at)
	s.AddPacket("c:1|c")
	s.Replay(at.Add(time.Hour))
	if got := s.PastSince(); !got.Equal(at) {
		t.Errorf("the history begins at %s, want %s", got, at)
	}
}

// sums writes the tags, the numbers of values and their sums.
func sums(of []Past) string {
	var all []string
	for _, p := range of {
		sum, count, p95 := 0.0, 0.0, 0.0
		for _, c := range p.Cells {
			sum, count = sum+c.Sum, count+c.Count
			if c.Values != nil {
				p95 += c.Values.Value(0.95)
			}
		}
		all = append(all, fmt.Sprintf("%s %s %d cells: %.3f of %.3f, %.3f", p.Tags, p.Kind, len(p.Cells), sum, count, p95))
	}
	return strings.Join(all, "; ")
}
