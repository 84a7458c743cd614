package query

import (
	"errors"
	"time"
)

// Variable is the choice for a template variable of a dashboard.
type Variable struct {
	// Prefix is the tag's key. Without it, Values are whole tags.
	Prefix string
	// Values are joined with OR. None, or "*", means no filter.
	Values []string
}

// Variables are the template variables by name, without $.
type Variables map[string]Variable

// Request is one element of a widget's requests: its queries and formulas.
type Request struct{}

// ParseRequest parses a request of a widget, as JSON: its fields queries, formulas and
// sort. Queries may be of metrics, spans or logs.
func ParseRequest(body map[string]any, v Variables) (*Request, error) {
	return nil, errors.New("not implemented yet")
}

// Series evaluates a request with the response format timeseries. A step of 0 is
// [DefaultStep] for lines.
func (r *Request) Series(src Source, from, to time.Time, step time.Duration) Result {
	return Result{}
}

// Values evaluates a request with the response format scalar: each query is reduced to
// one number by its aggregator, then formulas are computed. Rows are in the order of the
// request's sort.
func (r *Request) Values(src Source, from, to time.Time) Table { return Table{} }

// DefaultStep returns the length of buckets that Datadog uses for a time frame.
func DefaultStep(frame time.Duration, bars bool) time.Duration { return 10 * time.Second }
