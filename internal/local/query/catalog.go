package query

import "time"

// Document is one definition, after placeholders were replaced.
type Document struct {
	Kind string // monitor, slo, downtime or dashboard
	Key  string // from the name of the file
	// ID is what other definitions call it. Any text serves.
	ID   string
	Body map[string]any // numbers are json.Number or float64
}

// Catalog holds definitions that refer to each other.
type Catalog struct {
	Monitors  []*Monitor
	SLOs      []*SLO
	Downtimes []*Downtime
	// Refused are the errors of documents that are not evaluated, in the documents' order.
	Refused []error
	// HostIP returns the address of a host for messages; nil or "" if it is unknown.
	HostIP func(host string) string
}

// NewCatalog parses documents. It ignores dashboards. A document that cannot be parsed is in
// Refused.
func NewCatalog(documents []Document) *Catalog { return &Catalog{} }

// Evaluate evaluates all monitors at a time. Call it once a minute, with times that do
// not go back.
func (c *Catalog) Evaluate(src Source, now time.Time) []Transition { return nil }

// SaveState returns the states of all monitors as JSON, for [Catalog.RestoreState] after a
// restart.
func (c *Catalog) SaveState() []byte { return nil }

// RestoreState sets the states of monitors with the same key and query. It ignores others.
func (c *Catalog) RestoreState(saved []byte) error { return nil }
