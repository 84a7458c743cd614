package traceagent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"

	"github.com/DataDog/datadog-agent/pkg/trace/agent"
)

// Version is the version of the Agent whose code runs. Its module pkg/trace v0.85.2 is
// of Agent 7.85.2. Tracers decide by the version what they may send: Java's computes
// statistics for 7.65 and later.
const Version = "7.85.2"

// endpoints are the paths that the Agent's code serves here and that /info lists. The
// rest of its API passes data on to Datadog, or panics without an account.
var endpoints = []string{
	"/v0.3/traces", "/v0.4/traces", "/v0.5/traces", "/v0.7/traces", "/v1.0/traces",
	"/v0.3/services", "/v0.4/services",
	"/v0.6/stats",
}

// unlisted are the paths of old tracers, which do not read /info.
var unlisted = []string{"/spans", "/services", "/v0.1/spans", "/v0.1/services", "/v0.2/traces", "/v0.2/services"}

// Endpoints returns the paths of all requests that the Agent's code serves here.
func Endpoints() []string { return slices.Concat(endpoints, unlisted) }

// Info describes the Agent to tracers.
type Info struct {
	// Port is the TCP port for traces, StatsdPort the UDP port for metrics.
	Port, StatsdPort int
	// Socket is the path of the UNIX socket for traces, or "".
	Socket string
	// Endpoints are paths that the caller serves, in addition to those of the Agent's
	// code.
	Endpoints []string
	// Pages returns the address of the pages that show what arrived, or "". It may
	// change once. nil is no pages. Only "apmapp -doctor" reads it.
	Pages func() string
}

// description is a body of /info and its hash.
type description struct {
	pages string
	body  []byte
	state string
}

// Describe returns a handler that serves /info and passes other requests to next. It adds
// headers with the version to each answer, and with the hash of /info: tracers read
// /info again after an answer with another hash.
func (a *Agent) Describe(i Info, next http.Handler) (http.Handler, error) {
	if i.Pages == nil {
		i.Pages = func() string { return "" }
	}
	first, err := a.describe(i, i.Pages())
	if err != nil {
		return nil, err
	}
	var current atomic.Pointer[description]
	current.Store(first)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := current.Load()
		if pages := i.Pages(); pages != d.pages {
			if changed, err := a.describe(i, pages); err == nil { // as before
				d = changed
				current.Store(d)
			}
		}
		described := &withState{w, d.state}
		described.set()
		if r.URL.Path != "/info" {
			next.ServeHTTP(described, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(d.body) // the client has gone
	}), nil
}

// withState replaces the headers that describe the Agent's own /info.
type withState struct {
	http.ResponseWriter
	state string
}

func (w *withState) set() {
	w.Header().Set("Datadog-Agent-Version", Version)
	w.Header().Set("Datadog-Agent-State", w.state)
}

// WriteHeader implements http.ResponseWriter.
func (w *withState) WriteHeader(status int) {
	w.set()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *withState) Write(p []byte) (int, error) {
	w.set()
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *withState) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// describe returns /info: the one of the Agent's code, without what does not work here.
func (a *Agent) describe(i Info, pages string) (*description, error) {
	var info map[string]any
	if err := json.Unmarshal(a.info, &info); err != nil {
		return nil, fmt.Errorf("read /info of the trace agent: %w", err)
	}
	config, ok := info["config"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("read /info of the trace agent: config is %T", info["config"])
	}
	config["receiver_port"], config["receiver_socket"], config["statsd_port"] = i.Port, i.Socket, i.StatsdPort
	info["endpoints"] = slices.Concat(endpoints, i.Endpoints)
	info["evp_proxy_allowed_headers"] = []string{}
	info["span_meta_structs"], info["long_running_spans"] = false, false
	if pages != "" {
		info["local_pages"] = pages
	}
	body, err := json.MarshalIndent(info, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("write /info: %w", err)
	}
	hash := sha256.Sum256(body)
	return &description{pages, body, hex.EncodeToString(hash[:])}, nil
}

// info returns the body of /info of an Agent that is not running yet.
func info(core *agent.Agent) []byte {
	var answer body
	core.Receiver.Handlers["/info"].ServeHTTP(&answer, &http.Request{Header: http.Header{}})
	return answer.Bytes()
}

// body is a ResponseWriter that keeps the body.
type body struct{ bytes.Buffer }

func (*body) Header() http.Header { return http.Header{} }
func (*body) WriteHeader(int)     {}
