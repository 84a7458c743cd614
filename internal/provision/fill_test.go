package provision

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestFill(t *testing.T) {
	target := func(Ref) Target { return Target{ID: json.Number("42"), URL: "https://app.datadoghq.com/monitors/42"} }
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
	const (
		use = "; use ${app}, ${env}, ${host}, ${notify}, ${runbooks}, ${service}, ${timezone}, " +
			"a reference such as ${monitor:key.id} or ${dashboard:key.url}, or a time such as ${next:MO,TU@19:00}; $$ instead of $ keeps the text"
		noDay = " is not a weekday; use SU,MO,TU,WE,TH,FR,SA"
	)
	for text, want := range map[string]string{
		`"${envv}"`:             "x: unknown placeholder ${envv}" + use,
		`"a ${envv}"`:           "x: unknown placeholder ${envv}" + use,
		`"${env"`:               `x: "${env" lacks a closing }`,
		`[1, {"y": "a ${no}"}]`: "x[1].y: unknown placeholder ${no}" + use,
		`"${monitor:b.name}"`:   "x: unknown placeholder ${monitor:b.name}" + use,
		`"${next:XX@19:00}"`:    `x: "XX"` + noDay,
		`"${next:MO,@19:00}"`:   `x: ""` + noDay,
		`"${next:MO@25:00}"`:    "x: 25:00 is not a time of day",
	} {
		if _, err := define(t, `{"x": `+text+`}`).Fill(v, target); fmt.Sprint(err) != "monitor.a.json: "+want {
			t.Errorf("%s: %v, want monitor.a.json: %s", text, err, want)
		}
	}
	// Without targets, references stay.
	if body, err := define(t, `{"x": "${monitor:b.id} ${env}"}`).Fill(v, nil); err != nil || body["x"] != "${monitor:b.id} dev" {
		t.Errorf("without targets: %v, %v", body, err)
	}
}

func TestOrderOfFillErrors(t *testing.T) {
	d := define(t, `{"c": "${no3}", "a": {"y": "${no1}", "z": "${no2}"}, "d": "${no4}"}`)
	for range 10 { // maps have another order each time
		_, err := d.Fill(values(), nil)
		if got := regexp.MustCompile(`no\d`).FindAllString(fmt.Sprint(err), -1); fmt.Sprint(got) != "[no1 no2 no3 no4]" {
			t.Fatalf("got %v", err)
		}
	}
}

func TestValuesValidate(t *testing.T) {
	long := func(n int) string { return strings.Repeat("a", n) }
	const (
		valid    = ""
		noTag    = " is not a valid tag value: start with a–z, then use a–z, 0–9, _ . -; at most 100 characters"
		noHost   = " is neither a host name nor *"
		noHandle = " is not a handle such as @team@example.com, @slack-ops or @workflow-restart(host=a); separate handles with spaces"
		nobody   = "notify is empty: name at least one handle such as @team@example.com"
		noFolder = " is neither a URL nor a folder"
	)
	for _, c := range []struct{ name, value, want string }{
		{"env", "prod-1.eu_a", valid}, {"env", long(100), valid},
		{"env", long(101), `env "` + long(101) + `"` + noTag}, {"env", "", `env ""` + noTag}, {"env", "Prod", `env "Prod"` + noTag},
		{"env", "1a", `env "1a"` + noTag}, {"env", "a b", `env "a b"` + noTag}, {"env", "p}", `env "p}"` + noTag},
		{"service", "checkout", valid}, {"service", "check,out", `service "check,out"` + noTag},
		{"host", "*", valid}, {"host", "Web-1.example.com", valid}, {"host", long(255), valid},
		{"host", long(256), `host "` + long(256) + `"` + noHost}, {"host", "a,b", `host "a,b"` + noHost}, {"host", "", `host ""` + noHost}, {"host", "a*", `host "a*"` + noHost},
		{"notify", "@a  @slack-ops\n@b@example.com", valid},
		{"notify", "@müller@example.com @slack-Störung_1 @workflow-Restart(host=a, text=\"b c\") @webhook-x/y+z @日本", valid},
		{"notify", "@workflow-x(host=\"{{host.name}}\")", valid},
		{"notify", "@a,@b", `notify: "@a,@b"` + noHandle}, {"notify", "@workflow-x(a", `notify: "@workflow-x(a"` + noHandle},
		{"notify", "@workflow-x(a)b", `notify: "@workflow-x(a)b"` + noHandle}, {"notify", "@workflow-x({{#is_alert}})y", `notify: "@workflow-x({{#is_alert}})y"` + noHandle},
		{"notify", "", nobody}, {"notify", " ", nobody}, {"notify", "@a ops", `notify: "ops"` + noHandle},
		{"notify", "@a{{value}}", `notify: "@a{{value}}"` + noHandle}, {"notify", "@", `notify: "@"` + noHandle}, {"notify", "a b", `notify: "a"` + noHandle + "\n" + `notify: "b"` + noHandle},
		{"runbooks", "https://example.com/a", valid}, {"runbooks", "docs/runbooks~", valid},
		{"runbooks", "", `runbooks ""` + noFolder}, {"runbooks", "a b", `runbooks "a b"` + noFolder}, {"runbooks", "${env}", `runbooks "${env}"` + noFolder},
		{"runbooks", "a\tb", `runbooks "a\tb"` + noFolder}, {"runbooks", "(a", `runbooks "(a"` + noFolder}, {"runbooks", "$a", `runbooks "$a"` + noFolder},
	} {
		v := values()
		*map[string]*string{"env": &v.Env, "service": &v.Service, "host": &v.Host, "notify": &v.Notify, "runbooks": &v.Runbooks}[c.name] = c.value
		if err := v.Validate(); (err == nil) != (c.want == valid) || err != nil && err.Error() != c.want {
			t.Errorf("%s %q: %v, want %s", c.name, c.value, err, c.want)
		}
	}
	// All errors, in a fixed order.
	for range 10 {
		err := Values{}.Validate()
		if got := strings.Split(fmt.Sprint(err), "\n"); len(got) != 5 || !strings.HasPrefix(got[0], "env") || !strings.HasPrefix(got[1], "service") ||
			!strings.HasPrefix(got[2], "host") || !strings.HasPrefix(got[3], "notify") || !strings.HasPrefix(got[4], "runbooks") {
			t.Fatalf("got %v", err)
		}
	}
}

// A value cannot change the structure of the definition.
func TestFillKeepsTheStructure(t *testing.T) {
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

// The next time is more than a minute away and at most a week and a minute.
func TestNextAtItsLimits(t *testing.T) {
	monday := func(hour, minute, second int) time.Time {
		return time.Date(2026, 11, 23, hour, minute, second, 0, time.UTC)
	}
	for _, c := range []struct {
		now  time.Time
		want string
	}{
		{monday(18, 58, 59), "2026-11-23T19:00:00"},
		{monday(18, 59, 0), "2026-11-30T19:00:00"},
		{monday(19, 0, 0), "2026-11-30T19:00:00"},
		{monday(23, 59, 59), "2026-11-30T19:00:00"},
	} {
		if got, err := next(c.now, "MO", "19:00"); got != c.want {
			t.Errorf("after %s: %s, %v; want %s", c.now, got, err, c.want)
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
			t.Errorf("after %s: got %s, %v", now.Format("Mon 15:04"), s, err)
		}
	}
}
