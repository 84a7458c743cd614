package query

import (
	"fmt"
	"strings"
	"testing"
)

func TestMonitorSearch(t *testing.T) {
	c := &Catalog{Monitors: []*Monitor{
		{Key: "a", Name: "web: high error rate", Type: "query alert", Tags: NewTags("env:dev", "service:web"), Priority: "P2", Query: "sum(last_5m):sum:web.errors{*}.as_count() / sum:web.hits{*}.as_count() > 1"},
		{Key: "b", Name: "web: no requests", Type: "slo alert", Tags: NewTags("env:dev", "service:other"), groups: []*group{{Group: Group{State: Alert}}}},
		{Key: "c", Name: "c", Type: "service check", Tags: nil},
	}}
	for search, want := range map[string]string{
		"":                                     "abc",
		`tag:("env:dev" AND "service:web")`:    "a",
		`tag:("service:web" OR service:other)`: "ab",
		`tag:"env:dev" -tag:"service:web"`:     "b",
		`tag:env*`:                             "ab",
		`title:"c"`:                            "c",
		`title:web*`:                           "ab",
		`type:"slo alert"`:                     "b",
		`status:Alert`:                         "b",
		`priority:p2`:                          "a",
		`metric:web.hits`:                      "a",
		`metric:web*`:                          "a",
		`-metric:web.hits`:                     "bc",
		`web`:                                  "ab",
		`WEB -requests`:                        "a",
	} {
		all, err := c.Search(search)
		got := ""
		for _, m := range all {
			got += m.Key
		}
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", search, got, err, want)
		}
	}
	for search, want := range map[string]string{
		`tag:("a" AND "b" OR "c")`: "AND and OR between values need parentheses",
		`tag:("a" "b")`:            "AND or OR is missing between values",
		`(`:                        "a term is missing",
		`nothing:x`:                "monitors are searched here by tag, title, type, status, priority, metric, not by nothing",
		`-(tag:a OR nothing:x)`:    "not by nothing",
		`tag:a nothing:>5`:         "not by nothing",
	} {
		if _, err := c.Search(search); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", search, err, want)
		}
	}
}

// Source: dashboards/widgets/check_status: groups are counted, by the newest status of each
// set of tags.
func TestCheckStatuses(t *testing.T) {
	result := func(seconds int64, status Status, tags ...string) CheckResult {
		return CheckResult{Time: zero + seconds, Tags: NewTags(tags...), Status: status, Message: fmt.Sprint(seconds)}
	}
	src := &recorded{checks: []CheckResult{
		result(0, CheckCritical, "env:dev", "host:a", "port:1"),
		result(1, CheckOK, "env:dev", "host:a", "port:1"), // newer
		result(2, CheckWarning, "env:dev", "host:a", "port:2"),
		result(3, CheckOK, "env:dev", "host:a", "port:3"),
		result(4, CheckUnknown, "env:dev", "host:b"),
		result(5, CheckCritical, "env:dev", "host:c"),
		result(6, CheckOK, "env:dev", "host:d"),
		result(7, CheckCritical, "env:dev"), // without a host
		result(8, CheckCritical, "env:prod", "host:e"),
		result(60, CheckCritical, "env:dev", "host:f"), // later
	}}
	v := Variables{"env": {Prefix: "env", Values: []string{"dev"}}}
	all, err := CheckStatuses(src, "c", []string{"$env", "host:*"}, []string{"host"}, v, at(0), at(60))
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, s := range all {
		got += fmt.Sprintf("%s %d %s %d, ", s.Group, s.Status, s.Message, s.Time.Unix()-zero)
	}
	if want := "host:c 2 5 5, host:a 1 2 2, host:b 3 4 4, host:d 0 6 6, "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if all, err := CheckStatuses(src, "c", nil, nil, v, at(0), at(60)); err != nil || len(all) != 1 || all[0].Status != CheckCritical || len(all[0].Group) != 0 {
		t.Errorf("without groups: %v, %v", all, err)
	}
	if all, err := CheckStatuses(src, "c", []string{"$env"}, []string{"host"}, v, at(70), at(80)); err != nil || all == nil || len(all) != 0 {
		t.Errorf("without results: %v, %v", all, err)
	}
	if _, err := CheckStatuses(src, "c", []string{"$none"}, nil, v, at(0), at(60)); err == nil || !strings.Contains(err.Error(), `tag "$none": unknown template variable`) {
		t.Errorf("an unknown variable: %v", err)
	}
}
