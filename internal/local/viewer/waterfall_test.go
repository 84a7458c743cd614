package viewer

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

var begin = time.Unix(1_700_000_000, 0)

// span returns a span from one millisecond to another.
func spanOf(id, parent uint64, service string, from, to int) span.Span {
	return span.Span{
		SpanID: id, ParentID: parent, Service: service, Resource: fmt.Sprint("r", id),
		Start: begin.Add(time.Duration(from) * time.Millisecond), Duration: time.Duration(to-from) * time.Millisecond,
	}
}

func TestWaterfall(t *testing.T) {
	for name, test := range map[string]struct {
		spans []span.Span
		want  string // id depth offset width self critical
	}{
		"one after the other": {
			[]span.Span{spanOf(3, 1, "db", 60, 90), spanOf(1, 0, "web", 0, 100), spanOf(2, 1, "db", 10, 50)},
			"1 0 0 100 30ms true|2 1 10 40 40ms true|3 1 60 30 30ms true",
		},
		"in parallel: the parent waits for the longer one": {
			[]span.Span{spanOf(1, 0, "web", 0, 100), spanOf(2, 1, "db", 10, 50), spanOf(3, 1, "db", 10, 90)},
			"1 0 0 100 20ms true|2 1 10 40 40ms false|3 1 10 80 80ms true",
		},
		"a child that outlives its parent": {
			[]span.Span{spanOf(1, 0, "web", 0, 50), spanOf(2, 1, "jobs", 25, 100)},
			"1 0 0 50 25ms true|2 1 25 75 75ms false",
		},
		"parent not received": {
			[]span.Span{spanOf(2, 9, "db", 0, 100)},
			"2 0 0 100 100ms true",
		},
		"parents form a circle": {
			[]span.Span{spanOf(1, 2, "web", 0, 100), spanOf(2, 1, "web", 0, 50)},
			"1 0 0 100 50ms false|2 1 0 50 0s false",
		},
		"its own parent": {
			[]span.Span{spanOf(1, 1, "web", 0, 100)},
			"1 0 0 100 100ms true",
		},
		"a child without duration": {
			[]span.Span{spanOf(1, 0, "web", 0, 100), spanOf(2, 1, "db", 50, 50)},
			"1 0 0 100 100ms true|2 1 50 0 0s false",
		},
		"two spans with the same ID": {
			[]span.Span{spanOf(1, 0, "web", 0, 100), spanOf(2, 1, "db", 10, 50), spanOf(1, 2, "db", 20, 40)},
			"1 0 0 100 60ms true|2 1 10 40 20ms true|1 2 20 20 0s true",
		},
		"no duration": {
			[]span.Span{spanOf(1, 0, "web", 0, 0)},
			"1 0 0 0 0s true",
		},
	} {
		var got []string
		for _, r := range waterfall(store.Trace{Spans: test.spans}, nil) {
			got = append(got, fmt.Sprintf("%d %d %g %g %s %v", r.SpanID, r.Depth, r.Offset, r.Width, r.Self, r.Critical))
		}
		if s := strings.Join(got, "|"); s != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, s, test.want)
		}
	}
}

// TestWaterfallOfManySpans has the two shapes that cost most: deep and wide.
func TestWaterfallOfManySpans(t *testing.T) {
	const n = 10_000
	for name, parent := range map[string]func(i int) uint64{
		"deep": func(i int) uint64 { return uint64(i) },
		"wide": func(i int) uint64 { return min(uint64(i), 1) },
	} {
		var spans []span.Span
		for i := range n {
			spans = append(spans, spanOf(uint64(i)+1, parent(i), "web", i, 2*n-i))
		}
		rows := waterfall(store.Trace{Spans: spans}, nil)
		if len(rows) != n || !rows[0].Critical {
			t.Errorf("%s: %d rows", name, len(rows))
		}
	}
}

func TestLogLinesAreMarked(t *testing.T) {
	line := func(span string, at int) wire.Log {
		return wire.Log{SpanID: span, Message: span, Time: begin.Add(time.Duration(at) * time.Millisecond)}
	}
	rows := waterfall(store.Trace{Spans: []span.Span{spanOf(1, 0, "web", 0, 100), spanOf(2, 1, "db", 10, 50)}},
		[]wire.Log{line("1", 0), line("2", 25), line("2", 50), line("1", 101), line("3", 5), line("", 5), line("1", -1)})
	got := fmt.Sprint(rows[0].SpanID, len(rows[0].Logs), rows[0].Logs[0].Offset, rows[1].SpanID, len(rows[1].Logs), rows[1].Logs[0].Offset, rows[1].Logs[1].Offset)
	if want := "1 1 0 2 2 25 50"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestServiceMapPutsCallersLeft(t *testing.T) {
	services := []store.Service{{Name: "db"}, {Name: "queue"}, {Name: "web"}, {Name: "worker"}}
	call := func(from, to string) store.Call { return store.Call{From: from, To: to} }
	m := newServiceMap(services, []store.Call{call("web", "queue"), call("queue", "worker"), call("worker", "db"), call("web", "db"), call("db", "web")})
	at := map[string]int{}
	for _, n := range m.Nodes {
		at[n.Name] = n.X
	}
	if len(m.Edges) != 5 || at["web"] >= at["queue"] || at["queue"] >= at["worker"] {
		t.Errorf("%d calls, services at %v", len(m.Edges), at)
	}
	// Two columns of 200 pixels with 140 between them, two rows of 64 with 36 between
	// them, and a pixel on each side.
	m = newServiceMap([]store.Service{{Name: "web"}, {Name: "db"}, {Name: "queue"}}, []store.Call{call("web", "db"), call("web", "queue"), call("web", "gone")})
	got := fmt.Sprint(m.Width, m.Height, len(m.Edges), " ", m.Edges[1].Path, " ", m.Edges[1].LabelX, m.Edges[1].LabelY)
	for _, n := range m.Nodes {
		got += fmt.Sprintf(" %s %d,%d", n.Name, n.X, n.Y)
	}
	if want := "542 166 2 M201 33 C271 33 271 133 341 133 271 77 web 1,1 db 341,1 queue 341,101"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
