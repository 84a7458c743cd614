package handlers

import (
	"context"
	"net/http"

	"apmapp/store"
)

// health says that the process lives; it asks nobody else.
func (s *server) health(*http.Request) (reply, error) {
	return reply{Message: "ok", plain: true}, nil
}

// ready says whether to send traffic here.
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
