package standin

import (
	"fmt"
	"net/http"
	"slices"

	"apmapp/internal/provision"
)

// Fail sets what decides how each request fails; nil ends it.
func (s *Server) Fail(fault func(*http.Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Deny takes permissions from the key.
func (s *Server) Deny(permissions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = map[string]bool{}
	for _, p := range permissions {
		s.denied[p] = true
	}
}

// Lag makes lists lag behind: what is created is missing in the next n. With 0,
// they catch up.
func (s *Server) Lag(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lag = n
	for _, all := range s.objects {
		for _, o := range all {
			o.hidden = min(o.hidden, n)
		}
	}
}

// Requests returns the requests since the last call, as "POST /api/v1/monitor".
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.requests
	s.requests = nil
	return all
}

// Problems are requests that no client should make.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

// All returns what the account has of a kind, without downtimes that are over.
func (s *Server) All(kind provision.Kind) []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []map[string]any
	for _, o := range s.objects[kind] {
		if a, _ := o.body["attributes"].(map[string]any); a["status"] == "canceled" {
			continue
		}
		all = append(all, clone(o.body))
	}
	return all
}

// Links are the public links that exist.
func (s *Server) Links() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, share := range s.shares {
		all = append(all, share["public_url"].(string))
	}
	return all
}

// Add makes a resource as somebody does in the pages, and returns its ID.
func (s *Server) Add(kind provision.Kind, body map[string]any) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, r := s.make(kind, body)
	if o == nil {
		return "", fmt.Errorf("%d: %v", r.status, r.body)
	}
	return o.id, nil
}

// Edit changes a resource as somebody does in the pages.
func (s *Server) Edit(kind provision.Kind, id string, edit func(map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.find(kind, id); o != nil {
		edit(o.body)
	}
}

// Remove deletes a resource as somebody does in the pages.
func (s *Server) Remove(kind provision.Kind, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(kind, id)
}
