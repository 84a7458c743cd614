package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/span"
)

// queried returns a store with three traces: 1 is slow in the database, 2 failed there, 3
// has only a web span.
func queried(t testing.TB) *Store {
	t.Helper()
	s := New(0)
	add := func(id int, change func(web, db *span.Span)) {
		c := chunk(id)
		c.Spans = append(c.Spans, span.Span{
			SpanID: uint64(id) + 100, ParentID: c.Spans[0].SpanID, Service: "shop-mysql", Operation: "mysql.query", Resource: "SELECT name FROM items/all", Type: "sql",
			Start: c.Spans[0].Start, Duration: time.Millisecond, Tags: map[string]string{"db.name": "shop", "span.kind": "client", "peer": "a:b"}, Metrics: map[string]float64{"rows": 7},
		})
		change(&c.Spans[0], &c.Spans[1])
		s.AddSpans(c)
	}
	add(1, func(web, db *span.Span) { db.Duration = time.Second })
	add(2, func(web, db *span.Span) {
		db.Error, db.Tags["error.message"], db.Metrics["rows"] = true, "Lock wait TIMEOUT", 12
		web.Tags["http.status_code"], web.Tags["env"] = "503", "prod"
	})
	s.AddSpans(chunk(3, func(web *span.Span) { web.Resource, web.Tags["env"] = "GET /a/b?x=[y]", "dev" }))
	return s
}

func TestQuery(t *testing.T) {
	s := queried(t)
	for query, want := range map[string]string{
		"":                                  "3 2 1",
		"service:shop-mysql":                "2 1",
		"service:web":                       "3 2 1",
		"service:WEB":                       "",
		"-service:shop*":                    "3 2 1", // a span of each trace is of another service
		"service:shop-mysql error:true":     "2",
		"service:web error:true":            "", // not the same span
		"error:false service:shop-mysql":    "1",
		"status:error":                      "2",
		"status:ok service:shop-mysql":      "1",
		"status:5xx":                        "2",
		"status:503":                        "2",
		"@http.status_code:5??":             "2",
		"@http.status_code:>=500":           "2",
		"http.status_code:<300":             "3 1",
		"duration:>=1s":                     "1",
		"duration:>1s":                      "",
		"@duration:<2ms service:shop-mysql": "2",
		"service:shop-mysql duration:>100ms error:false": "1",
		"@db.name:shop":                     "2 1",
		"db.name:shop @rows:12":             "2",
		"@rows:>7":                          "2",
		"@rows:>=7 @rows:<10":               "1",
		"rows:1*":                           "2",
		"-@db.name:shop service:shop-mysql": "",
		"env:prod":                          "2",
		"@peer:a:b":                         "2 1",
		`resource:"GET /a/b?x=[y]"`:         "3",
		`resource:"GET*"`:                   "",
		`@rows:">7"`:                        "",
		"resource:GET*[y]":                  "3",
		"resource_name:*items/all":          "2 1",
		"operation_name:mysql.query":        "2 1",
		"type:sql kind:client":              "2 1",
		"span_id:103":                       "",
		"span_id:102":                       "2",
		"trace_id:*4":                       "3",
		"trace_id:2":                        "1",
		"trace_id:0000000000000002":         "1",
		"trace_id:6b060d8f000000000000000000000003": "2",
		"0000000000000004":                          "3",
		"service:shop-mysql AND error:true":         "2",
		`"AND"`:                                     "",
		`"OR"`:                                      "",
		"NOT timeout":                               "3 1",
		"NOT -timeout":                              "2",
		"service:shop-mysql NOT error:true":         "1",
		`resource:"[y]"`:                            "",
		"(*T).M":                                    "",
		"timeout":                                   "2",
		"-timeout":                                  "3 1",
		`"lock wait"`:                               "2",
		"lock select":                               "2",
		"select -lock":                              "1",
		`"a:b"`:                                     "2 1",
		`lock"`:                                     "",
		`"lock`:                                     "",
		`"lock wait" "`:                             "",
		"nothing":                                   "",
		"-":                                         "2 1", // a minus in a text
		"service:shop-mysql  \t shop":               "2 1",
	} {
		q, err := ParseQuery(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		listed, n := s.Traces(Filter{Query: q, Limit: 10})
		var got []string
		for _, of := range listed {
			got = append(got, fmt.Sprint(strings.TrimLeft(of.ID[16:], "0")))
		}
		for i := range got { // chunk i has the ID i+1
			got[i] = map[string]string{"2": "1", "3": "2", "4": "3"}[got[i]]
		}
		if strings.Join(got, " ") != want || n != len(got) {
			t.Errorf("%s: traces %v, want %s", query, got, want)
		}
	}
	for query, want := range map[string]string{
		"service:":               "service: has no value",
		"service:a OR service:b": `OR is not supported; to find the word, write "OR"`,
		"(service:a)":            `parentheses are not supported, got "(service:a)"; a text with them must be in quotes`,
		"-(service:a)":           `parentheses are not supported, got "-(service:a)"; a text with them must be in quotes`,
		"@rows:[1 TO 2]":         `ranges are not supported, got "@rows:[1"; write @rows:>=1 @rows:<=2, or put the text in quotes`,
		"error:maybe":            `error must be true or false, got "maybe"`,
		"duration:100ms":         `duration must have a limit such as duration:>100ms, got "100ms"`,
		"duration:>fast":         `duration: limit must be a duration such as 10ms, got "fast"`,
		"@rows:=>7":              `@rows: comparison must be >, >=, < or <=, got "=>"`,
		"@rows:>many":            `@rows: limit must be a number, got "many"`,
	} {
		if _, err := ParseQuery(query); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
}

func FuzzQuery(f *testing.F) {
	s := queried(f)
	for _, seed := range []string{`service:"a b" -x @y:>1`, `\`, `a:[`, `"\"`, "status:5xx", "--a", "-:x", ":x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		q, err := ParseQuery(text)
		if err != nil {
			return
		}
		if _, n := s.Traces(Filter{Query: q, Limit: 10}); n > 3 {
			t.Errorf("%d traces match", n)
		}
	})
}

// BenchmarkSearch looks at every span of 50,000 traces.
func BenchmarkSearch(b *testing.B) {
	s := New(1 << 30)
	for i := range 50_000 {
		c := chunk(i)
		for n := range 3 {
			c.Spans = append(c.Spans, span.Span{
				SpanID: uint64(n) + 1_000_000, ParentID: c.Spans[0].SpanID, Service: "shop-mysql", Operation: "mysql.query", Resource: fmt.Sprint("SELECT ", n), Type: "sql",
				Start: c.Spans[0].Start, Duration: time.Millisecond, Tags: map[string]string{"db.name": "shop", "span.kind": "client", "id": fmt.Sprint(i, n)}, Metrics: map[string]float64{"rows": 7},
			})
		}
		s.AddSpans(c)
	}
	for _, query := range []string{"", "service:shop-mysql", "service:shop-mysql @db.name:other", "nowhere", "service:web duration:>1s", "resource:*DELETE*"} {
		q, err := ParseQuery(query)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(query, func(b *testing.B) {
			for b.Loop() {
				s.Traces(Filter{Query: q, Limit: 200})
			}
		})
	}
}

func TestGlob(t *testing.T) {
	for pattern, texts := range map[string]map[string]bool{
		"a*":     {"a": true, "abc": true, "ba": false, "": false},
		"*":      {"": true, "a/b": true},
		"*b*d*":  {"abcd": true, "bd": true, "db": false},
		"a?c":    {"abc": true, "aéc": true, "ac": false, "abbc": false},
		"?":      {"é": true, "": false, "ab": false},
		"*é":     {"aé": true, "é": true, "e": false},
		"a**b":   {"ab": true, "axb": true},
		"*ab":    {"aab": true, "abab": true, "aba": false},
		"GET /*": {"GET /a/b": true, "POST /a": false},
	} {
		for text, want := range texts {
			if got := glob(pattern, text); got != want {
				t.Errorf("%s of %q is %t", pattern, text, got)
			}
		}
	}
}

// TestTagQuery: the link of each tag finds the span that has it, and not another one.
func TestTagQuery(t *testing.T) {
	for name, value := range map[string]string{
		"a": "b", "error": "yes", "type": "cat", "duration": "5", "status": "done", "service": "other", "kind": "x", "a b": "c d",
		`q"u`: `"quoted" \ back\n`, "lines": "a\n\tb\u200b*é", "colon:name": ":", "empty": "", "-minus": "-1", "paren": "(a OR b)", "range": "[1 TO 2]",
	} {
		s := New(0)
		s.AddSpans(chunk(1, func(sp *span.Span) { sp.Tags[name] = value }))
		s.AddSpans(chunk(2, func(sp *span.Span) { sp.Tags[name] = value + "no" }))
		q, err := ParseQuery(TagQuery(name, value))
		if listed, n := s.Traces(Filter{Query: q, Limit: 2}); err != nil || n != 1 || listed[0].ID != chunk(1).TraceID {
			t.Errorf("%s: %v, %d traces, want 1", TagQuery(name, value), err, n)
		}
	}
}

// TestWordsInAnyCase compares with the definition: in lower case, the text contains the word.
func TestWordsInAnyCase(t *testing.T) {
	texts := []string{"", "a", "A", "k", "\u212a", "aa\u212a", "SELECT * FROM visits", "Straße", "STRASSE", "aaİ", "É", "aÉb", "x\xffK", "@[`{", "[a"}
	for _, text := range texts {
		for _, of := range append(texts, "ak", "select", "visits", "its ", "i̇", "aai̇", "éb", "ß", "{") {
			w := newWord(of, false)
			if got, want := w.partOf(text), strings.Contains(strings.ToLower(text), strings.ToLower(of)); got != want {
				t.Errorf("%q in %q: %t, want %t", of, text, got, want)
			}
		}
	}
}
