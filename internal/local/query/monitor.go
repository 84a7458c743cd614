package query

import (
	"errors"
	"time"
)

// State is the state of a monitor or of one of its groups. The worst has the greatest number.
type State int

// The states. A group without any data so far is Waiting, not NoData.
const (
	Waiting State = iota
	OK
	Unknown // of service checks
	NoData
	Warn
	Alert
)

func (s State) String() string {
	return [...]string{"waiting for first data", "OK", "Unknown", "No Data", "Warn", "Alert"}[s]
}

// Monitor is a parsed monitor with its state.
type Monitor struct {
	Key, ID  string
	Name     string // a template
	Type     string
	Query    string
	Message  string // a template
	Priority string // P1 to P5, empty without one
	Tags     Tags
	Options  Options
	// Notes are the reasons for which Datadog's states may differ. A monitor that cannot be
	// evaluated has [Monitor.Unevaluated].
	Notes []string
	// Unevaluated is the reason for which this monitor is never evaluated, empty for others.
	// Its state stays Waiting.
	Unevaluated string
}

// Options are a monitor's options. Pointers are nil for absent thresholds.
type Options struct {
	Critical, Warning                 *float64
	CriticalRecovery, WarningRecovery *float64
	OK, Unknown                       *float64 // of service checks
	RequireFullWindow                 bool
	NotifyNoData                      bool
	NoDataTimeframe                   time.Duration
	OnMissingData                     string
	NewGroupDelay                     time.Duration
	Timeout                           time.Duration // timeout_h
	EvaluationDelay                   time.Duration
	IncludeTags                       bool
}

// Group is the state of one group of a monitor.
type Group struct {
	Tags  Tags // nil for a monitor without groups
	State State
	// Since is when the state began.
	Since time.Time
	// Value is the value of the last evaluation that had one, NaN before.
	Value float64
	// Evaluated is the time of the last evaluation that had a value.
	Evaluated time.Time
	// Skipped is the reason for which the last evaluation changed nothing, empty if it counted.
	Skipped string
}

// Transition is a change of a group's state.
type Transition struct {
	At       time.Time
	Monitor  *Monitor
	Group    Tags
	From, To State
	// Reason is empty for changes of the state. A downtime that ended notifies of a state
	// that did not change.
	Reason string
	Value  float64 // NaN if there is none
	// Title, Message and Recipients are what Datadog would send. Notify is false for changes
	// that notify nobody.
	Title, Message string
	Recipients     []string // @-handles of the message
	Notify         bool
	// MutedBy are the keys of downtimes that suppress the notification.
	MutedBy []string
	// Notes are the parts of the message that could not be rendered, with reasons.
	Notes []string
}

// Groups returns the groups in the order of their tags.
func (m *Monitor) Groups() []Group { return nil }

// State returns the worst state of the groups.
func (m *Monitor) State() State { return Waiting }

// History returns the value that each evaluation would compare with the thresholds, at
// the end of each step in [from, to), by group.
func (m *Monitor) History(src Source, c *Catalog, from, to time.Time, step time.Duration) Result {
	return Result{}
}

// NewMonitor parses a monitor, as JSON after placeholders were replaced.
func NewMonitor(key, id string, body map[string]any) (*Monitor, error) {
	return nil, errors.New("not implemented yet")
}
