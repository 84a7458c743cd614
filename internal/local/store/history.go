package store

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "github.com/DataDog/datadog-agent/pkg/proto/pbgo/trace"
	"github.com/DataDog/datadog-agent/pkg/trace/traceutil/normalize"

	"apmapp/internal/local/series"
	"apmapp/internal/local/wire"
)

// Host is what the Agent adds to metrics: the tag host unless they have one, and the tags
// of the host, such as env.
type Host struct {
	Name string
	Tags []string
}

// tagged returns the tags of a metric with those of the host, sorted. A tag of the metric
// replaces one of the host with the same key.
func (h Host) tagged(tags []string) []string {
	all := slices.Clone(tags)
	if h.Name != "" && !wire.HasTag(tags, "host") {
		all = append(all, "host:"+h.Name)
	}
	for _, t := range h.Tags {
		if key, _, _ := strings.Cut(t, ":"); key != "env" || !wire.HasTag(tags, "env") {
			all = append(all, t)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Limits against hostile names.
const (
	maxPast    = 2000 // series
	maxResults = 100  // of a service check: monitors read at most as many
)

// history has the metrics that dashboards, monitors and SLOs read, for hours: those of
// DogStatsD and the trace metrics, which Datadog makes of the statistics of spans. It keeps
// only metrics that were asked for.
// https://docs.datadoghq.com/tracing/metrics/metrics_namespace/
type history struct {
	mu     sync.RWMutex
	budget int64
	// wanted are the metrics that are kept, slices those that are kept for 30 days too.
	wanted, slices map[string]bool
	host           Host
	series         map[pastKey]*series.History
	checks         map[checkKey][]StatsdCheck // the oldest first
	used           int64
	refused        int // values of series beyond maxPast
	// now is the start of the newest slot, in seconds since 1970. Cells before forgotten
	// were evicted, 0 before the first eviction. since is when the keeper began.
	now, forgotten, since int64
}

type pastKey struct {
	name, tags string
	kind       MetricKind
	// slices has 30 days, with the tags env, service and version only.
	slices bool
}

// levels returns the lengths of the cells of a series.
func (k pastKey) levels() series.Levels {
	switch {
	case k.slices:
		return series.SliceLevels
	case k.kind == DistributionMetric:
		return series.DistributionLevels
	}
	return series.NumberLevels
}

func newHistory(budget int64) *history {
	return &history{budget: budget, series: map[pastKey]*series.History{}, checks: map[checkKey][]StatsdCheck{}}
}

// MetricKind is the type of a metric in Datadog.
type MetricKind string

// The types of metrics.
const (
	CountMetric        MetricKind = "count"
	GaugeMetric        MetricKind = "gauge"
	DistributionMetric MetricKind = "distribution"
)

// Past is a metric with one set of tags over hours.
type Past struct {
	Tags  []string // sorted, with those of the host
	Kind  MetricKind
	Cells []series.Cell // the oldest first
}

// keep sets what is kept.
func (h *history) keep(wanted, slices []string, host Host, now int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.host, h.wanted, h.slices, h.since = host, map[string]bool{}, map[string]bool{}, now
	for _, name := range wanted {
		h.wanted[name] = true
		if base, _, is := aggregateOf(name); is {
			h.wanted[base] = true
		}
	}
	for _, name := range slices {
		h.wanted[name], h.slices[name] = true, true
	}
}

// aggregates are the metrics that the Agent makes of a histogram or timer.
// https://docs.datadoghq.com/metrics/types/?tab=histogram
var aggregates = map[string]func(series.Cell) float64{
	"avg":          func(c series.Cell) float64 { return c.Sum / c.Count },
	"count":        func(c series.Cell) float64 { return c.Count },
	"median":       func(c series.Cell) float64 { return c.Values.Value(0.5) },
	"95percentile": func(c series.Cell) float64 { return c.Values.Value(0.95) },
	"max":          func(c series.Cell) float64 { return c.Values.Value(1) },
}

func aggregateOf(name string) (base string, of func(series.Cell) float64, is bool) {
	i := strings.LastIndexByte(name, '.')
	if i < 0 {
		return "", nil, false
	}
	of, is = aggregates[name[i+1:]]
	return name[:i], of, is
}

// addDatagram adds the samples and service checks that are wanted.
func (h *history) addDatagram(d wire.Datagram, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wanted == nil {
		return
	}
	h.advance(now.Unix())
	for _, s := range d.Samples {
		if h.wanted[s.Name] && s.Type != wire.Set {
			h.addSample(s, now.Unix())
		}
	}
	for _, c := range d.Checks {
		if h.wanted[c.Name] {
			h.addCheck(c, now)
		}
	}
	h.evict()
}

func (h *history) addSample(s wire.Sample, now int64) {
	at := cmp.Or(s.Time, now)
	kind, change := DistributionMetric, func(c *series.Cell) {
		for _, v := range s.Values {
			c.AddValue(v, s.Weight)
		}
	}
	switch s.Type {
	case wire.Count:
		kind, change = CountMetric, func(c *series.Cell) {
			for _, v := range s.Values {
				c.Merge(series.One(v))
			}
		}
	case wire.Gauge:
		kind, change = GaugeMetric, func(c *series.Cell) {
			for _, v := range s.Values {
				c.Set(v)
			}
		}
	}
	h.change(pastKey{name: s.Name, tags: strings.Join(s.Tags, ","), kind: kind}, at, now, change)
	if h.slices[s.Name] {
		reduced := slices.DeleteFunc(slices.Clone(s.Tags), func(t string) bool { return !ofService(t) })
		h.change(pastKey{s.Name, strings.Join(reduced, ","), kind, true}, at, now, change)
	}
}

// ofService reports whether a tag is one that SLOs usually select by.
func ofService(tag string) bool {
	key, _, _ := strings.Cut(tag, ":")
	return key == "env" || key == "service" || key == "version"
}

// change changes the cell of a series at a time.
func (h *history) change(key pastKey, at, now int64, change func(*series.Cell)) {
	of := h.series[key]
	if of == nil {
		if len(h.series) >= maxPast {
			h.refused++
			return
		}
		// The texts may share the memory of a datagram.
		key.name, key.tags = strings.Clone(key.name), strings.Clone(key.tags)
		of = series.NewHistory(key.levels())
		h.series[key] = of
	}
	before := of.Size()
	of.Add(at, now, change)
	h.used += of.Size() - before
}

func (h *history) addCheck(c wire.Check, now time.Time) {
	at := now
	if c.Time != 0 {
		at = atSeconds(c.Time, now)
	}
	c.Name, c.Host, c.Message, c.Tags = strings.Clone(c.Name), strings.Clone(cmp.Or(c.Host, h.host.Name)), strings.Clone(c.Message), cloned(c.Tags)
	key := checkKey{c.Name, c.Host, strings.Join(c.Tags, ",")}
	if _, known := h.checks[key]; !known && len(h.checks) >= maxPast {
		return
	}
	all := append(h.checks[key], StatsdCheck{at, c})
	h.checks[key] = all[max(len(all)-maxResults, 0):]
}

// addStatistics adds the trace metrics that are wanted.
func (h *history) addStatistics(p *pb.StatsPayload, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wanted == nil {
		return
	}
	h.advance(now.Unix())
	for _, client := range p.Stats {
		for _, in := range client.Stats {
			for _, g := range in.Stats {
				if g.Hits <= series.MaxHits && g.Errors <= g.Hits {
					h.addGroup(client, g, time.Unix(0, int64(in.Start)), now)
				}
			}
		}
	}
	h.evict()
}

// ApdexThreshold is T of Apdex. Datadog's is a setting of the service; this is its default.
// https://docs.datadoghq.com/tracing/guide/configure_an_apdex_for_your_traces_with_datadog_apm/
const ApdexThreshold = 500 * time.Millisecond

func (h *history) addGroup(client *pb.ClientStatsPayload, g *pb.ClientGroupedStats, start, now time.Time) {
	metric := "trace." + g.Name
	if !h.wanted[metric] && !h.wanted[metric+".hits"] && !h.wanted[metric+".errors"] && !h.wanted[metric+apdexSuffix] {
		return // most operations; tags cost the most
	}
	var tags []string
	add := func(key, value string) {
		if value = normalize.NormalizeTagValue(value); value != "" {
			tags = append(tags, key+":"+value)
		}
	}
	change := func(name string, kind MetricKind, slices bool, change func(*series.Cell)) {
		h.change(pastKey{name, strings.Join(tags, ","), kind, slices}, start.Unix(), now.Unix(), change)
	}
	hits := func(c *series.Cell) { c.Merge(series.One(float64(g.Hits))) }
	errors := func(c *series.Cell) { c.Merge(series.One(float64(g.Errors))) }
	durations := func(c *series.Cell) {
		_ = c.AddEncoded(g.OkSummary) && c.AddEncoded(g.ErrorSummary) // the statistics count what is malformed
	}
	counted := func(slices bool) {
		if of := metric + ".hits"; h.wanted[of] && (!slices || h.slices[of]) {
			change(of, CountMetric, slices, hits)
		}
		if of := metric + ".errors"; h.wanted[of] && (!slices || h.slices[of]) && g.Errors > 0 {
			change(of, CountMetric, slices, errors)
		}
	}

	add("env", client.Env)
	add("service", g.Service)
	add("version", client.Version)
	counted(true)
	if h.slices[metric] {
		change(metric, DistributionMetric, true, durations)
	}
	if apdex := metric + apdexSuffix; h.wanted[apdex] {
		// The mean of the cells' values is then the Apdex of any interval.
		change(apdex, GaugeMetric, false, func(c *series.Cell) {
			good, all := satisfied(g)
			c.Merge(series.Cell{Sum: good, Count: all, Max: 1})
		})
	}
	add("resource", g.Resource)
	add("resource_name", g.Resource)
	if h.wanted[metric] {
		change(metric, DistributionMetric, false, durations)
	}
	if g.HTTPStatusCode != 0 {
		add("http.status_code", strconv.Itoa(int(g.HTTPStatusCode)))
	}
	counted(false)
}

const apdexSuffix = ".apdex"

// satisfied returns the number of requests that count for Apdex, and that of all. Requests
// up to four times the threshold count half. Errors do not count.
// https://docs.datadoghq.com/tracing/guide/configure_an_apdex_for_your_traces_with_datadog_apm/
func satisfied(g *pb.ClientGroupedStats) (good, all float64) {
	ok := series.NewDistribution()
	if !ok.Decode(g.OkSummary) {
		return 0, 0
	}
	quick, fair := ok.CountUpTo(float64(ApdexThreshold)), ok.CountUpTo(4*float64(ApdexThreshold))
	return (quick + fair) / 2, float64(g.Hits)
}

// advance moves cells as time goes on and removes empty series, once per slot.
func (h *history) advance(now int64) {
	if slot := series.SlotOf(now); slot > h.now {
		h.now = slot
		for key, of := range h.series {
			before := of.Size()
			of.Advance(now)
			h.used += of.Size() - before
			if of.Size() == 0 {
				delete(h.series, key)
			}
		}
		for key, results := range h.checks {
			if now-results[len(results)-1].At.Unix() > series.HistoryLength {
				delete(h.checks, key)
			}
		}
	}
}

// evict forgets the oldest cells until a tenth of the budget is free.
func (h *history) evict() {
	if h.used <= h.budget {
		return
	}
	for h.used > h.budget*9/10 {
		first := int64(-1)
		for _, of := range h.series {
			if at, is := of.First(); is && (first < 0 || at < first) {
				first = at
			}
		}
		if first < 0 {
			return
		}
		const step = 300
		h.forgotten = first + step
		for _, of := range h.series {
			before := of.Size()
			of.Forget(h.forgotten)
			h.used += of.Size() - before
		}
	}
}

// past returns the series of a metric with cells that begin in [from, to), in seconds since
// 1970, sorted by tags. If from is older than what series keep, those of 30 days are
// returned, if there are any.
func (h *history) past(name string, from, to, now int64) []Past {
	h.mu.RLock()
	defer h.mu.RUnlock()
	old := h.slices[name] && from < now-series.HistoryLength
	_, value, _ := aggregateOf(name)
	var all []Past
	for _, key := range h.keys(name) {
		p := Past{Kind: key.kind}
		switch {
		case key.name == name && key.slices == old:
			p.Cells = slices.Collect(h.series[key].Between(from, to))
			for i := range p.Cells { // the caller reads them without the lock
				p.Cells[i].Values = p.Cells[i].Values.Clone()
			}
		case key.name != name && key.kind == DistributionMetric:
			p.Kind = GaugeMetric
			for c := range h.series[key].Between(from, to) {
				one := series.One(value(c))
				one.Start, one.Length = c.Start, c.Length
				p.Cells = append(p.Cells, one)
			}
		}
		if len(p.Cells) > 0 {
			p.Tags = h.tagsOf(key)
			all = append(all, p)
		}
	}
	return all
}

// keys returns the keys of the series that a metric is read from, sorted: its own, and the ones
// of the histogram that it is an aggregate of.
func (h *history) keys(name string) (all []pastKey) {
	base, _, aggregate := aggregateOf(name)
	for key := range h.series {
		if key.name == name || aggregate && key.name == base {
			all = append(all, key)
		}
	}
	slices.SortFunc(all, comparePast)
	return all
}

// tagsOf returns the tags of a series, with those of the host.
func (h *history) tagsOf(key pastKey) []string {
	return h.host.tagged(strings.FieldsFunc(key.tags, func(r rune) bool { return r == ',' }))
}

// tags returns the tags of the series of a metric, sorted.
func (h *history) tags(name string) (all [][]string) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, key := range h.keys(name) {
		all = append(all, h.tagsOf(key))
	}
	return all
}

func comparePast(a, b pastKey) int {
	return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.tags, b.tags), cmp.Compare(a.kind, b.kind))
}

// results returns the latest results of a service check, by series, each the oldest first.
func (h *history) results(name string) [][]StatsdCheck {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var all [][]StatsdCheck
	for key, results := range h.checks {
		if key.name != name {
			continue
		}
		of := slices.Clone(results)
		for i := range of {
			of[i].Tags = h.host.tagged(append(slices.Clone(of[i].Tags), "host:"+of[i].Host))
		}
		all = append(all, of)
	}
	slices.SortFunc(all, func(a, b []StatsdCheck) int { return slices.Compare(a[0].Tags, b[0].Tags) })
	return all
}

// first returns the time from which on nothing is missing, in seconds since 1970. A recording
// is older than the keeper.
func (h *history) first() int64 {
	h.mu.RLock()
	defer h.mu.RUnlock()
	first := h.since
	for key, of := range h.series {
		if at, is := of.First(); is && !key.slices { // five minutes begin before their data
			first = min(first, at)
		}
	}
	return max(first, h.forgotten)
}

func (h *history) usage(u *Usage) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	u.History, u.HistoryBytes, u.RefusedHistory = len(h.series), h.used, h.refused
	if h.forgotten != 0 {
		from := time.Unix(h.forgotten, 0)
		u.HistoryFrom = &from
	}
}

// clear takes over the content of an empty keeper, except for what is wanted.
func (h *history) clear(to *history, now int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.series, h.checks, h.used, h.refused, h.now, h.forgotten, h.since = to.series, to.checks, to.used, to.refused, to.now, to.forgotten, now
}
