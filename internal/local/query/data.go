package query

import (
	"iter"
	"slices"
	"strings"
	"time"
)

// Tags are sorted tags of the form key:value. A tag may lack the value.
type Tags []string

// NewTags returns the tags in order and without repetitions.
func NewTags(tags ...string) Tags {
	all := slices.Clone(tags)
	slices.Sort(all)
	return slices.Compact(all)
}

// Get returns the value of a tag, the first one if the key has several.
func (t Tags) Get(key string) (value string, ok bool) {
	for _, tag := range t {
		if k, v, _ := strings.Cut(tag, ":"); k == key {
			return v, true
		}
	}
	return "", false
}

// String returns the tags, separated by commas.
func (t Tags) String() string { return strings.Join(t, ",") }

// Kind is the type of a metric.
type Kind int

// The kinds. A value of a count is the sum in its interval, that of a rate the number per
// second. Distributions have sketches.
const (
	Gauge Kind = iota
	Count
	Rate
	Distribution
)

func (k Kind) String() string {
	return [...]string{"gauge", "count", "rate", "distribution"}[k]
}

// Point is one value of a series.
type Point struct {
	// Time is the start of the point's interval, in seconds since 1970.
	Time int64
	// Value is the mean of a gauge's samples, a count's sum, or a rate. It is not read for
	// distributions.
	Value float64
	// Samples is the number of values of a gauge that this point holds; 0 means one. Min
	// and Max are read if it is greater than one.
	Samples  int
	Min, Max float64
	// Sketch has the values of a distribution. It is never changed.
	Sketch *Sketch
}

// Series is a metric with one set of tags.
type Series struct {
	Metric string
	Tags   Tags
	Kind   Kind
	// Interval is the length of the points' intervals in seconds: 10 for an Agent's data.
	// A series with points of different lengths names the longest one.
	Interval int64
	Points   []Point // by time, the oldest first
}

// Status is the result of a service check, with Datadog's numbers.
type Status int

// The statuses of service checks.
const (
	CheckOK Status = iota
	CheckWarning
	CheckCritical
	CheckUnknown
)

// CheckResult is one run of a service check.
type CheckResult struct {
	Time    int64 // seconds since 1970
	Tags    Tags
	Status  Status
	Message string
}

// Event is a span or a log line.
type Event interface {
	// Time is the span's start, or when the line was written.
	Time() time.Time
	// Attribute returns a string, a float64 or a bool. Reserved names have no @: service,
	// env, resource_name, operation_name, status, trace_id. All others begin with it, such as
	// @http.route; @duration is in nanoseconds.
	Attribute(name string) (value any, ok bool)
	// Weight is the number of events that this one stands for, 1 if none was sampled out.
	Weight() float64
}

// Source is the recorded data. Its methods return the items that begin in [from, to), in
// an order that does not change between calls. Nothing that they return is changed.
type Source interface {
	// Series returns all series of a metric. The finest data that exists for the range is
	// best: a result has a note where points are longer than its buckets.
	Series(metric string, from, to time.Time) []Series
	// Checks returns the results of a service check, by time.
	Checks(name string, from, to time.Time) []CheckResult
	// Events returns spans or logs, which of both is the data source's name in definitions:
	// "spans" or "logs".
	Events(source string, from, to time.Time) iter.Seq[Event]
	// Since returns when the recording began. Earlier data is unknown, not missing.
	Since() time.Time
}
