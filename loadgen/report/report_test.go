package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"apmapp/loadgen/openloop"
)

var update = flag.Bool("update", false, "write the golden files in testdata")

// golden fails the test unless got is what the file has.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update writes it):\n%s", file, got)
	}
}

// durations returns a histogram of n durations: 1, 2, 3… times step.
func durations(n int, step time.Duration) *openloop.Histogram {
	h := openloop.NewHistogram()
	for i := range n {
		h.Record(time.Duration(i+1) * step)
	}
	return h
}

// newResult is a result in which every number is another one.
func newResult() *openloop.Result {
	return &openloop.Result{
		Runs: []openloop.Run{{
			ID: "00000000000000a1", Start: time.Date(2026, 1, 2, 14, 4, 5, 0, time.UTC), Target: "http://shop.example:8080/base", Method: "POST",
			Schedule: "0..500@2m for 3m", Arrivals: openloop.Poisson, Seed: 7, Shard: 1, Shards: 2, Warmup: "10s", Expect: "2xx,404", MaxInFlight: 1000,
			Version: "0.2.0", Host: "generator-1", Command: "loadgen -header 'Authorization: …' -rps 20",
		}, {
			ID: "00000000000000b2", Start: time.Date(2026, 1, 2, 14, 4, 5, 0, time.UTC), Target: "http://shop.example:8080/base", Method: "POST",
			Schedule: "20/s", Arrivals: openloop.Regular, MaxInFlight: 10, Version: "0.2.0", Host: "generator-2",
		}},
		Start:     time.Date(2026, 1, 2, 15, 4, 5, 0, time.FixedZone("", 3600)),
		Sending:   4500 * time.Millisecond,
		Waiting:   700 * time.Millisecond,
		Scheduled: 1210,
		Achieved:  1013,
		Lateness:  durations(1190, time.Microsecond),
		Total: openloop.PathResult{
			Arrivals: 1200, Dropped: 10, Bytes: 23456,
			Statuses: map[int]int64{200: 1011, 204: 100, 302: 30, 404: 20, 500: 6, 503: 5},
			Failures: map[string]int64{"reset": 8, "closed": 7, "timeout": 3}, Unexpected: 11,
			Response: durations(1190, time.Millisecond),
			Service:  durations(1190, 100*time.Microsecond),
		},
		Paths: []openloop.PathResult{
			{Path: "/", Arrivals: 900, Response: durations(890, 2*time.Millisecond), Service: durations(890, 3*time.Microsecond)},
			{Path: "/search?q=<b>", Arrivals: 300, Response: durations(300, 5*time.Millisecond), Service: durations(300, 7*time.Microsecond)},
			{Path: "/never", Response: durations(0, 1), Service: durations(0, 1)},
		},
		Slowest: []openloop.Sample{
			{TraceID: "11111111111111112222222222222222", Path: "/", Offset: 1234 * time.Millisecond, Status: 200, Response: 1190 * time.Millisecond},
			{Path: "/search?q=<b>", Offset: 2 * time.Second, Status: 200, Failure: "reset", Response: 987 * time.Millisecond},
		},
		Failed: []openloop.Sample{{TraceID: "33333333333333334444444444444444", Path: "/", Offset: 40 * time.Millisecond, Status: 503, Response: 650 * time.Microsecond}},
		Errors: map[string]string{"reset": "read tcp 192.0.2.1:5050: connection reset by peer"},
		Series: openloop.Series{Length: time.Second, Intervals: []openloop.Interval{
			{Scheduled: 101, Arrivals: 100, Served: 95, Failed: 3, Dropped: 2, Response: openloop.Summary{P50: 5, P99: 6, Max: 7}},
			{Scheduled: 201, Arrivals: 200},
			{Scheduled: 301, Arrivals: 300, Served: 301, Response: openloop.Summary{P50: 8, P99: 9, Max: 10}},
			{Scheduled: 401, Arrivals: 400, Served: 402, Response: openloop.Summary{P50: 11, P99: 12, Max: 13}},
			{Scheduled: 206, Arrivals: 200, Served: 150, Failed: 10, Dropped: 5, Response: openloop.Summary{P50: 14, P99: 15, Max: 16}},
			{Served: 4},
		}},
	}
}

// newEmptyResult is the result of a run that was interrupted before its first
// request.
func newEmptyResult() *openloop.Result {
	return &openloop.Result{
		Start:    time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		Lateness: durations(0, 1),
		Total: openloop.PathResult{
			Statuses: map[int]int64{}, Failures: map[string]int64{},
			Response: durations(0, 1), Service: durations(0, 1),
		},
		Series: openloop.Series{Length: time.Second},
	}
}

func TestText(t *testing.T) {
	for name, r := range map[string]*openloop.Result{"report.txt": newResult(), "empty.txt": newEmptyResult()} {
		var b strings.Builder
		if err := Text(&b, r); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.String())
	}
}

// A target is named once for consecutive runs of the same requests. Runs of programs
// that set no target are not described.
func TestAbout(t *testing.T) {
	get := openloop.Run{Target: "http://a.example", Method: "GET", Schedule: "1/s", Arrivals: openloop.Regular, MaxInFlight: 1, ID: "1"}
	post, elsewhere, bare := get, get, openloop.Run{Schedule: "1/s"}
	post.Method, elsewhere.Target, elsewhere.Method, elsewhere.Command = "POST", "http://b.example", "", "loadgen -x"
	for _, test := range []struct {
		name string
		runs []openloop.Run
		want string
	}{
		{"one", []openloop.Run{get}, "target GET http://a.example|run|sent by"},
		{"two of the same", []openloop.Run{get, get}, "target GET http://a.example|run|sent by|run|sent by"},
		{"another method", []openloop.Run{get, post}, "target GET http://a.example|run|sent by|target POST http://a.example|run|sent by"},
		{"another target, methods by request", []openloop.Run{get, elsewhere}, "target GET http://a.example|run|sent by|target http://b.example|run|sent by|command"},
		{"none", []openloop.Run{bare}, ""},
		{"none, then one", []openloop.Run{bare, get}, "target GET http://a.example|run|sent by"},
	} {
		var names []string
		for _, f := range about(&openloop.Result{Runs: test.runs}) {
			if f.Name == "target" {
				f.Name += " " + f.Value
			}
			names = append(names, f.Name)
		}
		if got := strings.Join(names, "|"); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// Why a run was ended early is in the text and on the page.
func TestAbortedRun(t *testing.T) {
	r := newResult()
	r.Aborted = "errors>10%: 12.5%"
	var text, page strings.Builder
	if err := errors.Join(Text(&text, r), HTML(&page, r)); err != nil {
		t.Fatal(err)
	}
	if want := "\naborted   errors>10%: 12.5%\n"; !strings.Contains(text.String(), want) {
		t.Errorf("no %q in\n%s", want, text.String())
	}
	if want := `<div class="long"><dt>aborted</dt><dd class="bad">errors&gt;10%: 12.5%</dd></div>`; !strings.Contains(page.String(), want) {
		t.Errorf("no %s on the page", want)
	}
}

// No text of a report can change a terminal: each one is from a target or a file.
func TestTextHasNoControlCharacters(t *testing.T) {
	const escape = "a\x1b[2Jb\u009b2Jc\r\x07"
	r := newResult()
	r.Aborted = escape
	r.Runs = []openloop.Run{{ID: escape, Target: escape, Method: escape, Schedule: escape, Version: escape, Host: escape, Command: escape}}
	r.Paths[0].Path = escape
	r.Total.Failures = map[string]int64{escape: 1}
	r.Errors = map[string]string{escape: escape}
	r.Slowest[0].TraceID, r.Slowest[0].Path, r.Slowest[0].Failure = escape, escape, escape
	var b strings.Builder
	if err := Text(&b, r); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexFunc(b.String(), func(c rune) bool { return unicode.IsControl(c) && c != '\n' }); i >= 0 {
		t.Errorf("%q", b.String()[i:min(i+30, b.Len())])
	}
	if !strings.Contains(b.String(), "command   a\ufffd[2Jb\ufffd2Jc\ufffd\ufffd\n") {
		t.Errorf("the command is missing in\n%s", b.String())
	}
}

// Warnings are in the text, on the page and in JSON.
func TestWarnings(t *testing.T) {
	r := newResult()
	r.Runs = nil
	r.Lateness = durations(100, 2*time.Millisecond)
	r.Total.Statuses = map[int]int64{404: 10}
	var text, page, data strings.Builder
	if err := errors.Join(Text(&text, r), HTML(&page, r), JSON(&data, r)); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ got, before string }{
		"text": {text.String(), "\nwarning   "}, "page": {page.String(), `<p class="warning">Warning: `}, "JSON": {data.String(), "    \""},
	} {
		for _, want := range []string{"the generator itself was late: ", "most answers are 4xx, "} {
			if !strings.Contains("\n"+test.got, test.before+want) {
				t.Errorf("%s: no %q", name, test.before+want)
			}
		}
	}
}

func TestPercentiles(t *testing.T) {
	r := newResult()
	r.Total.Response = durations(10, 5*time.Millisecond)
	var b strings.Builder
	if err := Percentiles(&b, r); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.hgrm", b.String())
}

func TestJSON(t *testing.T) {
	r := newResult()
	r.Paths = nil // they have no answers and errors by kind, which ReadJSON refuses
	var b bytes.Buffer
	if err := JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(b.String(), "{\n  \"format\": 1,\n  \"runs\": [\n") {
		t.Errorf("not indented:\n%.100s", b.String())
	}
	// The points have the rates of the page; see TestRun.
	var doc struct {
		Points []struct {
			Start    float64 `json:"start_ns"`
			Sending  float64 `json:"sending_ns"`
			Asked    float64 `json:"asked_per_second"`
			Achieved float64 `json:"achieved_per_second"`
			Failed   float64 `json:"failed_per_second"`
			Dropped  float64 `json:"dropped_per_second"`
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%.6g", doc.Points[4]), "{4e+09 5e+08 412 128.333 20 10}"; len(doc.Points) != 5 || got != want {
		t.Errorf("%d points, the last is %s, want 5 and %s", len(doc.Points), got, want)
	}
	for _, want := range []string{`"asked_per_second": 268.8888888888889`, `"achieved_per_second": 225.11111111111111`, `"error_rate": 0.0325`,
		`"sending_ns": 4500000000`, `"waiting_ns": 700000000`, `"warnings": []`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	got, err := ReadJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Start.Equal(r.Start) {
		t.Errorf("start %s, want %s", got.Start, r.Start)
	}
	got.Start = r.Start // with another location
	if !reflect.DeepEqual(got, r) {
		t.Errorf("got %+v, want %+v", got, r)
	}
}

func TestInvalidJSON(t *testing.T) {
	var good bytes.Buffer
	if err := JSON(&good, newEmptyResult()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ in, want string }{
		{"", "EOF"},
		{"{", "unexpected EOF"},
		{"{}", "format is missing: not a report, or loadgen 0.1 wrote it; run it again with this version"},
		{`{"start":"2026-01-01T00:00:00Z","lateness":{"hdr":"?"}}`, "format is missing: not a report, or loadgen 0.1 wrote it; run it again with this version"},
		{`{"format":2,"start":7}`, "format must be 1, got 2: read it with the version of loadgen that wrote it"},
		{`{"format":0}`, "format must be 1, got 0: read it with the version of loadgen that wrote it"},
		{`{"format":"1"}`, "not a report: want an object with a number as its format"},
		{"[]", "not a report: want an object with a number as its format"},
		{`{"format":1}`, "not the result of a run: start or lateness is missing"},
		{`{"format":1,"start":7}`, "Time.UnmarshalJSON: input is not a JSON string"},
		{`{"format":1,"start":"2026-01-01T00:00:00Z","lateness":{"hdr":"?"}}`, "hdr: illegal base64 data at input byte 0"},
		{good.String() + good.String(), "unexpected data after the report"},
		{good.String() + "x", "unexpected data after the report"},
	} {
		if _, err := ReadJSON(strings.NewReader(test.in)); err == nil || err.Error() != "read load report: "+test.want {
			t.Errorf("%s: got %v, want read load report: %s", test.in, err, test.want)
		}
	}
	if _, err := ReadJSON(strings.NewReader(good.String() + "\n \n")); err != nil {
		t.Errorf("with blank lines after it: %v", err)
	}
}

// fullDisk accepts some bytes.
type fullDisk int

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > int(*d) {
		return 0, errors.New("no space left on device")
	}
	*d -= fullDisk(len(p))
	return len(p), nil
}

// A report that is cut off must not look complete: each writer returns the error.
func TestWriteErrors(t *testing.T) {
	for name, write := range map[string]func(io.Writer, *openloop.Result) error{"Text": Text, "HTML": HTML, "JSON": JSON, "Percentiles": Percentiles} {
		for _, space := range []fullDisk{0, 1000} {
			disk := space
			err := write(&disk, newResult())
			if err == nil || !strings.Contains(err.Error(), "no space left on device") {
				t.Errorf("%s with space for %d bytes: %v", name, space, err)
			}
		}
	}
}
