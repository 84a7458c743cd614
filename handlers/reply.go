package handlers

import (
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"net/http"
	"strconv"

	"apmapp/internal/telemetry"
	"apmapp/store"
)

// reply is the answer to a client: Flask's text, an error page, or all fields as
// JSON if the client prefers that.
type reply struct {
	Message string        `json:"message"`
	TraceID string        `json:"trace_id,omitempty"` // 32 hex digits
	SpanID  string        `json:"span_id,omitempty"`  // 16 hex digits
	Visit   *store.Visit  `json:"visit,omitempty"`
	Visits  []store.Visit `json:"visits,omitzero"`

	status int // 0 means 200
	header http.Header
	plain  bool // text/plain, for probes
	empty  bool // headers only
}

// options answers with the methods of a route.
func options(*http.Request) (reply, error) {
	return reply{header: http.Header{"Allow": {allow}}, empty: true}, nil
}

func (p reply) statusCode() int {
	if p.status == 0 {
		return http.StatusOK
	}
	return p.status
}

// write sends the reply and returns the number of bytes of the body.
func (p reply) write(w http.ResponseWriter, r *http.Request, span telemetry.IDs) int {
	p.TraceID, p.SpanID = span.TraceID, span.SpanID
	return p.prepare(prefersJSON(r.Header["Accept"])).write(w, r)
}

// prepared is a rendered reply.
type prepared struct {
	status int
	header http.Header
	body   []byte
}

func (p reply) prepare(asJSON bool) prepared {
	contentType, body := p.render(asJSON)
	header := maps.Clone(p.header)
	if header == nil {
		header = http.Header{}
	}
	header.Set("Content-Type", contentType)
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Vary", "Accept")
	// Some browsers guess a type from the bytes without this header.
	header.Set("X-Content-Type-Options", "nosniff")
	return prepared{p.statusCode(), header, body}
}

func (p prepared) write(w http.ResponseWriter, r *http.Request) int {
	maps.Copy(w.Header(), p.header)
	w.WriteHeader(p.status)
	if r.Method == http.MethodHead {
		return 0
	}
	n, _ := w.Write(p.body) // fails if the client left, which is not an error here
	return n
}

func (p reply) render(asJSON bool) (contentType string, body []byte) {
	switch {
	case p.empty:
		return "text/html; charset=utf-8", nil
	case asJSON:
		// A reply has only strings, numbers and times, so this cannot fail.
		body, _ = json.Marshal(p)
		return "application/json", body
	case p.plain:
		return "text/plain; charset=utf-8", []byte(p.Message)
	case p.statusCode() >= http.StatusBadRequest:
		return "text/html; charset=utf-8", []byte(p.page())
	default:
		return "text/html; charset=utf-8", []byte(p.Message)
	}
}

// page returns an error page for people.
func (p reply) page() string {
	title := strconv.Itoa(p.statusCode()) + " " + http.StatusText(p.statusCode())
	page := fmt.Sprintf("<!doctype html>\n<html lang=\"en\">\n<title>%s</title>\n<h1>%[1]s</h1>\n<p>%s</p>\n",
		html.EscapeString(title), html.EscapeString(p.Message))
	if p.TraceID != "" {
		page += "<p>Trace ID: <code>" + html.EscapeString(p.TraceID) + "</code></p>\n"
	}
	return page
}
