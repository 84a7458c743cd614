package query

import (
	"errors"
	"time"
)

// Downtime is a parsed downtime of version 2 of the API.
type Downtime struct {
	Key, ID  string
	Message  string
	Scope    string
	Timezone *time.Location
	// MonitorID or MonitorTags select monitors.
	MonitorID   string
	MonitorTags Tags
	Notes       []string
}

// Occurrence is a time in which a downtime mutes: [Start, End). The zero End means for
// ever.
type Occurrence struct{ Start, End time.Time }

// NewDowntime parses a downtime, as JSON after placeholders were replaced.
func NewDowntime(key, id string, body map[string]any) (*Downtime, error) {
	return nil, errors.New("not implemented yet")
}

// Active returns whether the downtime mutes at a time, and the occurrence. Occurrences
// that overlap or adjoin are joined.
func (d *Downtime) Active(now time.Time) (Occurrence, bool) { return Occurrence{}, false }

// Next returns at most n occurrences that end after now, the running one first, as the
// recurrences define them.
func (d *Downtime) Next(now time.Time, n int) []Occurrence { return nil }

// Mutes reports whether the downtime is for a group of a monitor.
func (d *Downtime) Mutes(m *Monitor, group Tags) bool { return false }
