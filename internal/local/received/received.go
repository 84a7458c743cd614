// Package received counts what arrives at the local agent, and what was refused with the
// reason. It answers the question why no traces appear.
package received

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Tracer is what arrived from one version of a tracer over one version of the protocol.
type Tracer struct {
	Language string `json:"language"`
	Version  string `json:"tracer_version"`
	Protocol string `json:"protocol"`
	// Services are the ones of the first span of each payload, sorted.
	Services []string `json:"services"`
	Payloads int64    `json:"payloads"`
	Traces   int64    `json:"traces"`
	Spans    int64    `json:"spans"`
	Bytes    int64    `json:"bytes"`
	// Refused are traces by the reason for which they were dropped, such as
	// span_id_zero. Payloads that cannot be decoded count as the traces that the tracer
	// said to send.
	Refused map[string]int64 `json:"refused"`
	// Repaired are spans by what the Agent's code corrected, such as service_truncate.
	Repaired map[string]int64 `json:"repaired"`
	// SampledOut are traces that the tracer did not send, and those that it sent with a
	// priority of 0 or less.
	SampledOut int64 `json:"sampled_out"`
}

// Requests are HTTP requests of one program to one path, with one status.
type Requests struct {
	Method   string    `json:"method"`
	Path     string    `json:"path"`
	Status   int       `json:"status"`
	Language string    `json:"language"`
	Version  string    `json:"tracer_version"`
	Requests int64     `json:"requests"`
	Last     time.Time `json:"last"`
	// Reason is the beginning of the last answer, if the request was refused.
	Reason string `json:"reason,omitempty"`
	// Product is the part of Datadog that a path belongs to which is not served here.
	Product string `json:"product,omitempty"`
}

// Report is everything that was counted.
type Report struct {
	Tracers  []Tracer   `json:"tracers"`
	Requests []Requests `json:"requests"`
	// Duplicates are payloads that arrived before and were not counted again.
	Duplicates int64 `json:"duplicate_payloads"`
	// Reasons counts what was refused otherwise, such as over OTLP.
	Reasons map[string]int64 `json:"refused"`
}

// Counters counts. It is safe for concurrent use.
type Counters struct {
	mu         sync.Mutex
	tracers    func() []Tracer
	requests   map[key]*Requests
	duplicates int64
	reasons    map[string]int64
}

type key struct {
	method, path      string
	status            int
	language, version string
}

// The limits keep hostile requests from filling the memory.
const (
	maxRequests = 200
	maxReasons  = 100
	maxText     = 200 // bytes
)

const others = "(others)"

// New returns counters.
func New() *Counters {
	return &Counters{tracers: func() []Tracer { return nil }, requests: map[key]*Requests{}, reasons: map[string]int64{}}
}

// Tracers sets the function that returns what tracers sent.
func (c *Counters) Tracers(f func() []Tracer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tracers = f
}

// Clear forgets requests, duplicates and reasons. What tracers sent is counted by the
// Agent's code since the start.
func (c *Counters) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests, c.duplicates, c.reasons = map[key]*Requests{}, 0, map[string]int64{}
}

// Duplicate counts a payload that arrived before.
func (c *Counters) Duplicate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.duplicates++
}

// Refused counts items that were refused for a reason.
func (c *Counters) Refused(reason string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reason = clean(reason)
	if _, known := c.reasons[reason]; !known && len(c.reasons) >= maxReasons {
		reason = others
	}
	c.reasons[reason] += int64(n)
}

// Request counts a request with its answer. Answer is the text of the answer if the
// request was refused.
func (c *Counters) Request(r *http.Request, status int, answer string, now time.Time) {
	k := key{clean(r.Method), clean(r.URL.Path), status, clean(r.Header.Get("Datadog-Meta-Lang")), clean(r.Header.Get("Datadog-Meta-Tracer-Version"))}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.requests[k] == nil && len(c.requests) >= maxRequests {
		k = key{others, others, status, "", ""}
	}
	of := c.requests[k]
	if of == nil {
		of = &Requests{Method: k.method, Path: k.path, Status: status, Language: k.language, Version: k.version}
		if status == http.StatusNotFound {
			of.Product = product(k.path)
		}
		c.requests[k] = of
	}
	of.Requests++
	of.Last = now
	if status >= 400 {
		of.Reason = clean(answer)
	}
}

// Report returns everything that was counted: tracers by language, refused requests
// first, and each by its time, the latest first.
func (c *Counters) Report() Report {
	c.mu.Lock()
	tracers := c.tracers
	r := Report{Requests: []Requests{}, Duplicates: c.duplicates, Reasons: maps.Clone(c.reasons)}
	for _, of := range c.requests {
		r.Requests = append(r.Requests, *of)
	}
	c.mu.Unlock()
	r.Tracers = tracers()
	slices.SortFunc(r.Tracers, func(a, b Tracer) int {
		return cmp.Or(cmp.Compare(a.Language, b.Language), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Protocol, b.Protocol))
	})
	slices.SortFunc(r.Requests, func(a, b Requests) int {
		if refused := a.Status >= 400; refused != (b.Status >= 400) {
			if refused {
				return -1
			}
			return 1
		}
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Status, b.Status))
	})
	return r
}

// clean shortens a text and replaces characters that are not printable.
func clean(text string) string {
	text = strings.TrimSpace(strings.ToValidUTF8(text[:min(len(text), maxText)], ""))
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// products are parts of Datadog whose data is not kept here, by the paths that tracers
// use.
var products = []struct{ prefix, product string }{
	{"/v0.1/pipeline_stats", "Data Streams Monitoring"},
	{"/evp_proxy/", "CI Visibility, LLM Observability or another product that sends events"},
	{"/debugger/", "Dynamic Instrumentation"},
	{"/symdb/", "Dynamic Instrumentation"},
	{"/telemetry/", "Instrumentation Telemetry: how the tracer is configured"},
	{"/tracer_flare/", "tracer flares, for Datadog's support"},
	{"/openlineage/", "Data Jobs Monitoring"},
	{"/v0.7/config", "Remote Configuration"},
	{"/dogstatsd/", "metrics over HTTP: use UDP or a UNIX socket"},
	{"/v1/traces", "OpenTelemetry: use its own port"},
	{"/v1/metrics", "OpenTelemetry: use its own port"},
	{"/v1/logs", "OpenTelemetry: use its own port"},
	{"/api/", "Datadog's API: this is an Agent"},
}

func product(path string) string {
	for _, p := range products {
		if strings.HasPrefix(path, p.prefix) {
			return p.product
		}
	}
	return ""
}
