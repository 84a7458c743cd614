package traceagent_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"

	"apmapp/internal/testing/poll"
	"apmapp/internal/traceagent"
)

// received is the data that an Agent passed on.
type received struct {
	mu     sync.Mutex
	chunks []traceagent.Chunk
	hits   uint64
}

func (r *received) span(c traceagent.Chunk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.chunks = append(r.chunks, c)
}

func (r *received) stats(p *pb.StatsPayload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, client := range p.Stats {
		for _, bucket := range client.Stats {
			for _, group := range bucket.Stats {
				r.hits += group.Hits
			}
		}
	}
}

func start(t *testing.T, socket string) (*traceagent.Agent, *received, string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &received{}
	agent, err := traceagent.Start(traceagent.Config{
		Listener: listener,
		Socket:   socket,
		Spans:    r.span,
		Stats:    r.stats,
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return agent, r, "http://" + listener.Addr().String()
}

// post sends a trace, like a tracer that computes no statistics.
func post(t *testing.T, client *http.Client, url string) {
	t.Helper()
	now := time.Now()
	trace := fmt.Sprintf(`[[{
		"trace_id": 81985529216486895, "span_id": 7, "parent_id": 0,
		"service": "shop", "name": "http.request", "resource": "GET /cart", "type": "web",
		"start": %d, "duration": 2000000, "error": 1,
		"meta": {"_dd.p.tid": "6745f0a100000000", "env": "test", "http.status_code": "500"},
		"metrics": {"_sampling_priority_v1": 1, "_top_level": 1, "items": 3}
	}]]`, now.UnixNano())
	request, err := http.NewRequest(http.MethodPut, url+"/v0.4/traces", strings.NewReader(trace))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Datadog-Trace-Count", "1")
	// The receiver listens a moment after Start has returned.
	var resp *http.Response
	poll.Until(t, func() error {
		request.Body, _ = request.GetBody()
		resp, err = client.Do(request)
		return err
	})
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
}

func TestTraceIsComplete(t *testing.T) {
	agent, r, url := start(t, "")
	post(t, http.DefaultClient, url)
	agent.Stop() // passes on all data

	if len(r.chunks) != 1 || len(r.chunks[0].Spans) != 1 {
		t.Fatalf("got %+v, want one trace of one span", r.chunks)
	}
	chunk, span := r.chunks[0], r.chunks[0].Spans[0]
	if want := "6745f0a1000000000123456789abcdef"; chunk.TraceID != want {
		t.Errorf("trace ID %s, want %s", chunk.TraceID, want)
	}
	got := fmt.Sprintln(chunk.Priority, span.SpanID, span.ParentID, span.Service, span.Operation, span.Resource,
		span.Type, span.Duration, span.Error, span.Tags["env"], span.Tags["http.status_code"], span.Metrics["items"])
	if want := "1 7 0 shop http.request GET /cart web 2ms true test 500 3\n"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if r.hits != 1 {
		t.Errorf("statistics count %d spans, want 1", r.hits)
	}
}

// TestVersion compares the version with go.mod.
func TestVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`datadog-agent/pkg/trace v0\.(\S+)`).FindSubmatch(mod)
	if m == nil || traceagent.Version != "7."+string(m[1]) {
		t.Errorf("version %s, and go.mod has %q", traceagent.Version, m)
	}
}

func TestUNIXSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "apm.socket")
	agent, r, _ := start(t, socket)
	post(t, &http.Client{Transport: &http.Transport{
		DialContext: (&unixDialer{socket}).dial,
	}}, "http://agent")
	agent.Stop()
	if len(r.chunks) != 1 {
		t.Errorf("got %d traces, want 1", len(r.chunks))
	}
}

func TestStartErrors(t *testing.T) {
	unix, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	for _, c := range []struct {
		cfg  traceagent.Config
		want string
	}{
		{traceagent.Config{Listener: unix}, "start trace agent: listener " + unix.Addr().String() + " is not a TCP listener"},
		{traceagent.Config{Listener: tcp, Socket: "a/b"}, `start trace agent: socket path "a/b" is not absolute`},
	} {
		if _, err := traceagent.Start(c.cfg); err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

type unixDialer struct{ path string }

func (d *unixDialer) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "unix", d.path)
}
