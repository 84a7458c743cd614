package store

import (
	"sync"

	"apmapp/internal/local/span"
)

// interner returns one copy of equal texts. Names of services and tags and many of their
// values are in every span: one copy of each saves half of the memory.
type interner struct {
	mu sync.Mutex
	// Texts of the last generations: when the newer is full, it becomes the older one.
	newer, older map[string]string
}

const (
	// generation is the number of texts: more than a service has of names and frequent
	// values.
	generation = 4096
	// longest is the length in bytes of a text that may be frequent.
	longest = 200
)

func newInterner() *interner {
	return &interner{newer: map[string]string{}, older: map[string]string{}}
}

// one replaces a text by its copy, and returns the number of bytes that it needs: 0 if
// there is a copy. The caller holds the lock.
func (i *interner) one(text *string) int64 {
	if len(*text) > longest {
		return int64(len(*text)) + 16
	}
	if known, found := i.newer[*text]; found {
		*text = known
		return 0
	}
	known, found := i.older[*text]
	if found {
		*text = known
	}
	if len(i.newer) == generation {
		i.older, i.newer = i.newer, make(map[string]string, generation)
	}
	i.newer[*text] = *text
	if found {
		return 0
	}
	return int64(len(*text)) + 16
}

// Sizes in bytes, as measured with Go 1.26 (TestSizesAreTrue).
const (
	traceSize = 580 // without spans
	spanSize  = 370 // with its place in the index, without texts and maps
	eventSize = 120 // also of a link
	mapSize   = 48
)

// intern shares equal texts of spans, and returns the size of each span in bytes.
func (i *interner) intern(spans []span.Span) []int64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	sizes := make([]int64, len(spans))
	for n := range spans {
		s := &spans[n]
		size := spanSize + i.one(&s.Service) + i.one(&s.Operation) + i.one(&s.Resource) + i.one(&s.Type) + i.tags(s.Tags)
		size += sizeOfMap(len(s.Metrics), 24)
		for name, value := range s.Metrics {
			size += i.one(&name)
			s.Metrics[name] = value // with the shared name
		}
		for e := range s.Events {
			size += eventSize + i.one(&s.Events[e].Name) + i.tags(s.Events[e].Attributes)
		}
		for l := range s.Links {
			size += eventSize + i.tags(s.Links[l].Attributes)
		}
		sizes[n] = size
	}
	return sizes
}

// tags shares the texts of a map, and returns its size in bytes.
func (i *interner) tags(tags map[string]string) int64 {
	size := sizeOfMap(len(tags), 32)
	for name, value := range tags {
		size += i.one(&name) + i.one(&value)
		tags[name] = value // an assignment replaces the key too
	}
	return size
}

// sizeOfMap estimates a map in bytes: it has eight places, or twice as many as often as it
// is more than 7/8 full.
func sizeOfMap(entries int, entry int64) int64 {
	if entries == 0 {
		return 0
	}
	places := int64(8)
	for ; int64(entries) > places && places == 8 || int64(entries)*8 > places*7 && places > 8; places *= 2 {
	}
	return mapSize + places*(entry+1)
}
