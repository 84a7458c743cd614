package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"database/sql"
	"database/sql/driver"

	"apmapp/internal/telemetry"
	"apmapp/store"
)

// errOffline is the error of requests that are not sent.
var errOffline = errors.New("not sent")

// offline is a transport that sends nothing.
type offline struct{}

func (offline) RoundTrip(*http.Request) (*http.Response, error) { return nil, errOffline }

// probe calls check while a tracer runs that sends its requests through transport.
func (d *doctor) probe(transport http.RoundTripper, check func()) {
	stop := telemetry.StartProbe(d.Telemetry, transport, d.traceTimeout(), slog.New(slog.DiscardHandler))
	check()
	stop()
}

func (d *doctor) keeps(resource string, share float64) bool {
	return telemetry.Keeps(d.Telemetry, resource, share)
}

// answers records the answers to the tracer's requests with traces.
type answers struct {
	ctx  context.Context // after its end, nothing is sent
	next http.RoundTripper
	mu   sync.Mutex
	last *answer
}

type answer struct {
	path   string
	status int
	text   string // of the answer, or of the error
	// timedOut reports that there was no answer in time.
	timedOut bool
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if a.ctx.Err() != nil {
		return nil, context.Cause(a.ctx)
	}
	resp, err := a.next.RoundTrip(r)
	// The tracer first sends an empty list, to see whether the Agent is there.
	if r.Method == http.MethodGet || !strings.HasSuffix(r.URL.Path, "/traces") || r.Header.Get("X-Datadog-Trace-Count") == "0" {
		return resp, err
	}
	got := &answer{path: r.URL.Path, timedOut: err != nil && (timedOut(err) || late(r))}
	if err != nil {
		got.text = cause(err).Error()
	} else {
		got.status = resp.StatusCode
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxInfo)) // the beginning is enough
		resp.Body.Close()
		resp.Body = io.NopCloser(bytes.NewReader(body))
		got.text = string(body)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last = got
	return resp, err
}

// late reports whether the time for a request is over. The error does not always tell:
// http.Client ends a request in two ways at once, and one of them has the error "request
// canceled".
func late(r *http.Request) bool {
	deadline, ok := r.Context().Deadline()
	return r.Context().Err() != nil || ok && !time.Now().Before(deadline)
}

func (a *answers) get() *answer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last
}

// traceTimeout bounds a request of the tracer. The service's own limit holds if it is
// shorter.
func (d *doctor) traceTimeout() time.Duration {
	seconds, err := strconv.Atoi(d.Getenv("DD_TRACE_AGENT_TIMEOUT"))
	if err != nil || seconds == 0 { // 0 is no limit
		return d.patience
	}
	return min(d.patience, time.Duration(seconds)*time.Second)
}

// testTrace is the result of the test trace.
type testTrace struct {
	ids          telemetry.IDs
	answer       *answer // nil without a request
	line         []byte  // of the log
	connected    bool    // to MySQL
	statements   []string
	statementErr error
}

// testTrace sends a trace of the service's own tracer, with a log line and, if connected,
// a statement in MySQL. Without an Agent, only the line and the statement are made.
func (d *doctor) testTrace(ctx context.Context, connected bool) testTrace {
	t := testTrace{connected: connected}
	if !d.Telemetry.Tracing {
		return t
	}
	var transport http.RoundTripper = offline{}
	if d.agent.up {
		transport = d.agent.transport()
	}
	recorded := &answers{ctx: ctx, next: transport}
	var line bytes.Buffer
	d.probe(recorded, func() {
		work, traced := telemetry.StartTestTrace(ctx, "apmapp -doctor")
		defer work.End(nil)
		t.ids, _ = telemetry.SpanIDs(traced)
		cfg := d.Telemetry
		cfg.LogLevel = slog.LevelInfo
		telemetry.NewLogger(&line, cfg).InfoContext(traced, "doctor")
		if connected {
			t.statements, t.statementErr = d.statements(traced)
		}
	})
	t.line, t.answer = line.Bytes(), recorded.get()
	return t
}

// accepted reports what the Agent did with the test trace.
func (d *doctor) accepted(ctx context.Context, t testTrace) {
	const check = "test trace"
	got := t.answer
	switch {
	case !d.agent.up, !d.Telemetry.Tracing:
		d.skip(check)
	case got == nil && d.Getenv("OTEL_TRACES_EXPORTER") == "otlp":
		d.add(check, OK, "sent by OTLP, so whether it was accepted is not checked; its ID is "+t.ids.TraceID, "")
	case got == nil:
		d.add(check, Failed, "the tracer sent no trace", "run the service with DD_TRACE_DEBUG=true and read its log")
	case got.timedOut:
		d.add(check, Failed, fmt.Sprintf("POST %s got no answer within %s", got.path, d.traceTimeout()), "see the Agent's log; the service waits for DD_TRACE_AGENT_TIMEOUT, 10 s by default")
	case got.status == 0:
		d.add(check, Failed, "POST "+got.path+" got no answer: "+short(got.text), "see the Agent's log")
	case got.status/100 != 2:
		do := "see the Agent's log"
		switch got.status {
		case http.StatusNotFound:
			if d.agent.hasPath() {
				do = "remove the path from DD_TRACE_AGENT_URL"
			}
		case http.StatusForbidden, http.StatusUnauthorized:
			do = "a proxy or a firewall may be between, or the Agent does not allow this host name"
		case http.StatusRequestEntityTooLarge:
			do = "raise the limit of a proxy between, or apm_config.max_request_bytes in the Agent's datadog.yaml"
		case http.StatusTooManyRequests, http.StatusServiceUnavailable:
			do = "the Agent is at a limit: see apm_config.max_connections, max_memory and max_cpu_percent in its datadog.yaml"
		}
		d.add(check, Failed, fmt.Sprintf("the Agent refuses it: POST %s answers %d %s%s", got.path, got.status, http.StatusText(got.status), after(got.text)), do)
	default:
		d.seen(ctx, t.ids.TraceID, got.path)
		d.agentRate(got.text)
	}
}

// agentRate reports if the Agent's answer lets the tracer keep nothing.
func (d *doctor) agentRate(text string) {
	var told struct {
		Rates map[string]float64 `json:"rate_by_service"`
	}
	if json.Unmarshal([]byte(text), &told) != nil || d.tracerSamples() {
		return
	}
	rate, ok := told.Rates["service:"+d.Telemetry.Service+",env:"+d.Telemetry.Env]
	if !ok {
		rate, ok = told.Rates["service:,env:"]
	}
	if ok && rate == 0 {
		d.add("sampling", Failed, "the Agent lets the tracer keep no trace: its answer has the rate 0", "raise apm_config.target_traces_per_second in the Agent's datadog.yaml")
	}
}

// seen looks for an accepted trace in the local agent's pages.
func (d *doctor) seen(ctx context.Context, id, path string) {
	const check = "test trace"
	found := "accepted by POST " + path
	if d.agent.info.Pages == "" {
		d.add(check, OK, found+"; look for trace_id:"+id+" in Datadog", "")
		return
	}
	pages := d.agent.pages()
	elsewhere := found + "; its pages at " + d.agent.info.Pages + " cannot be reached from here"
	if pages == "" {
		d.add(check, OK, elsewhere, "")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	for answered := 0; ; {
		status, err := lookUp(ctx, pages+"/api/traces/"+id)
		switch {
		case status == http.StatusOK:
			d.add(check, OK, found+", and seen at "+pages+"/t/"+id, "")
			return
		case err == nil:
			answered = status
		case answered == 0: // such as in another container, which shares only the socket
			d.add(check, OK, elsewhere, "")
			return
		}
		select {
		case <-ctx.Done():
			d.add(check, Failed, fmt.Sprintf("%s, but %s answers %d %s for it", found, pages, answered, http.StatusText(answered)), "look at "+pages+"/received, which counts what was refused")
			return
		case <-time.After(50 * time.Millisecond): // the pages show it a moment later
		}
	}
}

// lookUp returns the status of a page.
func lookUp(ctx context.Context, page string) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return 0, err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// pages returns the URL of the local agent's pages as this machine reaches them, without a
// slash at the end, or "" if it does not. It is on the Agent's machine, whatever
// /info says.
func (a agent) pages() string {
	host, port, err := net.SplitHostPort(a.info.Pages)
	ip := net.ParseIP(host)
	if err != nil || ip == nil {
		return ""
	}
	here := a.socket != "" || net.ParseIP(a.ip).IsLoopback()
	switch {
	case here && ip.IsUnspecified():
		host = "127.0.0.1"
	case here && (ip.IsLoopback() || a.ip == host):
	case ip.IsUnspecified():
		host = a.ip
	case a.ip != host:
		return ""
	}
	return "http://" + net.JoinHostPort(host, port)
}

// injection checks the log line of the test trace.
func (d *doctor) injection(t testTrace) {
	const check = "log injection"
	if !d.Telemetry.LogsInjection {
		d.add(check, Warning, "off, by DD_LOGS_INJECTION="+d.Getenv("DD_LOGS_INJECTION")+": log lines do not name their traces", "remove it")
		return
	}
	if !d.Telemetry.Tracing {
		d.skip(check)
		return
	}
	var fields map[string]any
	if err := json.Unmarshal(t.line, &fields); err != nil {
		d.add(check, Failed, "the log line of the test trace is not JSON", "")
		return
	}
	id, _ := fields["dd.trace_id"].(string)
	switch {
	case id == "":
		d.add(check, Failed, "the log line of the test trace has no dd.trace_id", "")
	case id != t.ids.TraceID:
		d.add(check, OK, "on; dd.trace_id has the lower half of the trace ID, in decimal", "")
	default:
		d.add(check, OK, "on; the log line of the test trace has its ID", "")
	}
}

// diagnose looks at MySQL as the service uses it.
func (d *doctor) diagnose(ctx context.Context) store.Diagnosis {
	ctx, cancel := context.WithTimeout(ctx, 2*d.patience)
	defer cancel()
	cfg := d.Store
	cfg.Logger = slog.New(slog.DiscardHandler)
	return store.Diagnose(ctx, cfg)
}

// database reports what diagnose found.
func (d *doctor) database(diagnosis store.Diagnosis) {
	cfg := d.Store
	place := fmt.Sprintf("%s at %s as %q", cfg.MySQL.DBName, cfg.MySQL.Addr, cfg.MySQL.User)
	if err := diagnosis.Connect; err != nil {
		d.add("database", Failed, store.Reason(err)+" ("+place+")", store.Remedy(err, cfg))
		d.skip("database schema")
		return
	}
	d.add("database", OK, "connected to "+place+", version "+diagnosis.Server, "")
	for _, err := range diagnosis.Problems {
		d.add("database schema", Failed, store.Reason(err), store.Remedy(err, cfg))
	}
	switch {
	case len(diagnosis.Problems) > 0:
	case diagnosis.Pending:
		d.add("database schema", Warning, "the tables are missing or older than this release; the user may make them", "start the service: it makes them")
	default:
		d.add("database schema", OK, "visits can be read, recorded and deleted", "")
	}
}

// statements returns the statements that MySQL received from this user during the test
// trace.
func (d *doctor) statements(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	cfg := d.Store
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.OpenDB = func(connector driver.Connector) *sql.DB { return telemetry.OpenDB(d.Telemetry, cfg.MySQL, connector) }
	return store.Received(ctx, cfg)
}

// comment checks the tracer's comment in the statement of the test trace, as MySQL
// received it.
func (d *doctor) comment(t testTrace) {
	const check = "database comment"
	mode := d.Getenv("DD_DBM_PROPAGATION_MODE")
	if mode == "" {
		mode = d.Getenv("DD_TRACE_SQL_COMMENT_INJECTION_MODE")
	}
	switch {
	case !t.connected, !d.Telemetry.Tracing:
		d.skip(check)
	case mode != "" && mode != "full":
		d.add(check, Warning, "statements do not name their trace: DD_DBM_PROPAGATION_MODE is "+mode, "set DD_DBM_PROPAGATION_MODE=full")
	case t.statementErr != nil:
		d.add(check, Warning, "MySQL does not show its statements: "+store.Reason(t.statementErr), "")
	case containsTrace(t.statements, t.ids.TraceID):
		d.add(check, OK, "statements reach MySQL with the ID of their trace", "")
	default:
		d.add(check, Warning, "statements reach MySQL without the comment that names their trace", "a proxy between may remove comments")
	}
}

// containsTrace reports whether one of statements has the comment of a trace: the lower
// half of its ID, as docs/telemetry.md has it.
func containsTrace(statements []string, id string) bool {
	for _, s := range statements {
		if strings.Contains(s, "traceparent='00-") && len(id) == 32 && strings.Contains(s, id[16:]) {
			return true
		}
	}
	return false
}
