package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"apmapp/internal/telemetry"
	"apmapp/store"
)

// Visits is the part of the store that the handlers use.
type Visits interface {
	// Latest returns the most recent visit, or false if there is no visit.
	Latest(ctx context.Context) (store.Visit, bool, error)
	// Recent returns the n most recent visits, newest first.
	Recent(ctx context.Context, n int) ([]store.Visit, error)
	// Record stores a visit and returns it as stored.
	Record(ctx context.Context, v store.Visit) (store.Visit, error)
	// Ready returns nil if visits can be read and written.
	Ready(ctx context.Context) error
}

// Config is the configuration of New. Every field except TracePage is required.
type Config struct {
	Visits    Visits
	Logger    *slog.Logger
	Telemetry telemetry.Config
	// MaxConcurrent is the maximum number of requests at once. Further requests
	// are refused.
	MaxConcurrent int
	// RequestTimeout bounds a request's work, including the wait for a connection.
	RequestTimeout time.Duration
	// ReadyTimeout bounds the readiness probe's ping to MySQL.
	ReadyTimeout time.Duration
	// Draining reports whether the service is about to stop.
	Draining func() bool
	// TracePage returns the URL of a page that shows a trace. The ID is in hex. It
	// is nil if there is no such page.
	TracePage func(traceID string) string
}

// New returns the handler for all requests.
func New(cfg Config) http.Handler {
	s := &server{cfg, make(chan struct{}, cfg.MaxConcurrent)}
	r := chi.NewRouter()
	// Tracing surrounds the endpoints, which recover panics: tracing would report
	// a panic as a 200.
	r.Use(decodedPath, s.connections, telemetry.HTTP(cfg.Telemetry, isProbe, resource))

	s.get(r, "/", s.limited(s.home))
	s.get(r, "/api/trace", s.limited(s.trace))
	s.get(r, "/api/apm", s.limited(s.apm))
	// Probes have no limit: an overloaded service is alive.
	s.get(r, "/healthz", s.health)
	s.get(r, "/readyz", s.ready)
	r.NotFound(s.endpoint(notFound))
	r.MethodNotAllowed(s.endpoint(methodNotAllowed))
	return r
}

type server struct {
	Config
	running chan struct{} // holds a token for each running request
}

// allow are the methods of every route.
const allow = "GET, HEAD, OPTIONS"

func (s *server) get(r chi.Router, pattern string, h handler) {
	r.Get(pattern, s.endpoint(h))
	r.Head(pattern, s.endpoint(h))
	r.Options(pattern, s.endpoint(options))
}

func isProbe(r *http.Request) bool {
	return r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
}

// resource returns the span's resource: method and route, or method and status if
// there is no route. Raw paths and methods would make a new resource, and new
// metric series, for each typing error.
func resource(r *http.Request) string {
	rctx := chi.RouteContext(r.Context())
	method := r.Method
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodConnect, http.MethodTrace:
	default:
		method = "OTHER"
	}
	switch pattern := rctx.RoutePattern(); {
	case pattern != "":
		return method + " " + pattern
	case hasRoute(rctx):
		return method + " 405"
	default:
		return method + " 404"
	}
}

// hasRoute reports whether the request's path has a route.
func hasRoute(rctx *chi.Context) bool {
	return rctx.Routes.Match(chi.NewRouteContext(), http.MethodGet, rctx.RoutePath)
}

// decodedPath routes by the decoded path, like Flask: /api%2Ftrace is /api/trace,
// and // is /.
func decodedPath(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if path == "" || path == "//" {
			path = "/"
		}
		chi.RouteContext(r.Context()).RoutePath = path
		next.ServeHTTP(w, r)
	})
}

// connections closes a connection after the answer in two cases. First, if the
// request has a body: no route reads it, and net/http would have to read it to
// find the next request. Second, if the service is about to stop: its clients
// reconnect elsewhere before the last connections are cut.
func (s *server) connections(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 || s.Draining() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
