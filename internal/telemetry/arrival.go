package telemetry

import (
	"context"
	"net/http"
	"time"

	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
)

type arrivalKey struct{}

// WithArrival returns a context for a request that arrived at t and was kept waiting
// since. Its span starts at t, so its duration is the one that its client sees.
func WithArrival(ctx context.Context, t time.Time) context.Context {
	return context.WithValue(ctx, arrivalKey{}, t)
}

// Arrival returns the time that WithArrival set, by default the current time.
func Arrival(ctx context.Context) time.Time {
	if t, ok := ctx.Value(arrivalKey{}).(time.Time); ok {
		return t
	}
	return time.Now()
}

// fromArrival returns a handler whose spans start when their requests arrived. traced
// returns a handler that adds options to its spans. Its options are the same for all
// requests, so a request that was kept waiting gets a handler of its own.
func fromArrival(traced func(...ddtrace.StartSpanOption) http.Handler) http.Handler {
	usual := traced()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t, waited := r.Context().Value(arrivalKey{}).(time.Time); waited {
			traced(tracer.StartTime(t)).ServeHTTP(w, r)
			return
		}
		usual.ServeHTTP(w, r)
	})
}
