package provision

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const schedulePath = "data.attributes.schedule"

// scheduleOf returns the schedule of a downtime, or nil.
func scheduleOf(body map[string]any) map[string]any {
	schedule, _ := attributes(body)["schedule"].(map[string]any)
	return schedule
}

// first is the rule of a recurrence that happens once. apply adds it to a downtime whose
// window is open at that time: the API accepts no start in the past, so the recurrences
// of the definition begin with the next window.
const first = "FREQ=DAILY;INTERVAL=1;COUNT=1"

// most recurrences that the API accepts.
const mostRecurrences = 5

// toSend returns the body of step's request. For a downtime with starts such as
// ${next:MO@19:00}, it includes the window that is open now.
func (s Step) toSend(values Values) map[string]any {
	body := clone(s.body)
	schedule := scheduleOf(body)
	recurrences := list(schedule["recurrences"])
	if s.Kind != Downtime || len(recurrences) == 0 || len(recurrences) >= mostRecurrences {
		return body
	}
	location := time.UTC
	if zone, ok := schedule["timezone"].(string); ok {
		if l, err := time.LoadLocation(zone); err == nil {
			location = l
		}
	}
	now := values.Now.In(location)
	start := now.Truncate(time.Minute).Add(2 * time.Minute) // it has not passed when the API reads it
	moving := s.moving()
	var end time.Time
	for i, r := range objects(recurrences) {
		if !moving[fmt.Sprintf("%s.recurrences[%d].start", schedulePath, i)] {
			continue
		}
		if e := openUntil(r, now); e.After(end) {
			end = e
		}
	}
	if minutes := int(end.Sub(start).Minutes()); minutes > 0 {
		schedule["recurrences"] = append(recurrences, map[string]any{
			"start": start.Format("2006-01-02T15:04:05"), "duration": fmt.Sprintf("%dm", minutes), "rrule": first})
	}
	return body
}

// daysOf returns the days of a rule that applies each week, without an end; or nil.
func daysOf(rule string) []string {
	var on []string
	parts := strings.Split(rule, ";") // in any order
	for _, part := range parts {
		if days, ok := strings.CutPrefix(part, "BYDAY="); ok {
			on = strings.Split(days, ",")
		} else if !slices.Contains([]string{"FREQ=DAILY", "FREQ=WEEKLY", "INTERVAL=1"}, part) {
			return nil
		}
	}
	if on == nil && slices.Contains(parts, "FREQ=DAILY") {
		return weekdays
	}
	return on
}

// openUntil returns the end of the window of a weekly or daily recurrence that is open
// now, or the zero time.
func openUntil(r map[string]any, now time.Time) time.Time {
	text, _ := r["start"].(string)
	rule, _ := r["rrule"].(string)
	start, err := time.ParseInLocation("2006-01-02T15:04:05", text, now.Location())
	length := duration(r["duration"])
	on := daysOf(rule)
	if err != nil || on == nil {
		return time.Time{}
	}
	var end time.Time
	for back := range 8 {
		from := time.Date(now.Year(), now.Month(), now.Day()-back, start.Hour(), start.Minute(), 0, 0, now.Location())
		to := from.Add(length)
		if !from.After(now) && to.After(now) && to.After(end) && slices.Contains(on, weekdays[from.Weekday()]) {
			end = to
		}
	}
	return end
}

// duration returns a duration of the API, such as 90m, 14h, 2d or 1w, or 0.
func duration(v any) time.Duration {
	s, _ := v.(string)
	var n int
	var unit rune
	if _, err := fmt.Sscanf(s, "%d%c", &n, &unit); err != nil {
		return 0
	}
	return time.Duration(n) * map[rune]time.Duration{'m': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}[unit]
}

// withoutFirst returns a downtime without the recurrences that toSend adds.
func withoutFirst(body map[string]any) map[string]any {
	body = clone(body)
	if schedule := scheduleOf(body); schedule["recurrences"] != nil {
		schedule["recurrences"] = slices.DeleteFunc(list(schedule["recurrences"]), func(r any) bool {
			o, _ := r.(map[string]any)
			return o["rrule"] == first
		})
	}
	return body
}
