package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"

	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/poll"
)

// The goals of the local agent.
const (
	benchMemory = 64     // -memory, in MB
	mostBeyond  = 60     // MB of resident memory beyond -memory
	leastSpans  = 20_000 // a second, on one core
)

// program is localagent as a process of its own.
type program struct {
	*exec.Cmd
	pages, traces, metrics string
	logs                   io.WriteCloser
}

func startProgram(b *testing.B) *program {
	b.Helper()
	name := filepath.Join(b.TempDir(), "localagent")
	if out, err := exec.Command("go", "build", "-o", name, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	var stdout, stderr lockedbuffer.Buffer
	p := &program{Cmd: exec.Command(name, append(ports, "-memory", fmt.Sprint(benchMemory), "-logs", "-")...)}
	p.Stdout, p.Stderr = &stdout, &stderr
	logs, err := p.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	p.logs = logs
	if err := p.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = p.Process.Signal(os.Interrupt)
		if err := p.Wait(); err != nil || stderr.String() != "" {
			b.Errorf("%v: %s", err, &stderr)
		}
	})
	started := regexp.MustCompile(`(?s)pages +(\S+)\ntraces +DD_TRACE_AGENT_URL=(\S+)\n.*metrics +(\S+) over UDP`)
	poll.True(b, "localagent prints its addresses", func() bool {
		m := started.FindStringSubmatch(stdout.String())
		if m != nil {
			p.pages, p.traces, p.metrics = m[1], m[2], m[3]
		}
		return m != nil
	})
	return p
}

// cpu returns the time that the process has used the processor.
func (p *program) cpu(b *testing.B) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Process.Pid))
	if err != nil {
		b.Skipf("the processor time of a process is read from /proc, which Linux has: %v", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int
	for _, f := range fields[11:13] { // utime, stime; proc_pid_stat(5)
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}

// resident returns the resident memory of the process in MB.
func (p *program) resident(b *testing.B) float64 {
	b.Helper()
	statm, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / 1e6
}

// payload returns traces as a Go service with a database sends them.
func payload(b *testing.B, number, traces, spans int) []byte {
	b.Helper()
	var all pb.Traces
	now := time.Now()
	for t := range traces {
		id := uint64(number*traces+t)<<16 + 1
		var trace pb.Trace
		for i := range spans {
			s := &pb.Span{
				TraceID: id, SpanID: id + uint64(i), ParentID: id, Service: "shop", Name: "http.request", Resource: fmt.Sprintf("GET /items/%d", t%20), Type: "web",
				Start: now.UnixNano(), Duration: int64(time.Millisecond) * int64(1+t%50), Meta: map[string]string{
					"http.method": "GET", "http.status_code": "200", "http.url": "http://127.0.0.1:5050/items/7?page=2", "http.useragent": "Mozilla/5.0 (X11; Linux x86_64)",
					"span.kind": "server", "component": "net/http", "env": "bench", "version": "1.2.3", "_dd.p.tid": "6b060d8f00000000", "language": "go",
				}, Metrics: map[string]float64{"_sampling_priority_v1": 1, "_top_level": 1, "process_id": 4711},
			}
			if i == 0 {
				s.ParentID = 0
			}
			if i%2 == 1 {
				s.Service, s.Name, s.Resource, s.Type = "shop-mysql", "mysql.query", "SELECT name, price FROM items WHERE id = 7 AND shop = 'main'", "sql"
				s.Meta = map[string]string{"span.kind": "client", "component": "database/sql", "env": "bench", "db.name": "shop", "out.host": "127.0.0.1", "sql.query_type": "Query"}
			}
			trace = append(trace, s)
		}
		all = append(all, trace)
	}
	body, err := all.MarshalMsg(nil)
	if err != nil {
		b.Fatal(err)
	}
	return body
}

func (p *program) send(b *testing.B, body []byte, traces int) {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, p.traces+"/v0.4/traces", bytes.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/msgpack")
	req.Header.Set("X-Datadog-Trace-Count", fmt.Sprint(traces))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		b.Fatal(resp.Status, err)
	}
}

// open keeps a page open like a browser: it reads the page again when data has arrived.
func (p *program) open(ctx context.Context, path, page string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.pages+"/events?page="+page, nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	events := make([]byte, 1000)
	for {
		if _, err := resp.Body.Read(events); err != nil {
			return
		}
		if resp, err := http.Get(p.pages + path); err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
}

// BenchmarkSpans sends spans as fast as they are accepted, in traces of 2, 20 and 200, with
// three pages open, 1,000 log lines and 1,000 metric lines a second.
func BenchmarkSpans(b *testing.B) {
	for _, spans := range []int{2, 20, 200} {
		b.Run(fmt.Sprint(spans), func(b *testing.B) {
			p := startProgram(b)
			const perPayload, total = 1000, 400_000
			traces := perPayload / spans
			var bodies [][]byte
			for i := range total / perPayload {
				bodies = append(bodies, payload(b, i, traces, spans))
			}
			ctx, cancel := context.WithCancel(b.Context())
			var beside sync.WaitGroup
			for path, page := range map[string]string{"/": "services", "/traces": "traces", "/logs": "logs"} {
				beside.Go(func() { p.open(ctx, path, page) })
			}
			beside.Go(func() { p.logsAndMetrics(ctx) })
			before := p.cpu(b)
			b.ResetTimer()
			begin := time.Now()
			for b.Loop() {
				for _, body := range bodies {
					p.send(b, body, traces)
				}
			}
			var r struct {
				Tracers []struct {
					Spans   int64
					Refused map[string]int64
				}
				Requests []struct {
					Path             string
					Status, Requests int
				}
			}
			want := int64(b.N) * total
			poll.Until(b, func() error {
				if err := json.Unmarshal([]byte(fetched(b, p.pages+"/api/received")), &r); err != nil {
					return err
				}
				if r.Tracers[0].Spans+duplicates(b, p)*perPayload != want {
					return fmt.Errorf("%d spans, want %d", r.Tracers[0].Spans, want)
				}
				return nil
			})
			took, used := time.Since(begin), p.cpu(b)-before
			b.StopTimer()
			cancel()
			beside.Wait()
			if len(r.Tracers[0].Refused) > 0 {
				b.Errorf("refused %v", r.Tracers[0].Refused)
			}
			perCore := float64(total*b.N) / used.Seconds()
			beyond := p.resident(b) - benchMemory
			b.ReportMetric(float64(total*b.N)/took.Seconds(), "spans/s")
			b.ReportMetric(perCore, "spans/s/core")
			b.ReportMetric(float64(used)/float64(total*b.N)/1e3, "cpu-µs/span")
			b.ReportMetric(beyond, "MB-beyond")
			b.ReportMetric(0, "ns/op")
			if perCore < leastSpans || beyond > mostBeyond {
				b.Errorf("%.0f spans a second on one core, want %d; %.0f MB beyond -memory, want at most %d", perCore, leastSpans, beyond, mostBeyond)
			}
		})
	}
}

// duplicates returns the number of payloads that arrived again.
func duplicates(b *testing.B, p *program) int64 {
	b.Helper()
	var r struct {
		Duplicates int64 `json:"duplicate_payloads"`
	}
	if err := json.Unmarshal([]byte(fetched(b, p.pages+"/api/received")), &r); err != nil {
		b.Fatal(err)
	}
	return r.Duplicates
}

func fetched(b *testing.B, url string) string {
	b.Helper()
	resp, err := http.Get(url)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return string(body)
}

// logsAndMetrics sends 1,000 lines of each a second.
func (p *program) logsAndMetrics(ctx context.Context) {
	conn, err := net.Dial("udp", p.metrics)
	if err != nil {
		return
	}
	defer conn.Close()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		for n := range 10 {
			fmt.Fprintf(p.logs, `{"timestamp":%q,"level":"INFO","msg":"request","dd.service":"shop","dd.trace_id":"6b060d8f00000000%016x","http.status_code":200,"number":%d}`+"\n",
				time.Now().Format(time.RFC3339Nano), i<<16+1, n)
			fmt.Fprintf(conn, "shop.orders:%d|c|#env:bench,route:/items/%d", n, n)
		}
	}
}

// BenchmarkLargeTrace opens the page of a trace with 10,000 spans.
func BenchmarkLargeTrace(b *testing.B) {
	p := startProgram(b)
	const spans = 10_000
	p.send(b, payload(b, 0, 1, spans), 1)
	poll.True(b, "the trace arrives", func() bool {
		return strings.Contains(fetched(b, p.pages+"/api/traces"), fmt.Sprintf(`"spans":%d`, spans))
	})
	var page string
	for b.Loop() {
		page = fetched(b, p.pages+"/t/1")
	}
	if n := strings.Count(page, "SELECT name"); n < spans/2 {
		b.Errorf("the page has %d statements, want %d", n, spans/2)
	}
	b.ReportMetric(math.Round(float64(len(page))/1e3), "kB-page")
}
