package provision

import (
	"fmt"
	"strings"
	"testing"
)

func TestExport(t *testing.T) {
	for _, c := range []struct{ id, answer, file, want string }{
		{"7", `{"id": 7, "name": "A ${b} <c>", "type": "query alert", "query": "q", "message": "m", "priority": null,
			"tags": ["team:a", "managed-by:apmapp-provision", "provision-id:apmapp/dev/a"],
			"options": {"thresholds": {"critical": 1.0}, "silenced": {"*": null}, "avalanche_window": 20},
			"org_id": 1, "created": "x", "created_at": 1, "creator": {}, "modified": "x", "deleted": "x", "multi": true, "overall_state": "OK", "overall_state_modified": "x",
			"state": {"groups": {}}, "matching_downtimes": [], "restricted_roles": ["a"], "restriction_policy": {"bindings": []}, "restricted": true, "assets": [], "draft_status": "published", "run_as": {}}`,
			"monitor.a-b-c.json", `{"message":"m","name":"A $${b} <c>","options":{"thresholds":{"critical":1.0}},"query":"q","tags":["team:a"],"type":"query alert"}`},
		{"abc-def-ghi", `{"id": "abc-def-ghi", "title": "D", "description": "text\n\n[apmapp-provision:apmapp/dev/d]", "layout_type": "ordered", "widgets": [
			{"id": 1, "definition": {"type": "group", "layout_type": "ordered", "widgets": [{"id": 2, "definition": {"type": "note", "content": "x"}}]}}],
			"url": "/d", "author_handle": "a", "author_name": "A", "created_at": "2026-01-02T03:04:05.000000+00:00", "modified_at": "2026-01-02T03:04:05.000000+00:00", "is_read_only": true, "notify_list": ["a"], "restricted_roles": ["b"], "experience_type": "x"}`,
			"dashboard.d.json", `{"description":"text","layout_type":"ordered","title":"D","widgets":[{"definition":{"layout_type":"ordered","type":"group","widgets":[{"definition":{"content":"x","type":"note"}}]}}]}`},
		{"abc-def-ghi", `{"id": "abc-def-ghi", "title": "T", "layout_type": "ordered", "widgets": [{"id": 7, "definition": {"type": "note", "content": "x"}}, {"id": 8, "definition": {"type": "note", "content": "y"}}],
			"tabs": [{"id": "t", "name": "N", "widget_ids": [8]}]}`,
			"dashboard.t.json", `{"layout_type":"ordered","tabs":[{"id":"t","name":"N","widget_ids":[8]}],"title":"T","widgets":[{"definition":{"content":"x","type":"note"},"id":7},{"definition":{"content":"y","type":"note"},"id":8}]}`},
		{"0123456789abcdef0123456789abcdef", `{"data": {"id": "0123456789abcdef0123456789abcdef", "name": "S", "type": "metric", "tags": [],
			"sli_specification": {"count": {"good_events_formula": {"formula": "a"}, "bad_events_formula": {"formula": "b"}, "queries": [{"data_source": "metrics", "name": "a", "query": "q"}]}},
			"query": {"numerator": "a", "denominator": "a + b"}, "thresholds": [{"target": 99.0, "target_display": "99.", "timeframe": "7d", "warning": 99.5, "warning_display": "99.5"}],
			"created_at": 1, "modified_at": 2, "creator": {}, "monitor_tags": [], "type_id": 1}}`,
			"slo.s.json", `{"name":"S","sli_specification":{"count":{"bad_events_formula":{"formula":"b"},"good_events_formula":{"formula":"a"},"queries":[{"data_source":"metrics","name":"a","query":"q"}]}},"tags":[],"thresholds":[{"target":99.0,"timeframe":"7d","warning":99.5}],"type":"metric"}`},
		{"0123456789abcdef0123456789abcdee", `{"data": {"id": "0123456789abcdef0123456789abcdee", "name": "Q", "type": "metric", "query": {"numerator": "a", "denominator": "a + b"}, "thresholds": [{"target": 99.0, "timeframe": "7d"}]}}`,
			"slo.q.json", `{"name":"Q","query":{"denominator":"a + b","numerator":"a"},"thresholds":[{"target":99.0,"timeframe":"7d"}],"type":"metric"}`},
		{"00000000-0000-1234-0000-000000000001", `{"data": {"id": "00000000-0000-1234-0000-000000000001", "type": "downtime", "attributes": {
			"display_timezone": "UTC", "message": "Nights: mute\n\n[apmapp-provision:apmapp/dev/n]", "monitor_identifier": {"monitor_id": 7}, "mute_first_recovery_notification": false,
			"notify_end_states": ["alert"], "notify_end_types": ["expired"], "schedule": {"timezone": "UTC", "recurrences": [{"duration": "1h", "rrule": "FREQ=DAILY"}], "current_downtime": {"start": "x"}}, "scope": "*",
			"status": "active", "canceled": null, "created": "x", "modified": "x"}, "relationships": {}}, "included": [], "meta": {}}`,
			"downtime.nights-mute.json", `{"data":{"attributes":{"display_timezone":"UTC","message":"Nights: mute","monitor_identifier":{"monitor_id":7},"mute_first_recovery_notification":false,"notify_end_states":["alert"],"notify_end_types":["expired"],"schedule":{"recurrences":[{"duration":"1h","rrule":"FREQ=DAILY"}],"timezone":"UTC"},"scope":"*"},"type":"downtime"}}`},
	} {
		ref, text, problems, err := newAPI(t, answers(200, c.answer)).Export(t.Context(), c.id)
		if err != nil || ref.File() != c.file || len(problems) > 0 {
			t.Errorf("%s: file %s, %v; want %s", c.id, ref.File(), err, c.file)
			continue
		}
		body, err := parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := compact(body); got != c.want {
			t.Errorf("got\n%s\nwant\n%s", got, c.want)
		}
		if string(text) != string(marshal(body)) {
			t.Errorf("the file is not indented: %s", text)
		}
	}
}

// Parts that the specification does not know are exported, and reported.
func TestExportOfUnknownParts(t *testing.T) {
	ref, text, problems, err := newAPI(t, answers(200, `{"id": 7, "name": "a", "type": "new alert", "query": "q", "new": {"x": 1}}`)).Export(t.Context(), "7")
	if err != nil || ref.File() != "monitor.a.json" || !strings.Contains(string(text), `"type": "new alert"`) || !strings.Contains(string(text), `"x": 1`) {
		t.Errorf("%s, %v:\n%s", ref, err, text)
	}
	if len(problems) != 2 || problems[0].String() != "new: unknown field" || !problems[0].New || !problems[1].New || problems[1].Path != "type" {
		t.Errorf("problems %v", problems)
	}
}

// The starts of an exported downtime lie in the future when it is applied.
func TestExportOfADowntimeThatHasBegun(t *testing.T) {
	for _, c := range []struct{ rule, start, want string }{
		{"FREQ=WEEKLY;INTERVAL=1;BYDAY=MO,TU", "2026-10-05T19:30:00", "${next:MO,TU@19:30}"},
		{"FREQ=WEEKLY;BYDAY=SA", "2026-10-03T00:00", "${next:SA@00:00}"},
		{"FREQ=WEEKLY;BYDAY=SA;INTERVAL=1", "2026-10-03T00:00:00", "${next:SA@00:00}"},
		{"FREQ=DAILY;INTERVAL=1", "2026-10-03T06:00:00", "${next:SU,MO,TU,WE,TH,FR,SA@06:00}"},
		{"FREQ=DAILY", "2026-10-03T06:00:00", "${next:SU,MO,TU,WE,TH,FR,SA@06:00}"},
		// Its days depend on the start.
		{"FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", "2026-10-05T19:30:00", "2026-10-05T19:30:00"},
		{"FREQ=DAILY;INTERVAL=3", "2026-10-05T19:30:00", "2026-10-05T19:30:00"},
		{"FREQ=MONTHLY;BYDAY=1MO", "2026-10-05T19:30:00", "2026-10-05T19:30:00"},
		{"FREQ=DAILY;COUNT=3", "2026-10-05T19:30:00", "2026-10-05T19:30:00"},
		{"FREQ=DAILY", "2026-10-05T19:30:30", "2026-10-05T19:30:30"},
	} {
		_, text, problems, err := newAPI(t, answers(200, fmt.Sprintf(`{"data": {"id": "a", "type": "downtime", "attributes": {"message": "M", "scope": "*", "monitor_identifier": {"monitor_id": 7}, "status": "active",
			"schedule": {"timezone": "UTC", "recurrences": [{"start": %q, "rrule": %q, "duration": "1h"}]}}}}`, c.start, c.rule))).Export(t.Context(), "00000000-0000-1234-0000-000000000001")
		if err != nil || len(problems) > 0 || !strings.Contains(string(text), fmt.Sprintf(`"start": %q`, c.want)) {
			t.Errorf("%+v: %v, %v\n%s", c, err, problems, text)
		}
	}
}

func TestExportErrors(t *testing.T) {
	for _, c := range []struct{ id, answer, want string }{
		{"x", `{}`, `"x" is not an ID: a monitor has a number, a dashboard an ID like abc-def-ghi, an SLO 32 hexadecimal digits, a downtime a UUID`},
		{"7", `{}`, "the API's answer contains no monitor with an ID"},
	} {
		if _, _, _, err := newAPI(t, answers(200, c.answer)).Export(t.Context(), c.id); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %s", c.id, c.answer, err, c.want)
		}
	}
}

func TestKindOf(t *testing.T) {
	for id, want := range map[string]Kind{
		"7": Monitor, "123456789": Monitor, "abc-def-gh1": Dashboard, "0123456789abcdef0123456789abcdef": SLO,
		"01234567-89ab-cdef-0123-456789abcdef": Downtime,
		"":                                     "", "7a": "", "abc-def-gh": "", "abc-def-ghij": "", "ABC-def-ghi": "", "0123456789abcdef0123456789abcde": "",
		"0123456789abcdef0123456789abcdef0": "", "0123456789abcdef0123456789abcdeg": "", "01234567-89ab-cdef-0123-456789abcdef0": "",
	} {
		if got, err := KindOf(id); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", id, got, err, want)
		}
	}
}

func TestSlug(t *testing.T) {
	for title, want := range map[string]string{
		"CPU of ${host} / day":               "cpu-of-host-day",
		"  A--b  ":                           "a-b",
		"":                                   "id",
		"日本":                                 "id",
		strings.Repeat("a", 60):              strings.Repeat("a", 60),
		strings.Repeat("a", 61):              strings.Repeat("a", 60),
		strings.Repeat("a", 59) + " " + "bc": strings.Repeat("a", 59),
	} {
		if got := slug(title, "id"); got != want {
			t.Errorf("%q: %q, want %q", title, got, want)
		}
	}
}
