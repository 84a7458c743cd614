package viewer

import (
	"encoding/json"
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
		return wire.Log{SpanID: span, Message: span, Time: begin.Add(time.Duration(at)*time.Millisecond + 5)}
	}
	rows := waterfall(store.Trace{Spans: []span.Span{spanOf(1, 0, "web", 0, 100), spanOf(2, 1, "db", 10, 50)}},
		[]wire.Log{line("1", 0), line("2", 25), line("2", 50), line("1", 101), line("3", 5), line("", 5), line("1", -1)})
	got := fmt.Sprintf("%d %d %.2f %d %d %.2f %.2f", rows[0].SpanID, len(rows[0].Logs), rows[0].Logs[0].Offset, rows[1].SpanID, len(rows[1].Logs), rows[1].Logs[0].Offset, rows[1].Logs[1].Offset)
	if want := "1 1 0.00 2 2 25.00 50.00"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestTimeOfALogLine: a line whose time is cut off or rounded lands on its short span, a line
// that was written at another time does not.
func TestTimeOfALogLine(t *testing.T) {
	const us = time.Microsecond
	at := func(d time.Duration) time.Time { return time.Unix(1_700_000_000, 0).Add(12*time.Millisecond + d) }
	s := &span.Span{Start: at(300 * us), Duration: 200 * us} // 12.300 ms to 12.500 ms
	for name, c := range map[string]struct{ logged, want time.Time }{
		"within the span":              {at(400*us + 1), at(400*us + 1)},
		"cut off to ms":                {at(0), at(300 * us)},
		"rounded up to ms":             {at(1000 * us), at(500 * us)},
		"the ms before":                {at(-1000 * us), at(-1000 * us)},
		"the ms after":                 {at(2000 * us), at(2000 * us)},
		"cut off to seconds":           {time.Unix(1_700_000_000, 0), at(300 * us)},
		"rounded up to seconds":        {time.Unix(1_700_000_001, 0), time.Unix(1_700_000_001, 0)}, // 0.0125 s are rounded down
		"in µs, before":                {at(299 * us), at(299 * us)},
		"in ns, less than a µs before": {at(300*us - 1), at(300*us - 1)},
		"in ns, less than a µs after":  {at(500*us + 1), at(500*us + 1)},
		"at the start":                 {at(300 * us), at(300 * us)},
		"at the end":                   {at(500 * us), at(500 * us)},
	} {
		if got := written(c.logged, s); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	cut := &span.Span{Start: at(300*us + 700), Duration: 100}
	if got := written(at(300*us), cut); !got.Equal(cut.Start) {
		t.Errorf("cut off to µs: %s", got)
	}
}

// TestDrawing: the data of the script has each row with what is below it, and each text once.
func TestDrawing(t *testing.T) {
	spans := []span.Span{spanOf(1, 0, "web", 0, 100), spanOf(2, 1, "db", 10, 50), spanOf(3, 2, "db", 20, 30), spanOf(4, 1, "web", 60, 90), spanOf(18446744073709551615, 0, "jobs", 50, 60)}
	spans[2].Error, spans[2].Resource = true, spans[1].Resource
	spans[3].Resource = strings.Repeat("é", resourceLength+1)
	d := newDrawing(waterfall(store.Trace{Spans: spans}, []wire.Log{{SpanID: "3", Level: "WARN", Message: "slow", Time: begin.Add(25*time.Millisecond + 1)}}))
	got, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"services":["web","db","jobs"],"resources":["r1","r2","` + strings.Repeat("é", resourceLength) + `…","r18446744073709551615"],"rows":[` +
		`["1",0,0,0,0,100,"100ms",6,3],["2",1,1,1,10,40,"40.0ms",6,1],["3",2,1,1,20,10,"10.0ms",3,0],["4",1,0,2,60,30,"30.0ms",2,0],["18446744073709551615",0,2,3,50,10,"10.0ms",0,0]],` +
		`"marks":[[2,25,"warn","slow"]]}`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestStateOfATrace: a trace is complete when nothing of it is missing and its last span ended
// some time ago.
func TestStateOfATrace(t *testing.T) {
	partial := spanOf(2, 1, "web", 0, 50)
	partial.Metrics = map[string]float64{"_dd.partial_version": 1}
	whole, lost := []span.Span{spanOf(1, 0, "web", 0, 100)}, []span.Span{spanOf(1, 0, "web", 0, 100), spanOf(2, 9, "db", 0, 5), spanOf(3, 9, "db", 0, 5)}
	for _, c := range []struct {
		spans []span.Span
		after time.Duration
		want  string
	}{
		{whole, untilSent - 1, "the last span has just ended"},
		{whole, untilSent, ""},
		{lost, untilMissing - 1, "missing spans: 1"},
		{lost, untilMissing, ""},
		{append(whole[:1:1], partial), untilEnded - 1, "spans that have not ended: 1"},
		{append(whole[:1:1], partial), untilEnded, ""},
	} {
		got := stateOf(store.Trace{Spans: c.spans}, 3, begin.Add(100*time.Millisecond+c.after))
		if got.Arriving != c.want {
			t.Errorf("%d spans after %s: %q, want %q", len(c.spans), c.after, got.Arriving, c.want)
		}
	}
	versions := map[string]bool{}
	for _, spans := range [][]span.Span{whole, lost, append(whole[:1:1], partial), append(whole[:1:1], spanOf(2, 1, "web", 0, 50))} {
		for lines := range 2 {
			versions[stateOf(store.Trace{Spans: spans}, lines, begin).Version] = true
		}
	}
	if len(versions) != 8 {
		t.Errorf("%d versions of eight states: %v", len(versions), versions)
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
