package intake

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/datadog-go/v5/statsd"
	"github.com/google/pprof/profile"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/ext"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"

	"apmapp/internal/local/received"
	"apmapp/internal/local/store"
	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/poll"
)

// form returns an upload like a profiler's.
func form(t *testing.T, files map[string][]byte) (contentType string, body *bytes.Buffer) {
	t.Helper()
	body = new(bytes.Buffer)
	w := multipart.NewWriter(body)
	for name, data := range files {
		part, err := w.CreateFormFile(strings.TrimSuffix(name, filepath.Ext(name)), name)
		if err != nil {
			t.Fatal(err)
		}
		part.Write(data)
	}
	w.Close()
	return w.FormDataContentType(), body
}

func startAgent(t *testing.T) (*Agent, *store.Store) {
	t.Helper()
	s := store.New(0)
	a, err := Start(Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", Store: s, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a, s
}

// TestTracer sends a trace with a real tracer.
func TestTracer(t *testing.T) {
	a, s := startAgent(t)
	tracer.Start(tracer.WithAgentAddr(a.Addr().String()), tracer.WithService("web"), tracer.WithEnv("test"), tracer.WithLogStartup(false))
	root := tracer.StartSpan("http.request", tracer.ResourceName("GET /"), tracer.SpanType(ext.SpanTypeWeb))
	tracer.StartSpan("mysql.query", tracer.ChildOf(root.Context()), tracer.ServiceName("db"), tracer.ResourceName("SELECT 'secret'"), tracer.SpanType(ext.SpanTypeSQL)).Finish(tracer.WithError(errors.New("no")))
	root.Finish()
	tracer.Stop()
	traces, n := s.Traces(store.Filter{Limit: 10})
	if n != 1 {
		t.Fatalf("%d traces, want 1", n)
	}
	got, _ := s.Trace(traces[0].ID)
	if len(got.Spans) != 2 || got.Root().Resource != "GET /" || got.Root().Tags["env"] != "test" {
		t.Errorf("%+v", got)
	}
	for _, span := range got.Spans {
		if span.Type == ext.SpanTypeSQL && (span.Resource != "SELECT ?" || !span.Error || span.Tags["error.message"] != "no") {
			t.Errorf("%+v", span)
		}
	}
	if calls := s.Calls(); len(calls) != 1 || calls[0].From != "web" || calls[0].To != "db" {
		t.Errorf("%+v", calls)
	}
	// The tracer has the port for its own metrics from /info.
	poll.True(t, "metrics of the tracer arrive", func() bool { return len(s.Metrics("datadog.tracer.")) > 0 })
}

// TestSampledTracer sends a sample of the traces with a real tracer. The numbers
// count all traces.
func TestSampledTracer(t *testing.T) {
	s := store.New(0)
	a, err := Start(Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", Store: s, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tracer.Start(tracer.WithAgentAddr(a.Addr().String()), tracer.WithService("web"), tracer.WithEnv("test"), tracer.WithLogStartup(false),
		tracer.WithSamplingRules([]tracer.SamplingRule{tracer.RateRule(0.25)}))
	const all = 400
	for i := range all {
		span := tracer.StartSpan("http.request", tracer.ResourceName("GET /"), tracer.SpanType(ext.SpanTypeWeb))
		if i%10 == 0 {
			span.SetTag(ext.Error, errors.New("no"))
		}
		span.Finish(tracer.FinishTime(time.Now().Add(20 * time.Millisecond)))
	}
	tracer.Stop()
	if err := a.Close(); err != nil { // flushes statistics of the current interval
		t.Error(err)
	}
	_, received := s.Traces(store.Filter{Limit: 1})
	services := s.Services()
	if len(services) != 1 || received == 0 || received >= all || services[0].Hits != all || services[0].Errors != all/10 {
		t.Errorf("%d traces received, want some but not all; numbers %+v, want %d hits", received, services, all)
	}
	if p50 := services[0].P50; p50 < 19*time.Millisecond || p50 > time.Minute {
		t.Errorf("p50 is %s, want about 20ms", p50)
	}
}

func TestPackets(t *testing.T) {
	a, s := startAgent(t)
	c, err := net.Dial("udp", a.DogStatsD().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	awaitMetric(t, s, c)
	if s.Usage().MalformedPackets == 0 {
		t.Error("the malformed line is not counted")
	}
}

// awaitMetric sends a metric and a malformed line until the metric is stored.
func awaitMetric(t *testing.T, s *store.Store, c net.Conn) {
	t.Helper()
	poll.True(t, "a metric is stored", func() bool {
		fmt.Fprint(c, "a.b:1|g|#x:y\n\xff\xfe\x00garbage")
		return len(s.Metrics("a.b")) > 0
	})
}

// TestPacketsOverSocket sends with DogStatsD's own client, to a socket that replaces
// one left by an ended program.
func TestPacketsOverSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dsd.socket")
	left, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	left.Close()
	cfg := Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", DogStatsDSocket: path, Store: store.New(0), Logger: slog.New(slog.DiscardHandler)}
	a, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(cfg); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second agent on the socket: %v, want EADDRINUSE", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	client, err := statsd.New("unix://"+path, statsd.WithoutTelemetry())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(client.Gauge("a.b", 5, []string{"x:y"}, 1), client.Close()); err != nil {
		t.Fatal(err)
	}
	poll.True(t, "a metric is stored", func() bool { return len(cfg.Store.Metrics("a.b")) > 0 })
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// TestHostileInput checks that each request is refused with a 4xx status and that
// the Agent keeps running.
func TestHostileInput(t *testing.T) {
	a, _ := startAgent(t)
	url := "http://" + a.Addr().String()
	for name, test := range map[string]struct {
		path, contentType, body string
		length                  int64
	}{
		"truncated msgpack":   {"/v0.4/traces", "application/msgpack", "\x91\x91\x8a", -1},
		"not msgpack":         {"/v0.4/traces", "application/msgpack", "{}", -1},
		"not JSON":            {"/v0.3/traces", "application/json", "[[{", -1},
		"not multipart":       {"/profiling/v1/input", "text/plain", "x", -1},
		"multipart, cut off":  {"/profiling/v1/input", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"cpu\"; filename=\"cpu.pprof\"\r\n\r\nxx", -1},
		"no boundary":         {"/profiling/v1/input", "multipart/form-data", "x", -1},
		"a gigabyte of spans": {"/v0.4/traces", "application/msgpack", "\x91", 1 << 30},
		"a gigabyte":          {"/profiling/v1/input", "multipart/form-data; boundary=b", "--b", 1 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			var body io.Reader = strings.NewReader(test.body)
			r, err := http.NewRequestWithContext(t.Context(), "POST", url+test.path, body)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", test.contentType)
			r.Header.Set("X-Datadog-Trace-Count", "1")
			if test.length > 0 {
				// The body is shorter than announced.
				r.Body, r.ContentLength = io.NopCloser(io.LimitReader(zeros{}, 64<<20)), test.length
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				if test.length > 0 { // the Agent closed the connection: the body is too long
					return
				}
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode < 400 || resp.StatusCode > 499 {
				t.Errorf("status %d", resp.StatusCode)
			}
		})
	}
	resp, err := http.Get(url + "/info")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("the Agent does not answer: %v", err)
	}
	resp.Body.Close()
}

// TestIntakeRefusesOtherSites sends what a page of another site can send without
// asking first: simple content types. Nothing of it is stored or recorded.
func TestIntakeRefusesOtherSites(t *testing.T) {
	s := store.New(0)
	var tape bytes.Buffer
	a, err := Start(Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", Store: s, Taps: []Tap{NewRecorder(&tape)}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	const trace = `[[{"trace_id":1,"span_id":2,"service":"web","name":"a","resource":"b","start":1700000000000000000,"duration":1,"metrics":{"_sampling_priority_v1":1}}]]`
	var cpu bytes.Buffer
	if err := (&profile.Profile{SampleType: []*profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}}}).WriteUncompressed(&cpu); err != nil {
		t.Fatal(err)
	}
	multipart, upload := form(t, map[string][]byte{"cpu.pprof": cpu.Bytes()})
	stats, err := (&pb.ClientStatsPayload{}).MarshalMsg(nil)
	if err != nil {
		t.Fatal(err)
	}
	send := func(method, path, contentType, body string, header map[string]string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+a.Addr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", contentType)
		for name, value := range header {
			r.Header.Set(name, value)
		}
		r.Host = header["Host"]
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	requests := []struct{ method, path, contentType, body string }{
		{"POST", "/v0.4/traces", "text/plain", trace},
		{"PUT", "/v0.3/traces", "application/json", trace},
		{"POST", "/v0.6/stats", "text/plain", string(stats)},
		{"POST", "/profiling/v1/input", multipart, upload.String()},
		{"GET", "/info", "", ""},
	}
	for _, header := range []map[string]string{
		{"Sec-Fetch-Site": "cross-site"},
		{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
		{"Sec-Fetch-Site": "same-site"},
		{"Origin": "https://evil.example"},
		{"Origin": "null"},
		{"Origin": "http://evil.example", "Host": "evil.example", "Sec-Fetch-Site": "same-origin"},
	} {
		for _, r := range requests {
			if got := send(r.method, r.path, r.contentType, r.body, header); got != http.StatusForbidden {
				t.Errorf("%s %s with %v: status %d, want 403", r.method, r.path, header, got)
			}
		}
	}
	if u := s.Usage(); u.Traces+u.Profiles != 0 || tape.Len() > 0 {
		t.Errorf("stored %+v and recorded %s, want nothing", u, &tape)
	}
	for _, host := range []string{"", "host.docker.internal:8126"} { // tracers, and tracers in containers
		for _, r := range requests {
			if got := send(r.method, r.path, r.contentType, r.body, map[string]string{"Host": host}); got != http.StatusOK {
				t.Errorf("%s %s to host %q: status %d, want 200", r.method, r.path, host, got)
			}
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if u := s.Usage(); u.Traces != 1 || u.Profiles != 2 || tape.Len() == 0 {
		t.Errorf("stored %+v and recorded %d bytes, want a trace and two profiles", u, tape.Len())
	}
}

// TestInfo: /info reports what is served, and every answer has its hash. The rest of
// the Agent's API is status 404, and panics nowhere.
func TestInfo(t *testing.T) {
	var log lockedbuffer.Buffer
	socket := filepath.Join(t.TempDir(), "apm.socket")
	a, err := Start(Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", Socket: socket, Store: store.New(0), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	request := func(method, path string) (int, string, http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+a.Addr().String()+path, strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(body), resp.Header
	}
	_, body, _ := request("GET", "/info")
	var info struct {
		Version         string
		Endpoints       []string
		Drop            bool     `json:"client_drop_p0s"`
		SpanEvents      bool     `json:"span_events"`
		MetaStructs     bool     `json:"span_meta_structs"`
		LongRunning     bool     `json:"long_running_spans"`
		EvpProxyHeaders []string `json:"evp_proxy_allowed_headers"`
		PeerTags        []string `json:"peer_tags"`
		Config          struct {
			ReceiverPort   int    `json:"receiver_port"`
			ReceiverSocket string `json:"receiver_socket"`
			StatsdPort     int    `json:"statsd_port"`
		}
	}
	if err := json.Unmarshal([]byte(body), &info); err != nil {
		t.Fatal(err)
	}
	if info.Version != "7.85.2" || !info.Drop || !info.SpanEvents || info.MetaStructs || info.LongRunning || info.EvpProxyHeaders == nil || len(info.EvpProxyHeaders) > 0 || len(info.PeerTags) == 0 {
		t.Errorf("%+v", info)
	}
	if c := info.Config; c.ReceiverPort != a.Addr().(*net.TCPAddr).Port || c.StatsdPort != a.DogStatsD().(*net.UDPAddr).Port || c.ReceiverSocket != socket {
		t.Errorf("addresses %+v", c)
	}
	want := []string{
		"/v0.3/traces", "/v0.4/traces", "/v0.5/traces", "/v0.7/traces", "/v1.0/traces",
		"/v0.3/services", "/v0.4/services", "/v0.6/stats", "/profiling/v1/input",
	}
	if !slices.Equal(info.Endpoints, want) {
		t.Errorf("endpoints %v, want %v", info.Endpoints, want)
	}
	state := fmt.Sprintf("%x", sha256.Sum256([]byte(body)))
	check := func(path string, status int, header http.Header) {
		t.Helper()
		if got := header.Values("Datadog-Agent-State"); len(got) != 1 || got[0] != state {
			t.Errorf("%s: status %d, state %v, want the hash of /info, %s", path, status, got, state)
		}
		if got := header.Values("Datadog-Agent-Version"); len(got) != 1 || got[0] != "7.85.2" {
			t.Errorf("%s: version %v", path, got)
		}
	}
	// The pages listen later: then /info names them, and has another hash.
	a.SetPages(a.Addr())
	_, second, _ := request("GET", "/info")
	if body == second || !strings.Contains(second, `"local_pages": "`+a.Addr().String()+`"`) || strings.Contains(body, "local_pages") {
		t.Errorf("/info before the pages:\n%s\nand with them:\n%s", body, second)
	}
	state = fmt.Sprintf("%x", sha256.Sum256([]byte(second)))
	for _, path := range append(want, "/info", "/v0.1/spans", "/v0.2/services") {
		status, _, header := request("POST", path)
		if status == http.StatusNotFound || status >= 500 {
			t.Errorf("%s is listed: status %d", path, status)
		}
		check(path, status, header)
	}
	for _, path := range []string{
		"/tracer_flare/v1", "/telemetry/proxy/api/v2/apmtelemetry", "/v0.1/pipeline_stats", "/openlineage/api/v1/lineage",
		"/evp_proxy/v1/x", "/evp_proxy/v2/x", "/evp_proxy/v3/x", "/evp_proxy/v4/x", "/debugger/v1/input", "/debugger/v2/input",
		"/debugger/v1/diagnostics", "/symdb/v1/input", "/dogstatsd/v1/proxy", "/dogstatsd/v2/proxy", "/v0.7/config", "/v1/traces", "/", "/nonesuch",
	} {
		status, body, header := request("POST", path)
		if status != http.StatusNotFound || !strings.HasPrefix(body, path+" is not served") {
			t.Errorf("%s: status %d, want 404: %s", path, status, body)
		}
		check(path, status, header)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "panic") {
		t.Errorf("log: %s", &log)
	}
}

// TestRecordingOfATracer records what a tracer sends besides traces: requests that are
// refused are not in the recording. A replay skips those of other recordings.
func TestRecordingOfATracer(t *testing.T) {
	var tape bytes.Buffer
	first := store.New(0)
	a, err := Start(Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", Store: first, Taps: []Tap{NewRecorder(&tape)}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	const trace = `[[{"trace_id":1,"span_id":2,"service":"web","name":"a","resource":"b","start":1700000000000000000,"duration":1,"metrics":{"_sampling_priority_v1":1}}]]`
	refused := []string{"/telemetry/proxy/api/v2/apmtelemetry", "/v0.4/traces", "/tracer_flare/v1", "/profiling/v1/input"}
	for path, body := range map[string]string{refused[0]: "{}", refused[1]: "{", refused[2]: "x", refused[3]: "x", "/v0.3/traces": trace} {
		resp, err := http.Post("http://"+a.Addr().String()+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if got := tape.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "/v0.3/traces") {
		t.Errorf("recorded %s, want one trace", got)
	}

	var old bytes.Buffer // by a version that recorded all
	r := NewRecorder(&old)
	for _, path := range refused {
		r.Hear(Event{Kind: Request, Method: "POST", Path: path, Body: []byte("{")})
	}
	old.Write(tape.Bytes())
	again, replayed := startAgent(t)
	skipped, err := again.Replay(&old)
	if err != nil || skipped.Requests != len(refused) || skipped.First == nil || skipped.First.Error() != "line 1: POST "+refused[0]+": refused with status 404" {
		t.Errorf("%v, skipped %+v, want %d requests", err, skipped, len(refused))
	}
	poll.True(t, "the trace is replayed", func() bool { return replayed.Usage().Traces == 1 })
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAddressInUse(t *testing.T) {
	a, s := startAgent(t)
	for _, cfg := range []Config{
		{Addr: a.Addr().String(), DogStatsD: "127.0.0.1:0"},
		{Addr: "127.0.0.1:0", DogStatsD: a.DogStatsD().String()},
	} {
		cfg.Store, cfg.Logger = s, slog.New(slog.DiscardHandler)
		if _, err := Start(cfg); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("got %v, want EADDRINUSE", err)
		}
	}
}

// TestRecordReplayAndForward sends a trace, a packet and a log line to one agent.
// Two others receive the same: one from a recording, one from a forwarder.
func TestRecordReplayAndForward(t *testing.T) {
	other, forwarded := startAgent(t)
	to, err := url.Parse("http://" + other.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	forwarder, err := NewForwarder(to)
	if err != nil {
		t.Fatal(err)
	}
	var tape bytes.Buffer
	taps := []Tap{NewRecorder(&tape), forwarder}
	first := store.New(0)
	socket := filepath.Join(t.TempDir(), "s")
	if l, err := net.Listen("unix", socket); err != nil {
		t.Fatal(err)
	} else { // as left by an agent that crashed
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
	}
	a, err := Start(Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", Socket: socket, Store: first, Taps: taps, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Start(Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", Socket: socket, Store: first, Logger: slog.New(slog.DiscardHandler)}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("second agent on the socket: %v, want EADDRINUSE", err)
	}
	tracer.Start(tracer.WithUDS(socket), tracer.WithService("web"), tracer.WithLogStartup(false))
	tracer.StartSpan("http.request", tracer.ResourceName("GET /")).Finish()
	tracer.Stop()
	c, err := net.Dial("udp", a.DogStatsD().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "a.b:1|g")
	c.Close()
	poll.True(t, "a metric is stored", func() bool { return len(first.Metrics("a.b")) > 0 })
	fmt.Fprintln(TapWriter{W: NewLogWriter(first), Taps: taps}, "a line")
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	packets := strings.Count(tape.String(), `"kind":"packet"`) // they go to port 8125, where nothing may listen
	if err := forwarder.Close(); err != nil || forwarder.Dropped() > int64(packets) {
		t.Errorf("%v, %d dropped, want at most the %d packets", err, forwarder.Dropped(), packets)
	}

	again, replayed := startAgent(t)
	if skipped, err := again.Replay(bytes.NewReader(tape.Bytes())); err != nil || skipped.Requests != 0 {
		t.Fatalf("%v, %+v", err, skipped)
	}
	for name, s := range map[string]*store.Store{"the first": first, "the replay": replayed, "the forwarder": forwarded} {
		poll.True(t, name+" has one trace", func() bool {
			_, n := s.Traces(store.Filter{Service: "web", Limit: 1})
			return n == 1
		})
	}
	if lines, _ := replayed.Logs(store.LogFilter{Limit: 2}); len(lines) != 1 || lines[0].Message != "a line" || len(replayed.Metrics("a.b")) != 1 {
		t.Errorf("replayed: %v, %v", lines, replayed.Metrics(""))
	}
	for tape, want := range map[string]string{
		"{":                "line 1: unexpected end of JSON input",
		`{"kind":"music"}`: `line 1: kind must be request, packet or logs, got "music"`,
		`{"kind":"logs"}` + "\n\n" + `{"kind":1}`: "line 3: json",
	} {
		if _, err := again.Replay(strings.NewReader(tape)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", tape, err, want)
		}
	}
}

// TestRecordingEndsWithData: a tracer that asks what the agent serves does not end the time of
// a recording, its data does.
func TestRecordingEndsWithData(t *testing.T) {
	a, s := startAgent(t)
	s.Replay(time.Unix(1_700_000_000, 0))
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		req, err := http.NewRequest(method, "http://"+a.Addr().String()+map[string]string{"GET": "/info", "PUT": "/v0.4/traces"}[method], strings.NewReader("[]"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if _, recording := s.Recording(); resp.StatusCode != http.StatusOK || recording != (method == http.MethodGet) {
			t.Errorf("%s: %s, recording is %t", method, resp.Status, recording)
		}
	}
}

// TestReplayOfACutRecording: everything before the cut is shown, also of a compressed
// recording, and the error names the line.
func TestReplayOfACutRecording(t *testing.T) {
	var tape, zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	r := NewRecorder(io.MultiWriter(&tape, zip))
	for i := range 2000 {
		r.Hear(Event{Time: time.Now(), Kind: Logs, Body: fmt.Appendf(nil, "line %d %x\n", i, sha256.Sum256([]byte{byte(i), byte(i >> 8)}))})
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	last := bytes.LastIndexByte(tape.Bytes()[:tape.Len()-1], '\n') + 1
	for name, c := range map[string]struct {
		tape []byte
		cut  bool
		most int // lines
	}{
		"whole":                    {tape.Bytes(), false, 2000},
		"without the last newline": {tape.Bytes()[:tape.Len()-1], false, 2000},
		"in the last line":         {tape.Bytes()[:tape.Len()-10], true, 1999},
		"after its first byte":     {tape.Bytes()[:last+1], true, 1999},
		"between lines":            {tape.Bytes()[:last], false, 1999},
		"compressed":               {zipped.Bytes()[:zipped.Len()/2], true, 1998},
		"compressed, the checksum": {zipped.Bytes()[:zipped.Len()-3], true, 2000},
	} {
		a, s := startAgent(t)
		_, err := a.Replay(bytes.NewReader(c.tape))
		_, n := s.Logs(store.LogFilter{})
		if errors.Is(err, ErrCut) != c.cut || !c.cut && err != nil || n > c.most || n < c.most/4 {
			t.Errorf("%s: %v, %d lines, want at most %d", name, err, n, c.most)
		}
		if c.cut && !strings.HasPrefix(fmt.Sprint(err), "line ") {
			t.Errorf("%s: %v: want the line", name, err)
		}
	}
}

// TestMetricsOverUDP sends a line of each kind to a running agent, and one that made
// every answer about metrics fail.
func TestMetricsOverUDP(t *testing.T) {
	a, s := startAgent(t)
	c, err := net.Dial("udp", a.DogStatsD().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "boom:1e308|c|@0.001\nu:a|s\nu:b|s\nu:a|s\nc:50|c\nh:1:2:3|h\n_e{1,1}:a|b\n_sc|up|0\nlast:1|g")
	poll.True(t, "the last line is stored", func() bool { return len(s.Metrics("last")) > 0 })
	got := map[string]float64{}
	for _, m := range s.Metrics("") {
		got[m.Name] = m.Points[0].Value
	}
	if want := "map[c:5 h:2 last:1 u:2]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	if r := s.RefusedMetrics(); len(r) != 1 || r[0].Reason != "value is not finite" || len(s.StatsdEvents()) != 1 || len(s.StatsdChecks()) != 1 {
		t.Errorf("%v, %v, %v", r, s.StatsdEvents(), s.StatsdChecks())
	}
	if _, err := json.Marshal(s.Metrics("")); err != nil {
		t.Error(err)
	}
}

// TestReceived: what arrives is counted with its tracer, and what is refused with its
// reason.
func TestReceived(t *testing.T) {
	s, counters := store.New(0), received.New()
	a, err := Start(Config{Addr: "127.0.0.1:0", DogStatsD: "127.0.0.1:0", Store: s, Received: counters, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	span := func(traceID, spanID, priority int, service string) string {
		return fmt.Sprintf(`{"trace_id":%d,"span_id":%d,"service":%q,"name":"a","resource":"b","start":%d,"duration":1,"metrics":{"_sampling_priority_v1":%d,"_top_level":1}}`,
			traceID, spanID, service, time.Now().UnixNano(), priority)
	}
	send := func(path, version, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "PUT", "http://"+a.Addr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Datadog-Meta-Lang", "nodejs")
		r.Header.Set("Datadog-Meta-Tracer-Version", version)
		r.Header.Set("X-Datadog-Trace-Count", "2")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	payload := "[[" + span(1, 2, 1, "web") + "],[" + span(0, 3, 1, "web") + "],[" + span(4, 0, 1, "web") + "],[],[" + span(5, 6, 0, "db") + "]]"
	send("/v0.4/traces", "5.1", payload)
	send("/v0.4/traces", "5.1", "[["+span(7, 8, 1, strings.Repeat("x", 101))+"]]")
	if status, text := send("/v0.4/traces", "5.1", payload); status != 200 || text != "{}\n" { // again
		t.Errorf("a payload that arrives again: status %d, %q", status, text)
	}
	send("/v0.4/traces", "5.0", `[[{"trace_id":"1"`)
	send("/v0.4/traces", "5.0", "[]")
	send("/v0.4/traces", "5.0", "[]")
	for range 3 {
		send("/telemetry/proxy/api/v2/apmtelemetry", "5.0", "{}")
	}
	send("/nonesuch", "5.0", "{}")
	resp, err := http.Post("http://"+a.Addr().String()+profilesPath, "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cross, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+a.Addr().String()+"/info", nil)
	if err != nil {
		t.Fatal(err)
	}
	cross.Header.Set("Sec-Fetch-Site", "cross-site")
	if resp, err = http.DefaultClient.Do(cross); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	a.core.Flush()

	r := counters.Report()
	var got []string
	for _, tr := range r.Tracers {
		got = append(got, fmt.Sprint(tr.Language, " ", tr.Version, " ", tr.Protocol, " ", tr.Payloads, " payloads ", tr.Traces, " traces ", tr.Spans, " spans, ", tr.Bytes > 0, " ", tr.Refused, " ", tr.Repaired, " ", tr.SampledOut, " sampled out, of ", len(tr.Services)))
	}
	want := []string{
		"nodejs 5.0 v0.4 2 payloads 0 traces 0 spans, true map[unexpected_eof:2] map[] 0 sampled out, of 0",
		"nodejs 5.1 v0.4 2 payloads 5 traces 5 spans, true map[span_id_zero:1 trace_id_zero:1] map[service_truncate:1] 1 sampled out, of 2",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	got = nil
	for _, q := range r.Requests {
		got = append(got, fmt.Sprint(q.Method, " ", q.Path, " ", q.Status, " ", q.Version, " ", q.Requests, " ", q.Reason, " ", q.Product, q.Last.IsZero()))
	}
	slices.Sort(got)
	want = []string{
		"GET /info 403  1 requests from other sites are not allowed: Sec-Fetch-Site is \"cross-site\" false",
		"POST /profiling/v1/input 400  1 content type must be multipart/form-data with a boundary, got \"text/plain\" false",
		"PUT /nonesuch 404 5.0 1 /nonesuch is not served: this agent keeps traces, statistics, profiles and metrics false",
		"PUT /telemetry/proxy/api/v2/apmtelemetry 404 5.0 3 /telemetry/proxy/api/v2/apmtelemetry is not served: this agent keeps traces, statistics, profiles and metrics Instrumentation Telemetry: how the tracer is configuredfalse",
		"PUT /v0.4/traces 200 5.0 2  false",
		"PUT /v0.4/traces 200 5.1 3  false",
		"PUT /v0.4/traces 400 5.0 1 unexpected-eof false",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if r.Duplicates != 1 {
		t.Errorf("%d duplicates, want 1", r.Duplicates)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if services := s.Services(); len(services) != 3 || services[1].Name != "web" || services[1].Hits != 1 || services[0].Name != "db" || services[0].Hits != 1 {
		t.Errorf("%+v, want db and web with one hit each", services)
	}
}

// TestStatisticsThatArriveAgain are counted once, whatever tracer computed them.
func TestStatisticsThatArriveAgain(t *testing.T) {
	a, s := startAgent(t)
	now := time.Now()
	body, err := (&pb.ClientStatsPayload{RuntimeID: "x", Sequence: 1, Stats: []*pb.ClientStatsBucket{{Start: uint64(now.Truncate(10 * time.Second).UnixNano()), Duration: 10e9,
		Stats: []*pb.ClientGroupedStats{{Service: "web", Name: "http.request", Resource: "GET /", Hits: 5, TopLevelHits: 5}}}}}).MarshalMsg(nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		resp, err := http.Post("http://"+a.Addr().String()+"/v0.6/stats", "application/msgpack", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
	a.core.Flush()
	if services := s.Services(); len(services) != 1 || services[0].Hits != 5 {
		t.Errorf("%+v, want 5 hits", services)
	}
}

// TestReplayOfAnotherDay: a recording of long ago shows numbers, metrics and log lines as
// they were at its end, also compressed. What arrives later is of the present.
func TestReplayOfAnotherDay(t *testing.T) {
	begin := time.Date(2020, 2, 3, 4, 5, 0, 0, time.UTC)
	var tape bytes.Buffer
	compressed := gzip.NewWriter(&tape)
	r := NewRecorder(compressed)
	for i := range 120 { // twenty minutes
		at := begin.Add(time.Duration(i) * 10 * time.Second)
		r.Hear(Event{Time: at, Kind: Packet, Body: []byte("orders:30|c")})
		r.Hear(Event{Time: at, Kind: Logs, Body: fmt.Appendf(nil, "line %d\n", i)})
		body := fmt.Sprintf(`[[{"trace_id":%d,"span_id":1,"service":"web","name":"http.request","resource":"GET /","start":%d,"duration":20000000,"error":%d,"metrics":{"_sampling_priority_v1":%d,"_top_level":1}}]]`,
			i+1, at.Add(-time.Second).UnixNano(), i%2, i%4)
		r.Hear(Event{Time: at, Kind: Request, Method: "POST", Path: "/v0.4/traces", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(body)})
	}
	stats, err := (&pb.ClientStatsPayload{Stats: []*pb.ClientStatsBucket{{Start: uint64(begin.Add(19 * time.Minute).UnixNano()), Duration: 10e9,
		Stats: []*pb.ClientGroupedStats{{Service: "db", Name: "query", Resource: "SELECT ?", Hits: 50, TopLevelHits: 50}}}}}).MarshalMsg(nil)
	if err != nil {
		t.Fatal(err)
	}
	end := begin.Add(20 * time.Minute)
	r.Hear(Event{Time: end, Kind: Request, Method: "POST", Path: "/v0.6/stats", Body: stats})
	if err := errors.Join(r.Err(), compressed.Close()); err != nil {
		t.Fatal(err)
	}

	a, s := startAgent(t)
	if skipped, err := a.Replay(&tape); err != nil || skipped.Requests > 0 {
		t.Fatalf("%v, %+v", err, skipped)
	}
	if now := s.Now(); !now.Equal(end) {
		t.Errorf("the time is %s, want %s", now.UTC(), end)
	}
	services := s.Services()
	if len(services) != 2 || services[0].Hits != 50 || services[1].Hits != 28 || services[1].Errors != 14 || services[1].P50.Round(time.Millisecond) != 20*time.Millisecond {
		t.Errorf("%d services, %+v, want 50 hits of db and 28 of web", len(services), services[len(services)-1].Numbers)
	}
	if n := len(services[1].Operations[0].Intervals()); n != 120 {
		t.Errorf("%d intervals, want 120", n)
	}
	// Traces with the priority 0 are counted and not kept, like by the Agent, unless they failed.
	if _, n := s.Traces(store.Filter{}); n != 90 {
		t.Errorf("%d traces, want 90", n)
	}
	if points := s.Metrics("orders")[0].Points; len(points) != 120 || points[119].Value != 3 {
		t.Errorf("%d points, the last is %v", len(points), points[len(points)-1])
	}
	if lines, n := s.Logs(store.LogFilter{Limit: 1}); n != 120 || !lines[0].Time.Equal(end.Add(-10*time.Second)) {
		t.Errorf("%d lines, the last at %s", n, lines[0].Time.UTC())
	}
	c, err := net.Dial("udp", a.DogStatsD().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	poll.True(t, "a metric ends the recording", func() bool {
		fmt.Fprint(c, "now:1|g")
		_, is := s.Recording()
		return !is
	})
	if services := s.Services(); len(services) != 0 {
		t.Errorf("services of another day are listed: %+v", services)
	}
}
