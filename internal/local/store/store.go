package store

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"

	"apmapp/internal/local/span"
	"apmapp/internal/local/wire"
)

// Store keeps received telemetry within a memory budget. The oldest is evicted
// first; traces with an error and the slowest of each resource are kept longest. It
// is safe for concurrent use.
type Store struct {
	budget     int64
	traces     *traces
	statistics *statistics
	failures   *failures
	logs       *logs
	profiles   *profiles
	metrics    *metrics
	history    *history
	changes    changes
	// replayed is the time of a recording in nanoseconds since 1970; 0 is the present.
	replayed atomic.Int64
}

// The shares of the budget. Traces have the largest: they are used most. A profile of
// one minute of a small service has some 50 KB.
const (
	traceShare     = 0.44
	logShare       = 0.15
	profileShare   = 0.16
	statisticShare = 0.10
	failureShare   = 0.02
	metricShare    = 0.05
	historyShare   = 0.08
)

// MinBudget is the smallest budget of a store, in bytes.
const MinBudget = 8 * mega

const mega = 1_000_000

// Budget converts a budget in MB to bytes. The error of one that is too small or too
// large follows the name of a flag.
func Budget(mb uint) (int64, error) {
	const least, most = MinBudget / mega, math.MaxInt64 / mega
	if mb < least {
		return 0, fmt.Errorf("must be at least %d MB, got %d", least, mb)
	}
	if uint64(mb) > most {
		return 0, fmt.Errorf("must be at most %d MB, got %d", uint64(most), mb)
	}
	return int64(mb) * mega, nil
}

// New returns a store with a budget in bytes, at least MinBudget.
func New(budget int64) *Store {
	budget = max(budget, MinBudget)
	share := func(of float64) int64 { return int64(of * float64(budget)) }
	return &Store{
		budget:     budget,
		traces:     newTraces(share(traceShare)),
		statistics: newStatistics(share(statisticShare)),
		failures:   newFailures(share(failureShare)),
		logs:       newLogs(share(logShare)),
		profiles:   newProfiles(share(profileShare)),
		metrics:    newMetrics(share(metricShare)),
		history:    newHistory(share(historyShare)),
	}
}

// Clear forgets everything that was received.
func (s *Store) Clear() {
	empty := New(s.budget)
	s.traces.clear(empty.traces)
	s.statistics.clear(empty.statistics)
	s.failures.clear(empty.failures)
	s.logs.clear(empty.logs)
	s.profiles.clear(empty.profiles)
	s.metrics.clear(empty.metrics)
	s.Live()
	s.history.clear(empty.history, s.Now().Unix())
	s.changes.notify(All)
}

// Now returns the time of the store: the present, or the time of a recording that is
// replayed.
func (s *Store) Now() time.Time {
	if at, is := s.Recording(); is {
		return at
	}
	return time.Now()
}

// Replay sets the time to one of a recording. It stays there until Live is called.
func (s *Store) Replay(at time.Time) { s.replayed.Store(at.UnixNano()) }

// Recording returns the time of a recording that is replayed; false without a recording.
func (s *Store) Recording() (time.Time, bool) {
	at := s.replayed.Load()
	return time.Unix(0, at), at != 0
}

// Live sets the time to the present. Whatever arrives now calls it.
func (s *Store) Live() {
	if s.replayed.Load() != 0 {
		s.replayed.Store(0)
	}
}

// AddSpans stores a chunk of a trace and counts its spans.
func (s *Store) AddSpans(c span.Chunk) {
	if len(c.Spans) == 0 {
		return
	}
	added, now := s.traces.add(c), s.Now()
	s.statistics.addSpans(added, now)
	s.failures.add(added.traceID, added.failed, now)
	s.changes.notify(Traces | Statistics)
}

// AddStatistics counts the statistics of spans that the Agent would send to Datadog.
func (s *Store) AddStatistics(p *pb.StatsPayload) {
	now := s.Now()
	s.statistics.addStatistics(p, now)
	s.history.addStatistics(p, now)
	s.changes.notify(Statistics)
}

// AddLog stores a log line.
func (s *Store) AddLog(l wire.Log) {
	s.logs.add(&l)
	s.changes.notify(Logs)
}

// AddProfiles stores the profiles of an upload. It counts other files by extension.
func (s *Store) AddProfiles(u wire.Upload) {
	s.profiles.add(u)
	s.changes.notify(Profiles)
}

// AddPacket stores a DogStatsD datagram and counts the lines that are refused.
func (s *Store) AddPacket(packet string) { s.AddDatagram(wire.DecodeDatagram(packet)) }

// AddDatagram stores metrics, events and service checks, and counts refused lines.
func (s *Store) AddDatagram(d wire.Datagram) {
	now := s.Now()
	s.metrics.add(d, now)
	s.history.addDatagram(d, now)
	s.changes.notify(Metrics)
}

// Trace returns a trace by its ID: 32 hex digits, or the lower half in 16 hex digits
// or in decimal, as in logs.
func (s *Store) Trace(id string) (Trace, bool) { return s.traces.trace(id) }

// Traces returns the matching traces, the latest first, at most f.Limit, and the
// number of all that match.
func (s *Store) Traces(f Filter) (listed []Summary, matching int) { return s.traces.search(f) }

// TracesBetween returns the traces that begin in [from, to), the oldest first, and how many
// traces each represents.
func (s *Store) TracesBetween(from, to time.Time) iter.Seq2[Trace, float64] {
	return s.traces.between(from, to)
}

// LogLines returns all log lines, the latest first. They must not be changed.
func (s *Store) LogLines() []*wire.Log { return s.logs.latest() }

// Services returns all services, sorted by name.
func (s *Store) Services() []Service { return s.statistics.services(s.Now()) }

// ServiceNames returns the names of all services of spans, sorted.
func (s *Store) ServiceNames() []string {
	names := append(s.statistics.serviceNames(), s.traces.serviceNames()...)
	slices.Sort(names)
	return slices.Compact(names)
}

// Resources returns the resources of a service, or of all services for "": those of
// primary operations first, and then by hits, most first.
func (s *Store) Resources(service string) []Resource {
	return s.statistics.resourcesOf(service, s.Now())
}

// Failures returns the errors of a service, or of all services for "", in groups, the
// latest first.
func (s *Store) Failures(service string) []Failure { return s.failures.list(service, s.Now()) }

// Calls returns which service calls which, sorted by caller and callee.
func (s *Store) Calls() []Call { return s.statistics.callList(s.Now()) }

// Logs returns the matching lines, the latest first, at most f.Limit, and the number
// of all that match.
func (s *Store) Logs(f LogFilter) (listed []wire.Log, matching int) { return s.logs.search(f) }

// Log returns the log line with an ID, and at most some lines of its service before and
// after it; false if it does not exist, or was evicted.
func (s *Store) Log(id int64, around int) (line wire.Log, before, after []wire.Log, found bool) {
	return s.logs.around(id, around, func(line, other *wire.Log) bool { return line.Service == other.Service })
}

// Profiles returns the profiles of a service and a kind ("" matches all), the latest
// first.
func (s *Store) Profiles(service, kind string) []wire.Profile { return s.profiles.list(service, kind) }

// Profile returns a profile; false if it does not exist, or was evicted.
func (s *Store) Profile(id int64) (wire.Profile, bool) { return s.profiles.profile(id) }

// LeftOut returns the numbers of uploaded files that are not pprof profiles, by
// extension.
func (s *Store) LeftOut() map[string]int { return s.profiles.otherFiles() }

// Metrics returns the metrics whose names contain a text, sorted by name and tags.
func (s *Store) Metrics(text string) []Metric {
	return s.MetricsWhere(func(name, _ string) bool { return strings.Contains(name, text) })
}

// MetricsWhere returns the series whose names and tags match, sorted by name and tags. Tags
// are separated by commas.
func (s *Store) MetricsWhere(matches func(name, tags string) bool) []Metric {
	return s.metrics.list(matches, s.Now().Unix())
}

// RefusedMetrics returns why lines of DogStatsD were refused, sorted by reason.
func (s *Store) RefusedMetrics() []Refusal { return s.metrics.refusals() }

// StatsdEvents returns the events that arrived over DogStatsD, the latest first.
func (s *Store) StatsdEvents() []StatsdEvent { return s.metrics.eventList() }

// StatsdChecks returns the last result of each service check, sorted by name, host and
// tags.
func (s *Store) StatsdChecks() []StatsdCheck { return s.metrics.checkList() }

// KeepHistory keeps metrics and service checks for six hours, and those of slices for 30
// days too, in intervals of five minutes with the tags env, service and version. Host is
// what the Agent would add to them.
func (s *Store) KeepHistory(wanted, slices []string, host Host) {
	s.history.keep(wanted, slices, host, s.Now().Unix())
}

// Past returns the series of a metric that is kept for hours, with the intervals that
// begin in [from, to), sorted by tags.
func (s *Store) Past(metric string, from, to time.Time) []Past {
	return s.history.past(metric, from.Unix(), to.Unix(), s.Now().Unix())
}

// PastTags returns the tags of the series of a metric that is kept for hours.
func (s *Store) PastTags(metric string) [][]string { return s.history.tags(metric) }

// PastSince returns the time from which on Past has everything.
func (s *Store) PastSince() time.Time { return time.Unix(s.history.first(), 0) }

// Changed notifies the watchers of a kind.
func (s *Store) Changed(kinds Kind) { s.changes.notify(kinds) }

// PastChecks returns the latest results of a service check that is kept, by its tags, each
// the oldest first.
func (s *Store) PastChecks(name string) [][]StatsdCheck { return s.history.results(name) }

// Usage is what a store holds: numbers of items, and sizes in bytes.
type Usage struct {
	Budget        int64 `json:"budget"`
	Traces        int   `json:"traces"`
	TraceBytes    int64 `json:"trace_bytes"`
	EvictedTraces int64 `json:"evicted_traces"`
	Logs          int   `json:"logs"`
	LogBytes      int64 `json:"log_bytes"`
	EvictedLogs   int64 `json:"evicted_logs"`
	Profiles      int   `json:"profiles"`
	ProfileBytes  int64 `json:"profile_bytes"`
	Metrics       int   `json:"metrics"`
	MetricBytes   int64 `json:"metric_bytes"`
	// History are the series that are kept for hours. HistoryFrom is the time before which
	// some were evicted; nil before the first eviction. RefusedHistory are values of further
	// series.
	History        int        `json:"history"`
	HistoryBytes   int64      `json:"history_bytes"`
	HistoryFrom    *time.Time `json:"history_from,omitempty"`
	RefusedHistory int        `json:"refused_history"`
	Resources      int        `json:"resources"`
	ServiceBytes   int64      `json:"service_bytes"`
	// RefusedMetrics are well-formed samples, MalformedPackets malformed lines.
	RefusedMetrics   int `json:"refused_metrics"`
	MalformedPackets int `json:"malformed_packets"`
	// NotFinite are numbers of spans that were NaN or infinite, RefusedStatistics
	// groups of statistics with numbers that no service has, or with durations that
	// cannot be read.
	NotFinite         int `json:"not_finite"`
	RefusedStatistics int `json:"refused_statistics"`
	// DuplicateSpans arrived before, LateSpans ended too long ago or in the future to be
	// counted.
	DuplicateSpans int `json:"duplicate_spans"`
	LateSpans      int `json:"late_spans"`
}

// Usage returns what the store holds.
func (s *Store) Usage() Usage {
	u := Usage{Budget: s.budget}
	s.traces.usage(&u)
	s.statistics.usage(&u)
	s.logs.usage(&u)
	s.profiles.usage(&u)
	s.metrics.usage(&u)
	s.history.usage(&u)
	return u
}

// Watch watches for changes of some kinds. The caller must call Stop.
func (s *Store) Watch(kinds Kind) *Watcher { return s.changes.watch(kinds) }
