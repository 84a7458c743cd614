package query

import (
	"math"
	"slices"
	"strings"
	"testing"
)

// Source: monitors/notify/variables.
func TestTemplates(t *testing.T) {
	m := Message{
		Conditions: []string{"is_alert", "is_alert_to_warning"},
		Priority:   "P2",
		Variables: map[string]string{"value": "5", "host.name": "web-1", "role.name": "db_postgres", "dot.key.test.name": "five", "html": `<b> & "x" 'y'`,
			"empty": "", "last_triggered_at": "2021-05-31 14:43:27 UTC"},
	}
	for text, want := range map[string]string{
		"":                                 "",
		"plain } text {":                   "plain } text {",
		"{{value}} and {{ host.name }}":    "5 and web-1",
		"{{#is_alert}}a{{/is_alert}}b":     "ab",
		"{{^is_alert}}a{{/is_alert}}b":     "b",
		"{{#is_warning}}a{{/is_warning}}b": "b",
		"{{^is_warning}}a{{/is_warning}}b": "ab",
		"{{#is_alert}}a{{#is_warning}}b{{/is_warning}}c{{/is_alert}}": "ac",
		"{{#is_alert}}a{{else}}b{{/is_alert}}c":                       "ac",
		"{{#is_warning}}a{{else}}b{{/is_warning}}c":                   "bc",
		`{{#is_match "role.name" "db"}}a{{/is_match}}`:                "a",
		`{{#is_match "role.name" "x" "postgres"}}a{{/is_match}}`:      "a",
		`{{#is_match "role.name" "x"}}a{{else}}b{{/is_match}}`:        "b",
		`{{^is_match "role.name" "db"}}a{{/is_match}}b`:               "b",
		`{{#is_match "role" "db"}}a{{/is_match}}`:                     "a", // the key means its name
		`{{#is_match "role.name" ""}}a{{/is_match}}`:                  "a", // there is a value
		`{{#is_match "empty" ""}}a{{/is_match}}b`:                     "b",
		`{{#is_match "nothing.name" ""}}a{{/is_match}}b`:              "b",
		`{{#is_exact_match "host.name" "web-1"}}a{{/is_exact_match}}`: "a",
		`{{#is_exact_match "host.name" "web"}}a{{/is_exact_match}}b`:  "b",
		`{{#is_exact_match "value" "4" "5"}}a{{/is_exact_match}}`:     "a",
		"{{#is_priority 'P2'}}a{{/is_priority}}":                      "a",
		"{{#is_priority 'P1'}}a{{/is_priority}}b":                     "b",
		"{{^is_priority 'P1'}}a{{/is_priority}}b":                     "ab",
		"{{html}}":                  "&lt;b&gt; &amp; &#34;x&#34; &#39;y&#39;",
		"{{{html}}}":                `<b> & "x" 'y'`,
		"{{[dot.key.test].name}}":   "five",
		"{{!-- a {{comment}} --}}b": "b",
		"{{! a comment }}b":         "b",
		"{{{{raw}}}}{{value}}{{{{/raw}}}} {{value}}":      "{{value}} 5",
		`{{urlencode "role.name"}}`:                       "db_postgres",
		`{{urlencode "html"}}`:                            "%3Cb%3E+%26+%22x%22+%27y%27",
		"{{local_time 'last_triggered_at' 'Asia/Tokyo'}}": "2021-05-31 23:43:27+09:00", // the page's example
	} {
		template, err := ParseTemplate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, notes := template.Render(m); got != want || len(notes) > 0 {
			t.Errorf("%s: %q, notes %q; want %q", text, got, notes, want)
		}
	}
}

// What is not rendered as Datadog does is visible.
func TestTemplatesWithNotes(t *testing.T) {
	m := Message{Variables: map[string]string{"value": "5"}}
	for text, want := range map[string][2]string{
		"a{{nothing}}b":                       {"ab", "{{nothing}} is empty: this monitor has no such variable here"},
		`{{eval "int(value)"}}`:               {`{{eval "int(value)"}}`, "is not evaluated here"},
		"{{local_time 'value' 'Asia/Tokyo'}}": {"{{local_time 'value' 'Asia/Tokyo'}}", "is not evaluated here"},
		"{{local_time 'value' 'Mars'}}":       {"{{local_time 'value' 'Mars'}}", "is not evaluated here"},
		"{{override_priority 'P2'}}b":         {"b", "changes the priority in Datadog"},
		"{{nothing}}{{nothing}}{{value}}":     {"5", "{{nothing}} is empty"},
	} {
		template, err := ParseTemplate(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, notes := template.Render(m); got != want[0] || len(notes) != 1 || !strings.Contains(notes[0], want[1]) {
			t.Errorf("%s: %q, notes %q; want %q and %q", text, got, notes, want[0], want[1])
		}
	}
}

func TestTemplatesThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"{{#is_alert}}x":                     "{{#is_alert}} lacks its end",
		"{{#is_alert}}x{{/is_warning}}":      "{{/is_warning}} does not end the open section",
		"x{{/is_warning}}":                   "does not end the open section",
		"{{#is_alarm}}x{{/is_alarm}}":        "is not a condition that is evaluated here",
		"{{#}}x{{/}}":                        "names no condition",
		"{{#is_alert 'x'}}x{{/is_alert}}":    "is_alert takes no arguments",
		"{{#is_match 'x'}}x{{/is_match}}":    "is_match needs a variable and a text",
		"{{#is_priority}}x{{/is_priority}}":  "needs one of 'P1' to 'P5'",
		"{{value":                            "{{value lacks a closing }}",
		"{{{value}}":                         "{{value}} lacks a closing }}}",
		"{{!-- x }}":                         "lacks --}}",
		"{{{{raw}}}}x":                       "{{{{raw}}}} lacks its end",
		strings.Repeat("{{#is_alert}}", 200): "nested too deeply",
	} {
		if _, err := ParseTemplate(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestFormatNumber(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 5: "5", 812.5: "812.5", 8.333333: "8.333", 12345.67: "12346", 100: "100", 0.0123456: "0.01235",
		-2.5: "-2.5", 99.99999: "100", 1e-9: "0.000000001", 1e15: "1000000000000000", math.Inf(1): "+Inf"} {
		if got := formatNumber(v); got != want {
			t.Errorf("%g: %s, want %s", v, got, want)
		}
	}
}

func TestRecipients(t *testing.T) {
	for message, want := range map[string][]string{
		"":                                    nil,
		"call @ops@example.com, please":       {"@ops@example.com"},
		"@slack-ops\n@pagerduty @slack-ops":   {"@slack-ops", "@pagerduty"},
		"mail me@example.com":                 nil,
		"see @ops.":                           {"@ops"},
		"@workflow-restart(host=\"a b\") now": {`@workflow-restart(host="a b")`},
		"(@ops)":                              nil,
		"@équipe":                             {"@équipe"},
	} {
		if got := recipients(message); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", message, got, want)
		}
	}
}

func FuzzParseTemplate(f *testing.F) {
	for _, text := range []string{"{{#is_alert}}{{value}}{{else}}{{{x}}}{{/is_alert}}", "{{!-- x --}}{{{{raw}}}}{{{{/raw}}}}", `{{#is_match "a" ""}}{{local_time 'a' 'UTC'}}{{/is_match}}`, "{{^is_priority 'P1'}}{{urlencode \"a\"}}{{/is_priority}}"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		template, err := ParseTemplate(text)
		if err != nil {
			return
		}
		got, _ := template.Render(Message{Conditions: []string{"is_alert"}})
		if !strings.Contains(text, "{{") && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
