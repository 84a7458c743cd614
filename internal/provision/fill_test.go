package provision

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func define(t *testing.T, text string) Definition {
	t.Helper()
	body, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Definition{Ref: Ref{Monitor, "a"}, File: "monitor.a.json", Body: body}
}

func TestFill(t *testing.T) {
	target := func(ref Ref) (Target, error) {
		return Target{ID: json.Number("42"), URL: "https://app.datadoghq.com/monitors/42"}, nil
	}
	v := values()
	v.Notify = "@a  @b"
	for text, want := range map[string]string{
		`"${service} in ${env}"`:            `"apmapp in dev"`,
		`"${notify}"`:                       `"@a @b"`,
		`"${monitor:b.id}"`:                 `42`,
		`"id ${monitor:b.id}"`:              `"id 42"`,
		`"${monitor:b.url}"`:                `"https://app.datadoghq.com/monitors/42"`,
		`"$${env} and $host and {{value}}"`: `"${env} and $host and {{value}}"`,
		`"$${env}"`:                         `"${env}"`,
		`"${next:WE@03:00}"`:                `"2026-12-02T03:00:00"`,
		`"${next:WE,FR@19:00}"`:             `"2026-11-25T19:00:00"`,
		`[{"a": ["${env}"]}]`:               `[{"a":["dev"]}]`,
		`3`:                                 `3`,
	} {
		body, err := define(t, `{"x": `+text+`}`).Fill(v, target)
		if err != nil || short(body["x"]) != want {
			t.Errorf("%s: %s, %v, want %s", text, short(body["x"]), err, want)
		}
	}
	for text, says := range map[string]string{
		`"${envv}"`:             "monitor.a.json: x: ${envv} is unknown; there are ${app}, ${env},",
		`"${env"`:               `x: "${env" has no }`,
		`[1, {"y": "a ${no}"}]`: "x[1].y: ${no} is unknown",
		`"${monitor:b.name}"`:   "is unknown",
		`"${next:XX@19:00}"`:    "XX is no weekday",
		`"${next:MO@25:00}"`:    "25:00 is no time of day",
	} {
		if _, err := define(t, `{"x": `+text+`}`).Fill(v, target); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", text, err, says)
		}
	}
}

// Whatever a value is, it stays a value.
func TestFillKeepsTheForm(t *testing.T) {
	for _, value := range []string{`"`, `\`, "\n", `", "type": "x`, "${service}", "$${", "\u2028", "{{#is_alert}}"} {
		v := values()
		v.Env = value
		body, err := define(t, `{"name": "<${env}>", "list": ["${env}"]}`).Fill(v, nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(marshal(body))
		if err != nil {
			t.Fatal(err)
		}
		if len(again) != 2 || again["name"] != "<"+value+">" || list(again["list"])[0] != value {
			t.Errorf("%q becomes %s", value, marshal(body))
		}
	}
}

func TestNextIsInTheFuture(t *testing.T) {
	for hour := range 24 * 8 {
		now := time.Date(2026, 3, 27, hour, 59, 30, 0, time.UTC)
		s, err := next(now, "MO,TU,WE,TH,FR", "19:00")
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse("2006-01-02T15:04:05", s)
		if err != nil || !at.After(now.Add(time.Minute)) || at.Sub(now) > 4*24*time.Hour || at.Weekday() == time.Saturday || at.Weekday() == time.Sunday || at.Hour() != 19 {
			t.Errorf("after %s comes %s: %v", now.Format("Mon 15:04"), s, err)
		}
	}
}
