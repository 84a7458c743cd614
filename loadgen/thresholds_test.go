package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

func TestThresholds(t *testing.T) {
	r := &openloop.Result{Sending: 10 * time.Second, Achieved: 950, Total: openloop.PathResult{
		Arrivals: 1000, Dropped: 10, Statuses: map[int]int64{200: 950}, Failures: map[string]int64{"reset": 40},
		Response: openloop.NewHistogram(), Service: openloop.NewHistogram(),
	}}
	for range 990 {
		r.Total.Response.Record(200 * time.Millisecond)
	}
	for text, want := range map[string]string{
		"":                       "",
		"p99>200ms":              "",
		"p99>=200ms":             "p99>=200ms: p99 is 200ms",
		"p99 > 199ms":            "p99 > 199ms: p99 is 200ms",
		"max<=200ms":             "max<=200ms: max is 200ms",
		"p50<200ms":              "",
		"mean<1s":                "mean<1s: mean is 199.95ms", // the middle of a histogram's bucket
		"errors>5%":              "",
		"errors>=5%":             "errors>=5%: errors is 5%",
		"errors>0.0499":          "errors>0.0499: errors is 5%",
		"failed>3.9%,dropped>0%": "failed>3.9%: failed is 4%, dropped>0%: dropped is 1%",
		"achieved<95":            "",
		"achieved<95.1/s":        "achieved<95.1/s: achieved is 95/s",
	} {
		thresholds, err := parseThresholds(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := strings.Join(exceeded(thresholds, r.Total.Completed(), r.Value), ", "); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
		end := abort(thresholds)
		if end == nil {
			if text != "" {
				t.Errorf("%s never ends a run", text)
			}
			continue
		}
		s := openloop.Snapshot{Sending: r.Sending, Arrivals: 1000, Completed: 990, Failed: 40, Dropped: 10, Achieved: 950, Response: r.Total.Response}
		if got := end(s); got != want {
			t.Errorf("-abort-if %s: got %q, want %q", text, got, want)
		}
	}
	// Before the first answer there are no times to compare.
	thresholds, _ := parseThresholds("max<1s,errors<1%")
	if got := abort(thresholds)(openloop.Snapshot{Arrivals: 1, Response: openloop.NewHistogram()}); got != "errors<1%: errors is 0%" {
		t.Errorf("without answers: %q", got)
	}
}

func TestInvalidThresholds(t *testing.T) {
	for text, want := range map[string]string{
		"p99":           `"p99" is not a threshold, such as p99>200ms or errors>1%`,
		"p99>200ms,":    `"" is not a threshold`,
		"p99=200ms":     `"p99=200ms" is not a threshold`,
		"p99>200":       `"p99>200": "200" is not a duration with a unit, such as 200ms`,
		"p99>":          `"p99>": "" is not a duration with a unit`,
		">200ms":        `"" is not a measure`,
		"p101>1s":       `"p101" is not a measure`,
		"latency>1s":    `"latency" is not a measure`,
		"errors>10":     `"errors>10": "10" is not a share, such as 0.01 or 1%`,
		"errors>5ms":    `"errors>5ms": "5ms" is not a share`,
		"achieved<fast": `"achieved<fast": "fast" is not a rate in requests per second`,
	} {
		for _, flag := range []string{"-fail-if", "-abort-if"} {
			status, _, stderr := execute(t.Context(), flag, text)
			if status != 2 || !strings.Contains(stderr, flag+": "+want) {
				t.Errorf("%s %s: status %d, want 2 and %q: %s", flag, text, status, want, stderr)
			}
		}
	}
}

func TestFailIf(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, 4) // a quarter fails
	for _, test := range []struct {
		args string
		want string // on standard error, after a run; nothing if it succeeds
	}{
		{"-fail-if max>1m,errors>25%", ""},
		{"-fail-if max>1ns,errors>=25%,failed>30%", "loadgen: -fail-if max>1ns: max is "},
		{"-fail-if max>1ns,errors>=25%,failed>30%", "\n-fail-if errors>=25%: errors is 25%\n"},
		{"-fail-if errors>20% -max-error-rate 20%", "25.00 % of the requests failed or were dropped; -max-error-rate allows 20.00 %\n-fail-if errors>20%: errors is 25%\n"},
		// What counts as failed depends on -expect.
		{"-expect 2xx,5xx -fail-if errors>0", ""},
		{"-expect 2xx,500 -fail-if errors>0", ""},
		{"-expect 404 -fail-if errors<100%", ""},
		{"-expect 404 -fail-if errors>=100%", "-fail-if errors>=100%: errors is 100%"},
	} {
		status, stdout, stderr := execute(t.Context(), append([]string{"-url", url, "-rps", "200", "-duration", "100ms"}, strings.Fields(test.args)...)...)
		if wantStatus := min(len(test.want), 1); status != wantStatus || !strings.Contains(stderr, test.want) || wantStatus == 0 && stderr != "" || !strings.Contains(stdout, "requests  20 due") {
			t.Errorf("%s: status %d, want %d and %q: %s", test.args, status, wantStatus, test.want, stderr)
		}
	}
}

// The first seconds are slow, and do not count.
func TestWarmup(t *testing.T) {
	url, requests := serve(t, 0)
	status, stdout, stderr := execute(t.Context(), "-url", url, "-rps", "100", "-duration", "300ms", "-warmup", "200ms", "-json")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	r, err := report.ReadJSON(strings.NewReader(stdout))
	if err != nil || requests.Load() != 30 || r.Total.Arrivals != 10 {
		t.Errorf("%d requests, %+v, %v; want 30 requests, 10 of them counted", requests.Load(), r, err)
	}
	for _, args := range []string{"-warmup 1s -duration 1s", "-warmup 2m -profile 1@1m", "-warmup -1s"} {
		status, _, stderr := execute(t.Context(), strings.Fields(args)...)
		if status != 2 || !strings.Contains(stderr, "-warmup: must be at least 0s and shorter than the run, got ") {
			t.Errorf("%s: status %d: %s", args, status, stderr)
		}
	}
}

// A run without an end ends at its threshold, with its report.
func TestAbortIf(t *testing.T) {
	t.Parallel()
	var sent atomic.Int64
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		sent.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer service.Close()
	status, stdout, stderr := execute(t.Context(), "-url", service.URL, "-rps", "50", "-abort-if", "errors>50%", "-json")
	reason, named := strings.CutPrefix(stderr, "loadgen: ended early by -abort-if ")
	if status != 1 || !named || !strings.HasPrefix(reason, "errors>50%: errors is ") {
		t.Errorf("status %d: %s", status, stderr)
	}
	r, err := report.ReadJSON(strings.NewReader(stdout))
	if err != nil || r.Aborted+"\n" != reason || r.Total.Arrivals != sent.Load() || sent.Load() > 500 {
		t.Errorf("%d requests, %+v, %v", sent.Load(), r, err)
	}
}

// A run that counted nothing met no threshold.
func TestFailIfWithoutRequests(t *testing.T) {
	thresholds, err := parseThresholds("p99>1s")
	if err != nil {
		t.Fatal(err)
	}
	r := &openloop.Result{Total: openloop.PathResult{Response: openloop.NewHistogram()}}
	if err := (options{failIf: thresholds, maxErrorRate: 1}).verdict(r); err == nil || err.Error() != "-fail-if: no request was counted" {
		t.Errorf("got %v", err)
	}
	if err := (options{maxErrorRate: 1}).verdict(r); err != nil {
		t.Errorf("without thresholds: %v", err)
	}
}
