package query

import (
	"slices"
	"time"
)

// Result is lines over time. Bucket i is [Start + i×Step, Start + (i+1)×Step); buckets
// begin at multiples of Step since 1970. The first and the last one may reach beyond the
// range that was asked for: the last one is then incomplete.
type Result struct {
	Start, Step int64 // seconds
	Buckets     int
	Lines       []Line
	// Notes are the reasons for which Datadog might show something else.
	Notes []string
}

// Time returns the start of a bucket.
func (r *Result) Time(bucket int) time.Time {
	return time.Unix(r.Start+int64(bucket)*r.Step, 0).UTC()
}

// Line is one line of a result.
type Line struct {
	// Formula is the number of the formula in the request, Name its alias or text.
	Formula int
	Name    string
	// Group has the tags of the query's "by". A series without one of them has
	// key:N/A, as in Datadog's pages.
	Group Tags
	// Step is the length of the line's own buckets in seconds. With a rollup it may be
	// longer than the result's: values are then at the buckets in which its own begin.
	Step   int64
	Values []float64 // by bucket; NaN where there is no value
	// Lower and Upper are the edges of the band of anomalies, nil without it.
	Lower, Upper []float64
}

// Table is one number for each formula and group.
type Table struct {
	Columns []string // the formulas' aliases or texts
	Rows    []Row
	Notes   []string
}

// Row is one group of a table.
type Row struct {
	Group  Tags
	Values []float64 // by column; NaN where there is no value
}

// notes collects notes, each once.
type notes []string

func (n *notes) add(note string) {
	if note != "" && !slices.Contains(*n, note) {
		*n = append(*n, note)
	}
}
