package main

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"testing"
	"time"

	"apmapp/internal/command"
	"apmapp/internal/memdb"
)

// windows returns windows: the second is the base.
func windows(last ...window) []window {
	base := window{p50: 10 * time.Millisecond, cpu: 0.5, rss: 200e6}
	return append([]window{{p50: time.Second, cpu: 2, rss: 1}, base}, last...)
}

func TestCompare(t *testing.T) {
	at := func(factor float64) window {
		return window{p50: time.Duration(factor * 1e7), cpu: factor * 0.5, rss: factor * 200e6}
	}
	for _, tc := range []struct {
		name     string
		windows  []window
		exceeded string
		want     string
	}{
		{"at the limit", windows(at(1.2), at(1.2), at(1.2)), "", "p50    +20% from window 2 to the last 3, within the limit of +20%"},
		{"over the limit", windows(at(1.21), at(1.21), at(1.21)), "p50 CPU memory", "CPU    +21% from window 2 to the last 3, EXCEEDS the limit of +20%"},
		{"less", windows(at(0.5), at(0.5), at(0.5)), "", "memory -50% from"},
		{"one disturbed window", windows(at(1), at(5), at(1.1)), "", "p50    +10% from"},
		{"earlier windows do not count", windows(at(9), at(9), at(9), at(1), at(1), at(1)), "", "CPU    +0% from"},
		{"CPU too little to measure", append(windows()[:1], window{p50: 1e7, rss: 1}, window{p50: 1e7, rss: 1}, window{p50: 1e7, rss: 1}, window{p50: 1e7, rss: 1}), "", "CPU    +0% from"},
		{"CPU only at the end", append(windows()[:1], window{p50: 1e7, rss: 1}, window{p50: 1e7, cpu: 1, rss: 1}, window{p50: 1e7, cpu: 1, rss: 1}, window{p50: 1e7, cpu: 1, rss: 1}), "CPU", "CPU    +Inf% from window 2 to the last 3, EXCEEDS"},
		{"one number", windows(window{p50: 1e7, cpu: 0.5, rss: 250e6}, at(2), window{p50: 1e7, cpu: 0.5, rss: 250e6}), "memory", "memory +25%"},
	} {
		var exceeded, text []string
		for _, f := range compare(tc.windows) {
			if f.exceeded() {
				exceeded = append(exceeded, f.name)
			}
			text = append(text, f.String())
		}
		if got := strings.Join(exceeded, " "); got != tc.exceeded {
			t.Errorf("%s: %q exceed the limit, want %q", tc.name, got, tc.exceeded)
		}
		if got := strings.Join(text, "\n"); !strings.Contains(got, tc.want) {
			t.Errorf("%s: %s\nwant %s", tc.name, got, tc.want)
		}
	}
}

func TestFailures(t *testing.T) {
	for failed, exceeded := range map[int]bool{0: false, 3: false, 4: true} {
		text, got := failures([]window{{requests: 100}, {requests: 200, failed: failed}})
		if want := fmt.Sprintf("failed %d of 300 requests, at most 1%% may", failed); text != want || got != exceeded {
			t.Errorf("%q, exceeded %v; want %q, %v", text, got, want, exceeded)
		}
	}
}

func execute(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = run(context.Background(), command.Process{Args: args, Getenv: os.Getenv, Stdout: &out, Stderr: &errs})
	return status, out.String(), errs.String()
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct{ args, want string }{
		{"-runs 20", `-runs must be RATE/LENGTH such as 200/10m, with commas between runs, got "20"`},
		{"-runs x/10m", `got "x/10m"`},
		{"-runs 20/10m,", `got ""`},
		{"-runs 20/4m", `-runs: a run must have at least 5 windows of 1m0s, got "20/4m"`},
		{"-window 199ms", "-window must be at least 200ms, got 199ms"},
	} {
		if status, _, stderr := execute(t, strings.Fields(tc.args)...); status != 2 || !strings.Contains(stderr, tc.want) {
			t.Errorf("%s: status %d, %s, want %s", tc.args, status, stderr, tc.want)
		}
	}
	if status, _, stderr := execute(t, "-demo", "/nonesuch"); status != 1 || !strings.Contains(stderr, "/nonesuch") {
		t.Errorf("no demo: status %d, %s", status, stderr)
	}
}

// fakeDemo makes the test binary a stand-in for the demo: a database, a service, and
// the lines that bench reads. Its value is what it does wrong.
const fakeDemo = "BENCH_TEST_FAKE_DEMO"

func TestMain(m *testing.M) {
	if fault, ok := os.LookupEnv(fakeDemo); ok {
		os.Exit(fake(fault))
	}
	os.Exit(m.Run())
}

func fake(fault string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	db, err := memdb.Start(io.Discard)
	if err != nil {
		panic(err)
	}
	client, err := sql.Open("mysql", db.DSN())
	if err != nil {
		panic(err)
	}
	for _, statement := range []string{"CREATE TABLE visits (id INT PRIMARY KEY)", "INSERT INTO visits VALUES (1), (2), (3)"} {
		if _, err := client.Exec(statement); err != nil {
			panic(err)
		}
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(10 * time.Millisecond)
		if fault == "refuses" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	if fault == "prints nothing" {
		return 0
	}
	fmt.Printf("service   %s  (/)\ndatabase  mysql -h 127.0.0.1 -P %d -u apmapp apmapp\ntry       curl\n", service.URL, db.Port())
	fmt.Fprintln(os.Stderr, os.Args[1:])
	if fault == "leaves a file" {
		if _, err := os.CreateTemp("", ""); err != nil {
			panic(err)
		}
	}
	<-ctx.Done()
	if fault == "fails" {
		return 1
	}
	return 0
}

// An answer of the stand-in takes at least 10 ms.
func TestBench(t *testing.T) {
	for _, tc := range []struct{ fault, stdout, stderr string }{
		{"", `(?m)^     5 +[1-9]\d+(\.\d+)?ms +[\d.]+% +[1-9]\d+ MB +3 +0 +\d+%$`, `^\[-database embedded -rps 30 `},
		{"refuses", `(?m)^     5 .* 3 +1 +\d+%$`, ``},
		{"leaves a file", ``, `directory not empty`},
		{"fails", ``, `the demo ended with exit status 1; its files are in /`},
		{"prints nothing", `^embedded database, 30 requests per second, 1s\n$`, `the demo printed no addresses`},
	} {
		t.Run(tc.fault, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			t.Setenv(fakeDemo, tc.fault)
			status, stdout, stderr := execute(t, "-demo", os.Args[0], "-databases", "embedded", "-runs", "30/1s", "-window", "200ms")
			if status == 2 || (tc.fault == "leaves a file" || tc.fault == "fails" || tc.fault == "prints nothing") && status != 1 {
				t.Errorf("status %d: %s", status, stderr)
			}
			if !regexp.MustCompile(tc.stdout).MatchString(stdout) || !regexp.MustCompile(tc.stderr).MatchString(stderr) {
				t.Errorf("want %s and %s, got\n%s%s", tc.stdout, tc.stderr, stdout, stderr)
			}
			if tc.fault == "" && (status == 1) != strings.Contains(stdout, "EXCEEDS") || tc.fault == "refuses" && status != 1 {
				t.Errorf("status %d with\n%s", status, stdout)
			}
		})
	}
}
