package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apmapp/internal/command"
	"apmapp/loadgen/report"
)

// serve answers every n-th request with a 500, with a trace.
func serve(t *testing.T, every int64) (url string, requests *atomic.Int64) {
	requests = new(atomic.Int64)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		n := requests.Add(1)
		w.Header().Set("Traceresponse", fmt.Sprintf("00-%032x-3333333333333333-01", n))
		if every > 0 && n%every == 0 {
			w.WriteHeader(http.StatusInternalServerError)
		}
		fmt.Fprint(w, "ok")
	}))
	t.Cleanup(service.Close)
	return service.URL, requests
}

// execute runs loadgen and returns what it prints.
func execute(ctx context.Context, args ...string) (status int, stdout, stderr string) {
	return executeWith(ctx, "", args...)
}

// executeWith runs loadgen with a standard input.
func executeWith(ctx context.Context, stdin string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(ctx, command.Process{Args: args, Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs})
	return status, out.String(), errs.String()
}

func TestReport(t *testing.T) {
	url, requests := serve(t, 10)
	status, stdout, stderr := execute(t.Context(), "-url", url, "-rps", "200", "-duration", "500ms", "-paths", "/a=3,/b")
	if status != 0 || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if requests.Load() != 100 {
		t.Errorf("%d requests, want 100", requests.Load())
	}
	for _, want := range []string{
		"requests  100 due, 100 sent, 0 dropped, 10 failed (10.0% not served)",
		"rate      200/s asked, ",
		"answers   90 2xx, 10 5xx, 200B",
		"response time, from the scheduled time\n",
		"service time, from sending\n",
		"  p99.99",
		"  all       100",
		"   /a        75",
		"   /b        25",
		"\nslowest\n",
		"\nfailed\n",
		// The tenth request that arrives; on a busy machine that is not the tenth due.
		"  trace 0000000000000000000000000000000a\n",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
}

// Queries are sent as they are typed.
func TestQueries(t *testing.T) {
	var mu sync.Mutex
	got := map[string]int{}
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		got[r.RequestURI]++
	}))
	defer service.Close()
	status, _, stderr := execute(t.Context(), "-url", service.URL, "-rps", "100", "-duration", "100ms", "-paths", "/info?id=7,3:/search?q=a,b=3,/c=1")
	mu.Lock()
	defer mu.Unlock()
	if want := map[string]int{"/info?id=7": 2, "/search?q=a,b=3": 6, "/c": 2}; status != 0 || !maps.Equal(got, want) {
		t.Errorf("status %d: %s, requested %v, want %v", status, stderr, got, want)
	}
}

func TestReportAsJSON(t *testing.T) {
	url, _ := serve(t, 0)
	file := filepath.Join(t.TempDir(), "run.json")
	if err := os.WriteFile(file, []byte("an earlier run"), 0o666); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := execute(t.Context(), "-url", url, "-rps", "100", "-duration", "200ms", "-json", "-o", file, "-arrivals", "poisson", "-seed", "3")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(written) != stdout {
		t.Error("the file is not what was printed")
	}
	r, err := report.ReadJSON(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	if n := r.Total.Statuses[200]; n == 0 || n != r.Total.Arrivals || r.Total.Response.Count() != n || len(r.Paths) != 3 {
		t.Errorf("%+v", r.Total)
	}
	if left, _ := filepath.Glob(file + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestInterruptedRunReports(t *testing.T) {
	url, requests := serve(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for requests.Load() < 20 {
		}
		cancel()
	}()
	status, stdout, stderr := execute(ctx, "-url", url, "-rps", "500")
	if status != 0 || !strings.Contains(stdout, fmt.Sprintf("requests  %d due", requests.Load())) {
		t.Errorf("status %d, %d requests: %s%s", status, requests.Load(), stdout, stderr)
	}
}

// A run that measured nothing must not look like a good one.
func TestInterruptedBeforeTheFirstRequest(t *testing.T) {
	url, _ := serve(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	status, stdout, stderr := execute(ctx, "-url", url, "-rps", "500", "-start-at", time.Now().Add(time.Hour).Format(time.RFC3339))
	if status != 1 || !strings.Contains(stderr, "nothing was measured: the run was interrupted before") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
}

// The message names where loadgen connected to.
func TestNothingAnswersAtASocket(t *testing.T) {
	status, _, stderr := execute(t.Context(), "-url", "http://shop.example", "-unix-socket", "none.sock", "-rps", "100", "-duration", "50ms")
	if status != 1 || !strings.Contains(stderr, "nothing answered at http://shop.example, by way of unix:none.sock;") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

func TestNothingAnswers(t *testing.T) {
	service := httptest.NewServer(http.NotFoundHandler())
	service.Close()
	status, stdout, stderr := execute(t.Context(), "-url", strings.Replace(service.URL, "//", "//me:secret@", 1), "-rps", "100", "-duration", "200ms")
	if status != 1 || !strings.Contains(stderr, "nothing answered") || !strings.Contains(stderr, "make demo") {
		t.Errorf("status %d: %s", status, stderr)
	}
	if !strings.Contains(stdout, "errors    20 refused") {
		t.Errorf("the report:\n%s", stdout)
	}
	if strings.Contains(stdout+stderr, "secret") {
		t.Errorf("the password is shown: %s%s", stdout, stderr)
	}
}

func TestMaxErrorRate(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, 4) // a quarter fails
	for allowed, want := range map[string]int{"25%": 0, "0.25": 0, "24%": 1, "0": 1, "1": 0} {
		status, _, stderr := execute(t.Context(), "-url", url, "-rps", "200", "-duration", "200ms", "-max-error-rate", allowed)
		if status != want {
			t.Errorf("%s: status %d, want %d: %s", allowed, status, want, stderr)
		}
	}
}

func TestUsageErrors(t *testing.T) {
	for args, want := range map[string]string{
		"-rps 0":                         "-rps, -arrivals, -duration: rate must be greater than 0 requests per second, got 0",
		"-rps -5":                        "rate must be greater than 0 requests per second, got -5",
		"-rps many":                      `-rps: "many" is not a number`,
		"-duration -1s":                  "duration must be at least 0s, got -1s",
		"-duration 10":                   `-duration: "10" is not a duration with a unit`,
		"-arrivals uniform":              `arrivals must be constant or poisson, got "uniform"`,
		"-url 127.0.0.1:5050":            "-url: ",
		"-url ftp://x":                   `-url: "ftp://x" must be http:// or https:// and a host`,
		"-url http://":                   `-url: "http:" must be http:// or https:// and a host`,
		"-url http://u:secret@x/?q=1":    `-url: "http://u:xxxxx@x/?q=1" has a query or a fragment`,
		"-url http://u:secret@x:y":       "-url: not a valid URL",
		"-rps 1 -profile ramp:0..5@1s":   "-rps and -profile name two rates: give one",
		"-profile wave:1@1s":             `-profile: "wave:1@1s": unknown kind "wave": use steps, ramp or spike`,
		"-shard 3/2":                     `-shard: "3/2" is not a shard`,
		"-shard 1":                       `-shard: "1" is not a shard`,
		"-shard 0/2":                     `-shard: "0/2" is not a shard`,
		"-shard 2+1/2":                   `-shard: "2+1/2" is not a shard`,
		"-shard -1+1/2":                  `-shard: "-1+1/2" is not a shard`,
		"-shard 1+2/3":                   `-shard: "1+2/3" is not a shard`,
		"-shard +1/2":                    `-shard: "+1/2" is not a shard`,
		"-start-at next:":                `-start-at: "next:" has no valid period`,
		"-start-at next:0s":              `-start-at: "next:0s" has no valid period`,
		"-start-at noon":                 `-start-at: "noon" is not a time`,
		"-start-at 2020-01-01T00:00:00Z": "-start-at: 2020-01-01T00:00:00Z is in the past",
		"-hgrm x -o x.pdf":               `-o: "x.pdf" must end in`,
		"-o=":                            "-o: the name of the file is empty",
		"-hgrm=":                         "-hgrm: the name of the file is empty",
		"merge -o= a.json":               "-o: the name of the file is empty",
		"-json -o -":                     "-json: standard output has the JSON report, and -o writes there too",
		"-json -hgrm /dev/stdout":        "-json: standard output has the JSON report, and -hgrm writes there too",
		"-header Content-Length:3":       "-header: header Content-Length must be left out: it follows from the body",
		"-url http://b\u00fccher.example -resolve xn--x.example:80:127.0.0.1": `but the target is xn--bcher-kva.example:80`,
		"merge":                 "no files",
		"merge -o x.pdf a.json": `-o: "x.pdf" must end in`,
		"-paths api":            `-paths: path must start with a slash, got "api"`,
		"-timeout 0s":           "-timeout: must be greater than 0s, got 0s",
		"-max-in-flight 0":      "-max-in-flight: must be at least 1, got 0",
		"-max-error-rate 101%":  `-max-error-rate: "101%" is not a share`,
		"-max-error-rate x":     `-max-error-rate: "x" is not a share`,
		"-header novalue":       "-header: a header has the form Name: value",
		"-o run.pdf":            `-o: "run.pdf" must end in`,
		"20":                    `unexpected argument "20"`,
		"-nonesuch":             "unknown flag -nonesuch",
	} {
		status, stdout, stderr := execute(t.Context(), strings.Fields(args)...)
		if status != 2 || !strings.Contains(stderr, want) || stdout != "" {
			t.Errorf("%s: status %d, want 2 and %q: %s%s", args, status, want, stdout, stderr)
		}
		if strings.Contains(stderr, "secret") {
			t.Errorf("%s: the password is shown: %s", args, stderr)
		}
	}
}

// What an Indexed Job of Kubernetes can say: $(JOB_COMPLETION_INDEX)+1/3.
func TestShardsCountedFromZero(t *testing.T) {
	for s, want := range map[string]int{"0+1/3": 1, "2+1/3": 3, "2/3": 2} {
		if i, n, err := shard(s); i != want || n != 3 || err != nil {
			t.Errorf("%s: %d of %d, %v; want %d of 3", s, i, n, err, want)
		}
	}
}

func TestNextPeriodIsOneInstantForAll(t *testing.T) {
	midday := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	want := midday.Add(time.Minute)
	for _, now := range []time.Time{midday, midday.Add(time.Nanosecond), midday.Add(59 * time.Second).In(time.FixedZone("", 3600))} {
		if got, err := startAt("next:1m", now); err != nil || !got.Equal(want) {
			t.Errorf("at %s: %s, %v; want %s", now, got, err, want)
		}
	}
}

func TestEveryFile(t *testing.T) {
	t.Parallel()
	url, requests := serve(t, 0)
	dir := t.TempDir()
	page, percentiles := filepath.Join(dir, "run.html"), filepath.Join(dir, "run.hgrm")
	status, _, stderr := execute(t.Context(), "-url", url, "-profile", "steps:20,100@500ms", "-o", page, "-hgrm", percentiles)
	if status != 0 || requests.Load() != 60 {
		t.Fatalf("status %d after %d requests: %s", status, requests.Load(), stderr)
	}
	for name, want := range map[string]string{
		page: "<title>Load run of ",
		// What its plotter reads: a heading, four columns, and a summary.
		percentiles: "Value\tPercentile\tTotalCount\t1/(1-Percentile)",
	} {
		written, err := os.ReadFile(name)
		if err != nil || !strings.Contains(string(written), want) {
			t.Errorf("%s: %v, no %q", name, err, want)
		}
	}
	written, err := os.ReadFile(percentiles)
	if err != nil {
		t.Fatal(err)
	}
	if last := regexp.MustCompile(`(?m)^ +[0-9.]+ +1\.0+ +60 +(inf)?`); !last.Match(written) || !strings.Contains(string(written), "#[Max     =") {
		t.Errorf("not whole:\n%s", written)
	}
}

func TestShardsMergeIntoOneRun(t *testing.T) {
	t.Parallel()
	url, requests := serve(t, 10)
	dir := t.TempDir()
	at := time.Now().Add(500 * time.Millisecond).Format(time.RFC3339Nano)
	var both sync.WaitGroup
	for _, shard := range []string{"1", "2"} {
		both.Go(func() {
			status, _, stderr := execute(t.Context(), "-url", url, "-rps", "100", "-duration", "1s", "-paths", "/a=1,/b=3",
				"-start-at", at, "-shard", shard+"/2", "-o", filepath.Join(dir, shard+".json"))
			if status != 0 {
				t.Errorf("shard %s: status %d: %s", shard, status, stderr)
			}
		})
	}
	both.Wait()
	status, stdout, stderr := execute(t.Context(), "merge", "-json", "-o", filepath.Join(dir, "all.html"), filepath.Join(dir, "1.json"), filepath.Join(dir, "2.json"))
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	r, err := report.ReadJSON(strings.NewReader(stdout))
	if err != nil {
		t.Fatal(err)
	}
	if requests.Load() != 100 || r.Total.Arrivals != 100 || r.Total.Failed() != 10 || r.Paths[0].Arrivals != 25 || r.Paths[1].Arrivals != 75 {
		t.Errorf("%d requests: %+v", requests.Load(), r.Total)
	}
	if rate := r.AskedRate(); math.Abs(rate-100) > 1 {
		t.Errorf("%.2f/s asked", rate)
	}
	if _, err := os.Stat(filepath.Join(dir, "all.html")); err != nil {
		t.Error(err)
	}
	all := []string{"merge", filepath.Join(dir, "1.json"), filepath.Join(dir, "2.json"), "-fail-if"}
	if status, stdout, stderr := execute(t.Context(), append(all, "errors>=10%")...); status != 1 || stderr != "loadgen merge: -fail-if errors>=10%: errors is 10%\n" || !strings.Contains(stdout, "requests  100 due") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
	if status, _, stderr := execute(t.Context(), append(all, "errors>10%")...); status != 0 {
		t.Errorf("status %d: %s", status, stderr)
	}
	if status, _, stderr := execute(t.Context(), append(all, "errors")...); status != 2 || !strings.Contains(stderr, "-fail-if: \"errors\" is not a threshold") {
		t.Errorf("status %d: %s", status, stderr)
	}
	for args, want := range map[string]string{
		filepath.Join(dir, "3.json"):   "no such file",
		filepath.Join(dir, "all.html"): "all.html: read load report: ",
	} {
		if status, _, stderr := execute(t.Context(), "merge", args); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d: %s", args, status, stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	status, stdout, _ := execute(t.Context(), "-help")
	for _, flag := range []string{"-rps", "-duration", "-url", "-paths", "-timeout", "-max-in-flight", "-arrivals", "-seed", "-json", "-o file", "-max-error-rate", "-profile", "-hgrm", "-shard", "-start-at", "-trace",
		"-warmup", "-targets", "-body", "-content-type", "-expect", "-fail-if", "-abort-if", "-resolve", "-unix-socket", "-cert", "-key", "-cacert", "-keepalive", "-redirects"} {
		if !strings.Contains(stdout, "\n  "+flag) {
			t.Errorf("no %s", flag)
		}
	}
	for _, text := range []string{"-paths '2:/a?id=7,/b'", "POST /cart", "@cart.json", "errors>1%"} {
		if !strings.Contains(stdout, text) {
			t.Errorf("no %s", text)
		}
	}
	for flag, value := range map[string]string{"rps rate": "20", "arrivals distribution": "constant", "seed uint": "1", "duration duration": "0s", "warmup duration": "0s",
		"url URL": "http://127.0.0.1:5050", "paths paths": "/=1,/api/trace=1,/api/apm=1", "method method": "GET", "timeout duration": "10s",
		"max-in-flight number": "1000", "keepalive": "true", "redirects number": "0", "max-error-rate share": "100%"} {
		if !regexp.MustCompile(`(?m)^  -` + flag + `\n .* \(default ` + value + `\)$`).MatchString(stdout) {
			t.Errorf("-%s does not have the default %s", flag, value)
		}
	}
	if !strings.HasPrefix(stdout, "Examples:\n") {
		t.Errorf("it begins with %.100s", stdout)
	}
	if status != 0 {
		t.Errorf("status %d", status)
	}
}

func TestLiveLine(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, 0)
	var live bytes.Buffer
	p := command.Process{Args: []string{"-url", url, "-rps", "20", "-duration", "2500ms"}, Stdout: io.Discard, Stderr: io.Discard}
	if status := program(t.Context(), p, &live).Execute(t.Context(), p); status != 0 {
		t.Fatalf("status %d", status)
	}
	if got := live.String(); !strings.Contains(got, " in flight  p50 ") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("%q", got)
	}
}
