package provision

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"testing"

	"apmapp/internal/local/query"
)

// render renders a text of a monitor in a state. A name without a value is an error.
func render(text string, holding []string, variables map[string]string) (string, error) {
	template, err := query.ParseTemplate(text)
	if err != nil {
		return "", err
	}
	rendered, problems := template.Render(query.Message{Conditions: holding, Variables: variables})
	if len(problems) > 0 {
		return "", errors.New(strings.Join(problems, "; "))
	}
	return rendered, nil
}

// notification is a state in which a monitor notifies.
type notification struct {
	name    string
	holding []string
}

// notifications returns the states in which a monitor notifies.
func notifications(body map[string]any) []notification {
	options := body["options"].(map[string]any)
	thresholds := options["thresholds"].(map[string]any)
	all := []notification{{"alert", []string{"is_alert"}}, {"recovery", []string{"is_recovery", "is_alert_recovery"}}}
	if thresholds["warning"] != nil {
		all = append(all, notification{"warning", []string{"is_warning"}},
			notification{"alert to warning", []string{"is_warning", "is_alert_to_warning"}},
			notification{"recovery from a warning", []string{"is_recovery", "is_warning_recovery"}})
	}
	if options["notify_no_data"] == true {
		all = append(all, notification{"no data", []string{"is_no_data"}}, notification{"recovery from no data", []string{"is_recovery", "is_no_data_recovery"}})
	}
	return all
}

var byHost = regexp.MustCompile(` by \{host\}|\.by\("host"\)`)

// variables are the variables of messages by the type of monitor, from Datadog's
// documentation: monitors/notify/variables, monitors/types/service_check, and
// monitors/types/slo, which gives a burn rate alert two burn rates and no value. The
// documentation lists neither a value nor a threshold variable that a monitor's type
// lacks, and Datadog renders one that does not exist as nothing.
var variables = map[string]map[string]string{
	"query alert":   {"value": "812.5", "comparator": ">"},
	"service check": {"check_message": "Can't connect to MySQL server on 'db' (111)"},
	"slo alert":     {"short_window_burn_rate": "15.5", "long_window_burn_rate": "14.9", "timeframe": "30d"},
}

// thresholdVariables are the variables of thresholds, for every type.
var thresholdVariables = map[string]string{"threshold": "critical", "warn_threshold": "warning", "ok_threshold": "ok",
	"alert_recovery_threshold": "critical_recovery", "warn_recovery_threshold": "warning_recovery"}

// variablesOf returns the template variables of a monitor in a state.
func variablesOf(body map[string]any, state string) map[string]string {
	v := maps.Clone(variables[body["type"].(string)])
	thresholds := body["options"].(map[string]any)["thresholds"].(map[string]any)
	for name, threshold := range thresholdVariables {
		if thresholds[threshold] != nil {
			v[name] = fmt.Sprint(thresholds[threshold])
		}
	}
	if state == "no data" { // then there is no value
		delete(v, "value")
	}
	if byHost.MatchString(body["query"].(string)) {
		v["host.name"], v["host.ip"] = "web-1", "10.0.0.7"
	}
	return v
}

// sent returns the message of a notification.
func sent(body map[string]any, n notification) (string, error) {
	return render(body["message"].(string), n.holding, variablesOf(body, n.name))
}

func TestMessagesInEveryState(t *testing.T) {
	monitors := 0
	for _, d := range ofKind(t, Monitor) {
		monitors++
		body := filled(t, d)
		bodies := map[string]string{}
		for _, n := range notifications(body) {
			message, err := sent(body, n)
			if err != nil {
				t.Errorf("%s, %s: %v", d.File, n.name, err)
				continue
			}
			own, common, ok := strings.Cut(message, "\nGraphs: ")
			if !ok || strings.TrimSpace(own) == "" {
				t.Errorf("%s, %s: no text for this state in %q", d.File, n.name, message)
			}
			bodies[n.holding[0]] = own
			for _, want := range []string{"https://app.datadoghq.com/dashboard/", "\nRunbook: docs/runbooks/", "\n@ops@example.com"} {
				if !strings.Contains("\n"+common, want) && !strings.Contains(common, want) {
					t.Errorf("%s, %s: %q is missing in %q", d.File, n.name, want, message)
				}
			}
			if strings.ContainsAny(message, "{}") {
				t.Errorf("%s, %s: unrendered variable in %q", d.File, n.name, message)
			}
		}
		seen := map[string]string{}
		for state, own := range bodies {
			if other, ok := seen[strings.TrimSpace(own)]; ok {
				t.Errorf("%s has the same text for %s and %s: %q", d.File, state, other, own)
			}
			seen[strings.TrimSpace(own)] = state
		}
		if name := body["name"].(string); !strings.HasPrefix(name, "apmapp (dev): ") {
			t.Errorf("%s: the name %q does not begin with service and environment", d.File, name)
		}
		name, err := render(body["name"].(string), nil, variablesOf(body, ""))
		if err != nil || strings.ContainsAny(name, "{}") {
			t.Errorf("%s: name %q: %v", d.File, name, err)
		}
	}
	if monitors != 11 {
		t.Errorf("%d monitors", monitors)
	}
}

func TestMessageOfMyMetric(t *testing.T) {
	d := definition(t, "monitor my-metric")
	body := filled(t, d)
	message, err := sent(body, notification{"alert", []string{"is_alert"}})
	if err != nil {
		t.Fatal(err)
	}
	message = regexp.MustCompile(`\n\n+`).ReplaceAllString(message, "\n")
	want := `
my_metric on web-1 (10.0.0.7) is 812.5: its average over five minutes is above 800.
Graphs: https://app.datadoghq.com/dashboard/timeboard
Runbook: docs/runbooks/my-metric.md
@ops@example.com`
	if message != want {
		t.Errorf("the alert is %q, want %q", message, want)
	}
	options := body["options"].(map[string]any)
	if got, want := short(options["thresholds"]), `{"critical":800,"warning":500}`; got != want {
		t.Errorf("thresholds %s, want %s", got, want)
	}
	if options["notify_no_data"] != true || fmt.Sprint(options["no_data_timeframe"]) != "10" || !strings.HasPrefix(body["query"].(string), "avg(last_5m):avg:my_metric{") {
		t.Errorf("query %s, options %s", body["query"], short(options))
	}
}

// A variable of another type of monitor is empty in Datadog.
func TestVariablesByType(t *testing.T) {
	options := map[string]any{"thresholds": map[string]any{"critical": 1, "warning": 2}}
	for _, c := range []struct {
		kind, message string
		ok            bool
	}{
		{"query alert", "{{value}} {{threshold}} {{warn_threshold}}", true},
		{"query alert", "{{ok_threshold}}", false},
		{"query alert", "{{check_message}}", false},
		{"slo alert", "{{value}}", false},
		{"slo alert", "{{short_window_burn_rate}} {{long_window_burn_rate}} {{threshold}}", true},
		{"service check", "{{value}}", false},
		{"service check", "{{{check_message}}}", true},
		{"query alert", "{{#is_warning}}{{/is_warning", false},
	} {
		body := map[string]any{"type": c.kind, "query": "q", "message": c.message, "options": options}
		if _, err := sent(body, notification{"alert", []string{"is_alert"}}); (err == nil) != c.ok {
			t.Errorf("%s %s: %v", c.kind, c.message, err)
		}
	}
}

// The message of a check is a text from outside, with quotation marks: two braces would
// escape them.
func TestCheckMessageIsNotEscaped(t *testing.T) {
	for _, d := range definitions(t) {
		if d.Kind != Monitor || filled(t, d)["type"] != "service check" {
			continue
		}
		for _, state := range []string{"is_alert", "is_warning"} {
			message, err := sent(filled(t, d), notification{"", []string{state}})
			if err != nil || !strings.Contains(message, "Can't connect to MySQL server on 'db' (111)") {
				t.Errorf("%s, %s: %v, %q", d.File, state, err, message)
			}
		}
	}
}
