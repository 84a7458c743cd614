package localagent

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"apmapp/internal/local/wire"
)

// metrics has what arrived over DogStatsD: the last half hour of each series, the
// latest events, and the last result of each service check. The time is an argument.
// The Store's lock protects it.
type metrics struct {
	budget int64 // in bytes, of the series
	// series are in the order of their last sample. members is the number of members
	// of sets in slots that are not complete.
	series  recent[metricKey, *metricSeries]
	members int64
	events  ring[StatsdEvent]
	checks  recent[checkKey, StatsdCheck]
	refusal map[wire.Reason]*Refusal
	// now is the time of the last datagram, in seconds since 1970.
	now int64
	// malformed counts lines that are malformed, refused those that are well-formed.
	malformed, refused int
}

type metricKey struct{ name, tags, kind string }

type checkKey struct{ name, host, tags string }

// The reasons for which well-formed lines are refused.
const (
	tooManySeries  wire.Reason = "too many series"
	tooManyMembers wire.Reason = "too many members of sets"
	outsideWindow  wire.Reason = "timestamp outside the last half hour"
	tooLarge       wire.Reason = "value is too large"
)

const (
	// replaceable is the time that a series without samples stays when another needs its
	// memory, in seconds. Clients send every ten seconds at most, so its program has
	// probably ended.
	replaceable = 60
	// eventShare is the share of events in the budget of metrics; service checks
	// have the same.
	eventShare = 0.0625
	eventSize  = 400 // estimate in bytes, besides texts
	// maxShown is the length of a refused line that is kept, in bytes.
	maxShown = 200
)

// Refusal counts the lines that were refused for one reason.
type Refusal struct {
	Reason string `json:"reason"`
	Lines  int    `json:"lines"`
	// Last is the beginning of the last one.
	Last string `json:"last"`
}

// StatsdEvent is an event that arrived over DogStatsD.
type StatsdEvent struct {
	At time.Time `json:"time"`
	wire.Event
}

// StatsdCheck is the last result of a service check.
type StatsdCheck struct {
	At time.Time `json:"time"`
	wire.Check
}

func newMetrics(budget int64) *metrics {
	side := int64(eventShare * float64(budget))
	return &metrics{
		budget:  budget - 2*side,
		series:  newRecent[metricKey, *metricSeries](),
		events:  ring[StatsdEvent]{budget: side},
		checks:  newRecent[checkKey, StatsdCheck](),
		refusal: map[wire.Reason]*Refusal{},
	}
}

// AddPacket stores a DogStatsD datagram and counts the lines that are refused.
func (s *Store) AddPacket(packet string, now time.Time) {
	d := wire.DecodeDatagram(packet)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.metrics.add(d, now)
	s.change()
}

func (m *metrics) add(d wire.Datagram, now time.Time) {
	m.advance(now.Unix())
	for _, r := range d.Refused {
		m.malformed++
		m.refuse(r.Reason, r.Line)
	}
	for _, s := range d.Samples {
		if reason := m.addSample(s, now.Unix()); reason != "" {
			m.refused++
			m.refuse(reason, s.Name)
		}
	}
	for _, e := range d.Events {
		m.addEvent(e, now)
	}
	for _, c := range d.Checks {
		m.addCheck(c, now)
	}
}

// advance completes the slots that have ended and removes the series without a sample
// in the last half hour. It does so once per slot.
func (m *metrics) advance(now int64) {
	before := m.now
	m.now = max(now, before)
	if slotOf(now) <= slotOf(before) {
		return
	}
	for {
		key, oldest, found := m.series.oldest()
		if !found || slotOf(now)-slotOf(oldest.last) < maxPoints*slotLength {
			break
		}
		m.remove(key, oldest)
	}
	m.series.all(func(_ metricKey, of *metricSeries) {
		if n := len(of.slots); n > 0 && of.slots[n-1].at < slotOf(now) {
			m.members -= of.complete()
		}
	})
}

func (m *metrics) remove(key metricKey, of *metricSeries) {
	m.members -= of.complete()
	m.series.remove(key)
}

func (m *metrics) refuse(reason wire.Reason, line string) {
	r := m.refusal[reason]
	if r == nil {
		r = &Refusal{Reason: string(reason)}
		m.refusal[reason] = r
	}
	r.Lines++
	r.Last = strings.ToValidUTF8(strings.Clone(line[:min(len(line), maxShown)]), "")
}

// used returns the bytes of series and members of sets.
func (m *metrics) used() int64 { return m.series.used + m.members*memberSize }

// bytes returns the bytes of everything.
func (m *metrics) bytes() int64 { return m.used() + m.events.used + m.checks.used }

func (m *metrics) addSample(s wire.Sample, now int64) wire.Reason {
	at := slotOf(now)
	if s.Time != 0 {
		at = slotOf(s.Time)
		if at <= slotOf(now)-maxPoints*slotLength || at > slotOf(now)+slotLength {
			return outsideWindow
		}
	}
	key := metricKey{s.Name, strings.Join(s.Tags, ","), s.Type}
	of, found := m.series.use(key)
	if !found {
		// The texts of the sample share the memory of the datagram.
		key = metricKey{strings.Clone(key.name), strings.Clone(key.tags), strings.Clone(key.kind)}
		of = &metricSeries{kind: key.kind}
	}
	reason := wire.Reason("")
	switch {
	case !found && !m.makeRoom(of.size()+int64(len(key.name)+len(key.tags)), now):
		return tooManySeries
	case s.Type == wire.Count, s.Type == wire.Gauge:
		reason = of.add(s.Values, at, s.Time != 0)
	case s.Type == wire.Set:
		if !of.isOpen(at) {
			m.members -= of.begin(at)
		}
		if m.used()+memberSize > m.budget {
			return tooManyMembers
		}
		if of.addMember(s.Member) {
			m.members++
		}
	default:
		reason = of.addValues(s.Values, s.Weight, at)
	}
	if reason != "" {
		return reason
	}
	of.last = now
	if !found {
		m.series.set(key, of, of.size()+int64(len(key.name)+len(key.tags)))
	}
	return ""
}

// makeRoom reports whether a series of a size fits. It removes series without samples
// if that is necessary.
func (m *metrics) makeRoom(size, now int64) bool {
	for m.used()+size > m.budget {
		key, oldest, found := m.series.oldest()
		if !found || now-oldest.last < replaceable {
			return false
		}
		m.remove(key, oldest)
	}
	return true
}

func (m *metrics) addEvent(e wire.Event, now time.Time) {
	at := now
	if e.Time != 0 {
		at = atSeconds(e.Time, now)
	}
	for _, text := range []*string{&e.Title, &e.Text, &e.Host, &e.Key, &e.Source} {
		*text = strings.Clone(*text)
	}
	e.Tags = cloned(e.Tags)
	m.events.add(StatsdEvent{at, e}, eventSize+int64(len(e.Title)+len(e.Text)+len(e.Host)+len(e.Key)+len(e.Source))+sizeOfTags(e.Tags))
}

func (m *metrics) addCheck(c wire.Check, now time.Time) {
	at := now
	if c.Time != 0 {
		at = atSeconds(c.Time, now)
	}
	c.Name, c.Host, c.Message, c.Tags = strings.Clone(c.Name), strings.Clone(c.Host), strings.Clone(c.Message), cloned(c.Tags)
	key := checkKey{c.Name, c.Host, strings.Join(c.Tags, ",")}
	m.checks.set(key, StatsdCheck{at, c}, eventSize+int64(2*len(c.Name)+2*len(c.Host)+len(c.Message))+2*sizeOfTags(c.Tags))
	for m.checks.used > m.events.budget {
		oldest, _, _ := m.checks.oldest()
		m.checks.remove(oldest)
	}
}

// atSeconds returns a time in seconds since 1970, in the time zone of now. It returns
// now if JSON cannot represent the time.
func atSeconds(seconds int64, now time.Time) time.Time {
	at := time.Unix(seconds, 0).In(now.Location())
	if at.Year() < 1970 || at.Year() > 9999 {
		return now
	}
	return at
}

func cloned(tags []string) []string {
	all := make([]string, len(tags))
	for i, t := range tags {
		all[i] = strings.Clone(t)
	}
	return all
}

func sizeOfTags(tags []string) (n int64) {
	for _, t := range tags {
		n += 16 + int64(len(t))
	}
	return n
}

// Metric is a series: a metric with one set of tags, over time.
type Metric struct {
	Name   string  `json:"name"`
	Type   string  `json:"type"`
	Tags   string  `json:"tags"`
	Points []Point `json:"points"`
	// Ended is set if no sample arrived for a minute.
	Ended bool `json:"-"`
}

// list returns the series whose names contain a text, as seen at a time, sorted by
// name and tags. If nothing has arrived for half an hour, as after the replay of an
// old recording, it returns them as they were at the last datagram.
func (m *metrics) list(text string, now int64) []Metric {
	if now-m.now > maxPoints*slotLength {
		now = slotOf(m.now) + slotLength
	}
	all := []Metric{}
	m.series.all(func(key metricKey, of *metricSeries) {
		if !strings.Contains(key.name, text) {
			return
		}
		if points := of.points(slotOf(m.now)-(maxPoints-1)*slotLength, now); len(points) > 0 {
			all = append(all, Metric{key.name, key.kind, key.tags, points, m.now-of.last >= replaceable})
		}
	})
	slices.SortFunc(all, func(a, b Metric) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Tags, b.Tags), cmp.Compare(a.Type, b.Type))
	})
	return all
}

// Metrics returns the metrics whose names contain a text, sorted by name and tags.
func (s *Store) Metrics(text string) []Metric {
	now := time.Now().Unix()
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.metrics.list(text, now)
}

// RefusedMetrics returns why lines of DogStatsD were refused, sorted by reason.
func (s *Store) RefusedMetrics() []Refusal {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := []Refusal{}
	for _, r := range s.metrics.refusal {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Refusal) int { return cmp.Compare(a.Reason, b.Reason) })
	return all
}

// StatsdEvents returns the events that arrived over DogStatsD, the latest first.
func (s *Store) StatsdEvents() []StatsdEvent {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := []StatsdEvent{}
	for _, e := range slices.Backward(s.metrics.events.items) {
		all = append(all, e.item)
	}
	return all
}

// StatsdChecks returns the last result of each service check, sorted by name, host and
// tags.
func (s *Store) StatsdChecks() []StatsdCheck {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := []StatsdCheck{}
	s.metrics.checks.all(func(_ checkKey, c StatsdCheck) { all = append(all, c) })
	slices.SortFunc(all, func(a, b StatsdCheck) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Host, b.Host), slices.Compare(a.Tags, b.Tags))
	})
	return all
}
