package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/google/pprof/profile"
	"github.com/klauspost/compress/zstd"

	"apmapp/internal/local/span"
	"apmapp/internal/traceagent"
)

// intake receives telemetry in Datadog's place: the Agent's own trace code, an
// endpoint for profiles, and a DogStatsD port.
type intake struct {
	url    string // of the Agent
	statsd string // port of DogStatsD
	agent  *traceagent.Agent

	mu       sync.Mutex
	traces   map[string][]span.Span // by trace ID
	stats    map[statsKey]counts
	profiles map[string][]*profile.Profile // by file name
	tags     [][]string                    // of each upload of profiles
	metrics  map[string]string             // the last line of each DogStatsD name
	sums     map[string]float64            // of each DogStatsD name of kind count
}

// statsKey identifies the spans that the statistics count together.
type statsKey struct{ env, service, version, operation, resource, kind, status string }

type counts struct{ hits, errors, duration uint64 }

func newIntake(t *testing.T) *intake { return newIntakeAt(t, "127.0.0.1:0") }

// newIntakeAt is newIntake with a fixed address of the Agent.
func newIntakeAt(t *testing.T, addr string) *intake {
	t.Helper()
	in := &intake{
		traces:   map[string][]span.Span{},
		stats:    map[statsKey]counts{},
		profiles: map[string][]*profile.Profile{},
		metrics:  map[string]string{},
		sums:     map[string]float64{},
	}
	in.agent = traceagent.Start(traceagent.Config{
		Spans:  in.addSpans,
		Stats:  in.addStats,
		Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	t.Cleanup(in.stop)

	listener, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /profiling/v1/input", in.addProfiles)
	mux.Handle("/", in.agent)
	handler, err := in.agent.Describe(traceagent.Info{Port: listener.Addr().(*net.TCPAddr).Port, Endpoints: []string{"/profiling/v1/input"}}, mux)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	proxy.Start()
	t.Cleanup(proxy.Close)
	in.url = proxy.URL

	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	go in.addMetrics(packets)
	_, in.statsd, _ = net.SplitHostPort(packets.LocalAddr().String())
	return in
}

// stop stops the Agent, which passes on all data that it has.
func (in *intake) stop() {
	if in.agent != nil {
		in.agent.Stop()
		in.agent = nil
	}
}

func (in *intake) addSpans(c span.Chunk) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.traces[c.TraceID] = append(in.traces[c.TraceID], c.Spans...)
}

func (in *intake) addStats(payload *pb.StatsPayload) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, client := range payload.Stats {
		for _, bucket := range client.Stats {
			for _, g := range bucket.Stats {
				key := statsKey{client.Env, g.Service, client.Version, g.Name, g.Resource, g.SpanKind, fmt.Sprint(g.HTTPStatusCode)}
				sum := in.stats[key]
				sum.hits += g.Hits
				sum.errors += g.Errors
				sum.duration += g.Duration
				in.stats[key] = sum
			}
		}
	}
}

func (in *intake) addProfiles(w http.ResponseWriter, r *http.Request) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for parts := multipart.NewReader(r.Body, params["boundary"]); ; {
		part, err := parts.NextPart()
		if err == io.EOF {
			return
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if part.FormName() == "event" {
			if err := in.addTags(part); err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
		}
		if !strings.HasSuffix(part.FileName(), ".pprof") {
			continue
		}
		p, err := parseProfile(part)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		in.mu.Lock()
		in.profiles[part.FileName()] = append(in.profiles[part.FileName()], p)
		in.mu.Unlock()
	}
}

// addTags records the tags of an upload of profiles.
func (in *intake) addTags(event io.Reader) error {
	var e struct {
		Tags string `json:"tags_profiler"`
	}
	if err := json.NewDecoder(event).Decode(&e); err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.tags = append(in.tags, strings.Split(e.Tags, ","))
	return nil
}

// parseProfile parses a profile, which the profiler compresses with zstd.
func parseProfile(r io.Reader) (*profile.Profile, error) {
	d, err := zstd.NewReader(r)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return profile.Parse(d)
}

func (in *intake) addMetrics(packets net.PacketConn) {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := packets.ReadFrom(buf)
		if err != nil {
			return
		}
		in.mu.Lock()
		for line := range strings.SplitSeq(strings.TrimSpace(string(buf[:n])), "\n") {
			name, value, _ := strings.Cut(line, ":")
			in.metrics[name] = line
			if number, _, isCount := strings.Cut(value, "|c|"); isCount {
				n, _ := strconv.ParseFloat(number, 64)
				in.sums[name] += n
			}
		}
		in.mu.Unlock()
	}
}

// metric returns the last line of a metric, or "".
func (in *intake) metric(name string) string {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.metrics[name]
}

// count returns the sum of a metric of kind count.
func (in *intake) count(name string) float64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.sums[name]
}

// operations returns the spans of an operation.
func (in *intake) operations(name string) []span.Span {
	in.mu.Lock()
	defer in.mu.Unlock()
	var all []span.Span
	for _, spans := range in.traces {
		for _, s := range spans {
			if s.Operation == name {
				all = append(all, s)
			}
		}
	}
	return all
}
