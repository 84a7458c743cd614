package provision

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"apmapp/deploy/datadog"
)

// values returns the values of the tests.
func values() Values {
	return Values{Env: "dev", Service: "apmapp", Host: "*", Notify: "@ops@example.com", Runbooks: "docs/runbooks",
		App: "https://app.datadoghq.com", Location: time.UTC, Now: time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)}
}

// definitions returns the product's definitions.
func definitions(t *testing.T) Definitions {
	t.Helper()
	all, err := Load(datadog.Definitions)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ofKind returns the product's definitions of a kind.
func ofKind(t *testing.T, kind Kind) Definitions {
	t.Helper()
	return slices.DeleteFunc(definitions(t), func(d Definition) bool { return d.Kind != kind })
}

// definition returns one of the product's definitions, such as monitor my-metric.
func definition(t *testing.T, name string) Definition {
	t.Helper()
	all := definitions(t)
	i := slices.IndexFunc(all, func(d Definition) bool { return d.String() == name })
	if i < 0 {
		t.Fatalf("no %s", name)
	}
	return all[i]
}

// parsed returns a JSON object.
func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	body, err := parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// value returns a JSON value.
func value(t *testing.T, text string) any {
	t.Helper()
	return parsed(t, `{"v": `+text+`}`)["v"]
}

// define returns a definition with this JSON.
func define(t *testing.T, text string) Definition {
	t.Helper()
	return Definition{Ref: Ref{Monitor, "a"}, File: "monitor.a.json", Body: parsed(t, text)}
}

// compact returns JSON without white space.
func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b))
}

func TestDefinitionsFitTheModels(t *testing.T) {
	if err := definitions(t).Validate(values()); err != nil {
		t.Error(err)
	}
}

// Each template variable filters something.
func TestTemplateVariablesAreUsed(t *testing.T) {
	for _, d := range definitions(t) {
		for _, v := range list(d.Body["template_variables"]) {
			name := v.(map[string]any)["name"].(string)
			used := false
			walk(d.Body["widgets"], func(_, s string) {
				used = used || regexp.MustCompile(`\$`+name+`\b`).MatchString(s)
			})
			if !used {
				t.Errorf("%s: no widget uses $%s", d.File, name)
			}
		}
	}
}

// The timeboard opens on five minutes. Its graphs follow the page, so that a day shows a
// bar for each hour. At five minutes, a number shows the sum of the past hour.
func TestTimeOfTheTimeboard(t *testing.T) {
	d := definition(t, "dashboard timeboard")
	if got := compact(d.Body["default_timeframe"]); got != `{"type":"live","unit":"minute","value":5}` {
		t.Errorf("the board opens on %s", got)
	}
	var hour []string
	eachWidget(d.Body["widgets"], func(_, definition map[string]any) {
		if definition["time"] != nil {
			hour = append(hour, fmt.Sprint(definition["type"], compact(definition["time"])))
		}
	})
	if got := strings.Join(hour, " "); got != `query_value{"live_span":"1h"}` {
		t.Errorf("widgets with a time of their own: %s", got)
	}
}

// Whether a monitor can reach the states that its message has a text for, and leaves
// them when the data ends.
func TestMonitorsWithoutData(t *testing.T) {
	for _, d := range ofKind(t, Monitor) {
		body := filled(t, d)
		query, options, message := body["query"].(string), body["options"].(map[string]any), body["message"].(string)
		if less := strings.Contains(query, " < "); less != strings.Contains(query, "default_zero(") {
			t.Errorf("%s: without data, a query with < is evaluated only with default_zero: %s", d.File, query)
		}
		if strings.Contains(query, "default_zero(") && options["notify_no_data"] == true {
			t.Errorf("%s: default_zero leaves no missing data to notify about", d.File)
		}
		if strings.Contains(message, "{{#is_no_data}}") != (options["notify_no_data"] == true) {
			t.Errorf("%s: notify_no_data is %v, but the message is %s", d.File, options["notify_no_data"], message)
		}
		if strings.Contains(message, "{{#is_warning}}") != (options["thresholds"].(map[string]any)["warning"] != nil) {
			t.Errorf("%s: the warning threshold and the message differ: %s", d.File, message)
		}
		// A quotient or a percentile has no value without requests, so the evaluation is
		// skipped, and only timeout_h resolves an alert.
		if skipped := strings.Contains(query, " / ") || strings.HasPrefix(query, "percentile("); skipped != (options["timeout_h"] != nil) {
			t.Errorf("%s: timeout_h is %v for %s", d.File, options["timeout_h"], query)
		}
	}
}

// What texts promise about the anomaly monitor is what its parameter does.
func TestSeasonality(t *testing.T) {
	for _, name := range []string{"../../deploy/datadog/monitor.throughput-anomaly.json", "../../docs/datadog.md", "../../docs/runbooks/throughput-anomaly.md"} {
		page, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.Join(strings.Fields(string(page)), " ")
		if !strings.Contains(text, "past days") || strings.Contains(text, "past hours") || strings.Contains(text, "'hourly'") {
			t.Errorf("%s does not describe seasonality='daily'", name)
		}
	}
}

// The list of monitors shows those that are OK, too.
func TestMonitorsWidgetShowsAll(t *testing.T) {
	n := 0
	for _, d := range definitions(t) {
		eachWidget(d.Body["widgets"], func(_, definition map[string]any) {
			if definition["type"] != "manage_status" {
				return
			}
			if n++; definition["show_last_triggered"] != false {
				t.Errorf("%s: show_last_triggered hides monitors that are OK", d.File)
			}
		})
	}
	if n != 1 {
		t.Errorf("%d lists of monitors", n)
	}
}
