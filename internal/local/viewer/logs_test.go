package viewer

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

func TestMask(t *testing.T) {
	for text, want := range map[string]string{
		"listening on 127.0.0.1:8080":                            "listening on #",
		"took 12.5ms, 30% of 4kB":                                "took #, # of #",
		"user 42 of org-7":                                       "user # of org-#",
		"order 5f2b9c1d-0a1b-4c2d-8e3f-1234567890ab failed":      "order # failed",
		"trace 6b07a85b000000001f10e11f8dca5f2b":                 "trace #",
		"at 0xdeadbeef01":                                        "at #",
		"token eyJhbGciOiJIUzI1NiIsInR5cCI6":                     "token #",
		"2026-01-02T03:04:05.678Z start":                         "# start",
		`name "a b" and 'c d' are (` + "`x`" + `)`:               `name "…" and "…" are ("…")`,
		`can't read what isn't there`:                            `can't read what isn't there`,
		`key="say \"x\"" done`:                                   `key="…" done`,
		"facade deadline internationalization":                   "facade deadline internationalization",
		"GET /users/17/orders/a1b2c3d4":                          "GET /users/#/orders/#",
		"Error 1054 (42S22): Unknown column 'route' in 'SELECT'": `Error # (#): Unknown column "…" in "…"`,
		"": "",
	} {
		if got := mask(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// logged returns a store with 300 lines: three shapes of requests, and one error.
func logged() *store.Store {
	s := store.New(0)
	for i := range 300 {
		line := fmt.Sprintf(`{"level":"info","msg":"request","dd.service":"web","http.method":"GET","http.url_details.path":"/items/%d","http.status_code":%d,"duration":%d}`, i, 200+i%2*4, 1000+i)
		if i%100 == 99 {
			line = fmt.Sprintf(`{"level":"warn","msg":"slow request of user %d","dd.service":"web"}`, i)
		}
		if i == 150 {
			line = `{"level":"error","msg":"request","dd.service":"db","error.message":"lock 7"}`
		}
		l := wire.DecodeLog([]byte(line), begin)
		l.Time = begin.Add(time.Duration(i) * time.Second)
		s.AddLog(l)
	}
	return s
}

// TestPatterns: lines of one shape are one row, which leads to them.
func TestPatterns(t *testing.T) {
	s := logged()
	h := New(Config{Store: s})
	var answer struct {
		Matching, Inspected int
		Patterns            []pattern
	}
	if err := json.Unmarshal(fetch(t, h, "/logs.json?view=patterns").Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range answer.Patterns {
		got = append(got, fmt.Sprint(p.Lines, p.Level, p.Service, " ", p.Text, " ", p.First.Sub(begin), " ", p.Last.Sub(begin), " ", p.Example.ID))
	}
	want := []string{"149INFOweb request GET /items/# 200 0s 4m58s 299", "147INFOweb request GET /items/# 204 1s 4m57s 298", "3WARNweb slow request of user # 1m39s 4m59s 300", "1ERRORdb request lock # 2m30s 2m30s 151"}
	if strings.Join(got, "|") != strings.Join(want, "|") || answer.Matching != 300 || answer.Inspected != 300 {
		t.Errorf("%d of %d:\n got %s\nwant %s", answer.Inspected, answer.Matching, strings.Join(got, "|"), strings.Join(want, "|"))
	}
	page := fetch(t, h, "/logs?view=patterns&service=web").Body.String()
	links := regexp.MustCompile(`<a href="(/logs\?pattern=[^"]*)"><code>`).FindAllStringSubmatch(page, -1)
	if len(links) != 3 || strings.Contains(page, "lock #") {
		t.Fatalf("%d patterns of web: %s", len(links), page)
	}
	lines := fetch(t, h, html.UnescapeString(links[2][1])).Body.String()
	if n := strings.Count(lines, "<li data-key"); n != 3 || !strings.Contains(lines, "<code>slow request of user #</code>") {
		t.Errorf("%d lines of the third pattern, want 3: %s", n, lines)
	}
	if got := fetch(t, h, "/logs.json?pattern=none").Body.String(); !strings.Contains(got, `"matching":0`) {
		t.Error(got)
	}
}

// TestPageOfALogLine: a line has its fields, which add themselves to the filter, and the
// lines around it.
func TestPageOfALogLine(t *testing.T) {
	h := New(Config{Store: logged()})
	page := fetch(t, h, "/logs/151").Body.String()
	for _, want := range []string{
		"<h1>request</h1>", `<td>error.message</td><td class="wide"><a href="/logs?q=%40error.message%3A%22lock&#43;7%22"`, `data-copy="{&#34;level&#34;`, `aria-current="true"`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
	part := fetch(t, h, "/logs/12?part=fields&q=level%3Ainfo&service=web&view=patterns").Body.String()
	link := regexp.MustCompile(`<td>http.status_code</td><td class="wide"><a href="([^"]*)"`).FindStringSubmatch(part)
	if link == nil || !strings.HasPrefix(part, `<div class="fields">`) {
		t.Fatal(part)
	}
	if want := "/logs?q=level%3Ainfo+%40http.status_code%3A%22204%22&service=web"; html.UnescapeString(link[1]) != want {
		t.Errorf("%s, want %s", link[1], want)
	}
	if got := fetch(t, h, html.UnescapeString(link[1])).Body.String(); !strings.Contains(got, "147 match") {
		t.Error(got)
	}
	var one logLine
	if err := json.Unmarshal(fetch(t, h, "/logs/12.json").Body.Bytes(), &one); err != nil || one.Line.ID != 12 || len(one.Before) != around || len(one.After) != around {
		t.Errorf("%v: %+v", err, one)
	}
	for _, path := range []string{"/logs/x", "/logs/0", "/logs/301", "/logs/301.json"} {
		if w := fetch(t, h, path); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "has not arrived, or was evicted.") {
			t.Errorf("%s: status %d: %s", path, w.Code, w.Body)
		}
	}
}

// TestLogFilters: the filters of the page and of the API are the same, and can be removed.
func TestLogFilters(t *testing.T) {
	h := New(Config{Store: logged()})
	at := fmt.Sprintf("from=%d&to=%d", begin.Add(10*time.Second).UnixMilli(), begin.Add(20*time.Second).UnixMilli())
	for query, want := range map[string]int{
		"level=WARN": 3, "service=db": 1, "q=level:warn": 3, "q=status:204": 147, "q=%40http.url_details.path:/items/1": 1, "q=lock": 1, at: 10, at + "&q=status:2xx": 10,
	} {
		text := fmt.Sprintf("%d match", want)
		if got := fetch(t, h, "/logs?"+query).Body.String(); !strings.Contains(got, text) {
			t.Errorf("%s: not %s: %s", query, text, got)
		}
		if got := fetch(t, h, "/api/logs?"+query).Body.String(); !strings.Contains(got, fmt.Sprintf(`"matching":%d,`, want)) {
			t.Errorf("%s: not %d: %.200s", query, want, got)
		}
	}
	for query, want := range map[string]string{"q=level:": "q: level: has no value", "from=noon": "from must be a time in milliseconds since 1970, got &#34;noon&#34;"} {
		if w := fetch(t, h, "/logs?"+query); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: status %d, want %s: %s", query, w.Code, want, w.Body)
		}
		if w := fetch(t, h, "/api/logs?"+query); w.Code != http.StatusBadRequest {
			t.Errorf("%s: status %d", query, w.Code)
		}
	}
	page := fetch(t, h, "/logs?"+at+"&q=a&view=patterns&unknown=1").Body.String()
	for _, want := range []string{`<a href="/logs?q=a&amp;view=patterns" aria-label="remove the time">`, `name="view" value="patterns"`, `<option value="@http.status_code:">`, `<option value="level:WARN">`, `<option value="trace_id:">`} {
		if strings.Contains(want, "@http") {
			page += fetch(t, h, "/logs").Body.String()
		}
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
}

// TestBarsOfLines: each line is in the bar of its time, and the highest bar is full.
func TestBarsOfLines(t *testing.T) {
	var lines []wire.Log
	add := func(ms int, level string) {
		lines = append(lines, wire.Log{Time: begin.Add(time.Duration(ms)*time.Millisecond + 7), Level: level})
	}
	add(6000, wire.Info)
	add(0, wire.Info)
	if n := len(barsOfLines(lines[:1])); n != 0 {
		t.Errorf("%d bars of one line", n)
	}
	for _, level := range []string{wire.Info, wire.Warn, wire.Error, wire.Critical} {
		add(3000, level)
	}
	bars := barsOfLines(lines)
	total := 0
	for i, b := range bars {
		total += b.Lines
		if i > 0 && !b.From.Equal(bars[i-1].To) || b.To.Sub(b.From) != 101*time.Millisecond {
			t.Errorf("bar %d is from %s to %s", i, b.From, b.To)
		}
	}
	middle := bars[29]
	if total != len(lines) || len(bars) != 60 || bars[0].Lines != 1 || bars[0].Other != 25 || bars[59].Lines != 1 || middle.Lines != 4 || middle.Other != 25 || middle.Warnings != 25 || middle.Errors != 50 {
		t.Errorf("%d lines in %d bars: %+v", total, len(bars), bars)
	}
	if got, want := middle.Title(), "4 lines from "+clock(middle.From, time.Now())+": 2 errors, 1 warnings"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if bars := barsOfLines([]wire.Log{lines[0], lines[0]}); len(bars) != 1 || bars[0].Lines != 2 {
		t.Errorf("lines of one time: %+v", bars)
	}
}

// TestLimitsOfLines: patterns are made of the latest 5,000 lines, and the page of a trace has
// the latest 1,000.
func TestLimitsOfLines(t *testing.T) {
	s := store.New(64 << 20)
	for i := range inspected + 1 {
		s.AddLog(wire.Log{Time: begin.Add(time.Duration(i) * time.Second), Level: wire.Info, Message: "line", Raw: "line", TraceID: trace1})
	}
	s.AddSpans(span.Chunk{TraceID: trace1, Spans: []span.Span{spanOf(1, 0, "web", 0, 1)}})
	h := New(Config{Store: s})
	page := fetch(t, h, "/logs?view=patterns").Body.String()
	if want := "5,001 match; patterns are of the latest 5,000."; !strings.Contains(page, want) || !strings.Contains(page, `<td class="n">5,000</td>`) {
		t.Errorf("no %q in %s", want, page)
	}
	if got := fetch(t, h, "/logs.json?view=patterns&limit=1").Body.String(); !strings.Contains(got, `"matching":5001,"inspected":5000,`) {
		t.Errorf("%.300s", got)
	}
	if n := strings.Count(fetch(t, h, "/t/"+trace1).Body.String(), `<li class="info">`); n != logsOfTrace {
		t.Errorf("%d lines on the page of the trace, want %d", n, logsOfTrace)
	}
}
