package faults

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// telemetry adds what a sign looks for to a store, as of now.
type telemetry func(*store.Store)

var ids uint64

// requests are a number of traces of a request, with changes.
func requests(number int, change ...func(*span.Span)) telemetry {
	return func(s *store.Store) {
		for range number {
			ids++
			one := span.Span{SpanID: ids, Service: "web", Operation: "http.request", Resource: "GET /api/trace", Start: time.Now(), Duration: time.Millisecond, Tags: map[string]string{"http.status_code": "200"}}
			for _, c := range change {
				c(&one)
			}
			s.AddSpans(span.Chunk{TraceID: fmt.Sprintf("%032x", ids), Spans: []span.Span{one}})
		}
	}
}

func lasting(d time.Duration) func(*span.Span) { return func(s *span.Span) { s.Duration = d } }

func logged(level, text string) telemetry {
	return func(s *store.Store) {
		s.AddLog(wire.Log{Time: time.Now(), Level: level, Message: "request", Raw: text})
	}
}

func packet(text string) telemetry { return func(s *store.Store) { s.AddPacket(text) } }

func failed(s *span.Span) { s.Error = true; s.Tags["http.status_code"] = "503" }

// TestSigns shows each kind of sign, and what is not quite one. Nothing from before the
// fault is a sign of it.
func TestSigns(t *testing.T) {
	for _, tc := range []struct {
		sign  sign
		shows telemetry
		seen  string
		not   []telemetry
	}{
		{
			traces("", `service:SERVICE status:503`), requests(3, failed), "3 traces",
			[]telemetry{requests(2, failed), requests(9), requests(9, failed, func(s *span.Span) { s.Service = "other" })},
		},
		{
			slow("GET /api/trace", 200*time.Millisecond), requests(3, lasting(201*time.Millisecond)), "201ms",
			[]telemetry{requests(2, lasting(time.Second)), requests(50, lasting(200*time.Millisecond)), requests(9, lasting(time.Second), func(s *span.Span) { s.Resource = "GET /" })},
		},
		{
			line("", "ERROR", "refused", "broken"), logged("ERROR", "it is Broken"), `"request"`,
			[]telemetry{logged("WARN", "broken"), logged("ERROR", "slow")},
		},
		{
			refused(), packet("apmapp.requests.refused:20|c"), "2.00/s",
			[]telemetry{packet("apmapp.requests.refused:0|c"), packet("apmapp.requests:20|c")},
		},
		{
			cannotConnect(), packet("_sc|mysql.can_connect|2|m:no way " + strings.Repeat("é", 60)), `"no way ` + strings.Repeat("é", 53) + `…"`,
			[]telemetry{packet("_sc|mysql.can_connect|0"), packet("_sc|mysql.can_connect|1"), packet("_sc|other.can_connect|2")},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			begin := func() *Demo { return &Demo{Name: "web", Store: store.New(0)} }
			d := begin()
			tc.shows(d.Store)
			time.Sleep(time.Minute)
			since := time.Now()
			if got := tc.sign.seen(d, since); got != "" {
				t.Errorf("%s: seen before the fault: %s", tc.sign.page, got)
			}
			time.Sleep(time.Second)
			tc.shows(d.Store)
			time.Sleep(slot) // a point of a metric is complete
			if got := tc.sign.seen(d, since); got != tc.seen {
				t.Errorf("%s: seen %q, want %q", tc.sign.page, got, tc.seen)
			}
			for i, not := range tc.not {
				d := begin()
				since := time.Now()
				time.Sleep(time.Second)
				not(d.Store)
				time.Sleep(slot)
				if got := tc.sign.seen(d, since); got != "" {
					t.Errorf("%s: number %d is seen: %s", tc.sign.page, i, got)
				}
			}
		})
	}
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, since, s := &Demo{Name: "web", Store: store.New(0)}, time.Now(), silence(5*time.Second)
		time.Sleep(4 * time.Second)
		if s.seen(d, since) != "" {
			t.Error("seen after 4 s")
		}
		requests(1)(d.Store)
		time.Sleep(5*time.Second - time.Millisecond)
		if s.seen(d, since) != "" {
			t.Error("seen less than 5 s after a request")
		}
		time.Sleep(2 * time.Millisecond)
		if s.seen(d, since) != "0 traces" {
			t.Error("not seen 5 s after the last request")
		}
	})
}

// All is well after four seconds of traffic without an error, without a refusal, and fast.
func TestWell(t *testing.T) {
	for name, tc := range map[string]struct {
		also telemetry
		well bool
	}{
		"only good requests":   {requests(0), true},
		"one in ten is slow":   {requests(2, lasting(time.Second)), true},
		"more are slow":        {requests(3, lasting(time.Second)), false},
		"one fails":            {requests(1, failed), false},
		"another service":      {requests(9, failed, func(s *span.Span) { s.Service = "other" }), true},
		"a request is refused": {logged("WARN", "requests were refused: too many at once"), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			status := 200
			d := &Demo{Name: "web", Store: store.New(0), Ready: func() (int, string) { return status, "" }}
			since := time.Now()
			time.Sleep(settle - time.Second)
			requests(18)(d.Store)
			tc.also(d.Store)
			if d.well(since) {
				t.Errorf("%s: well after %s", name, time.Since(since))
			}
			time.Sleep(time.Second)
			if got := d.well(since); got != tc.well {
				t.Errorf("%s: well is %t", name, got)
			}
			status = 503
			if d.well(since) {
				t.Errorf("%s: well although it is not ready", name)
			}
			status = 200
			time.Sleep(settle)
			if d.well(since) {
				t.Errorf("%s: well without requests", name)
			}
		})
	}
}

// Every fault says in one sentence what happens, and has signs; -fault list shows all.
func TestCatalog(t *testing.T) {
	for _, f := range catalog {
		if f.why == "" || strings.Count(f.why, ".")-strings.Count(f.why, "1.2") != 1 || f.cause == nil || f.do == "" || len(f.signs) < 2 {
			t.Errorf("%s: incomplete: %+v", f.name, f)
		}
		text := Describe()
		if !strings.Contains(text, f.name+"\n  "+f.why+"\n") {
			t.Errorf("-fault list lacks %s", f.name)
		}
		for _, s := range f.signs {
			if !strings.Contains(text, "  - "+s.text+"\n") {
				t.Errorf("-fault list lacks %s of %s", s.text, f.name)
			}
		}
	}
	for _, tc := range []struct{ text, names, err string }{
		{"lock", "[lock]", "<nil>"},
		{"lock,spike", "[lock spike]", "<nil>"},
		{"all", fmt.Sprint(Names()), "<nil>"},
		{"spke", "[]", `unknown fault "spke"; did you mean spike?`},
		{" lock, spike", "[lock spike]", "<nil>"},
		{"LOCK", "[]", `unknown fault "LOCK"; did you mean lock?`},
		{"fire", "[]", `unknown fault "fire": must be one of bad-migration, slow-statement, lock, table-gone, database-down, connections, spike, no-traffic, agent-away, or all`},
		{"lock,", "[]", `"lock," has an empty name: separate names by single commas`},
		{"all,lock", "[]", `all stands alone: remove it or the other names, got "all,lock"`},
	} {
		if names, err := Parse(tc.text); fmt.Sprint(names) != tc.names || fmt.Sprint(err) != tc.err {
			t.Errorf("%s: %v, %v", tc.text, names, err)
		}
	}
}

// docs/faults.md has a row for each fault, with its cause and the statement that undoes it.
func TestDocumented(t *testing.T) {
	content, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range catalog {
		if !strings.Contains(string(content), "\n| `"+f.name+"` | ") {
			t.Errorf("docs/faults.md has no row for %s", f.name)
		}
		if f.byHand != "" && !strings.Contains(string(content), "\n| `"+f.name+"` | `"+f.byHand+"` |") {
			t.Errorf("docs/faults.md has no statement that undoes %s: %s", f.name, f.byHand)
		}
	}
}
