package provision

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"apmapp/internal/local/query"
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
		var downtimes []*query.Downtime
		for _, d := range ofKind(t, Downtime) {
			body, err := d.Fill(v, anyTarget)
			if err != nil {
				t.Fatal(err)
			}
			message := attributes(body)["message"].(string)
			if scheduleOf(body)["timezone"] != "Europe/Berlin" || !strings.Contains(message, "(Europe/Berlin)") || !strings.Contains(message, "@ops@example.com are notified") {
				t.Errorf("%s: %s", d.File, short(body))
			}
			filled := objects(scheduleOf(body)["recurrences"])
			for i, r := range objects(scheduleOf(d.Body)["recurrences"]) {
				days := strings.TrimPrefix(r["rrule"].(string), "FREQ=WEEKLY;INTERVAL=1;BYDAY=")
				if !strings.HasPrefix(r["start"].(string), "${next:"+days+"@") {
					t.Errorf("%s: its start is on other days than %s", d.File, days)
				}
				if start, err := time.ParseInLocation("2006-01-02T15:04:05", filled[i]["start"].(string), berlin); err != nil || !start.After(now) {
					t.Errorf("%s: start %s at %s: %v", d.File, start, now, err)
				}
			}
			downtime, err := query.NewDowntime(d.Key, d.Key, body)
			if err != nil {
				t.Fatal(err)
			}
			downtimes = append(downtimes, downtime)
		}
		muted := func(at time.Time) bool {
			return slices.ContainsFunc(downtimes, func(d *query.Downtime) bool { _, active := d.Active(at); return active })
		}
		monday := time.Date(now.Year(), now.Month(), now.Day()+7, 0, 0, 0, 0, berlin)
		for monday.Weekday() != time.Monday {
			monday = monday.AddDate(0, 0, 1)
		}
		for at := monday; at.Before(monday.AddDate(0, 0, 7)); at = at.Add(30 * time.Minute) {
			weekend := at.Weekday() == time.Saturday || at.Weekday() == time.Sunday
			if want := weekend || at.Hour() < 9 || at.Hour() >= 19; muted(at) != want {
				t.Errorf("%s: muted %v, want %v", at.Format("Mon 15:04"), !want, want)
			}
		}
	}
}

// The attributes of a downtime: what Check reports, or else what is sent.
func TestModelOfADowntime(t *testing.T) {
	const at = "data.attributes."
	for _, c := range []struct{ attributes, want string }{
		{`"display_timezone": "UTC", "message": "m", "mute_first_recovery_notification": false, "notify_end_states": ["alert", "no data", "warn"], "notify_end_types": ["canceled", "expired"]`,
			`"display_timezone":"UTC","message":"m","monitor_identifier":{"monitor_id":7},"mute_first_recovery_notification":false,"notify_end_states":["alert","no data","warn"],"notify_end_types":["canceled","expired"],"scope":"*"`},
		{`"notify_end_states": [], "notify_end_types": [], "schedule": {}`, `"monitor_identifier":{"monitor_id":7},"notify_end_states":[],"notify_end_types":[],"schedule":{},"scope":"*"`},
		// Null clears what a change finds.
		{`"display_timezone": null, "message": null, "mute_first_recovery_notification": null, "notify_end_states": null, "notify_end_types": null, "schedule": null`,
			`"display_timezone":null,"message":null,"monitor_identifier":{"monitor_id":7},"mute_first_recovery_notification":null,"notify_end_states":null,"notify_end_types":null,"schedule":null,"scope":"*"`},
		{`"scope": null`, "[" + at + "scope: is null, but needs a value]"},
		{`"monitor_identifier": null`, "[" + at + "monitor_identifier: is null, but needs a value]"},
		{`"monitor_identifier": {}`, "[" + at + "monitor_identifier: lacks the required field monitor_id]"},
		{`"monitor_identifier": {"monitor_id": null}`, "[" + at + "monitor_identifier.monitor_id: is null, but needs a value]"},
		{`"monitor_identifier": {"monitor_tags": ["a"]}`, `"monitor_identifier":{"monitor_tags":["a"]},"scope":"*"`},
		{`"monitor_identifier": {"monitor_id": 7, "monitor_tags": ["a"]}`, "[" + at + "monitor_identifier.monitor_tags: unknown field]"},
		{`"monitor_identifier": 7`, "[" + at + "monitor_identifier: not a DowntimeMonitor that the API knows (" + at + "monitor_identifier: not an object)]"},
		{`"notify_end_states": ["ok"]`, "[" + at + `notify_end_states[0]: unknown value "ok"; known values are [alert no data warn]]`},
		{`"notify_end_types": ["ended"]`, "[" + at + `notify_end_types[0]: unknown value "ended"; known values are [canceled expired]]`},
		{`"schedule": 1`, "[" + at + "schedule: not a DowntimeSchedule that the API knows (" + at + "schedule: not an object)]"},
		{`"schedule": {"start": "2026-11-28T06:00:00Z", "end": null}`, `"monitor_identifier":{"monitor_id":7},"schedule":{"end":null,"start":"2026-11-28T06:00:00Z"},"scope":"*"`},
		{`"schedule": {"start": "tomorrow"}`, "[" + at + `schedule.start: "tomorrow" is not a time such as 2026-01-31T09:00:00Z]`},
		{`"schedule": {"start": "2026-11-28T06:00:00Z", "timezone": "UTC"}`, "[" + at + "schedule.timezone: unknown field]"},
		{`"schedule": {"timezone": "UTC", "recurrences": [{"duration": "1h", "rrule": "FREQ=DAILY"}, {"duration": "1h", "rrule": "FREQ=DAILY", "start": null}, {"duration": "1h", "rrule": "FREQ=DAILY", "start": "2026-11-28T06:00:00"}]}`,
			`"monitor_identifier":{"monitor_id":7},"schedule":{"recurrences":[{"duration":"1h","rrule":"FREQ=DAILY"},{"duration":"1h","rrule":"FREQ=DAILY"},{"duration":"1h","rrule":"FREQ=DAILY","start":"2026-11-28T06:00:00"}],"timezone":"UTC"},"scope":"*"`},
		{`"schedule": {"recurrences": [], "timezone": null}`, `"monitor_identifier":{"monitor_id":7},"schedule":{"recurrences":[],"timezone":null},"scope":"*"`},
		{`"schedule": {"recurrences": null}`, "[" + at + "schedule.recurrences: is null, but needs a value]"},
		{`"schedule": {"recurrences": [{"duration": null, "rrule": "FREQ=DAILY"}]}`, "[" + at + "schedule.recurrences[0].duration: is null, but needs a value]"},
		{`"schedule": {"recurrences": [{"duration": "1h"}]}`, "[" + at + "schedule.recurrences[0]: lacks the required field rrule]"},
	} {
		for _, required := range []string{`"scope": "*"`, `"monitor_identifier": {"monitor_id": 7}`} {
			if name, _, _ := strings.Cut(required, ":"); !strings.Contains(c.attributes, name) {
				c.attributes += ", " + required
			}
		}
		document := `{"data": {"type": "downtime", "attributes": {` + c.attributes + `}}}`
		body := parsed(t, document)
		got := fmt.Sprint(Check(Downtime, body))
		if got == "[]" {
			sent := withoutNull(Downtime, body)
			got = strings.TrimSuffix(strings.TrimPrefix(compact(sent), `{"data":{"attributes":{`), `},"type":"downtime"}}`)
		}
		if got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.attributes, got, c.want)
		}
	}
}
