package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"apmapp/internal/command"
	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/loopback"
	"apmapp/internal/testing/poll"
)

// ports are the flags for free ports.
var ports = slices.Clip([]string{"-addr", "127.0.0.1:0", "-dogstatsd", "127.0.0.1:0", "-otlp-grpc", "127.0.0.1:0", "-otlp-http", "127.0.0.1:0", "-pages", "127.0.0.1:0"})

// agent is a running localagent.
type agent struct {
	pages, traces  string // URLs
	metrics        string // host:port
	stdout, stderr lockedbuffer.Buffer
	stop           func() (status int)
}

// start runs localagent until stop is called or the test ends.
func start(t *testing.T, stdin io.Reader, args ...string) *agent {
	t.Helper()
	a := &agent{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	var status int
	go func() {
		defer close(ended)
		status = run(ctx, command.Process{Args: args, Getenv: os.Getenv, Stdin: stdin, Stdout: &a.stdout, Stderr: &a.stderr})
	}()
	a.stop = func() int {
		cancel()
		<-ended
		return status
	}
	t.Cleanup(func() { a.stop() })
	started := regexp.MustCompile(`(?s)pages +(\S+)\ntraces +DD_TRACE_AGENT_URL=(\S+)\n.*metrics +(\S+) over UDP`)
	poll.True(t, "localagent prints its addresses", func() bool {
		select {
		case <-ended:
			t.Fatalf("localagent %v ended with status %d: %s", args, status, &a.stderr)
		default:
		}
		m := started.FindStringSubmatch(a.stdout.String())
		if m != nil {
			a.pages, a.traces, a.metrics = m[1], m[2], m[3]
		}
		return m != nil
	})
	return a
}

// quiet stops the agent and checks that it succeeded, printed no warning and closed
// its addresses.
func (a *agent) quiet(t *testing.T) {
	t.Helper()
	if status := a.stop(); status != command.Success || a.stderr.String() != "" {
		t.Errorf("status %d: %s", status, &a.stderr)
	}
	for _, url := range []string{a.pages, a.traces} {
		if c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://")); err == nil {
			c.Close()
			t.Errorf("%s is open after the end", url)
		}
	}
}

// shows waits until a page or an answer of the API contains a text.
func (a *agent) shows(t *testing.T, path, want string) {
	t.Helper()
	poll.True(t, path+" shows "+want, func() bool { return strings.Contains(get(t, a.pages+path), want) })
}

func get(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// sendTrace sends a trace of one span, as a tracer does.
func sendTrace(t *testing.T, client *http.Client, url, resource string) {
	t.Helper()
	body := fmt.Sprintf(`[[{"trace_id":1,"span_id":2,"service":"web","name":"http.request","resource":%q,"start":1700000000000000000,"duration":1000000,"metrics":{"_sampling_priority_v1":1}}]]`, resource)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/v0.4/traces", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("send a trace: %s", resp.Status)
	}
}

// sendMetric sends a DogStatsD packet.
func sendMetric(t *testing.T, network, addr, packet string) {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, packet); err != nil {
		t.Fatal(err)
	}
}

// TestAddresses gives each address by its flag and uses it.
func TestAddresses(t *testing.T) {
	addr, dogstatsd, pages := loopback.FreeAddr(t), loopback.FreeAddr(t), loopback.FreeAddr(t)
	a := start(t, nil, "-addr", addr, "-dogstatsd", dogstatsd, "-otlp-grpc=", "-otlp-http=", "-pages", pages)
	if a.traces != "http://"+addr || a.metrics != dogstatsd || a.pages != "http://"+pages {
		t.Errorf("got %s, %s and %s, want %s, %s and %s", a.traces, a.metrics, a.pages, addr, dogstatsd, pages)
	}
	sendTrace(t, http.DefaultClient, "http://"+addr, "GET /")
	a.shows(t, "/api/traces", "GET /")
	sendMetric(t, "udp", dogstatsd, "a.b:1|g")
	a.shows(t, "/api/metrics", `"a.b"`)
	if got := get(t, "http://"+pages+"/logs"); !strings.Contains(got, "DD_TRACE_AGENT_URL=http://"+addr) {
		t.Errorf("the empty page does not show how to send data: %s", got)
	}
	a.quiet(t)
}

// otlpLine has the address for OpenTelemetry over HTTP.
var otlpLine = regexp.MustCompile(`(?m)^otlp +OTEL_EXPORTER_OTLP_ENDPOINT=(http://\S+) over HTTP\n +OTEL_EXPORTER_OTLP_ENDPOINT=(http://\S+) over gRPC$`)

// sendOTLP sends a log line, as an SDK of OpenTelemetry does.
func sendOTLP(t *testing.T, url string) {
	t.Helper()
	resp, err := http.Post(url+"/v1/logs", "application/json", strings.NewReader(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"by OpenTelemetry"}}]}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("send a log line: %s", resp.Status)
	}
}

// TestOpenTelemetry gives the addresses by flags and by the Agent's variables, and
// prints how to send to them. Flags win.
func TestOpenTelemetry(t *testing.T) {
	over := loopback.FreeAddr(t)
	a := start(t, nil, append(ports, "-otlp-http", over)...)
	m := otlpLine.FindStringSubmatch(a.stdout.String())
	if m == nil || m[1] != "http://"+over {
		t.Fatalf("no address of OpenTelemetry in %s", &a.stdout)
	}
	sendOTLP(t, m[1])
	a.shows(t, "/api/logs", "by OpenTelemetry")
	if conn, err := net.Dial("tcp", strings.TrimPrefix(m[2], "http://")); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
	a.quiet(t)

	t.Setenv("DD_OTLP_CONFIG_RECEIVER_PROTOCOLS_HTTP_ENDPOINT", over)
	t.Setenv("DD_OTLP_CONFIG_RECEIVER_PROTOCOLS_GRPC_ENDPOINT", "127.0.0.1:0")
	agents := ports[:4] // without the flags
	for _, flag := range []string{"", "-otlp-http="} {
		a := start(t, nil, append(slices.Clip(agents), append(strings.Fields(flag), "-pages", "127.0.0.1:0")...)...)
		if listens := strings.Contains(a.stdout.String(), "http://"+over+" over HTTP"); listens != (flag == "") || !strings.Contains(a.stdout.String(), " over gRPC\n") {
			t.Errorf("%q: %s", flag, &a.stdout)
		}
		a.quiet(t)
	}
}

// TestDefaultPortsOfOpenTelemetryInUse: with another collector on this machine, the
// agent starts without its ports.
func TestDefaultPortsOfOpenTelemetryInUse(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:4317", "127.0.0.1:4318"} {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			defer l.Close()
		} else if !errors.Is(err, syscall.EADDRINUSE) { // by another one
			t.Fatal(err)
		}
	}
	a := start(t, nil, append(slices.Clip(ports[:4]), "-pages", "127.0.0.1:0")...)
	sendTrace(t, http.DefaultClient, a.traces, "GET /")
	a.shows(t, "/api/traces", "GET /")
	const want = "localagent: another process, perhaps a collector, uses 127.0.0.1:4317: starting without it; choose another address with -otlp-grpc\n" +
		"localagent: another process, perhaps a collector, uses 127.0.0.1:4318: starting without it; choose another address with -otlp-http\n"
	if status := a.stop(); status != command.Success || a.stderr.String() != want || strings.Contains(a.stdout.String(), "otlp") {
		t.Errorf("status %d: %s, want %s; printed %s", status, &a.stderr, want, &a.stdout)
	}
}

func TestSockets(t *testing.T) {
	socket, dogstatsd := filepath.Join(t.TempDir(), "apm.socket"), filepath.Join(t.TempDir(), "dsd.socket")
	a := start(t, nil, append(ports, "-socket", socket, "-dogstatsd-socket", dogstatsd)...)
	for _, want := range []string{"unix://" + socket + "\n", "unix://" + dogstatsd + "\n"} {
		if !strings.Contains(a.stdout.String(), want) {
			t.Errorf("no %q in %s", want, &a.stdout)
		}
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	transport := &http.Transport{DialContext: dial}
	defer transport.CloseIdleConnections()
	sendTrace(t, &http.Client{Transport: transport}, "http://socket", "GET /")
	a.shows(t, "/api/traces", "GET /")
	sendMetric(t, "unixgram", dogstatsd, "a.b:1|g")
	a.shows(t, "/api/metrics", `"a.b"`)
	transport.CloseIdleConnections()
	a.quiet(t)
	for _, path := range []string{socket, dogstatsd} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s exists after the end: %v", path, err)
		}
	}
}

func TestLogsOfAFileAndOfStandardInput(t *testing.T) {
	name := filepath.Join(t.TempDir(), "service.log")
	if err := os.WriteFile(name, []byte("a line\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{name, "-"} {
		a := start(t, strings.NewReader("a line\n"), append(ports, "-logs", from)...)
		a.shows(t, "/api/logs", "a line")
		a.quiet(t)
	}
}

func TestStandardInputFails(t *testing.T) {
	var stdout, stderr bytes.Buffer
	process := command.Process{Args: append(ports, "-logs", "-"), Getenv: os.Getenv, Stdin: iotest.ErrReader(errors.New("terminal gone")), Stdout: &stdout, Stderr: &stderr}
	if status := run(t.Context(), process); status != command.Failure || stderr.String() != "localagent: -logs: terminal gone\n" {
		t.Errorf("status %d: %s", status, &stderr)
	}
}

func TestPagesHost(t *testing.T) {
	a := start(t, nil, append(ports, "-pages-host", "Demo.example,other.example")...)
	for host, want := range map[string]int{"demo.example:8127": 200, "other.example": 200, "third.example": 403} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.pages, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", host, resp.StatusCode, want)
		}
	}
	a.quiet(t)
}

func TestMemory(t *testing.T) {
	for flag, want := range map[string]string{"": "128MB", "-memory 8": "8.00MB", "-memory 200": "200MB"} {
		a := start(t, nil, append(ports, strings.Fields(flag)...)...)
		a.shows(t, "/usage", "The budget is "+want+".")
		a.quiet(t)
	}
}

// TestChecks runs a check of a directory, beside what arrives and beside a recording, whose
// time is not the present.
func TestChecks(t *testing.T) {
	if _, err := exec.LookPath("python3"); err != nil && os.Getenv("CI") == "" {
		t.Skip("python3 is not installed")
	}
	dir := t.TempDir()
	runs, tape := filepath.Join(dir, "runs"), filepath.Join(dir, "tape")
	for name, content := range map[string]string{
		"datadog.yaml":       "hostname: web-1\nenv: dev\n",
		"conf.d/custom.yaml": "instances: [{min_collection_interval: 1}]\n",
		"checks.d/custom.py": "from datadog_checks.base import AgentCheck\nclass C(AgentCheck):\n def check(self, _):\n  self.gauge('custom', 7)\n  open('" + runs + "', 'a').write('.')\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(content), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	a := start(t, nil, append(ports, "-checks", dir, "-record", tape)...)
	a.shows(t, "/api/metrics", `"name":"custom","type":"g","tags":"env:dev,host:web-1"`)
	a.shows(t, "/api/checks", `"name":"datadog.agent.check_status","status":"ok","host":"web-1"`)
	if want := "checks   custom every 1 s, system every 15 s\n"; !strings.Contains(a.stdout.String(), want) {
		t.Errorf("no %q in %s", want, &a.stdout)
	}
	sendTrace(t, http.DefaultClient, a.traces, "GET /")
	a.quiet(t)

	if err := os.Remove(runs); err != nil {
		t.Fatal(err)
	}
	a = start(t, nil, append(ports, "-checks", dir, "-replay", tape)...)
	poll.True(t, "two runs", func() bool { info, err := os.Stat(runs); return err == nil && info.Size() >= 2 })
	if got := get(t, a.pages+"/api/metrics"); strings.Contains(got, "custom") {
		t.Errorf("beside a recording: %s", got)
	}
	sendTrace(t, http.DefaultClient, a.traces, "GET /")
	a.shows(t, "/api/metrics", `"name":"custom"`)
	a.quiet(t)
}

// TestRecordAndReplay records a trace, a metric and a log line, and replays them in
// another agent.
func TestRecordAndReplay(t *testing.T) {
	tape := filepath.Join(t.TempDir(), "tape")
	first := start(t, strings.NewReader("a line\n"), append(ports, "-record", tape, "-logs", "-")...)
	sendTrace(t, http.DefaultClient, first.traces, "GET /recorded")
	sendMetric(t, "udp", first.metrics, "recorded:1|g")
	all := func(a *agent) {
		t.Helper()
		a.shows(t, "/api/traces", "GET /recorded")
		a.shows(t, "/api/metrics", `"recorded"`)
		a.shows(t, "/api/logs", "a line")
		a.quiet(t)
	}
	all(first)
	all(start(t, nil, append(ports, "-replay", tape)...))
	info, err := os.Stat(tape)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("the recording has mode %o, want 600: it may contain secrets", got)
	}
}

// TestReplaySkips: requests that the agent refuses are skipped and counted, and so is the
// end of a recording that was cut off.
func TestReplaySkips(t *testing.T) {
	tape := filepath.Join(t.TempDir(), "tape")
	const request = `{"kind":"request","method":"POST","path":"/telemetry/proxy/api/v2/apmtelemetry","body":"e30="}` + "\n"
	if err := os.WriteFile(tape, []byte(request+request+`{"kind":"packet","time":"2026-01-02T03:04:05Z","body":"YToxfGc="}`+"\n"+`{"kind":"pac`), 0o666); err != nil {
		t.Fatal(err)
	}
	a := start(t, nil, append(ports, "-replay", tape)...)
	a.shows(t, "/api/metrics", `"a"`)
	want := "localagent: -replay: " + tape + ": line 4: the rest of the recording is missing\nlocalagent: -replay: " + tape + ": 2 requests skipped, the first is line 1: POST /telemetry/proxy/api/v2/apmtelemetry: refused with status 404\n"
	if status := a.stop(); status != command.Success || a.stderr.String() != want {
		t.Errorf("status %d: %s, want %s", status, &a.stderr, want)
	}
}

// TestForward: another Agent receives the traces too. If it does not, the exit status
// is 1.
func TestForward(t *testing.T) {
	bodies := make(chan string, 1)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- r.URL.Path + " " + string(body)
	}))
	defer other.Close()
	a := start(t, nil, append(ports, "-forward", other.URL)...)
	sendTrace(t, http.DefaultClient, a.traces, "GET /forwarded")
	if got := <-bodies; !strings.HasPrefix(got, "/v0.4/traces ") || !strings.Contains(got, "GET /forwarded") {
		t.Errorf("the other Agent received %s", got)
	}
	a.shows(t, "/api/traces", "GET /forwarded")
	a.quiet(t)

	other.Close()
	a = start(t, nil, append(ports, "-forward", other.URL)...)
	sendTrace(t, http.DefaultClient, a.traces, "GET /lost")
	if status, want := a.stop(), "-forward: 1 requests or packets did not reach "+other.URL; status != command.Failure || !strings.Contains(a.stderr.String(), want) {
		t.Errorf("status %d, want %d and %q: %s", status, command.Failure, want, &a.stderr)
	}
}

func TestWarnsWhenOpenToOtherMachines(t *testing.T) {
	for _, open := range []string{"-addr", "-dogstatsd", "-otlp-grpc", "-otlp-http", "-pages"} {
		a := start(t, nil, append(ports, open, ":0")...)
		if status := a.stop(); status != command.Success || strings.Count(a.stderr.String(), "other machines can reach") != 1 {
			t.Errorf("%s: status %d, want one warning: %s", open, status, &a.stderr)
		}
	}
}

func TestFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tape := filepath.Join(t.TempDir(), "tape")
	if err := os.WriteFile(tape, []byte("\nnonsense\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	listening := strings.Join(ports, " ")
	for _, c := range []struct {
		args   string
		status int
		want   string
	}{
		{"-addr 8126", 2, `-addr: "8126" is not host:port`},
		{"-dogstatsd 8125", 2, `-dogstatsd: "8125" is not host:port`},
		{"-pages 8127", 2, `-pages: "8127" is not host:port`},
		{"-otlp-grpc 4317", 2, `-otlp-grpc: "4317" is not host:port`},
		{"-otlp-http 4318", 2, `-otlp-http: "4318" is not host:port`},
		{"-addr= -otlp-grpc=", 2, `-addr: "" is not host:port`},
		{listening + " -otlp-grpc " + taken.Addr().String(), 1, "-otlp-grpc: another process, perhaps a collector, uses " + taken.Addr().String() + "; choose another one: "},
		{listening + " -otlp-http " + taken.Addr().String(), 1, "-otlp-http: another process, perhaps a collector, uses " + taken.Addr().String() + "; choose another one: "},
		{"-checks /nowhere", 2, "-checks /nowhere: no directory conf.d; give a directory with the Agent's files, such as deploy/agent"},
		{"-addr x -dogstatsd y -pages z", 2, `-addr: "x" is not host:port`},
		{"-memory 7", 2, "must be at least 8 MB, got 7"},
		{"now", 2, `unexpected argument "now"`},
		{"-addr " + taken.Addr().String(), 1, "address already in use"},
		{listening + " -pages " + taken.Addr().String(), 1, "choose others with -addr, -dogstatsd and -pages"},
		{listening + " -logs /", 1, "is a directory"},
		{listening + " -record " + tape, 1, "-record: open " + tape + ": file exists"},
		{listening + " -replay " + tape, 1, "-replay: " + tape + ": line 2: invalid character"},
		{listening + " -replay " + tape + ".none", 1, "-replay: open " + tape + ".none: no such file"},
		{listening + " -forward https://example.com", 1, `-forward: URL of an Agent must be http://host:port, got "https://example.com"`},
	} {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), command.Process{Args: strings.Fields(c.args), Getenv: os.Getenv, Stdout: &stdout, Stderr: &stderr})
		if status != c.status || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: status %d, want %d and %q: %s", c.args, status, c.status, c.want, &stderr)
		}
	}
}

// TestDefinitions: a metric raises a monitor of a directory, and a webhook receives that.
func TestDefinitions(t *testing.T) {
	got := make(chan string, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- string(body)
	}))
	defer hook.Close()
	dir := t.TempDir()
	content := `{"name":"${service} in ${env}","type":"query alert","query":"max(last_1m):max:x{env:${env}} > 5","message":"{{value}}","options":{"thresholds":{"critical":5}}}`
	if err := os.WriteFile(filepath.Join(dir, "monitor.high.json"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	a := start(t, nil, append(ports, "-definitions", dir, "-env", "prod", "-service", "shop", "-notify-webhook", hook.URL, "-data", data)...)
	sendMetric(t, "udp", a.metrics, "x:7|g")
	a.shows(t, "/api/monitors", `"key":"high","name":"shop in prod","state":"Alert"`)
	if sent := <-got; !strings.Contains(sent, `"monitor":"high","group":[],"from":"waiting for first data","to":"Alert","value":7`) {
		t.Errorf("the webhook received %s", sent)
	}
	poll.True(t, "a line", func() bool { return strings.Contains(a.stdout.String(), "→ Alert  [Triggered] shop in prod\n") })
	a.quiet(t)

	a = start(t, nil, append(ports, "-definitions", dir, "-env", "prod", "-service", "shop", "-data", data)...)
	a.shows(t, "/api/monitors/high", `"state":"Alert"`) // the state and the metric survived
	a.shows(t, "/api/monitors/high", `"values":[`)
	a.quiet(t)
}
