// Package otel tests the local agent with the SDKs of OpenTelemetry for Go and Node, and
// with Datadog's tracer for Go beside them.
package otel

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"apmapp/internal/testing/poll"
)

const root = "../../.."

// agent is a running local agent: URLs of its pages and of its ports.
type agent struct{ pages, traces, http, grpc string }

// localagent builds the local agent once.
var localagent = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "otel-verify-*")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", dir, "./cmd/localagent")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build localagent: %w\n%s", err, out)
	}
	return filepath.Join(dir, "localagent"), nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if program, err := localagent(); err == nil {
		_ = os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(status)
}

// startAgent runs the local agent on free ports until the test ends.
func startAgent(t *testing.T) agent {
	t.Helper()
	program, err := localagent()
	if err != nil {
		t.Fatal(err)
	}
	const free = "127.0.0.1:0"
	cmd := exec.Command(program, "-addr", free, "-dogstatsd", free, "-otlp-grpc", free, "-otlp-http", free, "-pages", free)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("the local agent ended with %v:\n%s", err, &stderr)
		}
	})
	var a agent
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		for _, part := range []struct {
			pattern string
			to      *string
		}{
			{`^pages +(http://\S+)`, &a.pages},
			{`DD_TRACE_AGENT_URL=(\S+)`, &a.traces},
			{`OTEL_EXPORTER_OTLP_ENDPOINT=(\S+) over HTTP`, &a.http},
			{`OTEL_EXPORTER_OTLP_ENDPOINT=(\S+) over gRPC`, &a.grpc},
		} {
			if m := regexp.MustCompile(part.pattern).FindStringSubmatch(lines.Text()); m != nil {
				*part.to = m[1]
			}
		}
		if a.grpc != "" {
			return a
		}
	}
	t.Fatalf("the local agent ended before it printed all addresses: %s", &stderr)
	return agent{}
}

func (a agent) get(path string) ([]byte, error) {
	resp, err := http.Get(a.pages + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, resp.Status, body)
	}
	return body, err
}

// api requests an answer of the API.
func (a agent) api(path string, to any) error {
	body, err := a.get(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, to)
}

type span struct {
	SpanID     string `json:"span_id"`
	ParentID   string `json:"parent_id"`
	Service    string
	Operation  string
	Resource   string
	Type       string
	DurationNS int64 `json:"duration_ns"`
	Error      bool
	Tags       map[string]string
	Metrics    map[string]float64
	Events     []struct{ Name string }
	Links      []struct {
		TraceID string `json:"trace_id"`
	}
}

// trace waits until a trace has a number of spans and returns them: each after its
// parent, as in the waterfall.
func (a agent) trace(t *testing.T, id string, spans int) []span {
	t.Helper()
	var trace struct {
		TraceID string `json:"trace_id"`
		Spans   []span
	}
	poll.Until(t, func() error {
		if err := a.api("/api/traces/"+id, &trace); err != nil {
			return err
		}
		if len(trace.Spans) != spans || trace.TraceID != id {
			return fmt.Errorf("trace %s has %d spans, want %s with %d: %+v", trace.TraceID, len(trace.Spans), id, spans, trace.Spans)
		}
		return nil
	})
	known := map[string]bool{}
	for _, s := range trace.Spans {
		known[s.SpanID] = true
	}
	var ordered []span
	var add func(parent string)
	add = func(parent string) {
		for _, s := range trace.Spans {
			if s.ParentID == parent || parent == "" && !known[s.ParentID] {
				ordered = append(ordered, s)
				add(s.SpanID)
			}
		}
	}
	add("")
	if len(ordered) != spans {
		t.Fatalf("%d of %d spans are below a root: %+v", len(ordered), spans, trace.Spans)
	}
	return ordered
}

type line struct {
	Level, Service, Message, Raw string
	TraceID                      string `json:"trace_id"`
	SpanID                       string `json:"span_id"`
}

// lines waits until a trace has a number of log lines.
func (a agent) lines(t *testing.T, traceID string, n int) []line {
	t.Helper()
	var logs struct{ Lines []line }
	poll.Until(t, func() error {
		if err := a.api("/api/logs?trace_id="+traceID, &logs); err != nil {
			return err
		}
		if len(logs.Lines) != n {
			return fmt.Errorf("%d lines, want %d: %+v", len(logs.Lines), n, logs.Lines)
		}
		return nil
	})
	return logs.Lines
}

// metric waits until a metric has a type, tags and a total over its points. The total
// of a count is the count, that of a distribution the sum of its values, that of a
// gauge its last value.
func (a agent) metric(t *testing.T, name, kind, tags string, total float64) {
	t.Helper()
	poll.Until(t, func() error {
		var all []struct {
			Name, Type, Tags string
			Points           []struct{ Value, Count float64 }
		}
		if err := a.api("/api/metrics?q="+url.QueryEscape(name), &all); err != nil {
			return err
		}
		for _, m := range all {
			if m.Name != name || m.Type != kind || m.Tags != tags {
				continue
			}
			got := 0.0
			for _, p := range m.Points {
				switch kind {
				case "c":
					got += p.Value * 10 // is per second, and of ten seconds
				case "d":
					got += p.Value * p.Count
				default:
					got = p.Value
				}
			}
			if math.Abs(got-total) > 1e-6*math.Abs(total) {
				return fmt.Errorf("%s has %g, want %g: %+v", name, got, total, m)
			}
			return nil
		}
		return fmt.Errorf("no %s of type %s with tags %s in %+v", name, kind, tags, all)
	})
}

// missing skips the test with a reason. With CI set the test fails.
func missing(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// packages returns a folder with the service for Node and the packages of its lock file.
// It installs them once in the user's cache.
func packages(t *testing.T) string {
	t.Helper()
	for _, program := range []string{"node", "npm"} {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program+" is not installed: get Node.js 20 or later with npm from https://nodejs.org or your system's packages (Debian: nodejs, npm)")
		}
	}
	lock, err := os.ReadFile("node/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	hash := sha256.Sum256(lock)
	installed := filepath.Join(cache, "apmapp-otel-node", hex.EncodeToString(hash[:8]))
	if _, err := os.Stat(installed); err == nil {
		return installed
	}
	if err := os.MkdirAll(filepath.Dir(installed), 0o755); err != nil {
		t.Fatal(err)
	}
	// Another test may install at the same time: the first one wins.
	dir, err := os.MkdirTemp(filepath.Dir(installed), "install-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"package.json", "package-lock.json"} {
		data, err := os.ReadFile(filepath.Join("node", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	install := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("install the packages for Node: %v\n%s", err, out))
	}
	if err := os.Rename(dir, installed); err != nil && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) {
		t.Fatal(err)
	}
	return installed
}

// node is a running service for Node. Stop ends it after it has sent everything.
type node struct {
	url  string
	stop func()
}

// startNode runs the service for Node with OTLP over a protocol.
func startNode(t *testing.T, protocol, endpoint string) node {
	t.Helper()
	dir := packages(t)
	code, err := os.ReadFile("node/service.cjs")
	if err != nil {
		t.Fatal(err)
	}
	// Node looks for packages beside the file. The name keeps tests apart.
	f, err := os.CreateTemp(dir, "service-*.cjs")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(f.Name()) })
	if _, err := f.Write(code); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", f.Name())
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "OTEL_") || strings.HasPrefix(v, "NODE_OPTIONS=") }),
		"OTEL_SERVICE_NAME=stock", "OTEL_NODE_RESOURCE_DETECTORS=env", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=test,service.version=1.2",
		"OTEL_EXPORTER_OTLP_ENDPOINT="+endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol,
		"OTEL_TRACES_EXPORTER=otlp", "OTEL_LOGS_EXPORTER=otlp", "OTEL_METRICS_EXPORTER=otlp")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			t.Errorf("the service for Node ended with %v:\n%s", err, &stderr)
		}
	})
	t.Cleanup(end)
	first, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the service for Node did not start: %v\n%s", err, &stderr)
	}
	return node{strings.TrimSpace(first), end}
}

// minute is long enough for an export, which takes milliseconds.
const minute = time.Minute
