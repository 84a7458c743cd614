package standin

import (
	"fmt"
	"net/http"
	"slices"
)

// Fail sets the function that decides how each request fails. nil ends the faults.
func (s *Server) Fail(fault func(*http.Request) Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// Deny sets the permissions that the key lacks.
func (s *Server) Deny(permissions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = map[string]bool{}
	for _, p := range permissions {
		s.denied[p] = true
	}
}

// Lag makes the next n lists after a creation omit the new resource. With 0, lists
// are complete at once.
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

// Problems returns the requests that no correct client sends.
func (s *Server) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}

// Forget removes the problems, for a test that expects them.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.problems = nil
}

// All returns the account's resources of a kind, without canceled downtimes.
func (s *Server) All(kind Kind) []map[string]any {
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

// Links returns the public links that exist.
func (s *Server) Links() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for _, share := range s.shares {
		all = append(all, share["public_url"].(string))
	}
	return all
}

// Add creates a resource, as people do in the pages, and returns its ID.
func (s *Server) Add(kind Kind, body map[string]any) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, r := s.make(kind, body)
	if o == nil {
		return "", fmt.Errorf("%d: %v", r.status, r.body)
	}
	return o.id, nil
}

// Edit changes a resource, as people do in the pages.
func (s *Server) Edit(kind Kind, id string, edit func(map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o := s.find(kind, id); o != nil {
		edit(o.body)
	}
}

// Ignore makes the API drop a field of new and changed resources.
func (s *Server) Ignore(kind Kind, field string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ignored[kind] = field
}

// Reverse reverses the order of lists.
func (s *Server) Reverse(kind Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Reverse(s.objects[kind])
}

// Remove deletes a resource, as people do in the pages.
func (s *Server) Remove(kind Kind, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(kind, id)
}
