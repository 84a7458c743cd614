package handlers

import (
	"context"
	"net/http"

	"apmapp/store"
)

// health answers that the process is alive. It depends on nothing else.
func (s *server) health(*http.Request) (reply, error) {
	return reply{Message: "ok", plain: true}, nil
}

// ready answers whether the service can take traffic.
func (s *server) ready(r *http.Request) (reply, error) {
	if s.Draining() {
		return notReady("draining"), nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.ReadyTimeout)
	defer cancel()
	if err := s.Visits.Ready(ctx); err != nil {
		return notReady(store.Reason(err)), nil
	}
	return reply{Message: "ready", plain: true}, nil
}

func notReady(reason string) reply {
	return reply{status: http.StatusServiceUnavailable, Message: reason, plain: true}
}
