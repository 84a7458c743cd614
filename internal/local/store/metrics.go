package store

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"apmapp/internal/local/series"
	"apmapp/internal/local/wire"
)

// metrics has what arrived over DogStatsD: the last half hour of each series, the
// latest events, and the last result of each service check.
type metrics struct {
	mu     sync.RWMutex
	budget int64 // in bytes, of the series
	// series are in the order of their last sample. members is the number of members
	// of sets in slots that are not complete.
	series  recent[metricKey, *series.Metric]
	members int64
	events  ring[StatsdEvent]
	checks  recent[checkKey, StatsdCheck]
	refused map[wire.Reason]*Refusal
	// now is the time of the last datagram, in seconds since 1970.
	now int64
	// malformed counts lines that are malformed, unusable those that are well-formed.
	malformed, unusable int
}

type metricKey struct{ name, tags, kind string }

type checkKey struct{ name, host, tags string }

// The reasons for which well-formed lines are refused.
const (
	tooManySeries  wire.Reason = "too many series"
	tooManyMembers wire.Reason = "too many members of sets"
)

const (
	// replaceable is the time that a series without samples stays when another needs its
	// memory, in seconds. Clients send every ten seconds at most, so its program has
	// probably ended.
	replaceable = 60
	// eventShare is the share of events in the budget of metrics; service checks
	// have the same.
	eventShare = 0.0625
	textSize   = 400 // estimate in bytes, besides texts
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
		series:  newRecent[metricKey, *series.Metric](),
		events:  ring[StatsdEvent]{budget: side},
		checks:  newRecent[checkKey, StatsdCheck](),
		refused: map[wire.Reason]*Refusal{},
	}
}

func (m *metrics) add(d wire.Datagram, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.advance(now.Unix())
	for _, r := range d.Refused {
		m.malformed++
		m.refuse(r.Reason, r.Line)
	}
	for _, s := range d.Samples {
		if reason := m.addSample(s, now.Unix()); reason != "" {
			m.unusable++
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
	if series.SlotOf(now) <= series.SlotOf(before) {
		return
	}
	for {
		key, oldest, found := m.series.oldest()
		if !found || !ended(oldest, now) {
			break
		}
		m.remove(key, oldest)
	}
	m.series.all(func(_ metricKey, of *series.Metric) {
		if of.IsComplete(now) {
			m.members -= of.Complete()
		}
	})
}

// ended reports whether no sample arrived in the last half hour.
func ended(of *series.Metric, now int64) bool {
	return series.SlotOf(now)-series.SlotOf(of.Last) >= series.MaxPoints*series.SlotLength
}

func (m *metrics) remove(key metricKey, of *series.Metric) {
	m.members -= of.Complete()
	m.series.remove(key)
}

func (m *metrics) refuse(reason wire.Reason, line string) {
	r := m.refused[reason]
	if r == nil {
		r = &Refusal{Reason: string(reason)}
		m.refused[reason] = r
	}
	r.Lines++
	r.Last = strings.ToValidUTF8(strings.Clone(line[:min(len(line), maxShown)]), "")
}

// used returns the bytes of series and members of sets.
func (m *metrics) used() int64 { return m.series.used + m.members*series.MemberSize }

// bytes returns the bytes of everything.
func (m *metrics) bytes() int64 { return m.used() + m.events.used + m.checks.used }

func (m *metrics) addSample(s wire.Sample, now int64) wire.Reason {
	at := series.SlotOf(now)
	if s.Time != 0 {
		at = series.SlotOf(s.Time)
		if at <= series.SlotOf(now)-series.MaxPoints*series.SlotLength || at > series.SlotOf(now)+series.SlotLength {
			return series.OutsideWindow
		}
	}
	key := metricKey{s.Name, strings.Join(s.Tags, ","), s.Type}
	of, found := m.series.use(key)
	if !found {
		// The texts of the sample share the memory of the datagram.
		key = metricKey{strings.Clone(key.name), strings.Clone(key.tags), strings.Clone(key.kind)}
		of = &series.Metric{Kind: key.kind}
	}
	reason := wire.Reason("")
	switch {
	case !found && !m.makeRoom(of.Size()+int64(len(key.name)+len(key.tags)), now):
		return tooManySeries
	case s.Type == wire.Count, s.Type == wire.Gauge:
		reason = of.Add(s.Values, at, s.Time != 0)
	case s.Type == wire.Set:
		if !of.IsOpen(at) {
			m.members -= of.Begin(at)
		}
		if m.used()+series.MemberSize > m.budget {
			return tooManyMembers
		}
		if of.AddMember(s.Member) {
			m.members++
		}
	default:
		reason = of.AddValues(s.Values, s.Weight, at)
	}
	if reason != "" {
		return reason
	}
	of.Last = now
	if !found {
		m.series.set(key, of, of.Size()+int64(len(key.name)+len(key.tags)))
	}
	return ""
}

// makeRoom reports whether a series of a size fits. It removes series without samples
// if that is necessary.
func (m *metrics) makeRoom(size, now int64) bool {
	for m.used()+size > m.budget {
		key, oldest, found := m.series.oldest()
		if !found || now-oldest.Last < replaceable {
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
	m.events.add(StatsdEvent{at, e}, textSize+int64(len(e.Title)+len(e.Text)+len(e.Host)+len(e.Key)+len(e.Source))+sizeOfTags(e.Tags))
}

func (m *metrics) addCheck(c wire.Check, now time.Time) {
	at := now
	if c.Time != 0 {
		at = atSeconds(c.Time, now)
	}
	c.Name, c.Host, c.Message, c.Tags = strings.Clone(c.Name), strings.Clone(c.Host), strings.Clone(c.Message), cloned(c.Tags)
	key := checkKey{c.Name, c.Host, strings.Join(c.Tags, ",")}
	m.checks.set(key, StatsdCheck{at, c}, textSize+int64(2*len(c.Name)+2*len(c.Host)+len(c.Message))+2*sizeOfTags(c.Tags))
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
	Name   string         `json:"name"`
	Type   string         `json:"type"`
	Tags   string         `json:"tags"`
	Points []series.Point `json:"points"`
	// Ended is set if no sample arrived for a minute.
	Ended bool `json:"-"`
}

// list returns the series whose names and tags match, as seen at a time, sorted by name and
// tags. Tags are separated by commas.
func (m *metrics) list(matches func(name, tags string) bool, now int64) []Metric {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := []Metric{}
	m.series.all(func(key metricKey, of *series.Metric) {
		if ended(of, now) || !matches(key.name, key.tags) {
			return
		}
		if points := of.Points(series.SlotOf(m.now)-(series.MaxPoints-1)*series.SlotLength, now); len(points) > 0 {
			all = append(all, Metric{key.name, key.kind, key.tags, points, now-of.Last >= replaceable})
		}
	})
	slices.SortFunc(all, func(a, b Metric) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Tags, b.Tags), cmp.Compare(a.Type, b.Type))
	})
	return all
}

// refusals returns why lines were refused, sorted by reason.
func (m *metrics) refusals() []Refusal {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := []Refusal{}
	for _, r := range m.refused {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Refusal) int { return cmp.Compare(a.Reason, b.Reason) })
	return all
}

// eventList returns the events, the latest first.
func (m *metrics) eventList() []StatsdEvent {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.events.latest()
}

// checkList returns the last result of each service check, sorted by name, host and
// tags.
func (m *metrics) checkList() []StatsdCheck {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := []StatsdCheck{}
	m.checks.all(func(_ checkKey, c StatsdCheck) { all = append(all, c) })
	slices.SortFunc(all, func(a, b StatsdCheck) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Host, b.Host), slices.Compare(a.Tags, b.Tags))
	})
	return all
}

func (m *metrics) usage(u *Usage) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	u.Metrics, u.MetricBytes = len(m.series.index), m.bytes()
	u.RefusedMetrics, u.MalformedPackets = m.unusable, m.malformed
}

// clear takes over the content of an empty keeper.
func (m *metrics) clear(to *metrics) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.series, m.members, m.events, m.checks, m.refused, m.now, m.malformed, m.unusable = to.series, to.members, to.events, to.checks, to.refused, to.now, to.malformed, to.unusable
}
