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

// Visits is what the handlers ask of the store.
type Visits interface {
	// Latest returns the most recent visit, false when there is none.
	Latest(ctx context.Context) (store.Visit, bool, error)
	// Recent returns the n most recent visits, newest first.
	Recent(ctx context.Context, n int) ([]store.Visit, error)
	// Record stores a visit and returns it as stored.
	Record(ctx context.Context, v store.Visit) (store.Visit, error)
	// Ready returns nil when visits can be read and written.
	Ready(ctx context.Context) error
}

// Config is what New needs; every field is required.
type Config struct {
	Visits    Visits
	Logger    *slog.Logger
	Telemetry telemetry.Config
	// MaxConcurrent is how many requests run at once; more are refused.
	MaxConcurrent int
	// RequestTimeout bounds a request's work, waiting for a connection included.
	RequestTimeout time.Duration
	// ReadyTimeout bounds the readiness probe's question to MySQL.
	ReadyTimeout time.Duration
	// Draining reports whether the service is about to stop.
	Draining func() bool
	// TracePage is the URL of a page that shows a trace, by its ID in hex; nil
	// where there is none.
	TracePage func(traceID string) string
}

// New returns the handler of every request.
func New(cfg Config) http.Handler {
	s := &server{cfg, make(chan struct{}, cfg.MaxConcurrent)}
	r := chi.NewRouter()
	// Tracing is around everything that can fail: a panic that passed it would
	// be reported as a 200.
	r.Use(decodedPath, s.connections, telemetry.HTTP(cfg.Telemetry, isProbe, resource))

	s.get(r, "/", s.limited(s.home))
	s.get(r, "/api/trace", s.limited(s.trace))
	s.get(r, "/api/apm", s.limited(s.apm))
	// Probes are not limited: an overloaded service is alive.
	s.get(r, "/healthz", s.health)
	s.get(r, "/readyz", s.ready)
	r.NotFound(s.endpoint(notFound))
	r.MethodNotAllowed(s.endpoint(methodNotAllowed))
	return r
}

type server struct {
	Config
	running chan struct{} // holds a token for each request that runs
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

// resource names what a request is for: its route, or its status where it has
// none. A raw path would make as many resources as there are typing errors.
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

// hasRoute reports whether the path of the request in rctx is one of ours.
func hasRoute(rctx *chi.Context) bool {
	return rctx.Routes.Match(chi.NewRouteContext(), http.MethodGet, rctx.RoutePath)
}

// decodedPath routes by the path that the client meant, as Flask does:
// /api%2Ftrace is /api/trace, and // is the root.
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

// connections closes a connection behind its answer where keeping it would
// hurt. A request with a body: no route reads one, and net/http would have to,
// to find the next request. A service that is about to stop: its clients move
// on before the last connections are cut.
func (s *server) connections(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 || s.Draining() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
