package store

import (
	"maps"
	"sync"

	"apmapp/internal/local/wire"
)

// profiles keeps uploaded profiles.
type profiles struct {
	mu      sync.RWMutex
	kept    ring[*wire.Profile]
	leftOut map[string]int // files that are not profiles, by extension
}

// maxExtensions bounds the extensions of files that are not profiles.
const maxExtensions = 100

func newProfiles(budget int64) *profiles {
	return &profiles{kept: ring[*wire.Profile]{budget: budget}, leftOut: map[string]int{}}
}

func (s *profiles) add(u wire.Upload) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range u.Profiles {
		p.ID = s.kept.evicted + int64(len(s.kept.items)) + 1
		s.kept.add(p, p.Size())
	}
	for _, kind := range u.Others {
		if _, known := s.leftOut[kind]; known || len(s.leftOut) < maxExtensions {
			s.leftOut[kind]++
		}
	}
}

func (s *profiles) list(service, kind string) []wire.Profile {
	s.mu.RLock()
	latest := s.kept.latest()
	s.mu.RUnlock()
	all := []wire.Profile{}
	for _, p := range latest {
		if (service == "" || p.Service == service) && (kind == "" || p.Kind == kind) {
			all = append(all, *p)
		}
	}
	return all
}

func (s *profiles) profile(id int64) (wire.Profile, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	i := id - 1 - s.kept.evicted
	if i < 0 || i >= int64(len(s.kept.items)) {
		return wire.Profile{}, false
	}
	return *s.kept.items[i].item, true
}

func (s *profiles) otherFiles() map[string]int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := map[string]int{}
	maps.Copy(all, s.leftOut) // the race detector does not see the read of maps.Clone
	return all
}

func (s *profiles) usage(u *Usage) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	u.Profiles, u.ProfileBytes = len(s.kept.items), s.kept.used
}

// clear forgets everything. IDs go on: an old link must not lead to a new profile.
func (s *profiles) clear(to *profiles) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to.kept.evicted = s.kept.evicted + int64(len(s.kept.items))
	s.kept, s.leftOut = to.kept, to.leftOut
}
