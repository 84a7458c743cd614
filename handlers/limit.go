package handlers

import (
	"context"
	"net/http"
	"time"

	"apmapp/internal/telemetry"
)

// admit lets MaxConcurrent requests run at once. A further one waits for MaxWait,
// then it is refused. This is before tracing and logging, because a refusal has to
// cost far less than an answer: otherwise a service that refuses most requests has
// no time for the others. Refused counts them instead.
//
// If no place became free for MaxWait, nobody waits, because that would be in vain:
// MySQL is stalled.
//
// Probes have no limit: an overloaded service is alive.
func (s *server) admit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isProbe(r) {
			next.ServeHTTP(w, r)
			return
		}
		select {
		case s.running <- struct{}{}:
		default:
			arrival := time.Now()
			if !s.await(r.Context()) {
				s.refuse(w, r)
				return
			}
			r = r.WithContext(telemetry.WithArrival(r.Context(), arrival))
		}
		s.moved()
		defer func() { <-s.running; s.moved() }()
		next.ServeHTTP(w, r)
	})
}

// await waits for a place among the running requests. It returns false if none
// becomes free within MaxWait, or if the client leaves before. The longest waiting
// request gets the next place.
func (s *server) await(ctx context.Context) bool {
	if time.Since(s.start)-time.Duration(s.lastMove.Load()) >= s.MaxWait {
		return false
	}
	timer := time.NewTimer(s.MaxWait)
	defer timer.Stop()
	select {
	case s.running <- struct{}{}:
		return true
	case <-timer.C:
		return false
	case <-ctx.Done():
		return false
	}
}

// moved records that a place was taken or became free.
func (s *server) moved() { s.lastMove.Store(int64(time.Since(s.start))) }

// refuse answers that the service is busy.
func (s *server) refuse(w http.ResponseWriter, r *http.Request) {
	if s.Refused != nil {
		s.Refused()
	}
	answer := s.busy[prefersJSON(r.Header["Accept"])]
	answer.write(w, r)
}
