package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"apmapp/internal/local/wire"
	"apmapp/internal/testing/poll"
	"apmapp/loadgen/metrics"
)

// dogStatsD sums what arrives at a UDP port, by name and tags, except the tags version
// and env.
type dogStatsD struct {
	addr string
	mu   sync.Mutex
	sums map[string]float64
	all  string
}

func listenDogStatsD(t *testing.T) *dogStatsD {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &dogStatsD{addr: conn.LocalAddr().String(), sums: map[string]float64{}}
	ends := make(chan struct{})
	t.Cleanup(func() {
		conn.Close()
		<-ends
	})
	go func() {
		defer close(ends)
		packet := make([]byte, 1<<16)
		for {
			n, _, err := conn.ReadFrom(packet)
			if err != nil {
				return
			}
			d.add(t, string(packet[:n]))
		}
	}()
	return d
}

func (d *dogStatsD) add(t *testing.T, packet string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all += packet
	for line := range strings.SplitSeq(strings.TrimSpace(packet), "\n") {
		s, err := wire.ParseSample(line)
		if err != nil {
			t.Errorf("%q: %v", line, err)
		}
		tags := map[string]string{}
		for _, tag := range s.Tags {
			key, value, _ := strings.Cut(tag, ":")
			tags[key] = value
		}
		for _, v := range s.Values {
			if s.Name == metrics.ResponseTime {
				v = 1 // their number
			}
			d.sums[s.Name+" "+tags["path"]+" "+tags["status_class"]] += v
			d.sums[s.Name] += v
		}
	}
}

// want waits until the sums have these values.
func (d *dogStatsD) want(t *testing.T, want map[string]float64) {
	t.Helper()
	poll.Until(t, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		for name, n := range want {
			if d.sums[name] != n {
				return fmt.Errorf("%s is %v, want %v of %v", name, d.sums[name], n, d.sums)
			}
		}
		return nil
	})
}

// -statsd sends what the report counts, so nothing of the warm-up.
func TestStatsd(t *testing.T) {
	url, _ := serve(t, 10) // each tenth answer is a 500
	d := listenDogStatsD(t)
	t.Setenv("DD_ENV", "test")
	status, stdout, stderr := execute(t.Context(), "-url", url, "-rps", "200", "-duration", "600ms", "-warmup", "100ms", "-paths", "/a=3,/b?secret", "-statsd", "udp://"+d.addr)
	if status != 0 || stderr != "" || !strings.Contains(stdout, "100 sent, 0 dropped, 10 failed") {
		t.Fatalf("status %d: %s%s", status, stdout, stderr)
	}
	d.want(t, map[string]float64{metrics.Requests: 100, metrics.Errors: 10, metrics.ResponseTime: 100})
	for _, tag := range []string{"env:test", "service:loadgen", "version:", "path:/a", "status_class:5xx"} {
		if !strings.Contains(d.all, tag) {
			t.Errorf("no tag %s in %s", tag, d.all)
		}
	}
}

// Requests of a targets file have the tag path of their URL, without method and query.
func TestStatsdOfTargets(t *testing.T) {
	url, _ := serve(t, 0)
	d := listenDogStatsD(t)
	targets := filepath.Join(t.TempDir(), "targets")
	if err := os.WriteFile(targets, []byte("GET /search?q=secret\n\nPOST /search\n\nPOST /search\n\n2 PUT /Cart\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	status, _, stderr := execute(t.Context(), "-url", url, "-rps", "100", "-duration", "100ms", "-targets", targets, "-statsd", d.addr)
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	d.want(t, map[string]float64{metrics.Requests + " /search 2xx": 6, metrics.Requests + " /cart 2xx": 4, metrics.Requests: 10})
}

// Requests without an answer are visible in the metrics: the service does not count
// them.
func TestStatsdWithoutAnswers(t *testing.T) {
	d := listenDogStatsD(t)
	status, stdout, _ := execute(t.Context(), "-url", "http://127.0.0.1:1", "-rps", "100", "-duration", "100ms", "-paths", "/", "-statsd", d.addr)
	if status != 1 || !strings.Contains(stdout, "10 refused") {
		t.Fatalf("status %d: %s", status, stdout)
	}
	d.want(t, map[string]float64{metrics.Requests + " / none": 10, metrics.Errors + " / none": 10, metrics.ResponseTime + " / none": 10})
}

// Metrics that get lost are one line. The run goes on.
func TestStatsdWithoutAnAgent(t *testing.T) {
	url, _ := serve(t, 0)
	for _, c := range []struct{ address, want string }{
		{"unix://" + filepath.Join(t.TempDir(), "dsd.socket"), "no such file"},
		{"agent.invalid:8125", "agent.invalid"},
	} {
		status, stdout, stderr := execute(t.Context(), "-url", url, "-rps", "100", "-duration", "100ms", "-statsd", c.address)
		if status != 0 || !strings.Contains(stdout, "10 sent, 0 dropped, 0 failed") {
			t.Errorf("%s: status %d: %s", c.address, status, stdout)
		}
		if strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "loadgen: warning: -statsd: metrics are lost: ") || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, "go run ./cmd/localagent") {
			t.Errorf("%s: stderr is %q, want one line with the reason and what to do", c.address, stderr)
		}
	}
}

// A wrong address is an error of the command line that names the forms.
func TestStatsdAddress(t *testing.T) {
	for _, address := range []string{"localhost", "8125", "http://localhost:8125", "unix://dsd.socket", "localhost:70000"} {
		status, _, stderr := execute(t.Context(), "-url", "http://127.0.0.1:1", "-rps", "10", "-duration", "100ms", "-statsd", address)
		if want := "-statsd: " + strconv.Quote(address) + " is not an address of DogStatsD: use host:port, udp://host:port or unix:///path/to/socket"; status != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, want 2 and %q: %s", address, status, want, stderr)
		}
	}
}
