package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	httptrace "gopkg.in/DataDog/dd-trace-go.v1/contrib/net/http"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"

	"apmapp/internal/ddenv"
	"apmapp/loadgen/client"
)

// serviceName is the service of loadgen's own spans. DD_SERVICE does not change
// it, because that is usually meant for the target.
const serviceName = "loadgen"

// startTracer starts the tracer, which reads DD_ENV, DD_TRACE_AGENT_URL and its
// other variables. warn receives a line for each wrong value, and one if no Agent
// takes spans. The run goes on without it: an Agent may start later.
func startTracer(warn func(format string, args ...any)) (stop func()) {
	for _, p := range ddenv.Problems() {
		warn("loadgen: warning: %s\n", p.Text)
	}
	log := &tracerLog{warn: warn}
	ddtrace.UseLogger(log)
	// The startup log has the address that the tracer found.
	tracer.Start(tracer.WithService(serviceName), tracer.WithLogStartup(true))
	log.started()
	return func() {
		tracer.Stop()
		log.stop()
	}
}

// tracerLog receives the tracer's messages. It passes errors and warnings on, unless
// the Agent is missing: then one line of its own replaces them, because the tracer
// repeats the same reason for each thing that it cannot send.
type tracerLog struct {
	warn func(format string, args ...any)

	mu      sync.Mutex
	held    []string // messages before the Agent was looked for
	agent   agent
	looked  bool
	dropped bool // the following messages
}

// agent is what the startup log tells about the Agent.
type agent struct {
	// URL is the URL of its endpoint for traces, or of its socket.
	URL   string `json:"agent_url"`
	Error string `json:"agent_error"`
}

// Log implements ddtrace.Logger.
func (l *tracerLog) Log(msg string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, configuration, ok := strings.Cut(msg, "DATADOG TRACER CONFIGURATION "); ok {
		_ = json.Unmarshal([]byte(configuration), &l.agent) // without an address, nothing is checked
		return
	}
	msg = strings.TrimSpace(msg)
	switch {
	case strings.Contains(msg, " INFO: "):
	case strings.Contains(msg, " DEBUG: "): // DD_TRACE_DEBUG asks for them
		l.warn("loadgen: %s\n", msg)
	default:
		l.held = append(l.held, msg)
		l.pass()
	}
}

// pass passes the held messages on, or drops them. The caller holds mu.
func (l *tracerLog) pass() {
	if !l.looked {
		return
	}
	for _, text := range l.held {
		if !l.dropped {
			l.warn("loadgen: warning: %s\n", text)
		}
	}
	l.held = nil
}

// started looks for the Agent.
func (l *tracerLog) started() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.looked = true
	if l.agent.URL != "" {
		if address, err := l.agent.check(); err != nil {
			l.dropped = true
			l.warn("loadgen: warning: -trace: no Agent takes spans at %s: %v; start one (go run ./cmd/localagent, or make demo) or set DD_TRACE_AGENT_URL\n", address, err)
		}
	}
	l.pass()
}

// stop drops what the tracer logs later.
func (l *tracerLog) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = true
}

// agentTimeout is far longer than an Agent on the same machine or network takes to
// answer.
const agentTimeout = 2 * time.Second

// check sends an empty list of traces. It returns the Agent's address, and an error if
// the Agent does not take it.
func (a agent) check() (address string, err error) {
	address = strings.TrimSuffix(strings.TrimSuffix(a.URL, "/v0.4/traces"), "/v1.0/traces")
	if a.Error != "" {
		// Without the address, which the error has again.
		_, reason, found := strings.Cut(a.Error, `": `)
		if !found {
			reason = a.Error
		}
		return address, errors.New(reason)
	}
	base, transport := address, &http.Transport{DisableKeepAlives: true}
	if socket, ok := strings.CutPrefix(address, "unix://"); ok {
		base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
	}
	emptyList := strings.NewReader("\x90") // in MessagePack
	resp, err := (&http.Client{Transport: transport, Timeout: agentTimeout}).Post(base+"/v0.4/traces", "application/msgpack", emptyList)
	if err != nil {
		var of *url.Error
		if errors.As(err, &of) {
			err = of.Err // without the address
		}
		return address, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return address, fmt.Errorf("it answers %s", resp.Status)
	}
	return address, nil
}

// traced makes a client span for each request and sends its context in the
// headers. The report lists the trace of the span.
func traced(next http.RoundTripper) http.RoundTripper {
	return httptrace.WrapRoundTripper(next,
		httptrace.RTWithServiceName(serviceName),
		httptrace.RTWithResourceNamer(func(r *http.Request) string { return r.Method + " " + r.URL.Path }),
		httptrace.WithBefore(func(r *http.Request, span ddtrace.Span) {
			if of, ok := span.Context().(ddtrace.SpanContextW3C); ok {
				client.SetTraceID(r.Context(), of.TraceID128())
			}
		}),
	)
}
