package handlers

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
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

// Config is the configuration of New. MaxWait, Refused, Recorded and TracePage
// may be zero.
type Config struct {
	Visits    Visits
	Logger    *slog.Logger
	Telemetry telemetry.Config
	// MaxConcurrent is the maximum number of requests that run at once. A further
	// request waits for MaxWait, then it is refused.
	MaxConcurrent int
	MaxWait       time.Duration
	// Refused is called for each refused request, which has no log line and no
	// span. It may be nil.
	Refused func()
	// Recorded is called for each visit that was recorded.
	Recorded func()
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
	s := &server{
		Config:  cfg,
		start:   time.Now(),
		running: make(chan struct{}, cfg.MaxConcurrent),
		busy:    map[bool]prepared{false: busy().prepare(false), true: busy().prepare(true)},
	}
	r := chi.NewRouter()
	r.Use(decodedPath, s.connections, s.admit)
	s.get(r, "/", s.home)
	s.get(r, "/api/trace", s.trace)
	s.get(r, "/api/apm", s.apm)
	s.probe(r, "/healthz", s.health)
	s.probe(r, "/readyz", s.ready)
	unrouted := s.unrouted()
	r.NotFound(unrouted)
	r.MethodNotAllowed(unrouted)
	return r
}

type server struct {
	Config
	running chan struct{} // holds a token for each running request
	// lastMove is the time from start until a place among the running requests was
	// taken or became free last.
	lastMove atomic.Int64
	start    time.Time
	busy     map[bool]prepared // by whether it is JSON
}

// allow are the methods of every route.
const allow = "GET, HEAD, OPTIONS"

func (s *server) get(r chi.Router, pattern string, h handler) {
	s.route(r, http.MethodGet, pattern, h)
	s.route(r, http.MethodHead, pattern, h)
	s.route(r, http.MethodOptions, pattern, options)
}

func (s *server) route(r chi.Router, method, pattern string, h handler) {
	r.Method(method, pattern, telemetry.Handler(s.Telemetry, method, method+" "+pattern, s.endpoint(h)))
}

// probe routes a health probe. It has no limit, because an overloaded service is
// alive, and no span.
func (s *server) probe(r chi.Router, pattern string, h handler) {
	r.Get(pattern, s.endpoint(h))
	r.Head(pattern, s.endpoint(h))
	r.Options(pattern, s.endpoint(options))
}

func isProbe(r *http.Request) bool {
	return r.URL.Path == "/healthz" || r.URL.Path == "/readyz"
}

// methods are the methods of HTTP, and one for all others.
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut,
	http.MethodPatch, http.MethodDelete, http.MethodConnect, http.MethodTrace, otherMethod,
}

const otherMethod = "OTHER"

// unrouted answers requests without a route. Their resource is the method and the
// status. Raw paths and methods would make a new resource, and new metric series,
// for each typing error.
func (s *server) unrouted() http.HandlerFunc {
	notFound, notAllowed := s.endpoint(notFound), s.endpoint(methodNotAllowed)
	traced := map[string]http.Handler{}
	for _, method := range methods {
		traced[method+" 404"] = telemetry.Handler(s.Telemetry, method, method+" 404", notFound)
		traced[method+" 405"] = telemetry.Handler(s.Telemetry, method, method+" 405", notAllowed)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if !slices.Contains(methods, method) {
			method = otherMethod
		}
		switch {
		case isProbe(r):
			notAllowed(w, r)
		case hasRoute(chi.RouteContext(r.Context())): // chi has no route for its method
			traced[method+" 405"].ServeHTTP(w, r)
		default:
			traced[method+" 404"].ServeHTTP(w, r)
		}
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

// bodyWait is the time after the answer for which net/http waits for the rest of a
// body that no route reads. If it closes earlier, the answer can be lost: the system of a
// client that still sends discards it.
const bodyWait = 500 * time.Millisecond

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
		if r.ContentLength != 0 {
			// Fails only if w is not net/http's.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWait))
		}
	})
}
