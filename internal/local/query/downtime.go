package query

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/teambition/rrule-go"
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

	scope             filter
	once              Occurrence
	recurrences       []recurrence
	endStates         []string // alert, warn, no data
	onExpiry          bool     // notify when it expires
	muteFirstRecovery bool
}

// recurrence is a rule with a length. The rule's times are wall times of the time zone,
// the length is elapsed time: on the night of a change of clocks, 19:00 + 14h ends at
// 08:00 or 10:00.
type recurrence struct {
	rule   *rrule.RRule
	length time.Duration
}

// Occurrence is a time in which a downtime mutes: [Start, End). The zero End means for
// ever.
type Occurrence struct{ Start, End time.Time }

// contains reports whether the occurrence includes a time.
func (o Occurrence) contains(now time.Time) bool {
	return !now.Before(o.Start) && (o.End.IsZero() || now.Before(o.End))
}

// NewDowntime parses a downtime, as JSON after placeholders were replaced.
func NewDowntime(key, id string, body map[string]any) (*Downtime, error) {
	var err error
	top := newObject(body, &err)
	o := top
	if top.has("data") { // a request to the API
		o = top.object("data").object("attributes")
	} else if top.has("attributes") {
		o = top.object("attributes")
	}
	d := &Downtime{Key: key, ID: id, Message: o.text("message"), Scope: o.text("scope"), Timezone: time.UTC,
		endStates: []string{"alert", "warn", "no data"}, onExpiry: true, muteFirstRecovery: o.flag("mute_first_recovery_notification")}
	monitors := o.object("monitor_identifier")
	d.MonitorID, d.MonitorTags = monitors.id("monitor_id"), NewTags(monitors.texts("monitor_tags")...)
	if o.has("notify_end_states") {
		d.endStates = o.texts("notify_end_states")
	}
	if o.has("notify_end_types") {
		d.onExpiry = slices.Contains(o.texts("notify_end_types"), "expired")
	}
	schedule := o.object("schedule")
	zone := schedule.text("timezone")
	var rules []object
	if schedule.has("recurrences") {
		rules = schedule.objects("recurrences")
	}
	start, end := schedule.text("start"), schedule.text("end")
	if err != nil {
		return nil, err
	}
	if d.MonitorID == "" && len(d.MonitorTags) == 0 {
		return nil, errors.New("monitor_identifier names no monitor: set monitor_id or monitor_tags")
	}
	if d.scope, err = parseScope(cmp.Or(d.Scope, "*"), nil); err != nil {
		return nil, fmt.Errorf("scope %q: %w", d.Scope, err)
	}
	if zone != "" {
		if d.Timezone, err = time.LoadLocation(zone); err != nil {
			return nil, fmt.Errorf("schedule.timezone: unknown time zone %q", zone)
		}
	}
	if len(rules) == 0 {
		if d.once, err = once(start, end); err != nil {
			return nil, fmt.Errorf("schedule: %w", err)
		}
		return d, nil
	}
	for _, r := range rules {
		one, err := newRecurrence(r, d.Timezone)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.at, err)
		}
		d.recurrences = append(d.recurrences, one)
	}
	return d, nil
}

func once(start, end string) (o Occurrence, err error) {
	if start != "" {
		if o.Start, err = time.Parse(time.RFC3339, start); err != nil {
			return o, fmt.Errorf("start %q is not a time such as 2026-11-25T19:00:00Z", start)
		}
	}
	if end != "" {
		if o.End, err = time.Parse(time.RFC3339, end); err != nil {
			return o, fmt.Errorf("end %q is not a time such as 2026-11-25T19:00:00Z", end)
		}
	}
	if end != "" && !o.Start.Before(o.End) {
		return o, fmt.Errorf("end %s is not after start %s", end, start)
	}
	return o, nil
}

var length = regexp.MustCompile(`^([1-9][0-9]{0,5})([mhdw])$`)

// localTime is the form of a recurrence's start: without an offset.
const localTime = "2006-01-02T15:04:05"

func newRecurrence(o object, zone *time.Location) (recurrence, error) {
	text, start, duration := o.text("rrule"), o.text("start"), o.text("duration")
	if *o.err != nil {
		return recurrence{}, *o.err
	}
	m := length.FindStringSubmatch(duration)
	if m == nil {
		return recurrence{}, fmt.Errorf("duration %q is not a number with m, h, d or w, such as 14h", duration)
	}
	n, _ := strconv.Atoi(m[1])
	unit := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]]
	begin, err := time.ParseInLocation(localTime, start, zone)
	if err != nil {
		if begin, err = time.ParseInLocation("2006-01-02T15:04", start, zone); err != nil {
			return recurrence{}, fmt.Errorf("start %q is not a local time without an offset, such as 2026-11-25T19:00:00", start)
		}
	}
	if y := begin.Year(); y < 1970 || y > 2200 {
		return recurrence{}, fmt.Errorf("start %q is not between the years 1970 and 2200", start)
	}
	for _, name := range []string{"DTSTART", "DTEND", "DURATION"} {
		if strings.Contains(strings.ToUpper(text), name) {
			return recurrence{}, fmt.Errorf("rrule %q contains %s; the API refuses it: start and duration are fields", text, name)
		}
	}
	option, err := rrule.StrToROptionInLocation(text, zone)
	if err != nil {
		return recurrence{}, fmt.Errorf("rrule %q: %w", text, err)
	}
	if option.Freq > rrule.DAILY {
		return recurrence{}, fmt.Errorf("rrule %q repeats more often than daily; this is not evaluated here", text)
	}
	option.Dtstart = begin
	rule, err := rrule.NewRRule(*option)
	if err != nil {
		return recurrence{}, fmt.Errorf("rrule %q: %w", text, err)
	}
	if _, ok := rule.Iterator()(); !ok {
		return recurrence{}, fmt.Errorf("rrule %q never occurs after %s", text, start)
	}
	return recurrence{rule, time.Duration(n) * unit}, nil
}

// mostOccurrences bounds a search: 100 years of days.
const mostOccurrences = 36_525

// Next returns at most n occurrences that end after now, the running one first, as the
// recurrences define them.
func (d *Downtime) Next(now time.Time, n int) []Occurrence {
	if len(d.recurrences) == 0 {
		if !d.once.End.IsZero() && !now.Before(d.once.End) || n < 1 {
			return nil
		}
		return []Occurrence{d.once}
	}
	var all []Occurrence
	for _, r := range d.recurrences {
		next := r.rule.Iterator()
		found := 0
		for range mostOccurrences {
			start, ok := next()
			if !ok || found == n {
				break
			}
			if end := start.Add(r.length); end.After(now) {
				all = append(all, Occurrence{start, end})
				found++
			}
		}
	}
	slices.SortFunc(all, func(a, b Occurrence) int { return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End)) })
	all = slices.CompactFunc(all, func(a, b Occurrence) bool { return a.Start.Equal(b.Start) && a.End.Equal(b.End) })
	return all[:min(n, len(all))]
}

// Active returns whether the downtime mutes at a time, and the occurrence. Occurrences
// that overlap or adjoin are joined.
func (d *Downtime) Active(now time.Time) (Occurrence, bool) {
	var joined Occurrence
	found := false
	for _, o := range d.Next(now, 50) {
		switch {
		case !found && o.contains(now):
			joined, found = o, true
		case found && !o.Start.After(joined.End) && o.End.After(joined.End):
			joined.End = o.End
		}
	}
	return joined, found
}

// Mutes reports whether the downtime is for a group of a monitor.
func (d *Downtime) Mutes(m *Monitor, group Tags) bool {
	if d.MonitorID != "" {
		if d.MonitorID != m.ID && d.MonitorID != m.Account {
			return false
		}
	} else {
		for _, tag := range d.MonitorTags {
			if tag != "*" && !slices.Contains(m.Tags, tag) {
				return false
			}
		}
	}
	return d.scope.match(group)
}
