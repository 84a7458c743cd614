package handlers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"

	"apmapp/internal/telemetry"
	"apmapp/store"
)

// home returns the most recent visit.
func (s *server) home(r *http.Request) (reply, error) {
	visit, found, err := s.Visits.Latest(r.Context())
	if err != nil {
		return reply{}, fmt.Errorf("home: %w", err)
	}
	answer := reply{Message: "Entrypoint to the Application"}
	if found {
		answer.Visit = &visit
	}
	return answer, nil
}

// trace records a visit with the trace ID of this request.
func (s *server) trace(r *http.Request) (reply, error) {
	span, _ := telemetry.SpanIDs(r.Context())
	// A span for the recording of the visit, with all that it needs: the wait for a
	// connection and the statement.
	work, ctx := telemetry.StartWork(r.Context(), "visit.record", "record a visit")
	visit, err := s.Visits.Record(ctx, store.Visit{
		Route:   chi.RouteContext(r.Context()).RoutePattern(),
		TraceID: span.TraceID,
		At:      time.Now(),
	})
	work.End(err)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = unknownOutcome{err}
	}
	if err != nil {
		return reply{}, fmt.Errorf("trace: %w", err)
	}
	if s.Recorded != nil {
		s.Recorded() // a metric of the business, exact whatever is sampled
	}
	return reply{Message: "Posting Traces", Visit: &visit}, nil
}

// recent is the number of visits that apm reads. It bounds the work for a table
// of any length.
const recent = 20

// apm returns the most recent visits.
func (s *server) apm(r *http.Request) (reply, error) {
	visits, err := s.Visits.Recent(r.Context(), recent)
	if err != nil {
		return reply{}, fmt.Errorf("apm: %w", err)
	}
	return reply{Message: "Getting APM Started", Visits: visits}, nil
}
