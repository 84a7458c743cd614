package metrics

import (
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/internal/local/wire"
	"apmapp/internal/testing/poll"
	"apmapp/loadgen/openloop"
)

// lastPacket ends an agent.
const lastPacket = "last"

// agent receives DogStatsD packets.
type agent struct {
	conn net.PacketConn
	ends chan struct{}

	mu      sync.Mutex
	samples []wire.Sample
	lines   []string
}

// listen starts an agent on a UDP port, or on a socket of the file system.
func listen(t *testing.T, network, address string) *agent {
	t.Helper()
	conn, err := net.ListenPacket(network, address)
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{conn: conn, ends: make(chan struct{})}
	go a.receive(t)
	t.Cleanup(func() {
		conn.Close()
		<-a.ends
	})
	return a
}

func (a *agent) receive(t *testing.T) {
	defer close(a.ends)
	packet := make([]byte, 1<<16)
	for {
		n, _, err := a.conn.ReadFrom(packet)
		if err != nil || string(packet[:n]) == lastPacket {
			return
		}
		a.mu.Lock()
		for line := range strings.SplitSeq(strings.TrimSpace(string(packet[:n])), "\n") {
			s, err := wire.ParseSample(line)
			if err != nil {
				t.Errorf("%q: %v", line, err)
			}
			slices.Sort(s.Tags)
			a.lines = append(a.lines, line)
			a.samples = append(a.samples, s)
		}
		a.mu.Unlock()
	}
}

// series is a metric with its tags.
func series(name string, tags ...string) string {
	slices.Sort(tags)
	return name + " " + strings.Join(tags, ",")
}

// sums returns the sum and the number of the values of each series.
func (a *agent) sums() (sums map[string]float64, n map[string]int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	sums, n = map[string]float64{}, map[string]int{}
	for _, s := range a.samples {
		for _, v := range s.Values {
			sums[series(s.Name, s.Tags...)] += v
			n[series(s.Name, s.Tags...)]++
		}
	}
	return sums, n
}

// await waits until the agent has read every packet sent before, and ends it. After
// that, samples and lines do not change. n requests must have arrived.
func (a *agent) await(t *testing.T, n float64) {
	t.Helper()
	address := a.conn.LocalAddr()
	last, err := net.Dial(address.Network(), address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	poll.Until(t, func() error {
		last.Write([]byte(lastPacket)) // again, if the kernel had no room
		select {
		case <-a.ends:
			return nil
		default:
			return errors.New("the agent has not read the last packet")
		}
	})
	sums, _ := a.sums()
	var got float64
	for name, v := range sums {
		if strings.HasPrefix(name, Requests+" ") {
			got += v
		}
	}
	if got != n {
		t.Errorf("%v requests arrived, want %v", got, n)
	}
}

// clean removes the variables that would add tags.
func clean(t *testing.T) {
	for _, name := range []string{"DD_ENV", "DD_SERVICE", "DD_VERSION", "DD_ENTITY_ID", "DD_CARDINALITY"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
}

func dial(t *testing.T, a *agent, paths ...string) *Client {
	t.Helper()
	var all []openloop.Path
	for _, p := range paths {
		all = append(all, openloop.Path{Path: p, Weight: 1})
	}
	address := a.conn.LocalAddr().String()
	if a.conn.LocalAddr().Network() == "unixgram" {
		address = "unix://" + address
	}
	c, err := Dial(Config{Address: address, Paths: all, Version: "1.2.3", Warn: func(err error) { t.Errorf("warned: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// observe passes a request that was due 40 ms before it was sent and took 10 ms.
func observe(c *Client, path int, x openloop.Exchange, failed bool) {
	due := time.Unix(1, 0)
	c.Observe(openloop.Request{Due: due, Path: path}, due.Add(40*time.Millisecond), due.Add(50*time.Millisecond), x, failed)
}

// Every request counts, with its path and the class of its status. Its response time
// begins when it was due.
func TestMetricsOfARun(t *testing.T) {
	clean(t)
	t.Setenv("DD_ENV", "test")
	t.Setenv("DD_SERVICE", "shop") // the target's
	for _, network := range []string{"udp", "unixgram"} {
		t.Run(network, func(t *testing.T) {
			address := "127.0.0.1:0"
			if network == "unixgram" {
				address = filepath.Join(t.TempDir(), "dsd.socket")
			}
			a := listen(t, network, address)
			c := dial(t, a, "/", "/api/trace?secret=7")
			observe(c, 0, openloop.Exchange{Status: 200}, false)
			observe(c, 0, openloop.Exchange{Status: 204}, false)
			observe(c, 1, openloop.Exchange{Status: 200}, false)
			observe(c, 1, openloop.Exchange{Status: 404}, true) // the result decides, not the status
			observe(c, 1, openloop.Exchange{Status: 503}, true)
			observe(c, 1, openloop.Exchange{Failure: "refused"}, true)
			observe(c, 1, openloop.Exchange{Failure: "closed", Status: 200}, true) // an incomplete answer
			c.Close()
			a.await(t, 7)
			got, n := a.sums()
			tags := func(path, class string) []string {
				return []string{"env:test", "path:" + path, "service:loadgen", "status_class:" + class, "version:1.2.3"}
			}
			want := map[string]float64{
				series(Requests, tags("/", "2xx")...):          2,
				series(Requests, tags("/api/trace", "2xx")...): 1, series(Requests, tags("/api/trace", "4xx")...): 1,
				series(Requests, tags("/api/trace", "5xx")...): 1, series(Requests, tags("/api/trace", "none")...): 2,
				series(Errors, tags("/api/trace", "4xx")...): 1,
				series(Errors, tags("/api/trace", "5xx")...): 1, series(Errors, tags("/api/trace", "none")...): 2,
				series(ResponseTime, tags("/", "2xx")...):          0.1,
				series(ResponseTime, tags("/api/trace", "2xx")...): 0.05, series(ResponseTime, tags("/api/trace", "4xx")...): 0.05,
				series(ResponseTime, tags("/api/trace", "5xx")...): 0.05, series(ResponseTime, tags("/api/trace", "none")...): 0.1,
			}
			for s, v := range want {
				if math.Abs(got[s]-v) > 1e-9 {
					t.Errorf("%s: got %v, want %v", s, got[s], v)
				}
			}
			for s := range got {
				if _, ok := want[s]; !ok {
					t.Errorf("unexpected series %s", s)
				}
			}
			if s := series(ResponseTime, tags("/", "2xx")...); n[s] != 2 {
				t.Errorf("%s: %d values, want 2", s, n[s])
			}
			types := map[string]string{Requests: "c", Errors: "c", ResponseTime: "d"}
			for _, s := range a.samples {
				if s.Type != types[s.Name] {
					t.Errorf("%s has the type %s, want %s", s.Name, s.Type, types[s.Name])
				}
			}
		})
	}
	if got := os.Getenv("DD_SERVICE"); got != "shop" {
		t.Errorf("DD_SERVICE is %q afterwards, want shop", got)
	}
}

// The version of the environment replaces that of the program.
func TestVersionOfTheEnvironment(t *testing.T) {
	clean(t)
	t.Setenv("DD_VERSION", "9")
	a := listen(t, "udp", "127.0.0.1:0")
	c := dial(t, a, "/")
	observe(c, 0, openloop.Exchange{Status: 200}, false)
	c.Close()
	if !c.statsd.IsClosed() {
		t.Error("the client is not closed")
	}
	a.await(t, 1)
	if want := []string{"path:/", "service:loadgen", "status_class:2xx", "version:9"}; !slices.Equal(a.samples[0].Tags, want) {
		t.Errorf("tags %q, want %q", a.samples[0].Tags, want)
	}
}

// Each value of a tag makes a metric, so there are few, whatever the paths and the
// statuses are.
func TestTagsAreBounded(t *testing.T) {
	var paths []openloop.Path
	for i := range 150 {
		paths = append(paths, openloop.Path{Path: fmt.Sprintf("/user/%d", i)})
	}
	paths = append(paths, openloop.Path{Path: "/user/7?again"})
	all := tagsOf(paths)
	value := func(i int) string { return all[i][0][0] }
	for i, want := range map[int]string{0: "path:/user/0", 99: "path:/user/99", 100: "path:other", 149: "path:other", 150: "path:/user/7"} {
		if value(i) != want {
			t.Errorf("path %d is %s, want %s", i, value(i), want)
		}
	}
	// Characters that end a tag, a field or a line of DogStatsD.
	for path, want := range map[string]string{
		"/A,b|c\nd":    "path:/a_b_c_d",
		"POST /search": "path:post_/search",
		"?":            "path:other",
	} {
		if got := tagsOf([]openloop.Path{{Path: path}})[0][0][0]; got != want {
			t.Errorf("%q is %s, want %s", path, got, want)
		}
	}
	clean(t)
	a := listen(t, "udp", "127.0.0.1:0")
	c := dial(t, a, "/")
	for status, want := range map[int]string{0: "none", 101: "1xx", 399: "3xx", 599: "5xx", 999: "5xx", -1: "none"} {
		observe(c, 0, openloop.Exchange{Status: status}, false)
		if err := c.statsd.Flush(); err != nil {
			t.Fatal(err)
		}
		poll.Until(t, func() error {
			sums, _ := a.sums()
			if s := series(Requests, "path:/", "service:loadgen", "status_class:"+want, "version:1.2.3"); sums[s] == 0 {
				return fmt.Errorf("status %d: no %s", status, s)
			}
			return nil
		})
	}
	c.Close()
}

// Above maxSamples, a random sample is sent with its rate. Counts stay exact.
func TestManyRequestsAreSampled(t *testing.T) {
	clean(t)
	a := listen(t, "udp", "127.0.0.1:0")
	c := dial(t, a, "/")
	const n = 2 * maxSamples
	for range n {
		observe(c, 0, openloop.Exchange{Status: 200}, false)
	}
	c.Close()
	a.await(t, n)
	_, values := a.sums()
	if s := series(ResponseTime, "path:/", "service:loadgen", "status_class:2xx", "version:1.2.3"); values[s] != maxSamples {
		t.Errorf("%d response times arrived, want %d", values[s], maxSamples)
	}
	for _, line := range a.lines {
		if strings.HasPrefix(line, ResponseTime) && !strings.Contains(line, "|@0.5|") {
			t.Errorf("%.30s … lacks the rate 0.5", line)
		}
	}
}

// Requests end in several goroutines if the sender has workers.
func TestConcurrentRequests(t *testing.T) {
	clean(t)
	a := listen(t, "udp", "127.0.0.1:0")
	c := dial(t, a, "/")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 500 {
				observe(c, 0, openloop.Exchange{Status: 200}, false)
			}
		})
	}
	all.Wait()
	c.Close()
	a.await(t, 2000)
}

func TestAddress(t *testing.T) {
	for s, want := range map[string]string{
		"localhost:8125":                         "localhost:8125",
		"127.0.0.1:8125":                         "127.0.0.1:8125",
		"[::1]:8125":                             "[::1]:8125",
		"udp://agent:8125":                       "agent:8125",
		"udp://agent:8125/":                      "agent:8125",
		"unix:///var/run/datadog/dsd.socket":     "unix:///var/run/datadog/dsd.socket",
		"unixgram:///var/run/datadog/dsd.socket": "unixgram:///var/run/datadog/dsd.socket",
		"unix:///tmp/a:b:c.socket":               "unix:///tmp/a:b:c.socket",
	} {
		if got, err := Address(s); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", s, got, err, want)
		}
	}
	for _, s := range []string{"", "8125", ":8125", "localhost", "localhost:", "localhost:0", "localhost:65536", "localhost:dsd", "::1", "::1:8125",
		"udp://", "udp://agent", "http://agent:8125", "tcp://agent:8125", "unix:", "unix://dsd.socket", "unix:/dsd.socket", "/var/run/datadog/dsd.socket", "agent:8125/path", "user@agent:8125", "a b:8125"} {
		got, err := Address(s)
		if want := fmt.Sprintf("%q is not an address of DogStatsD: use host:port, udp://host:port or unix:///path/to/socket", s); err == nil || err.Error() != want {
			t.Errorf("%q is %q, %v, want %s", s, got, err, want)
		}
	}
}

// An unknown host is an error.
func TestUnknownHost(t *testing.T) {
	if c, err := Dial(Config{Address: "agent.invalid:8125"}); err == nil {
		c.Close()
		t.Error("no error")
	}
}

// Nobody listens: the first error is a warning, the others are not.
func TestWarnsOnce(t *testing.T) {
	clean(t)
	var mu sync.Mutex
	var warned []string
	socket := filepath.Join(t.TempDir(), "dsd.socket")
	c, err := Dial(Config{Address: "unix://" + socket, Paths: []openloop.Path{{Path: "/"}}, Warn: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		warned = append(warned, err.Error())
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		observe(c, 0, openloop.Exchange{Status: 200}, false)
		if err := c.statsd.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	mu.Lock()
	defer mu.Unlock()
	if len(warned) != 1 || !strings.Contains(warned[0], socket) || !strings.Contains(warned[0], "no such file") {
		t.Errorf("warned %q, want one that names the socket", warned)
	}
}

// Without Warn, nobody learns of an error, and the run goes on.
func TestWithoutWarn(t *testing.T) {
	clean(t)
	c, err := Dial(Config{Address: "unix://" + filepath.Join(t.TempDir(), "dsd.socket"), Paths: []openloop.Path{{Path: "/"}}})
	if err != nil {
		t.Fatal(err)
	}
	observe(c, 0, openloop.Exchange{Status: 200}, false)
	c.Close()
}

// An Agent that takes no packets does not hold back the end of the run.
func TestCloseIsBounded(t *testing.T) {
	clean(t)
	socket := filepath.Join(t.TempDir(), "dsd.socket")
	conn, err := net.ListenPacket("unixgram", socket) // and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	paths := make([]openloop.Path, maxPaths)
	for i := range paths {
		paths[i].Path = fmt.Sprintf("/%d", i)
	}
	warned := make(chan error, 2)
	c, err := Dial(Config{Address: "unix://" + socket, Paths: paths, Warn: func(err error) { warned <- err }})
	if err != nil {
		t.Fatal(err)
	}
	// 200 packets of 8 KB: far more than the kernel holds.
	for i := range paths {
		for range maxSamples {
			observe(c, i, openloop.Exchange{Status: 200}, false)
		}
	}
	c.close(time.Millisecond)
	want := "the last metrics were not sent within 1ms"
	got := (<-warned).Error()
	if got != want {
		got = (<-warned).Error() // on a slow machine, a packet timed out before
	}
	if got != want {
		t.Errorf("warned %q, want %q", got, want)
	}
}

// docs/telemetry.md lists the metrics with their tags, and no other metric of loadgen.
func TestTelemetryContract(t *testing.T) {
	page, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## Metrics of loadgen\n")
	if !found {
		t.Fatal("no section Metrics of loadgen")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for name, kind := range map[string]string{Requests: "count", Errors: "count", ResponseTime: "distribution"} {
		if !strings.Contains(section, "\n| `"+name+"` | "+kind+" | ") {
			t.Errorf("no row of %s, a %s", name, kind)
		}
	}
	if n := strings.Count(section, "\n| `loadgen."); n != 3 {
		t.Errorf("%d rows of metrics, want 3", n)
	}
	for _, tag := range []string{"path", "status_class", "env", "service", "version"} {
		if !strings.Contains(section, "`"+tag+"`") {
			t.Errorf("no tag %s", tag)
		}
	}
}

// The goroutine that sends requests pays for each one that ends.
func BenchmarkObserve(b *testing.B) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	c, err := Dial(Config{Address: conn.LocalAddr().String(), Paths: []openloop.Path{{Path: "/"}, {Path: "/api/trace"}, {Path: "/api/apm"}}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	var n int
	for b.Loop() {
		observe(c, n%3, openloop.Exchange{Status: 200}, n%10 == 0)
		n++
	}
}
