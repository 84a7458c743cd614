package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	psutil "github.com/shirou/gopsutil/v4/process"

	"apmapp/internal/format"
	"apmapp/internal/testing/loopback"
	"apmapp/internal/testing/mysqltest"
)

// The goals of BenchmarkOverload. They hold while the generator, MySQL and the
// service share the machine.
const (
	overload       = 5   // times the peak
	goodputShare   = 0.7 // of the peak
	rssLimit       = 150 << 20
	healthzLimit   = 100 * time.Millisecond // p99
	recoveryLimit  = time.Second
	rounds         = 5
	measureFor     = 3 * time.Second
	loadgenClients = 1000 // requests in flight; loadgen's default
)

// BenchmarkOverload measures the service under five times the load that it can
// serve, prints what it found, and fails if a goal is missed. make bench-overload
// runs it; docs/adr/0007-overload.md explains the figures.
//
// The speed of a shared machine changes within a minute. So each overload is compared
// with the peaks just before and after it, and the median of the rounds counts.
func BenchmarkOverload(b *testing.B) {
	bench := newOverloadBench(b)
	p := bench.start()
	clients := bench.best(p)
	peak := func() measurement {
		return bench.measure(p, fmt.Sprintf("peak (%d clients)", clients), func() traffic { return bench.closed(p, clients, measureFor) })
	}
	rows := []measurement{peak()}
	var open, closed []float64 // shares of the peak
	var recovery time.Duration
	compare := func(shares *[]float64, m measurement) {
		before := rows[len(rows)-1]
		after := peak()
		rows = append(rows, m, after)
		*shares = append(*shares, 2*m.ok/(before.ok+after.ok))
	}
	for range rounds {
		asked := overload * rows[len(rows)-1].ok
		m := bench.measure(p, "open loop", func() traffic {
			return bench.loadgen(p, asked, loadgenClients, measureFor, routes...)
		})
		recovery = max(recovery, bench.recovery(p))
		compare(&open, m)
		compare(&closed, bench.measure(p, "closed loop", func() traffic {
			return bench.closed(p, overload*128, measureFor)
		}))
	}
	refused, probed := bench.refusal(p)

	bench.print(rows)
	perRequest := rows[0].cpuPerRequest()
	fmt.Printf("CPU time of the service: %s per request at the peak, %s per refusal (%s), %s per /healthz, the least that net/http can answer with (%s)\n\n",
		perRequest, refused, format.Percent(float64(refused)/float64(perRequest)), probed, format.Percent(float64(probed)/float64(perRequest)))
	var memory int64
	var healthz time.Duration
	for _, m := range rows {
		memory, healthz = max(memory, m.rss), max(healthz, m.healthz)
	}
	wantShare := "at least " + format.Percent(goodputShare) + " of the peak"
	goals := []struct {
		name      string
		met       bool
		got, want string
	}{
		{"goodput, open loop", median(open) >= goodputShare, shares(open), wantShare},
		{"goodput, closed loop", median(closed) >= goodputShare, shares(closed), wantShare},
		{"memory", memory <= rssLimit, fmt.Sprintf("%d MB", memory>>20), fmt.Sprintf("at most %d MB", rssLimit>>20)},
		{"/healthz p99", healthz < healthzLimit, fmt.Sprint(healthz), "less than " + healthzLimit.String()},
		{"recovery", recovery <= recoveryLimit, fmt.Sprint(recovery), "at most " + recoveryLimit.String()},
	}
	for _, g := range goals {
		verdict := "met"
		if !g.met {
			verdict = "MISSED"
			b.Errorf("%s: %s, want %s", g.name, g.got, g.want)
		}
		fmt.Printf("%-6s  %s: %s (want %s)\n", verdict, g.name, g.got, g.want)
	}
	b.ReportMetric(median(open), "goodput/peak")
}

func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// shares returns the median of shares, and all of them in the order of the rounds.
func shares(values []float64) string {
	var all []string
	for _, v := range values {
		all = append(all, format.Percent(v))
	}
	return fmt.Sprintf("%s (%s)", format.Percent(median(values)), strings.Join(all, ", "))
}

// routes are the paths that the generators ask for.
var routes = []string{"/", "/api/trace", "/api/apm"}

// overloadBench has what all measurements share.
type overloadBench struct {
	b               *testing.B
	mysql           *mysqltest.Server
	agent           *httptest.Server
	program, sender string
	statsd          string
	dir             string
	mysqlPID        int
}

func newOverloadBench(b *testing.B) *overloadBench {
	bench := &overloadBench{b: b, dir: b.TempDir()}
	var err error
	if bench.program, err = buildOnce(); err != nil {
		b.Fatal(err)
	}
	bench.sender = filepath.Join(bench.dir, "loadgen")
	if out, err := exec.Command("go", "build", "-o", bench.sender, "apmapp/loadgen").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	bench.mysql = mysqltest.Start(b, "--max-connections=300")
	pid, err := os.ReadFile(bench.mysql.Strings(b, "SELECT @@pid_file")[0])
	if err != nil {
		b.Fatal(err)
	}
	if bench.mysqlPID, err = strconv.Atoi(strings.TrimSpace(string(pid))); err != nil {
		b.Fatal(err)
	}
	// An Agent that discards what it receives, so that its work does not count.
	bench.agent = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/info" {
			fmt.Fprint(w, `{"version":"7.70.0","endpoints":["/v0.4/traces","/v0.6/stats","/profiling/v1/input"],"client_drop_p0s":true}`)
			return
		}
		fmt.Fprint(w, `{"rate_by_service":{"service:,env:":1}}`)
	}))
	b.Cleanup(bench.agent.Close)
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { packets.Close() })
	bench.statsd = packets.LocalAddr().String()
	return bench
}

// running is a service of the benchmark. Unlike process, it does not read the log.
type running struct {
	pid int
	url string
}

// start starts a service and waits until it is ready.
func (o *overloadBench) start(environ ...string) running {
	o.b.Helper()
	logs, err := os.Create(filepath.Join(o.dir, fmt.Sprintf("log-%d", time.Now().UnixNano())))
	if err != nil {
		o.b.Fatal(err)
	}
	addr := loopback.FreeAddr(o.b)
	cmd := exec.Command(o.program, "-addr", addr)
	cmd.Stdout, cmd.Stderr = logs, os.Stderr
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "MYSQL_DSN=" + o.mysql.Database(o.b),
		"DD_TRACE_AGENT_URL=" + o.agent.URL, "DD_DOGSTATSD_URL=" + o.statsd,
		"DD_TRACE_STARTUP_LOGS=false", "DD_INSTRUMENTATION_TELEMETRY_ENABLED=false",
	}, environ...)
	if err := cmd.Start(); err != nil {
		o.b.Fatal(err)
	}
	o.b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait(); logs.Close() })
	p := running{cmd.Process.Pid, "http://" + addr}
	awaitReady(o.b, p.url)
	return p
}

// traffic is what a generator counted.
type traffic struct {
	generator string
	asked     float64 // requests per second; 0 in a closed loop
	ok        float64 // answers with 200 per second
	refused   float64 // answers with 503 per second
	failed    float64 // requests without an answer per second
	cpu       time.Duration
	elapsed   time.Duration
}

// measurement is traffic and what it did to the machine.
type measurement struct {
	name string
	traffic
	service, mysql time.Duration // CPU time
	wall           time.Duration
	rss            int64 // the largest, in bytes
	healthz        time.Duration
}

// cpuPerRequest is the service's CPU time for a request.
func (m measurement) cpuPerRequest() time.Duration {
	return time.Duration(float64(m.service) / (m.ok * m.elapsed.Seconds())).Round(100 * time.Nanosecond)
}

// measure runs a generator, and meanwhile watches the service.
func (o *overloadBench) measure(p running, name string, generate func() traffic) measurement {
	ctx, stop := context.WithCancel(context.Background())
	m := measurement{name: name}
	var watchers sync.WaitGroup
	watchers.Go(func() {
		for ctx.Err() == nil {
			m.rss = max(m.rss, rss(o.b, p.pid))
			time.Sleep(20 * time.Millisecond)
		}
	})
	watchers.Go(func() { m.healthz = probe(ctx, p.url+"/healthz") })
	service, mysql, start := cpu(o.b, p.pid), cpu(o.b, o.mysqlPID), time.Now()
	m.traffic = generate()
	m.wall = time.Since(start)
	m.service, m.mysql = cpu(o.b, p.pid)-service, cpu(o.b, o.mysqlPID)-mysql
	stop()
	watchers.Wait()
	return m
}

// best returns the number of requests in flight with which the service answers most.
func (o *overloadBench) best(p running) int {
	o.closed(p, 64, 2*time.Second) // warms up
	var most float64
	best := 0
	for _, clients := range []int{16, 32, 64, 128} {
		if ok := o.closed(p, clients, measureFor).ok; ok > most {
			most, best = ok, clients
		}
	}
	return best
}

// closed sends as fast as clients that each wait for their answer: by wrk if it is
// installed, else by loadgen, whose limit of requests in flight has the same effect.
// It asks for the given paths, by default for all routes, in turn.
func (o *overloadBench) closed(p running, clients int, duration time.Duration, paths ...string) traffic {
	o.b.Helper()
	if len(paths) == 0 {
		paths = routes
	}
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		t := o.loadgen(p, 100_000, clients, duration, paths...)
		t.asked = 0
		return t
	}
	script := filepath.Join(o.dir, "mix.lua")
	mix := fmt.Sprintf(`local paths, i = {"%s"}, 0
request = function() i = i %% #paths + 1; return wrk.format("GET", paths[i]) end
`, strings.Join(paths, `", "`))
	if err := os.WriteFile(script, []byte(mix), 0o600); err != nil {
		o.b.Fatal(err)
	}
	cmd := exec.Command(wrk, "-t1", fmt.Sprintf("-c%d", clients), fmt.Sprintf("-d%ds", int(duration.Seconds())), "--timeout=10s", "-s", script, p.url)
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.b.Fatalf("%v\n%s", err, out)
	}
	number := func(pattern string) float64 {
		m := regexp.MustCompile(pattern).FindSubmatch(out)
		if m == nil {
			return 0
		}
		v, _ := strconv.ParseFloat(string(m[1]), 64)
		return v
	}
	seconds := number(`requests in ([0-9.]+)s`)
	refused := number(`Non-2xx or 3xx responses: (\d+)`)
	failed := number(`connect (\d+)`) + number(`read (\d+)`) + number(`write (\d+)`) + number(`timeout (\d+)`)
	return traffic{
		generator: "wrk", elapsed: time.Duration(seconds * float64(time.Second)), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		ok: (number(`(\d+) requests in`) - refused) / seconds, refused: refused / seconds, failed: failed / seconds,
	}
}

func (o *overloadBench) loadgen(p running, rps float64, clients int, duration time.Duration, paths ...string) traffic {
	o.b.Helper()
	file := filepath.Join(o.dir, "result.json")
	cmd := exec.Command(o.sender, "-url", p.url, "-rps", fmt.Sprint(int(rps)), "-max-in-flight", fmt.Sprint(clients), "-paths", strings.Join(paths, ","), "-duration", duration.String(), "-o", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		o.b.Fatalf("%v\n%s", err, out)
	}
	var result struct {
		Sending  time.Duration `json:"sending_ns"`
		Waiting  time.Duration `json:"waiting_ns"`
		Achieved float64       `json:"achieved"` // while the load lasted, as wrk counts
		Total    struct {
			Statuses map[string]float64
			Failures map[string]float64
		}
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &result)
	}
	if err != nil {
		o.b.Fatal(err)
	}
	var failed float64
	for _, n := range result.Total.Failures {
		failed += n
	}
	elapsed := result.Sending + result.Waiting
	seconds := elapsed.Seconds()
	return traffic{
		generator: "loadgen", asked: rps, elapsed: elapsed, cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		ok: result.Achieved / result.Sending.Seconds(), refused: result.Total.Statuses["503"] / seconds, failed: failed / seconds,
	}
}

// recovery returns the time from now until the last answer that was slow or was not a
// 200. It watches for three seconds.
func (o *overloadBench) recovery(p running) time.Duration {
	start := time.Now()
	var last time.Duration
	for time.Since(start) < 3*time.Second {
		sent := time.Now()
		resp, err := http.Get(p.url + "/api/trace")
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		if err != nil || resp.StatusCode != 200 || time.Since(sent) > healthzLimit {
			last = time.Since(start)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return last.Round(time.Millisecond)
}

// refusal returns the service's CPU time for a refusal and for an answer of /healthz
// of p, which has no limit. For the refusals, one request waits for a locked table and
// takes the only place.
func (o *overloadBench) refusal(p running) (refused, probed time.Duration) {
	perRequest := func(m measurement, rate float64) time.Duration {
		return time.Duration(float64(m.service) / (rate * m.elapsed.Seconds())).Round(100 * time.Nanosecond)
	}
	m := o.measure(p, "probes", func() traffic { return o.closed(p, 64, measureFor, "/healthz") })
	probed = perRequest(m, m.ok)

	p = o.start("APMAPP_MAX_CONCURRENT=1", "APMAPP_REQUEST_TIMEOUT=1h")
	database := o.mysql.Strings(o.b, "SELECT table_schema FROM information_schema.tables WHERE table_name = 'visits' ORDER BY create_time DESC LIMIT 1")[0]
	unlock := o.mysql.Lock(o.b, database+".visits")
	defer unlock()
	go func() {
		if resp, err := http.Get(p.url + "/api/trace"); err == nil {
			resp.Body.Close()
		}
	}()
	o.mysql.AwaitWaiting(o.b, 1)
	// The service works without requests too: profiler, metrics. Clients that wait
	// cause so few refusals that this work would count.
	idle := o.measure(p, "idle", func() traffic { time.Sleep(measureFor / 2); return traffic{} })
	m = o.measure(p, "refusals", func() traffic { return o.closed(p, loadgenClients, measureFor) })
	m.service -= time.Duration(float64(idle.service) * m.wall.Seconds() / idle.wall.Seconds())
	if m.ok > 0 || m.refused == 0 {
		o.b.Fatalf("%.0f answers and %.0f refusals per second, want refusals only", m.ok, m.refused)
	}
	return perRequest(m, m.refused), probed
}

func (o *overloadBench) print(rows []measurement) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tgenerator\tasked/s\t200/s\t503/s\tfailed/s\tCPU: generator\tservice\tMySQL\tmemory\t/healthz p99\t")
	for _, m := range rows {
		asked := "—"
		if m.asked > 0 {
			asked = fmt.Sprintf("%.0f", m.asked)
		}
		cores := func(d time.Duration) string { return fmt.Sprintf("%.2f cores", d.Seconds()/m.wall.Seconds()) }
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f\t%.0f\t%.0f\t%s\t%s\t%s\t%d MB\t%s\t\n", m.name, m.generator, asked, m.ok, m.refused, m.failed,
			cores(m.cpu), cores(m.service), cores(m.mysql), m.rss>>20, m.healthz)
	}
	w.Flush()
	fmt.Println()
}

// probe asks for a path 50 times a second, each time on a new connection like
// Kubernetes, and returns the 99th percentile of the times. An error counts as a
// minute.
func probe(ctx context.Context, url string) time.Duration {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var mu sync.Mutex
	var times []time.Duration
	var probes sync.WaitGroup
	for ctx.Err() == nil {
		probes.Go(func() {
			start := time.Now()
			took := time.Minute
			if resp, err := client.Get(url); err == nil {
				resp.Body.Close()
				if resp.StatusCode == 200 {
					took = time.Since(start)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			times = append(times, took)
		})
		time.Sleep(20 * time.Millisecond)
	}
	probes.Wait()
	slices.Sort(times)
	if len(times) == 0 {
		return time.Minute
	}
	return times[len(times)*99/100].Round(100 * time.Microsecond)
}

// rss returns the resident memory of a process in bytes.
func rss(t testing.TB, pid int) int64 {
	p := psutil.Process{Pid: int32(pid)}
	memory, err := p.MemoryInfo()
	if err != nil {
		t.Error(err)
		return 0
	}
	return int64(memory.RSS)
}

// cpu returns the CPU time of a process so far. Linux counts it in hundredths of a
// second.
func cpu(t testing.TB, pid int) time.Duration {
	p := psutil.Process{Pid: int32(pid)}
	times, err := p.Times()
	if err != nil {
		t.Error(err)
		return 0
	}
	return time.Duration((times.User + times.System) * float64(time.Second))
}
