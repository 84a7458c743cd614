package telemetry

import (
	"net/http"

	chitrace "gopkg.in/DataDog/dd-trace-go.v1/contrib/go-chi/chi.v5"
)

// HTTP returns the middleware that traces requests, but for those that ignore
// picks. resource names a request's resource once it has been answered.
func HTTP(cfg Config, ignore func(*http.Request) bool, resource func(*http.Request) string) func(http.Handler) http.Handler {
	return chitrace.Middleware(
		chitrace.WithServiceName(cfg.Service),
		chitrace.WithIgnoreRequest(ignore),
		chitrace.WithResourceNamer(resource),
		// The middleware would put "500: Internal Server Error" over the span's
		// own error. Whoever answers with a 5xx here sets that error itself.
		chitrace.WithStatusCheck(func(status int) bool {
			return status < http.StatusInternalServerError && cfg.IsErrorStatus(status)
		}),
	)
}

// IsErrorStatus reports whether a response of that status makes its span an
// error: a 5xx, unless DD_TRACE_HTTP_SERVER_ERROR_STATUSES says otherwise.
func (c Config) IsErrorStatus(status int) bool { return c.errorStatuses.contain(status) }
