package query

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"
)

// parsed returns a JSON object with numbers as in definitions.
func parsed(t testing.TB, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var body map[string]any
	if err := d.Decode(&body); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return body
}

// recurring returns a downtime of monitor 7 with one recurrence.
func recurring(t testing.TB, zone, start, duration, rule string) (*Downtime, error) {
	return NewDowntime("d", "1", parsed(t, `{"data": {"attributes": {"monitor_identifier": {"monitor_id": 7}, "scope": "*",
		"schedule": {"timezone": "`+zone+`", "recurrences": [{"start": "`+start+`", "duration": "`+duration+`", "rrule": "`+rule+`"}]}}}}`))
}

func mustParse(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// RFC 5545: recurrences are wall times. The API's specification: a duration is elapsed time. Europe/Berlin changes its clocks on
// 2026-03-29 and 2026-10-25.
func TestOccurrences(t *testing.T) {
	for _, c := range []struct {
		name, zone, start, duration, rule, now string
		want                                   string // starts and ends
	}{
		{"weekdays", "UTC", "2026-11-23T19:00:00", "14h", "FREQ=WEEKLY;INTERVAL=1;BYDAY=MO,TU,WE,TH,FR", "2026-11-26T12:00:00Z",
			"2026-11-26T19:00:00Z 2026-11-27T09:00:00Z, 2026-11-27T19:00:00Z 2026-11-28T09:00:00Z, 2026-11-30T19:00:00Z 2026-12-01T09:00:00Z"},
		{"the running one is first", "UTC", "2026-11-23T19:00:00", "14h", "FREQ=WEEKLY;BYDAY=MO,TU", "2026-11-24T08:59:59Z",
			"2026-11-23T19:00:00Z 2026-11-24T09:00:00Z, 2026-11-24T19:00:00Z 2026-11-25T09:00:00Z, 2026-11-30T19:00:00Z 2026-12-01T09:00:00Z"},
		{"its end is exclusive", "UTC", "2026-11-23T19:00:00", "14h", "FREQ=WEEKLY;BYDAY=MO", "2026-11-24T09:00:00Z",
			"2026-11-30T19:00:00Z 2026-12-01T09:00:00Z, 2026-12-07T19:00:00Z 2026-12-08T09:00:00Z, 2026-12-14T19:00:00Z 2026-12-15T09:00:00Z"},
		{"clocks go forward: 14 elapsed hours end at 10:00", "Europe/Berlin", "2026-03-27T19:00:00", "14h", "FREQ=DAILY", "2026-03-27T12:00:00Z",
			"2026-03-27T19:00:00+01:00 2026-03-28T09:00:00+01:00, 2026-03-28T19:00:00+01:00 2026-03-29T10:00:00+02:00, 2026-03-29T19:00:00+02:00 2026-03-30T09:00:00+02:00"},
		{"clocks go back: they end at 08:00", "Europe/Berlin", "2026-10-23T19:00:00", "14h", "FREQ=DAILY", "2026-10-23T12:00:00Z",
			"2026-10-23T19:00:00+02:00 2026-10-24T09:00:00+02:00, 2026-10-24T19:00:00+02:00 2026-10-25T08:00:00+01:00, 2026-10-25T19:00:00+01:00 2026-10-26T09:00:00+01:00"},
		{"a Sunday of 23 hours", "Europe/Berlin", "2026-03-28T00:00:00", "24h", "FREQ=WEEKLY;BYDAY=SA,SU", "2026-03-28T12:00:00Z",
			"2026-03-28T00:00:00+01:00 2026-03-29T00:00:00+01:00, 2026-03-29T00:00:00+01:00 2026-03-30T01:00:00+02:00, 2026-04-04T00:00:00+02:00 2026-04-05T00:00:00+02:00"},
		{"every second week", "UTC", "2026-11-23T19:00:00", "1d", "FREQ=WEEKLY;INTERVAL=2", "2026-11-25T00:00:00Z",
			"2026-12-07T19:00:00Z 2026-12-08T19:00:00Z, 2026-12-21T19:00:00Z 2026-12-22T19:00:00Z, 2027-01-04T19:00:00Z 2027-01-05T19:00:00Z"},
		{"a count", "UTC", "2026-11-23T19:00:00", "30m", "FREQ=DAILY;COUNT=2", "2026-11-23T00:00:00Z",
			"2026-11-23T19:00:00Z 2026-11-23T19:30:00Z, 2026-11-24T19:00:00Z 2026-11-24T19:30:00Z"},
		{"the last Friday of a month", "UTC", "2026-11-01T19:00", "1w", "FREQ=MONTHLY;BYDAY=-1FR", "2026-11-20T00:00:00Z",
			"2026-11-27T19:00:00Z 2026-12-04T19:00:00Z, 2026-12-25T19:00:00Z 2027-01-01T19:00:00Z, 2027-01-29T19:00:00Z 2027-02-05T19:00:00Z"},
		{"never", "UTC", "2026-11-01T19:00:00", "1h", "FREQ=DAILY;UNTIL=20261103T000000Z", "2026-11-20T00:00:00Z", ""},
	} {
		d, err := recurring(t, c.zone, c.start, c.duration, c.rule)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, o := range d.Next(mustParse(t, c.now), 3) {
			got = append(got, o.Start.Format(time.RFC3339)+" "+o.End.Format(time.RFC3339))
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// Occurrences that adjoin are one time in which nothing is sent.
func TestActive(t *testing.T) {
	weekend, err := recurring(t, "UTC", "2026-11-21T00:00:00", "24h", "FREQ=WEEKLY;BYDAY=SA,SU")
	if err != nil {
		t.Fatal(err)
	}
	for now, want := range map[string]string{
		"2026-11-27T23:59:59Z": "",
		"2026-11-28T00:00:00Z": "2026-11-28T00:00:00Z 2026-11-30T00:00:00Z",
		"2026-11-28T10:00:00Z": "2026-11-28T00:00:00Z 2026-11-30T00:00:00Z",
		"2026-11-29T00:00:00Z": "2026-11-29T00:00:00Z 2026-11-30T00:00:00Z",
		"2026-11-29T23:59:59Z": "2026-11-29T00:00:00Z 2026-11-30T00:00:00Z",
		"2026-11-30T00:00:00Z": "",
	} {
		o, active := weekend.Active(mustParse(t, now))
		got := ""
		if active {
			got = o.Start.Format(time.RFC3339) + " " + o.End.Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("at %s: %q, want %q", now, got, want)
		}
	}
}

func TestOneTimeDowntimes(t *testing.T) {
	for schedule, want := range map[string]string{
		`{}`:                                "now+0: true, now+1h: true",
		`{"start": "2026-11-26T12:30:00Z"}`: "now+0: false, now+1h: true",
		`{"end": "2026-11-26T12:30:00Z"}`:   "now+0: true, now+1h: false",
		`{"start": "2026-11-26T11:00:00Z", "end": "2026-11-26T13:00:00Z"}`: "now+0: true, now+1h: false",
	} {
		d, err := NewDowntime("d", "1", parsed(t, `{"monitor_identifier": {"monitor_tags": ["env:dev"]}, "schedule": `+schedule+`}`))
		if err != nil {
			t.Errorf("%s: %v", schedule, err)
			continue
		}
		now := mustParse(t, "2026-11-26T12:00:00Z")
		_, first := d.Active(now)
		_, later := d.Active(now.Add(time.Hour))
		if got := strings.NewReplacer("A", map[bool]string{true: "true", false: "false"}[first], "B", map[bool]string{true: "true", false: "false"}[later]).Replace("now+0: A, now+1h: B"); got != want {
			t.Errorf("%s: %s, want %s", schedule, got, want)
		}
	}
}

// A downtime selects monitors by ID or by all of its tags, then groups by their tags.
func TestMutes(t *testing.T) {
	monitor := &Monitor{ID: "7", Tags: NewTags("env:dev", "team:a")}
	for _, c := range []struct {
		identifier, scope string
		group             Tags
		want              bool
	}{
		{`{"monitor_id": 7}`, "*", nil, true},
		{`{"monitor_id": "7"}`, "*", nil, true},
		{`{"monitor_id": 8}`, "*", nil, false},
		{`{"monitor_tags": ["*"]}`, "*", nil, true},
		{`{"monitor_tags": ["env:dev"]}`, "*", nil, true},
		{`{"monitor_tags": ["env:dev", "team:a"]}`, "*", nil, true},
		{`{"monitor_tags": ["env:dev", "team:b"]}`, "*", nil, false},
		{`{"monitor_id": 7}`, "host:web-1", NewTags("host:web-1"), true},
		{`{"monitor_id": 7}`, "host:web-1", NewTags("host:web-2"), false},
		{`{"monitor_id": 7}`, "host:web-*", NewTags("host:web-2"), true},
		{`{"monitor_id": 7}`, "host:a OR host:web-2", NewTags("host:web-2"), true},
	} {
		d, err := NewDowntime("d", "1", parsed(t, `{"monitor_identifier": `+c.identifier+`, "scope": "`+c.scope+`"}`))
		if err != nil {
			t.Errorf("%s %s: %v", c.identifier, c.scope, err)
			continue
		}
		if got := d.Mutes(monitor, c.group); got != c.want {
			t.Errorf("%s, scope %s, group %s: %t, want %t", c.identifier, c.scope, c.group, got, c.want)
		}
	}
}

func TestDowntimesThatAreRefused(t *testing.T) {
	for _, c := range []struct{ zone, start, duration, rule, want string }{
		{"Mars", "2026-11-23T19:00:00", "14h", "FREQ=DAILY", `unknown time zone "Mars"`},
		{"UTC", "2026-11-23T19:00:00Z", "14h", "FREQ=DAILY", "is not a local time without an offset"},
		{"UTC", "2026-11-23T19:00:00", "14", "FREQ=DAILY", `duration "14" is not a number with m, h, d or w`},
		{"UTC", "2026-11-23T19:00:00", "0h", "FREQ=DAILY", `duration "0h"`},
		{"UTC", "2026-11-23T19:00:00", "1h", "FREQ=NEVER", `rrule "FREQ=NEVER"`},
		{"UTC", "2026-11-23T19:00:00", "1h", "FREQ=DAILY;DTSTART=20261123T190000", "contains DTSTART; the API refuses it: start and duration are fields"},
		{"UTC", "2026-11-23T19:00:00", "1h", "FREQ=HOURLY", "more often than daily"},
		{"UTC", "1969-11-23T19:00:00", "1h", "FREQ=DAILY", "not between the years 1970 and 2200"},
		{"UTC", "2201-11-23T19:00:00", "1h", "FREQ=DAILY", "not between the years 1970 and 2200"},
		{"UTC", "2026-11-23T19:00:00", "1h", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never occurs after 2026-11-23T19:00:00"},
		{"UTC", "2026-11-23T19:00:00", "1h", "FREQ=DAILY;BYHOUR=25", `rrule "FREQ=DAILY;BYHOUR=25"`},
	} {
		if _, err := recurring(t, c.zone, c.start, c.duration, c.rule); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c, err, c.want)
		}
	}
	for body, want := range map[string]string{
		`{}`: "names no monitor",
		`{"monitor_identifier": {"monitor_id": []}}`:                                                                              "monitor_identifier.monitor_id is not an ID: []",
		`{"monitor_identifier": {"monitor_id": 7}, "scope": "(a:b"}`:                                                              "( lacks its )",
		`{"monitor_identifier": {"monitor_id": 7}, "schedule": {"start": "tomorrow"}}`:                                            `start "tomorrow" is not a time`,
		`{"monitor_identifier": {"monitor_id": 7}, "schedule": {"end": "tomorrow"}}`:                                              `end "tomorrow" is not a time`,
		`{"monitor_identifier": {"monitor_id": 7}, "schedule": {"start": "2026-11-26T13:00:00Z", "end": "2026-11-26T13:00:00Z"}}`: "is not after start",
	} {
		if _, err := NewDowntime("d", "1", parsed(t, body)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", body, err, want)
		}
	}
}

func FuzzRecurrence(f *testing.F) {
	f.Add("2026-11-23T19:00:00", "14h", "FREQ=WEEKLY;INTERVAL=1;BYDAY=MO,TU,WE,TH,FR", int64(1_800_000_000))
	f.Add("2026-11-23T19:00", "1w", "FREQ=MONTHLY;BYDAY=-1FR", int64(1_790_000_000))
	f.Add("2026-03-29T02:30:00", "30m", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", int64(1_790_000_000))
	f.Fuzz(func(t *testing.T, start, duration, rule string, now int64) {
		berlin, err := time.LoadLocation("Europe/Berlin")
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(now%4_000_000_000, 0)
		r, err := newRecurrence(object{"", map[string]any{"start": start, "duration": duration, "rrule": rule}, new(error)}, berlin)
		if err != nil {
			return
		}
		d := &Downtime{recurrences: []recurrence{r}}
		for i, o := range d.Next(at, 3) {
			if !o.End.After(at) || o.End.Sub(o.Start) != r.length {
				t.Errorf("%s %s %s: occurrence %d from %s to %s", start, duration, rule, i, o.Start, o.End)
			}
		}
	})
}
