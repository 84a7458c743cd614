package query

import (
	"errors"
	"time"
)

// SLO is a parsed SLO.
type SLO struct {
	Key, ID, Name, Description string
	Type                       string // metric or time_slice
	Tags                       Tags
	Timeframe                  string // the primary one: 7d, 30d or 90d
	Targets                    []Target
}

// Target is what an SLO promises for a time frame.
type Target struct {
	Timeframe       string // 7d, 30d or 90d
	Target, Warning float64
	HasWarning      bool
}

// SLOStatus is the state of an SLO in a time frame that ends now.
type SLOStatus struct {
	Target
	// SLI is in percent. It is NaN without any data: then nothing is green.
	SLI float64
	// Remaining is the rest of the error budget in percent; it may be negative. NaN without
	// data.
	Remaining float64
	// State is OK at or above the target, Warn between target and warning, Alert below the
	// target, NoData without data.
	State State
	// Good and Bad are events of a count SLO.
	Good, Bad float64
	// Up, Down and Missing are slices of a time-slice SLO. Missing ones count as up.
	Up, Down, Missing int
	// Recorded is the part of the time frame that the source knows.
	Recorded time.Duration
	Notes    []string
}

// NewSLO parses an SLO, as JSON after placeholders were replaced.
func NewSLO(key, id string, body map[string]any) (*SLO, error) {
	return nil, errors.New("not implemented yet")
}

// Status returns the state in a time frame of s.Targets.
func (s *SLO) Status(src Source, timeframe string, now time.Time) SLOStatus { return SLOStatus{} }

// BurnRate returns how many times faster than sustainable the error budget of a time
// frame was used in a window that ends now: 1 uses it up exactly in the time frame. It is
// NaN without data.
func (s *SLO) BurnRate(src Source, timeframe string, window time.Duration, now time.Time) (float64, []string) {
	return 0, nil
}

// History returns the SLI of each step in [from, to), in percent.
func (s *SLO) History(src Source, from, to time.Time, step time.Duration) Result { return Result{} }
