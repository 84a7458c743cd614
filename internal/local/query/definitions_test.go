package query_test

import (
	"iter"
	"regexp"
	"strings"
	"testing"
	"time"

	"apmapp/deploy/datadog"
	"apmapp/internal/local/query"
	"apmapp/internal/provision"
)

// product returns the product's definitions, filled.
func product(t testing.TB) provision.Definitions {
	t.Helper()
	all, err := provision.Load(datadog.Definitions)
	if err != nil {
		t.Fatal(err)
	}
	v := provision.Values{Env: "dev", Service: "apmapp", Host: "*", Notify: "@ops@example.com", Runbooks: "docs/runbooks",
		App: "https://app.datadoghq.com", Location: time.UTC, Now: time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)}
	all, err = all.Local(v, func(ref provision.Ref) string { return "/" + string(ref.Kind) + "/" + ref.Key })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// nothing is a source without data.
type nothing struct{}

func (nothing) Series(string, time.Time, time.Time) []query.Series      { return nil }
func (nothing) Checks(string, time.Time, time.Time) []query.CheckResult { return nil }
func (nothing) Events(string, time.Time, time.Time) iter.Seq[query.Event] {
	return func(func(query.Event) bool) {}
}
func (nothing) Since() time.Time { return time.Unix(0, 0) }

// Every definition of this product parses, and without data nothing is OK.
func TestProductIsEvaluated(t *testing.T) {
	var documents []query.Document
	widgets := 0
	for _, d := range product(t) {
		documents = append(documents, query.Document{Kind: string(d.Kind), Key: d.Key, ID: d.Key, Body: d.Body})
		if d.Kind != provision.Dashboard {
			continue
		}
		variables := query.Variables{}
		for _, v := range d.Body["template_variables"].([]any) {
			variable := v.(map[string]any)
			one := query.Variable{Prefix: variable["prefix"].(string)}
			for _, value := range variable["defaults"].([]any) {
				one.Values = append(one.Values, value.(string))
			}
			variables[variable["name"].(string)] = one
		}
		var walk func(list []any)
		walk = func(list []any) {
			for _, w := range list {
				definition := w.(map[string]any)["definition"].(map[string]any)
				if inner, ok := definition["widgets"].([]any); ok {
					walk(inner)
				}
				requests, _ := definition["requests"].([]any)
				for _, r := range requests {
					body := r.(map[string]any)
					if body["response_format"] == "event_list" { // a list of spans: only a search
						search := body["query"].(map[string]any)["query_string"].(string)
						if _, err := query.ParseSearch("spans", search, variables); err != nil {
							t.Errorf("%s: %v", d.File, err)
						}
						continue
					}
					request, err := query.ParseRequest(body, variables)
					if err != nil {
						t.Errorf("%s, %s: %v", d.File, definition["title"], err)
						continue
					}
					widgets++
					now := time.Unix(1_800_000_000, 0)
					if r := request.Series(nothing{}, now.Add(-time.Hour), now, 0); len(r.Lines) > 0 {
						t.Errorf("%s, %s: lines without data: %v", d.File, definition["title"], r.Lines)
					}
					if table := request.Values(nothing{}, now.Add(-time.Hour), now); len(table.Rows) > 0 {
						t.Errorf("%s, %s: rows without data: %v", d.File, definition["title"], table.Rows)
					}
				}
			}
		}
		walk(d.Body["widgets"].([]any))
	}
	if widgets < 45 {
		t.Errorf("%d requests of widgets, want at least 45", widgets)
	}
	c := query.NewCatalog(documents)
	for _, err := range c.Refused {
		t.Error(err)
	}
	if len(c.Monitors) != 11 || len(c.SLOs) != 2 || len(c.Downtimes) != 2 {
		t.Errorf("%d monitors, %d SLOs, %d downtimes; want 11, 2, 2", len(c.Monitors), len(c.SLOs), len(c.Downtimes))
	}
	now := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
	for range 30 {
		if all := c.Evaluate(nothing{}, now); len(all) > 0 {
			t.Fatalf("without data: %+v", all)
		}
		now = now.Add(time.Minute)
	}
	for _, m := range c.Monitors {
		if m.Unevaluated != "" {
			t.Errorf("%s is not evaluated: %s", m.Key, m.Unevaluated)
		}
		if m.State() != query.Waiting {
			t.Errorf("%s without data: %s", m.Key, m.State())
		}
		if label := strings.Join(m.Notes, "; "); strings.Contains(m.Query, "agile") != regexp.MustCompile("agile").MatchString(label) {
			t.Errorf("%s: notes %q", m.Key, label)
		}
	}
	for _, s := range c.SLOs {
		for _, target := range s.Targets {
			if status := s.Status(nothing{}, target.Timeframe, now); status.State != query.NoData {
				t.Errorf("SLO %s without data: %s", s.Key, status.State)
			}
		}
	}
}
