package telemetry

import (
	"net/http"

	chitrace "gopkg.in/DataDog/dd-trace-go.v1/contrib/go-chi/chi.v5"
)

// HTTP returns middleware that traces each request unless ignore returns true for
// it. resource returns the span's resource; it is called after the request.
func HTTP(cfg Config, ignore func(*http.Request) bool, resource func(*http.Request) string) func(http.Handler) http.Handler {
	return chitrace.Middleware(
		chitrace.WithServiceName(cfg.Service),
		chitrace.WithIgnoreRequest(ignore),
		chitrace.WithResourceNamer(resource),
		// For an error status the middleware overwrites the span's error with
		// "500: Internal Server Error". For a 5xx the handlers record the real error
		// with SetError instead.
		chitrace.WithStatusCheck(func(status int) bool {
			return status < http.StatusInternalServerError && cfg.IsErrorStatus(status)
		}),
	)
}

// IsErrorStatus reports whether a response with this status makes its span an
// error. By default a 5xx does; DD_TRACE_HTTP_SERVER_ERROR_STATUSES changes that.
func (c Config) IsErrorStatus(status int) bool { return c.errorStatuses.contain(status) }
