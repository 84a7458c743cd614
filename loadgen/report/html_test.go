package report

import (
	"bytes"
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"apmapp/loadgen/openloop"
)

// The page without its style, library and script, which have tests in a browser.
func TestHTML(t *testing.T) {
	for name, r := range map[string]*openloop.Result{"report.html": newResult(), "empty.html": newEmptyResult()} {
		var page bytes.Buffer
		if err := HTML(&page, r); err != nil {
			t.Fatal(err)
		}
		text := page.String()
		for _, part := range []string{file(files, "page/report.css"), file(files, "page/report.js")} {
			if !strings.Contains(text, part) {
				t.Errorf("%s is without\n%s", name, part)
			}
		}
		if !strings.Contains(text, "var uPlot=") || !strings.Contains(text, ".uplot") {
			t.Errorf("%s is without its library", name)
		}
		text = regexp.MustCompile(`(?s)<style>.*</style>`).ReplaceAllString(text, "<style></style>")
		text = regexp.MustCompile(`(?s)<script>.*</script>`).ReplaceAllString(text, "<script></script>")
		// TestRun reads the points of the percentiles; their digits depend on the
		// processor.
		text = regexp.MustCompile(`"inverse":.*}</script>`).ReplaceAllString(text, `"inverse":...}</script>`)
		golden(t, name, text)
	}
}

// The charts draw a run's series as rates, and nothing where no request was sent.
func TestRun(t *testing.T) {
	r := newResult()
	r.Total.Response, r.Total.Service = durations(100, time.Millisecond), durations(100, time.Microsecond)
	got := newRun(r)
	// The first of 100 response times is the 0th percentile, the slowest all above the
	// 99th: two nines with twenty points each, and six points of the slowest.
	if len(got.Inverse) != 47 || len(got.Response) != 47 || len(got.Service) != 47 {
		t.Fatalf("%d points of percentiles, %d and %d durations, want 47", len(got.Inverse), len(got.Response), len(got.Service))
	}
	for i, want := range map[int]struct {
		inverse float64
		q       float64
	}{0: {1, 0}, 20: {10, 0.9}, 40: {100, 0.99}, 46: {math.Pow(10, 2.3), 1}} {
		if got.Inverse[i] != want.inverse || got.Response[i] != r.Total.Response.Quantile(want.q) || got.Service[i] != r.Total.Service.Quantile(want.q) {
			t.Errorf("point %d: %v, %s, %s, want %v and the quantile %v", i, got.Inverse[i], got.Response[i], got.Service[i], want.inverse, want.q)
		}
	}
	r.Total.Response = durations(3, 0)
	if got := newRun(r); got.Response[0] != time.Microsecond {
		t.Errorf("a response time of 0 is drawn at %s, want 1µs", got.Response[0])
	}
	got.Inverse, got.Response, got.Service = nil, nil, nil
	data, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	// The fifth second was asked for half of it. The sixth has only 0.2 s: its
	// answers count for the fifth, which then has 1.2 s.
	const want = `{"seconds":[0,1,2,3,4],` +
		`"p50":[5,null,8,11,14],"p99":[6,null,9,12,15],"max":[7,null,10,13,16],` +
		`"asked":[101,201,301,401,412],"achieved":[95,0,301,402,128.333333],"failed":[3,0,0,0,20],"dropped":[2,0,0,0,10],` +
		`"inverse":null,"response":null,"service":null}`
	if string(data) != want {
		t.Errorf("got\n%s, want\n%s", data, want)
	}
}

// One failed request is bad, one dropped one too.
func TestBadFigures(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*openloop.PathResult)
		want   string
	}{
		{"none", func(*openloop.PathResult) {}, ""},
		{"failed", func(p *openloop.PathResult) { p.Unexpected = 1 }, "failed, not served"},
		{"dropped", func(p *openloop.PathResult) { p.Dropped = 1 }, "dropped, not served"},
		{"an error", func(p *openloop.PathResult) { p.Failures["reset"] = 1 }, "failed, not served, errors"},
	} {
		r := newEmptyResult()
		r.Total.Arrivals = 10
		test.change(&r.Total)
		var bad []string
		for _, f := range newView(r).Figures {
			if f.Bad {
				bad = append(bad, f.Name)
			}
		}
		if got := strings.Join(bad, ", "); got != test.want {
			t.Errorf("%s: bad are %s, want %s", test.name, got, test.want)
		}
	}
}

// After the end of the schedule, only the rate of answers is drawn.
func TestRunWithLateAnswers(t *testing.T) {
	r := newResult()
	r.Waiting = time.Second
	got := newRun(r)
	got.Inverse, got.Response, got.Service = nil, nil, nil
	data, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"seconds":[0,1,2,3,4,5]`, `"asked":[101,201,301,401,412,null]`, `"achieved":[95,0,301,402,150,8]`,
		`"failed":[3,0,0,0,20,null]`, `"dropped":[2,0,0,0,10,null]`, `"p50":[5,null,8,11,14,null]`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("no %s in\n%s", want, data)
		}
	}
}
