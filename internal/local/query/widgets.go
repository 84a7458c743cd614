package query

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Search returns the monitors that a search of the widget manage_status selects, such as
// tag:("service:web" AND "env:dev"). Its keys are tag, title, type, status, priority and metric.
func (c *Catalog) Search(text string) ([]*Monitor, error) {
	s, err := ParseSearch("monitors", text, nil)
	if err != nil {
		return nil, err
	}
	for _, key := range attributesOf(s.root) {
		if !slices.Contains(searchable, key) {
			return nil, fmt.Errorf("search %q: monitors are searched here by %s, not by %s", text, strings.Join(searchable[:6], ", "), key)
		}
	}
	var all []*Monitor
	for _, m := range c.Monitors {
		if s.Match(searched{m}) {
			all = append(all, m)
		}
	}
	return all, nil
}

// searchable are the keys of searches for monitors. Words without a key have the last one.
var searchable = []string{"tag", "title", "type", "status", "priority", "metric", "message"}

// attributesOf returns the names of the attributes that a condition reads.
func attributesOf(c condition) (names []string) {
	var parts []condition
	switch c := c.(type) {
	case attributeIs:
		return []string{c.name}
	case attributeIn:
		return []string{c.name}
	case everyOf:
		parts = c
	case oneOf:
		parts = c
	case noneOf:
		parts = []condition{c.of}
	}
	for _, part := range parts {
		names = append(names, attributesOf(part)...)
	}
	return names
}

// metricOf matches the metrics of a query.
var metricOf = regexp.MustCompile(`[a-z0-9.]:([A-Za-z][A-Za-z0-9_.]*)\{`)

// searched is a monitor as a search reads it.
type searched struct{ m *Monitor }

func (s searched) Time() time.Time { return time.Time{} }
func (s searched) Weight() float64 { return 1 }

func (s searched) Attribute(name string) (any, bool) {
	switch name {
	case "tag":
		return []string(s.m.Tags), true
	case "title", "message":
		return s.m.Name, true
	case "type":
		return s.m.Type, true
	case "status":
		return s.m.State().String(), true
	case "priority":
		return strings.ToLower(s.m.Priority), s.m.Priority != ""
	case "metric": // also of monitors that are not evaluated
		names := []string{}
		for _, found := range metricOf.FindAllStringSubmatch(s.m.Query, -1) {
			names = append(names, found[1])
		}
		return names, true
	}
	return nil, false
}

// CheckStatus is the state of a group of service checks.
type CheckStatus struct {
	Group Tags
	// Status is the worst of the newest results of the group's checks: one for each set of
	// tags.
	Status  Status
	Message string
	Time    time.Time
}

// CheckStatuses evaluates the widget check_status: the groups of a service check's results
// in [from, to) by some tag keys, the worst first. tags select results, and may be template
// variables. Results without one of the keys are in no group.
// https://docs.datadoghq.com/dashboards/widgets/check_status/
func CheckStatuses(src Source, check string, tags, by []string, v Variables, from, to time.Time) ([]CheckStatus, error) {
	var scope allOf
	for _, tag := range tags {
		f, err := parseScope(tag, v)
		if err != nil {
			return nil, fmt.Errorf("tag %q: %w", tag, err)
		}
		scope = append(scope, f)
	}
	newest := map[string]CheckResult{}
	var order []string
	for _, r := range src.Checks(check, from, to) {
		if !scope.match(r.Tags) {
			continue
		}
		key := r.Tags.String()
		if _, ok := newest[key]; !ok {
			order = append(order, key)
		}
		newest[key] = r
	}
	groups := map[string]*CheckStatus{}
	for _, key := range order {
		r := newest[key]
		of, complete := groupsOf(r.Tags, by)
		if !complete {
			continue
		}
		for _, g := range of {
			one := &CheckStatus{g, r.Status, r.Message, time.Unix(r.Time, 0).UTC()}
			if before := groups[g.String()]; before == nil || severity(r.Status) > severity(before.Status) {
				groups[g.String()] = one
			}
		}
	}
	all := []CheckStatus{}
	for _, g := range groups {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b CheckStatus) int {
		if d := severity(b.Status) - severity(a.Status); d != 0 {
			return d
		}
		return slices.Compare(a.Group, b.Group)
	})
	return all, nil
}

// severity orders statuses: Unknown is worse than OK only.
func severity(s Status) int {
	return map[Status]int{CheckOK: 0, CheckUnknown: 1, CheckWarning: 2, CheckCritical: 3}[s]
}
