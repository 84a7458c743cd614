package provision

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// Over a week, the downtimes mute everything except weekdays from 9 to 19.
func TestDowntimes(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	v := values()
	v.Location = berlin
	// A Wednesday at 03:00, and the week in which summer time ends.
	for _, now := range []time.Time{time.Date(2026, 11, 25, 3, 0, 0, 0, berlin), time.Date(2026, 10, 23, 18, 59, 30, 0, berlin)} {
		v.Now = now
		muted := map[time.Time]bool{}
		for _, d := range definitions(t) {
			if d.Kind != Downtime {
				continue
			}
			body, err := d.Fill(v, func(ref Ref) (Target, error) { return anyTarget(ref), nil })
			if err != nil {
				t.Fatal(err)
			}
			a := attributes(body)
			schedule := a["schedule"].(map[string]any)
			if schedule["timezone"] != "Europe/Berlin" || !strings.Contains(a["message"].(string), "(Europe/Berlin)") || !strings.Contains(a["message"].(string), "@ops@example.com are notified") {
				t.Errorf("%s: %s", d.File, short(a))
			}
			raw := list(attributes(d.Body)["schedule"].(map[string]any)["recurrences"])
			for i, r := range list(schedule["recurrences"]) {
				r := r.(map[string]any)
				days := strings.TrimPrefix(r["rrule"].(string), "FREQ=WEEKLY;INTERVAL=1;BYDAY=")
				if !strings.HasPrefix(raw[i].(map[string]any)["start"].(string), "${next:"+days+"@") {
					t.Errorf("%s: its start is on other days than %s", d.File, days)
				}
				start, err := time.ParseInLocation("2006-01-02T15:04:05", r["start"].(string), berlin)
				if err != nil || !start.After(now) {
					t.Errorf("%s: start %s at %s: %v", d.File, r["start"], now, err)
				}
				length, err := time.ParseDuration(r["duration"].(string))
				if err != nil {
					t.Fatal(err)
				}
				for day := range 21 {
					from := start.AddDate(0, 0, day)
					if !slices.Contains(strings.Split(days, ","), weekdays[from.Weekday()]) {
						continue
					}
					for at := from; at.Before(from.Add(length)); at = at.Add(30 * time.Minute) {
						muted[at] = true
					}
				}
			}
		}
		monday := time.Date(now.Year(), now.Month(), now.Day()+7, 0, 0, 0, 0, berlin)
		for monday.Weekday() != time.Monday {
			monday = monday.AddDate(0, 0, 1)
		}
		for at := monday; at.Before(monday.AddDate(0, 0, 7)); at = at.Add(30 * time.Minute) {
			weekend := at.Weekday() == time.Saturday || at.Weekday() == time.Sunday
			if want := weekend || at.Hour() < 9 || at.Hour() >= 19; muted[at] != want {
				t.Errorf("%s: muted %v, want %v", at.Format("Mon 15:04"), muted[at], want)
			}
		}
	}
}
