package otlp

import (
	"hash/maphash"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"apmapp/internal/local/wire"
)

const (
	// window is the time for which metrics are kept. Points outside of it are refused.
	window = 30 * time.Minute
	// ahead is the time by which a client's clock may be ahead.
	ahead = 10 * time.Second
	// slot is the resolution of kept metrics.
	slot = 10 * time.Second
)

// The reasons for which data points are refused.
const (
	noName         = "no name"
	noData         = "no data"
	noTemporality  = "no aggregation temporality"
	notFinite      = "value is not finite"
	tooManyTags    = "too many attributes"
	outsideWindow  = "timestamp outside the last half hour"
	outOfOrder     = "timestamp not after the last one of the series"
	negative       = "negative increase of a monotonic sum"
	malformedPoint = "malformed histogram"
	tooManyBuckets = "too many buckets"
	tooManyStreams = "too many cumulative series"
)

// batch is the samples and refusals of one request.
type batch struct {
	now     time.Time
	streams *streams
	samples []wire.Sample
	refused refusals

	// Of the current metric:
	name     string
	resource []string // tags
	of       maphash.Hash
}

// decode returns metrics that are received at a time as samples:
//
//   - sums with delta temporality and cumulative monotonic sums as counts, spread
//     over the time in which they grew;
//   - other sums and gauges as gauges;
//   - histograms as distributions, at the time of arrival;
//   - summaries as the counts NAME.count and NAME.sum, and gauges NAME.quantile.
func (s *streams) decode(in pmetric.Metrics, now time.Time) ([]wire.Sample, refusals) {
	s.expire(now)
	b := &batch{now: now, streams: s, refused: refusals{}}
	for _, resource := range in.ResourceMetrics().All() {
		b.resource = resourceTags(resource.Resource().Attributes())
		// Two processes may differ only in attributes that are not tags. Their
		// cumulative sums grow independently.
		var identity maphash.Hash
		identity.SetSeed(s.seed)
		hashAttributes(&identity, resource.Resource().Attributes())
		for _, scope := range resource.ScopeMetrics().All() {
			for _, metric := range scope.Metrics().All() {
				b.of = maphash.Hash{}
				b.of.SetSeed(s.seed)
				hashText(&b.of, scope.Scope().Name(), scope.Scope().Version(), metric.Name())
				b.of.Write(identity.Sum(nil))
				b.add(metric)
			}
		}
	}
	return b.samples, b.refused
}

func hashText(h *maphash.Hash, texts ...string) {
	for _, t := range texts {
		h.WriteString(t)
		h.WriteByte(0)
	}
}

func hashAttributes(h *maphash.Hash, attributes pcommon.Map) {
	for _, a := range sorted(attributes) {
		hashText(h, a.key, a.value.Type().String(), a.value.AsString())
	}
}

// stream returns the key of a cumulative series. A process that starts again, or a
// second one, has another start time and so another key. Part tells series of one
// point apart.
func (b *batch) stream(p dataPoint, part string) uint64 {
	of := maphash.Hash{}
	of.SetSeed(b.streams.seed)
	of.Write(b.of.Sum(nil))
	hashText(&of, part, strconv.FormatUint(uint64(p.StartTimestamp()), 10))
	hashAttributes(&of, p.Attributes())
	return of.Sum64()
}

func (b *batch) add(m pmetric.Metric) {
	b.name = valid(m.Name())
	if b.name == "" || strings.ContainsFunc(b.name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		b.refused[noName] += max(points(m), 1)
		return
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			b.point(p, p.Flags(), func(tags []string, at time.Time) string { return b.gauge(b.name, tags, at, number(p)) })
		}
	case pmetric.MetricTypeSum:
		b.sum(m.Sum())
	case pmetric.MetricTypeHistogram:
		h := m.Histogram()
		for _, p := range h.DataPoints().All() {
			b.point(p, p.Flags(), func(tags []string, at time.Time) string {
				return b.histogram(tags, p, at, h.AggregationTemporality(), explicit(p))
			})
		}
	case pmetric.MetricTypeExponentialHistogram:
		h := m.ExponentialHistogram()
		for _, p := range h.DataPoints().All() {
			b.point(p, p.Flags(), func(tags []string, at time.Time) string {
				return b.histogram(tags, p, at, h.AggregationTemporality(), exponential(p))
			})
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			b.point(p, p.Flags(), func(tags []string, at time.Time) string { return b.summary(p, tags, at) })
		}
	default:
		b.refused[noData]++
	}
}

func points(m pmetric.Metric) int {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		return m.Gauge().DataPoints().Len()
	case pmetric.MetricTypeSum:
		return m.Sum().DataPoints().Len()
	case pmetric.MetricTypeHistogram:
		return m.Histogram().DataPoints().Len()
	case pmetric.MetricTypeExponentialHistogram:
		return m.ExponentialHistogram().DataPoints().Len()
	case pmetric.MetricTypeSummary:
		return m.Summary().DataPoints().Len()
	}
	return 0
}

// dataPoint is what data points of all types have.
type dataPoint interface {
	Attributes() pcommon.Map
	StartTimestamp() pcommon.Timestamp
	Timestamp() pcommon.Timestamp
}

// point adds a data point and counts it if it is refused. A point without a recorded
// value only says that a series has ended.
func (b *batch) point(p dataPoint, flags pmetric.DataPointFlags, add func(tags []string, at time.Time) (refused string)) {
	if flags.NoRecordedValue() {
		return
	}
	tags, ok := pointTags(b.resource, p.Attributes())
	at, known := timeOf(p.Timestamp())
	reason := ""
	switch {
	case !ok:
		reason = tooManyTags
	case p.Timestamp() == 0:
		reason = add(tags, b.now)
	case !known || !at.After(b.oldest()) || at.After(b.now.Add(ahead)):
		reason = outsideWindow
	default:
		reason = add(tags, at)
	}
	if reason != "" {
		b.refused[reason]++
	}
}

// oldest returns the beginning of the oldest slot that is kept.
func (b *batch) oldest() time.Time { return b.now.Truncate(slot).Add(slot - window) }

// number returns the value of a point, NaN if it has none.
func number(p pmetric.NumberDataPoint) float64 {
	switch p.ValueType() {
	case pmetric.NumberDataPointValueTypeInt:
		return float64(p.IntValue())
	case pmetric.NumberDataPointValueTypeDouble:
		return p.DoubleValue()
	}
	return math.NaN()
}

func (b *batch) gauge(name string, tags []string, at time.Time, value float64) string {
	if !finite(value) {
		return notFinite
	}
	b.sample(wire.Sample{Name: name, Type: wire.Gauge, Values: []float64{value}, Tags: tags, Time: at.Unix()})
	return ""
}

func (b *batch) sample(s wire.Sample) {
	if s.Weight == 0 {
		s.Weight = 1
	}
	b.samples = append(b.samples, s)
}

func (b *batch) sum(s pmetric.Sum) {
	for _, p := range s.DataPoints().All() {
		b.point(p, p.Flags(), func(tags []string, at time.Time) string {
			value := number(p)
			switch temporality := s.AggregationTemporality(); {
			case !finite(value):
				return notFinite
			case temporality == pmetric.AggregationTemporalityDelta:
				if value < 0 && s.IsMonotonic() {
					return negative
				}
				from, _ := timeOf(p.StartTimestamp())
				b.count(b.name, tags, from, at, value)
				return ""
			case temporality != pmetric.AggregationTemporalityCumulative:
				return noTemporality
			case !s.IsMonotonic():
				return b.gauge(b.name, tags, at, value)
			}
			return b.increase(b.name, tags, p, at, value, "")
		})
	}
}

// increase counts how much a cumulative sum has grown.
func (b *batch) increase(name string, tags []string, p dataPoint, at time.Time, value float64, part string) string {
	if !finite(value) {
		return notFinite
	}
	if value < 0 {
		return negative
	}
	s, known, reason := b.streams.next(b.stream(p, part), p.StartTimestamp(), at, b.now)
	if reason != "" {
		return reason
	}
	before := s.value
	if s.value = value; value < before { // it began again and kept its start time
		before = 0
	}
	if known {
		b.count(name, tags, s.from, at, value-before)
	}
	return ""
}

// count adds a count that grew from one time to another. It spreads the count evenly
// over the slots between them: SDKs export every minute, and the whole in one slot of
// ten seconds would be six times the rate. It leaves out the part that is not kept.
func (b *batch) count(name string, tags []string, from, to time.Time, value float64) {
	add := func(at time.Time, part float64) {
		b.sample(wire.Sample{Name: name, Type: wire.Count, Values: []float64{part}, Tags: tags, Time: at.Unix()})
	}
	length := to.Sub(from)
	if from.Unix() <= 0 || length <= 0 {
		add(to, value)
		return
	}
	// The slot that the last nanosecond is in.
	end := to.Add(-1).Truncate(slot)
	for at := end; !at.Add(slot).Before(from) && !at.Before(b.oldest()); at = at.Add(-slot) {
		begin, stop := at, at.Add(slot)
		if begin.Before(from) {
			begin = from
		}
		if stop.After(to) {
			stop = to
		}
		if part := stop.Sub(begin); part > 0 {
			add(at, value*(float64(part)/float64(length)))
		}
	}
}

// summary adds a summary, as Prometheus has it.
func (b *batch) summary(p pmetric.SummaryDataPoint, tags []string, at time.Time) string {
	switch {
	case !finite(p.Sum()):
		return notFinite
	case p.Sum() < 0:
		return negative
	}
	for _, q := range p.QuantileValues().All() {
		if !finite(q.Quantile()) || !finite(q.Value()) && p.Count() > 0 {
			return notFinite
		}
	}
	if reason := b.increase(b.name+".count", tags, p, at, float64(p.Count()), "count"); reason != "" {
		return reason
	}
	if reason := b.increase(b.name+".sum", tags, p, at, p.Sum(), "sum"); reason != "" {
		return reason
	}
	for _, q := range p.QuantileValues().All() {
		if finite(q.Value()) { // an empty summary has NaN
			of := append(slices.Clip(tags), "quantile:"+strconv.FormatFloat(q.Quantile(), 'g', -1, 64))
			slices.Sort(of)
			_ = b.gauge(b.name+".quantile", of, at, q.Value())
		}
	}
	return ""
}
