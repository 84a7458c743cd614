package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/poll"
)

// logged returns the log lines as maps.
func logged(t *testing.T, logs *lockedbuffer.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for text := range strings.Lines(logs.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = append(all, line)
	}
	return all
}

// messages returns the messages at level INFO.
func messages(t *testing.T, logs *lockedbuffer.Buffer) string {
	var b strings.Builder
	for _, line := range logged(t, logs) {
		if msg := fmt.Sprint(line["msg"]); line["level"] == "INFO" {
			b.WriteString(msg + "\n")
		}
	}
	return b.String()
}

// serve starts a service without MySQL and without an Agent. The returned
// function waits for the end of Serve.
func serve(t *testing.T, cfg Config) (s *Service, logs *lockedbuffer.Buffer, stop context.CancelFunc, ended func() error) {
	t.Helper()
	logs = new(lockedbuffer.Buffer)
	s, err := Listen(t.Context(), cfg, logs)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- s.Serve(ctx) }()
	poll.True(t, "the service listens", func() bool { return strings.Contains(logs.String(), `"msg":"listening"`) })
	return s, logs, stop, func() error { return <-result }
}

func TestServe(t *testing.T) {
	cfg := valid(t)
	cfg.HTTP.RequestTimeout, cfg.HTTP.ReadyTimeout, cfg.DrainTimeout = poll.Limit, poll.Limit, poll.Limit
	cfg.RetentionInterval = time.Millisecond
	s, logs, stop, ended := serve(t, cfg)
	url := "http://" + s.Addr().String()
	for _, c := range []struct {
		path string
		want int
	}{{"/healthz", 200}, {"/readyz", 503}, {"/", 503}} {
		resp, err := http.Get(url + c.path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != c.want {
			t.Errorf("%s: %s, want %d", c.path, resp.Status, c.want)
		}
	}
	// The store retries and the job runs beside the requests.
	for _, want := range []string{`"msg":"waiting for MySQL: nothing listens at its address"`, `"msg":"delete expired visits"`} {
		poll.True(t, want+" is logged", func() bool { return strings.Contains(logs.String(), want) })
	}
	stop()
	if err := ended(); err != nil {
		t.Error(err)
	}
	if got := messages(t, logs); !strings.HasPrefix(got, "starting\nlistening\n") || !strings.HasSuffix(got, "stopping\nstopped\n") {
		t.Errorf("logged\n%s\nwant starting, listening, …, stopping, stopped", got)
	}
	for _, line := range logged(t, logs) {
		if line["msg"] == "listening" && line["addr"] != s.Addr().String() {
			t.Errorf("logged address %v, want %s", line["addr"], s.Addr())
		}
	}
	if _, err := http.Get(url + "/healthz"); err == nil {
		t.Error("the service answers after its end")
	}
	var stacks strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"store.(*Store).Run", "service.expire"} {
		if strings.Contains(stacks.String(), f+"+") {
			t.Errorf("%s runs after the service's end:\n%s", f, stacks.String())
		}
	}
}

// The first line of the log has every setting, but no password.
func TestServeLogsItsSettings(t *testing.T) {
	cfg := valid(t)
	cfg.Telemetry.LogsInjection = true
	_, logs, stop, ended := serve(t, cfg)
	stop()
	if err := ended(); err != nil {
		t.Error(err)
	}
	first := logged(t, logs)[0]
	for key, want := range map[string]any{
		"msg": "starting", "level": "INFO", "addr": "127.0.0.1:0", "pool_size": 1.0, "max_connections": 1.0, "max_concurrent": 1.0,
		"request_timeout": "1ns", "ready_timeout": "1ns", "drain_delay": "0s", "drain_timeout": "1ns",
		"retention": "1ns", "retention_interval": "1ns", "log_level": "INFO",
		"mysql.addr": "127.0.0.1:1", "mysql.db": "apmapp", "mysql.user": "app", "mysql.tls": "DISABLED",
		"tracing": false, "profiling": false, "logs_injection": true,
	} {
		if first[key] != want {
			t.Errorf("%s: %v, want %v", key, first[key], want)
		}
	}
	if strings.Contains(logs.String(), "hunter2") {
		t.Errorf("the log shows the password:\n%s", logs)
	}
}

func TestServeEndsWithItsListener(t *testing.T) {
	s, _, stop, ended := serve(t, valid(t))
	defer stop()
	s.listener.Close()
	if err := ended(); !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "serve: accept tcp ") {
		t.Errorf("got %v, want the listener's error", err)
	}
}

func TestServeReturnsStartErrors(t *testing.T) {
	cfg := valid(t)
	cfg.Store.MySQL.TLSConfig = "nowhere"
	s, err := Listen(t.Context(), cfg, new(lockedbuffer.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if err, want := s.Serve(t.Context()), "open store: invalid value / unknown config name: nowhere"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
		t.Error("the listener is still open")
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cfg := valid(t)
	cfg.Addr = taken.Addr().String()
	_, err = Listen(t.Context(), cfg, new(lockedbuffer.Buffer))
	if want := "listen on " + cfg.Addr + ": listen tcp " + cfg.Addr + ": bind: address already in use"; err == nil || err.Error() != want {
		t.Errorf("address in use: got %v, want %s", err, want)
	}
	if _, err := Listen(t.Context(), Config{Addr: "127.0.0.1:0"}, new(lockedbuffer.Buffer)); err == nil || !strings.Contains(err.Error(), "pool-size") {
		t.Errorf("invalid configuration: got %v", err)
	}
}
