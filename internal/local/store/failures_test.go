package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/span"
)

// failing returns a change of a span that fails.
func failing(now func(*span.Span), kind, message, stack string) func(*span.Span) {
	return func(sp *span.Span) {
		now(sp)
		sp.Error = true
		sp.Tags["error.type"], sp.Tags["error.message"], sp.Tags["error.stack"], sp.Tags["version"] = kind, message, stack, "1"
	}
}

func TestFailures(t *testing.T) {
	s := storeAt(time.Unix(1_700_000_040, 0).Truncate(time.Minute))
	begin := s.Now()
	const stack = "shop/db.rows\n\t/src/rows.go:%d\nshop/web.home\n\t/src/web.go:1"
	n := 0
	fail := func(after time.Duration, change ...func(*span.Span)) {
		n++
		all := append([]func(*span.Span){failing(later(s, after), "sql.Error", fmt.Sprint("row ", n), fmt.Sprintf(stack, n))}, change...)
		s.AddSpans(chunk(n, all...))
	}
	fail(0)
	fail(time.Minute, func(sp *span.Span) { sp.Tags["version"] = "2" })
	fail(time.Second)
	fail(0, func(sp *span.Span) { sp.Service = "other" })
	fail(0, func(sp *span.Span) { sp.Tags["error.stack"] = "" }) // no stack: by the message
	fail(0, func(sp *span.Span) { sp.Tags["error.stack"] = "" })
	fail(0, func(sp *span.Span) { sp.Tags = map[string]string{"http.status_code": "503"} }) // nothing but a status
	fail(0, func(sp *span.Span) { sp.Tags = map[string]string{"http.status_code": "500"} }) // another error
	fail(0, func(sp *span.Span) {                                                           // OpenTelemetry
		sp.Tags = map[string]string{}
		sp.Events = []span.Event{{Name: "exception", Attributes: map[string]string{"exception.type": "E", "exception.message": "gone", "exception.stacktrace": "    at run (/app/a.js:1:2)"}}}
	})
	s.AddSpans(chunk(100, later(s, 0))) // no error
	again := chunk(1, failing(func(*span.Span) {}, "sql.Error", "row 1", fmt.Sprintf(stack, 1)))
	again.Spans[0].Start = begin
	s.AddSpans(again) // counted once

	var got []string
	for _, f := range s.Failures("") {
		got = append(got, fmt.Sprint(f.Service, " ", f.Type, " ", f.Place, " ", f.Count, " ", f.Message, " ", f.Versions, " ", f.Last.Sub(f.First).Round(time.Second), " ", f.PerMinute[27:]))
	}
	want := `other sql.Error shop/db.rows 1 row 4 [1] 0s [0 0 1]
web E run 1 gone [] 0s [0 0 1]
web error status 500 1 status 500 [] 0s [0 0 1]
web error status 503 1 status 503 [] 0s [0 0 1]
web sql.Error row N 2 row 6 [1] 0s [0 0 2]
web sql.Error shop/db.rows 3 row 3 [1 2] 1m1s [0 1 2]`
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
	if f := s.Failures("web")[4]; f.TraceID != chunk(3).TraceID || f.SpanID != 4 || f.Resource != "GET /" || f.Stack != fmt.Sprintf(stack, 3) || !f.First.Equal(begin.Add(time.Millisecond)) {
		t.Errorf("%+v", f)
	}
	if f := s.Failures("web")[1]; f.Versions == nil {
		t.Error("no versions are null in JSON")
	}
	for i := range maxVersions + 2 {
		fail(0, func(sp *span.Span) { sp.Resource = fmt.Sprint("GET /", i) })
	}
	if f := s.Failures("web")[4]; len(f.Resources) != maxVersions || f.Resources[0] != "GET /" || f.Resources[1] != "GET /0" || f.Resources[9] != "GET /8" {
		t.Errorf("resources: %q, want the first %d", f.Resources, maxVersions)
	}
	if len(s.Failures("web")) != 5 || len(s.Failures("none")) != 0 {
		t.Errorf("%d failures of web", len(s.Failures("web")))
	}
}

// TestFailuresOfTheFuture: an error with a wrong clock does not remain the latest.
func TestFailuresOfTheFuture(t *testing.T) {
	s := storeAt(time.Unix(1_700_000_000, 0))
	fail := func(id int, ahead time.Duration) Failure {
		s.AddSpans(chunk(id, failing(func(sp *span.Span) { sp.Start = s.Now().Add(ahead - sp.Duration) }, "E", "m", "")))
		return s.Failures("web")[0]
	}
	if f := fail(1, 24*time.Hour); !f.Last.Equal(s.Now()) || !f.First.Equal(s.Now()) {
		t.Errorf("first %s, last %s, want now", f.First, f.Last)
	}
	s.Replay(s.Now().Add(time.Second))
	if f := fail(2, 0); f.Count != 2 || f.SpanID != 3 || !f.Last.Equal(s.Now()) {
		t.Errorf("%+v", f)
	}
}

// TestFailuresAreBounded: neither many kinds nor long texts fill the memory, and the latest
// are kept.
func TestFailuresAreBounded(t *testing.T) {
	s := storeAt(time.Unix(1_700_000_000, 0))
	for i := range 2 * maxFailures {
		s.AddSpans(chunk(i, failing(later(s, time.Second), fmt.Sprint("kind", i), "x", "")))
	}
	all := s.Failures("")
	if len(all) < 50 || len(all) > maxFailures || all[0].Type != fmt.Sprint("kind", 2*maxFailures-1) {
		t.Errorf("%d groups, the latest is %s", len(all), all[0].Type)
	}
	long := strings.Repeat("é", 1<<20)
	for i := range 100 {
		s.AddSpans(chunk(10_000+i, failing(later(s, time.Second), fmt.Sprint("long", i), long, long)))
	}
	f := s.failures
	if used := f.groups.used + f.used; used > f.budget || len(f.groups.index) == 0 {
		t.Errorf("%d bytes of %d in %d groups", used, f.budget, len(f.groups.index))
	}
	for _, g := range s.Failures("") {
		if len(g.Message) > maxStack || len(g.Stack) > maxStack || strings.ContainsRune(g.Message, '\uFFFD') {
			t.Errorf("message of %d, stack of %d bytes", len(g.Message), len(g.Stack))
		}
	}
}
