package store

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"apmapp/internal/local/series"
	"apmapp/internal/local/span"
	"apmapp/internal/local/wire"
)

// failures groups the errors of spans, also of evicted traces.
type failures struct {
	mu     sync.RWMutex
	groups recent[failureKey, *failureGroup]
	// bytes of the texts of groups.
	used, budget int64
	// places has the results of wire.TopFrame: errors repeat themselves.
	places map[string]string
}

// failureKey is what errors of a group have in common. Without a stack, the place is the
// message without numbers.
type failureKey struct{ service, kind, place string }

type failureGroup struct {
	Failure
	counts []minute
}

// minute has the number of errors in a minute since 1970.
type minute struct{ at, n int64 }

// failure is an error of a span.
type failure struct {
	key                      failureKey
	message, stack, resource string
	version, traceID         string
	spanID                   uint64
	at                       time.Time
}

// Failure is the errors of a service that have one type and began in one function.
type Failure struct {
	Service string `json:"service"`
	Type    string `json:"type"`
	// Place is the function of the program in which the error began, or the message
	// without numbers if there is no stack, or the status if there is no message.
	Place string `json:"place"`
	// Message, Resource, Version, Stack, TraceID and SpanID are of the latest error.
	Message  string    `json:"message"`
	Resource string    `json:"resource"`
	Count    int64     `json:"count"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Versions []string  `json:"versions"`
	// Resources are the first ones that had the error.
	Resources []string `json:"resources"`
	TraceID   string   `json:"trace_id"`
	SpanID    uint64   `json:"span_id,string"`
	Stack     string   `json:"stack,omitempty"`
	// PerMinute has the errors of each of the last thirty minutes, the oldest first.
	PerMinute []int64 `json:"per_minute"`
}

const (
	maxFailures = 200
	// maxVersions bounds Versions and Resources.
	maxVersions = 10
	// failureMinutes is the length of PerMinute.
	failureMinutes = 30
	// maxStack bounds a stack and a message, in bytes.
	maxStack = 8 << 10
)

// failureSize estimates a group in bytes, without its texts.
const failureSize = 1000 + failureMinutes*16

func newFailures(budget int64) *failures {
	return &failures{groups: newRecent[failureKey, *failureGroup](), budget: budget, places: map[string]string{}}
}

// numbers are words with a digit: numbers, IDs and codes.
var numbers = regexp.MustCompile(`[\w-]*\d[\w-]*`)

// of returns the error of a span. The caller holds the lock.
func (f *failures) of(traceID string, s *span.Span) failure {
	has, _ := s.Failure()
	e := failure{
		message: cut(has.Message), stack: cut(has.Stack),
		resource: s.Resource, version: s.Tags["version"], traceID: traceID, spanID: s.SpanID, at: s.End(),
	}
	place, known := f.places[e.stack]
	if !known {
		if len(f.places) >= maxFailures {
			clear(f.places)
		}
		place = wire.TopFrame(e.stack)
		f.places[e.stack] = place
	}
	switch {
	case place != "":
	case has.OnlyStatus: // its number is what tells errors apart
		place = e.message
	default:
		place = numbers.ReplaceAllString(e.message, "N")
	}
	e.key = failureKey{s.Service, cut(cmp.Or(has.Type, "error")), cut(place)}
	return e
}

func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), maxStack)], "") }

// add counts the errors of spans of a trace.
func (f *failures) add(traceID string, spans []span.Span, now time.Time) {
	if len(spans) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range spans {
		e := f.of(traceID, &spans[i])
		if e.at.After(now.Add(series.BucketLength)) { // a wrong clock: no other error would be the latest
			e.at = now
		}
		g, found := f.groups.use(e.key)
		if !found {
			g = &failureGroup{Failure: Failure{Service: e.key.service, Type: e.key.kind, Place: e.key.place, First: e.at}}
			f.groups.set(e.key, g, failureSize+int64(len(e.key.service)+len(e.key.kind)+2*len(e.key.place)))
		}
		f.used += int64(len(e.message) + len(e.stack) - len(g.Message) - len(g.Stack))
		g.add(e, now)
		for f.groups.used+f.used > f.budget && len(f.groups.index) > 1 || len(f.groups.index) > maxFailures {
			oldest, of, _ := f.groups.oldest()
			f.used -= int64(len(of.Message) + len(of.Stack))
			f.groups.remove(oldest)
		}
	}
}

func (g *failureGroup) add(e failure, now time.Time) {
	g.Count++
	if e.at.Before(g.First) {
		g.First = e.at
	}
	if !e.at.Before(g.Last) {
		g.Last, g.Message, g.Resource, g.Stack, g.TraceID, g.SpanID = e.at, e.message, e.resource, e.stack, e.traceID, e.spanID
	}
	keep(&g.Versions, e.version)
	keep(&g.Resources, e.resource)
	at := e.at.UnixNano() / int64(time.Minute)
	oldest := now.UnixNano()/int64(time.Minute) - failureMinutes
	for len(g.counts) > 0 && g.counts[0].at <= oldest {
		g.counts = g.counts[1:]
	}
	i, found := slices.BinarySearchFunc(g.counts, at, func(m minute, at int64) int { return cmp.Compare(m.at, at) })
	switch {
	case found:
		g.counts[i].n++
	case at > oldest && series.InTime(e.at, now):
		g.counts = slices.Insert(g.counts, i, minute{at, 1})
	}
}

// keep adds a text to the first different ones.
func keep(all *[]string, text string) {
	if text != "" && !slices.Contains(*all, text) && len(*all) < maxVersions {
		*all = append(*all, text)
	}
}

// list returns the groups of a service, or of all for "", the latest first.
func (f *failures) list(service string, now time.Time) []Failure {
	f.mu.RLock()
	defer f.mu.RUnlock()
	all := []Failure{}
	last := now.UnixNano() / int64(time.Minute)
	f.groups.all(func(key failureKey, g *failureGroup) {
		if service != "" && key.service != service {
			return
		}
		one := g.Failure
		one.Versions, one.Resources = append([]string{}, g.Versions...), append([]string{}, g.Resources...)
		one.PerMinute = make([]int64, failureMinutes)
		for _, c := range g.counts {
			if i := c.at - last + failureMinutes - 1; i >= 0 && i < failureMinutes {
				one.PerMinute[i] += c.n
			}
		}
		all = append(all, one)
	})
	slices.SortFunc(all, func(a, b Failure) int {
		return cmp.Or(b.Last.Compare(a.Last), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Place, b.Place))
	})
	return all
}

// clear takes over the content of an empty keeper.
func (f *failures) clear(to *failures) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.groups, f.used, f.places = to.groups, to.used, to.places
}
