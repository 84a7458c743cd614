package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

// tool is a load generator.
type tool struct {
	name    string
	program string
	// args returns the arguments for a rate and a length, stdin the input.
	args  func(url string, rps float64, d time.Duration) []string
	stdin func(url string) string
	// p95 reads the reported 95th percentile; nil if it is not measured.
	p95 func(stdout []byte) (time.Duration, error)
}

// rates are the rates at which deviation is measured. At costRate, CPU per request
// is measured too.
var rates = []float64{20, 1000, 5000}

const (
	costRate = 5000
	fullRate = 20000
)

// The server stalls for 1 s of a 10 s run. 100 of the 1,000 requests arrive during
// the stall and wait for its end. It starts between two requests, so it is certain
// which requests these are.
const (
	stallRate   = 100
	stallRun    = 10 * time.Second
	stallAfter  = 3995 * time.Millisecond
	stallLength = time.Second
)

// stallTruth is the true 95th percentile of the response times. Sorted by response
// time, 900 of the 1,000 requests do not wait, and the 950th waits this long.
const stallTruth = 495 * time.Millisecond

// sleeping is not a tool, but the cost of waking up for each request alone.
const sleeping = "sleep alone"

type bench struct {
	self  string // this program
	bin   string
	each  time.Duration
	tools []tool
	wrk   string
	skips []string
	only  string // part, "" for all

	// figures has a value per round, by figure and tool.
	figures map[string][]float64
	grown   float64       // memory growth after the first minute in MB
	over    time.Duration // length of that measurement, 0 without one
}

// find looks for the other tools. Missing ones are listed as skipped.
func (b *bench) find() error {
	var err error
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	b.figures = map[string][]float64{}
	loadgen := func(url string, rps float64, d time.Duration) []string {
		return []string{"-json", "-url", url, "-paths", "/", "-rps", number(rps), "-duration", d.String()}
	}
	variant := func(client string) func(string, float64, time.Duration) []string {
		return func(url string, rps float64, d time.Duration) []string {
			return []string{"sender", "-client", client, "-url", url, "-rps", number(rps), "-duration", d.String()}
		}
	}
	own := func(stdout []byte) (time.Duration, error) {
		r, err := report.ReadJSON(bytes.NewReader(stdout))
		if err != nil {
			return 0, err
		}
		return r.Total.Response.Quantile(0.95), nil
	}
	all := []tool{
		{name: "loadgen", program: filepath.Join(b.bin, "loadgen"), args: loadgen, p95: own},
		{name: "with fasthttp", program: b.self, args: variant("fasthttp")},
		{name: "with net/http", program: b.self, args: variant("net/http")},
		{name: "vegeta", program: filepath.Join(b.bin, "vegeta"), p95: b.vegetaP95,
			args: func(_ string, rps float64, d time.Duration) []string {
				return []string{"attack", "-rate", number(rps) + "/1s", "-duration", d.String()}
			},
			stdin: func(url string) string { return "GET " + url + "\n" }},
		{name: "hey", program: filepath.Join(b.bin, "hey"), p95: heyP95,
			// -q is the rate of each worker.
			args: func(url string, rps float64, d time.Duration) []string {
				workers := max(1, rps/100)
				return []string{"-z", d.String(), "-c", number(workers), "-q", number(rps / workers), url}
			}},
	}
	for _, t := range all {
		if _, err := os.Stat(t.program); err != nil {
			if t.name == "loadgen" {
				return err
			}
			b.skips = append(b.skips, t.name)
			continue
		}
		b.tools = append(b.tools, t)
	}
	if b.wrk, err = exec.LookPath("wrk"); err != nil {
		b.skips = append(b.skips, "wrk")
	}
	// Neither the Go module proxy nor Debian has these programs.
	b.skips = append(b.skips, "wrk2", "k6")
	return nil
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func (b *bench) add(figure, tool string, v float64) {
	key := figure + " " + tool
	b.figures[key] = append(b.figures[key], v)
}

// median returns the median of all rounds; ok is false if nothing was measured.
func (b *bench) median(figure, tool string) (v float64, ok bool) {
	all := slices.Sorted(slices.Values(b.figures[figure+" "+tool]))
	if len(all) == 0 {
		return 0, false
	}
	return all[len(all)/2], true
}

// outcome is the result of running a program.
type outcome struct {
	stdout []byte
	cpu    time.Duration
}

func execute(ctx context.Context, stdin, program string, args ...string) (outcome, error) {
	return executeWith(ctx, 0, stdin, program, args...)
}

// executeWith limits the program to a number of CPUs; 0 means no limit.
func executeWith(ctx context.Context, cpus int, stdin, program string, args ...string) (outcome, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	if cpus > 0 {
		cmd.Env = append(os.Environ(), fmt.Sprint("GOMAXPROCS=", cpus))
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return outcome{stdout: stdout.Bytes()}, fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, &stderr)
	}
	return outcome{stdout.Bytes(), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}, nil
}

func (t tool) run(ctx context.Context, url string, rps float64, d time.Duration) (outcome, error) {
	return t.runWith(ctx, 0, url, rps, d)
}

func (t tool) runWith(ctx context.Context, cpus int, url string, rps float64, d time.Duration) (outcome, error) {
	stdin := ""
	if t.stdin != nil {
		stdin = t.stdin(url)
	}
	return executeWith(ctx, cpus, stdin, t.program, t.args(url, rps, d)...)
}

// The parts of a round.
const (
	schedules   = "schedules"
	connections = "connections"
)

func (b *bench) measures(part string) bool { return b.only == "" || b.only == part }

// round measures each tool once, one after the other.
func (b *bench) round(ctx context.Context) error {
	if b.measures(schedules) {
		if err := b.schedules(ctx); err != nil {
			return err
		}
	}
	if b.measures(connections) {
		return b.connections(ctx)
	}
	return nil
}

func (b *bench) schedules(ctx context.Context) error {
	server, err := listen(plain)
	if err != nil {
		return err
	}
	defer server.listener.Close()
	for _, t := range b.tools {
		for _, rps := range rates {
			if err := b.schedule(ctx, server, t, rps); err != nil {
				return err
			}
		}
		if t.name == "loadgen" || t.name == "vegeta" {
			if err := b.full(ctx, server, t); err != nil {
				return err
			}
		}
		if t.p95 != nil {
			if err := b.stall(ctx, server, t); err != nil {
				return err
			}
		}
	}
	slept, err := execute(ctx, "", b.self, "sleeper", "-rps", number(costRate), "-duration", b.each.String())
	if err != nil {
		return err
	}
	b.add("cost", sleeping, micros(slept.cpu)/(costRate*b.each.Seconds()))
	if b.wrk == "" {
		return nil
	}
	server.take()
	o, err := execute(ctx, "", b.wrk, "-t1", "-c10", "-d"+b.each.String(), server.url())
	if err != nil {
		return err
	}
	b.add("cost", "wrk", micros(o.cpu)/float64(len(server.take())))
	return nil
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func (b *bench) schedule(ctx context.Context, server *target, t tool, rps float64) error {
	server.take()
	o, err := t.run(ctx, server.url(), rps, b.each)
	if err != nil {
		return err
	}
	arrivals := server.take()
	off := deviation(arrivals, rps)
	b.add("p50 "+number(rps), t.name, micros(quantile(off, 0.5)))
	b.add("p99 "+number(rps), t.name, micros(quantile(off, 0.99)))
	if rps == costRate {
		b.add("cost", t.name, micros(o.cpu)/float64(len(arrivals)))
	}
	return nil
}

// full asks for a rate that most tools do not reach.
func (b *bench) full(ctx context.Context, server *target, t tool) error {
	server.take()
	o, err := t.run(ctx, server.url(), fullRate, b.each)
	if err != nil {
		return err
	}
	b.add("full", t.name, float64(len(server.take()))/b.each.Seconds())
	if t.name != "loadgen" {
		return nil
	}
	r, err := report.ReadJSON(bytes.NewReader(o.stdout))
	if err != nil {
		return err
	}
	b.add("full done", t.name, r.AchievedRate()/fullRate)
	b.add("full late", t.name, micros(r.Lateness.Quantile(0.99)))
	b.add("full lost", t.name, float64(lost(r)))
	return nil
}

// lost returns the number of arrivals that the report does not account for. Dropped
// arrivals are reported, so they are not lost.
func lost(r *openloop.Result) int64 {
	return int64(r.Scheduled+0.5) - r.Total.Completed() - r.Total.Dropped
}

// stall measures the 95th percentile of a run during which the server stops for a
// second.
func (b *bench) stall(ctx context.Context, server *target, t tool) error {
	server.freezeAfter(stallAfter, stallLength)
	defer server.thaw()
	o, err := t.run(ctx, server.url(), stallRate, stallRun)
	if err != nil {
		return err
	}
	p95, err := t.p95(o.stdout)
	if err != nil {
		return err
	}
	b.add("stall", t.name, micros(p95))
	return nil
}

// latencies are percentiles of a report.
type latencies struct {
	P50 time.Duration `json:"50th"`
	P95 time.Duration `json:"95th"`
	P99 time.Duration `json:"99th"`
}

// vegetaLatencies reads the results of vegeta attack. They count from sending.
func (b *bench) vegetaLatencies(stdout []byte) (latencies, error) {
	o, err := execute(context.Background(), string(stdout), filepath.Join(b.bin, "vegeta"), "report", "-type=json")
	if err != nil {
		return latencies{}, err
	}
	var r struct {
		Latencies latencies `json:"latencies"`
	}
	err = json.Unmarshal(o.stdout, &r)
	return r.Latencies, err
}

func (b *bench) vegetaP95(stdout []byte) (time.Duration, error) {
	l, err := b.vegetaLatencies(stdout)
	return l.P95, err
}

var heyLine = regexp.MustCompile(`95%+ in ([0-9.]+) secs`)

func heyP95(stdout []byte) (time.Duration, error) {
	m := heyLine.FindSubmatch(stdout)
	if m == nil {
		return 0, errors.New("the output of hey has no 95th percentile")
	}
	return time.ParseDuration(string(m[1]) + "s")
}

// memory runs loadgen for a long time and compares its resident memory after a
// minute and at the end.
func (b *bench) memory(ctx context.Context, d time.Duration) error {
	server, err := listen(plain)
	if err != nil {
		return err
	}
	defer server.listener.Close()
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "loadgen"), b.tools[0].args(server.url(), 1000, d)...)
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	first := time.After(min(time.Minute, d/2))
	last := time.After(d - time.Second)
	var before, after float64
	for {
		select {
		case <-first:
			before, err = resident(cmd.Process.Pid)
		case <-last:
			after, err = resident(cmd.Process.Pid)
			b.grown, b.over = after-before, d
		case err := <-ended:
			return err
		}
		server.take()
		if err != nil {
			return err
		}
	}
}

var residentLine = regexp.MustCompile(`VmRSS:\s+([0-9]+) kB`)

// resident returns the resident memory of a process in MB.
func resident(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	m := residentLine.FindSubmatch(status)
	if m == nil {
		return 0, fmt.Errorf("/proc/%d/status has no VmRSS", pid)
	}
	kb, err := strconv.ParseFloat(string(m[1]), 64)
	return kb / 1024, err
}

// print writes the medians as tables.
func (b *bench) print(w io.Writer) {
	if b.measures(connections) {
		b.printConnections(w)
	}
	if b.measures(schedules) {
		b.printSchedules(w)
	}
	fmt.Fprintf(w, "skipped: %s\n\n", strings.Join(b.skips, ", "))
}

func (b *bench) printSchedules(w io.Writer) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(out, "\t")
	columns := []string{}
	for _, t := range b.tools {
		columns = append(columns, t.name)
	}
	columns = append(columns, "wrk", sleeping)
	for _, c := range columns {
		fmt.Fprint(out, c, "\t")
	}
	fmt.Fprintln(out)
	row := func(title, figure, unit string) {
		fmt.Fprint(out, title, "\t")
		for _, c := range columns {
			if v, ok := b.median(figure, c); ok {
				fmt.Fprintf(out, "%.4g%s\t", v, unit)
			} else {
				fmt.Fprint(out, "-\t")
			}
		}
		fmt.Fprintln(out)
	}
	for _, rps := range rates {
		row(number(rps)+"/s, deviation p50", "p50 "+number(rps), " µs")
		row(number(rps)+"/s, deviation p99", "p99 "+number(rps), " µs")
	}
	row(number(costRate)+"/s, CPU per request", "cost", " µs")
	row(number(fullRate)+"/s asked, arrived", "full", "/s")
	row("p95 of a run with a stall", "stall", " µs")
	out.Flush()
	fmt.Fprintln(w)
}

// goals writes which goals are met, and reports whether all are.
func (b *bench) goals(w io.Writer) bool {
	all := true
	goal := func(met bool, format string, args ...any) {
		all = all && met
		fmt.Fprintf(w, "%-8s %s\n", map[bool]string{true: "met", false: "MISSED"}[met], fmt.Sprintf(format, args...))
	}
	ratio := func(figure, tool string, most float64) {
		own, _ := b.median(figure, "loadgen")
		if other, ok := b.median(figure, tool); ok {
			goal(own <= most*other, "%s: %.2f times the figure of %s, at most %.2f", figure, own/other, tool, most)
		}
	}
	for _, behavior := range behaviors {
		for _, rps := range connectionRates {
			for _, cpus := range cpuLimits {
				for _, p := range []string{"p50", "p99"} {
					ratio(service(behavior, rps, cpus, p), servicePeer, serviceLimit)
				}
			}
		}
	}
	if !b.measures(schedules) {
		return all
	}
	for _, rps := range rates {
		most := 1.0 / 5
		if rps == 20 {
			most = 1.0 / 3
		}
		ratio("p50 "+number(rps), "vegeta", most)
		for _, peer := range []string{"vegeta", "hey"} {
			ratio("p99 "+number(rps), peer, 1)
		}
	}
	done, _ := b.median("full done", "loadgen")
	late, _ := b.median("full late", "loadgen")
	lost, _ := b.median("full lost", "loadgen")
	goal(done >= 0.999, "%d/s: %.2f %% achieved, at least 99.9 %%", fullRate, 100*done)
	goal(late <= 5000, "%d/s: sent late by %.0f µs (p99), at most 5000 µs", fullRate, late)
	goal(lost == 0, "%d/s: %.0f arrivals unaccounted for", fullRate, lost)
	ratio("cost", "wrk", 3)
	ratio("cost", "vegeta", 0.5)
	stall, _ := b.median("stall", "loadgen")
	truth := micros(stallTruth)
	goal(stall >= 0.98*truth && stall <= 1.02*truth, "p95 of a run with a stall: %.0f µs, the truth is %.0f µs", stall, truth)
	if b.over > 0 {
		goal(b.grown < 5, "memory grew by %.1f MB from the first minute to the end of %s, less than 5 MB", b.grown, b.over)
	}
	return all
}
