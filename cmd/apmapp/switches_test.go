package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"apmapp/internal/testing/loopback"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
)

func TestTelemetrySwitches(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t)
	start := func(t *testing.T, environ ...string) (*process, *intake) {
		in := newIntake(t)
		p := launch(t, append(environ, "MYSQL_DSN="+server.Database(t), "DD_TRACE_AGENT_URL="+in.url)...)
		p.awaitStatus("/readyz", 200)
		return p, in
	}
	stop := func(t *testing.T, p *process, in *intake) {
		t.Helper()
		if status := p.stop(); status != 0 {
			t.Fatalf("exit status %d", status)
		}
		in.stop()
	}

	t.Run("DD_LOGS_INJECTION=false", func(t *testing.T) {
		p, in := start(t, "DD_LOGS_INJECTION=false")
		p.get("/api/trace")
		line := p.awaitLine("request")
		if line["dd.service"] != "apmapp" || line["dd.trace_id"] != nil || line["dd.span_id"] != nil {
			t.Errorf("logged %v", line)
		}
		stop(t, p, in)
		if n := len(in.operations("http.request")); n != 1 {
			t.Errorf("%d traces, want 1", n)
		}
	})
	t.Run("DD_TRACE_ENABLED=false", func(t *testing.T) {
		p, in := start(t, "DD_TRACE_ENABLED=false")
		if status, header, _ := p.get("/api/trace"); status != 200 || header.Get("Traceresponse") != "" {
			t.Errorf("%d, traceresponse %q", status, header.Get("Traceresponse"))
		}
		if line := p.awaitLine("request"); line["dd.trace_id"] != nil {
			t.Errorf("logged %v", line)
		}
		stop(t, p, in)
		if len(in.traces) != 0 {
			t.Errorf("%d traces, want none", len(in.traces))
		}
		if len(in.profiles) == 0 {
			t.Error("no profiles, although they have their own switch")
		}
	})
	t.Run("DD_PROFILING_ENABLED=false", func(t *testing.T) {
		p, in := start(t, "DD_PROFILING_ENABLED=false")
		p.get("/api/trace")
		stop(t, p, in)
		if len(in.profiles) != 0 || len(in.traces) != 1 {
			t.Errorf("%d profiles, %d traces, want none and 1", len(in.profiles), len(in.traces))
		}
	})
	t.Run("older Agent", func(t *testing.T) {
		p, in := start(t, "DD_TRACE_AGENT_PROTOCOL_VERSION=0.4")
		_, header, _ := p.get("/api/trace")
		stop(t, p, in)
		trace := in.traces[header.Get("Traceresponse")[3:35]]
		if len(trace) != 3 {
			t.Errorf("a trace of %d spans, want 3: %v", len(trace), in.traces)
		}
	})
	t.Run("other names", func(t *testing.T) {
		p, in := start(t, "DD_SERVICE=shop", "DD_ENV=prod", "DD_VERSION=7", "DD_TAGS=team:web")
		p.get("/api/trace")
		stop(t, p, in)
		for _, s := range in.spans() {
			want := map[string]string{"http.request": "shop", "visit.record": "shop", "mysql.query": "shop-mysql"}[s.Operation]
			if s.Service != want || s.Tags["env"] != "prod" || s.Tags["version"] != "7" || s.Tags["team"] != "web" {
				t.Errorf("%s of %s: %v", s.Operation, s.Service, s.Tags)
			}
		}
	})
}

func TestAgentStartsLate(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t)
	absent := loopback.FreeAddr(t)
	p := launch(t, "MYSQL_DSN="+server.Database(t), "DD_TRACE_AGENT_URL=http://"+absent, "DD_PROFILING_ENABLED=false",
		// Without this, the tracer collects its messages for a minute.
		"DD_LOGGING_RATE=1")
	p.awaitStatus("/readyz", 200)
	drive(t, p, 100, "/")
	warning := p.awaitLine("Datadog Tracer")
	if warning["level"] != "WARN" || !strings.Contains(fmt.Sprint(warning["msg"]), absent) {
		t.Errorf("logged %v, want a warning with the Agent's address %s", warning, absent)
	}

	// The tracer limits its messages.
	if n := len(p.warnings()); n > 5 {
		t.Errorf("%d warnings for 100 requests", n)
	}

	in := newIntakeAt(t, absent)
	poll.Until(t, func() error {
		p.get("/api/trace")
		in.mu.Lock()
		defer in.mu.Unlock()
		if len(in.traces) == 0 {
			return errors.New("the Agent got no trace")
		}
		return nil
	})
	if status := p.stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}
