package query

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// checkRule is the query of a service check monitor.
type checkRule struct {
	check string
	over  allOf
	by    []string
	each  bool // by("*"): each set of tags is a group
	last  int
}

var (
	checkQuery = regexp.MustCompile(`^"([^"]+)"((?:\.[a-z_]+\([^()]*\))+)$`)
	checkPart  = regexp.MustCompile(`\.([a-z_]+)\(([^()]*)\)`)
	quotedText = regexp.MustCompile(`^\s*"([^"]*)"\s*$`)
)

func (m *Monitor) parseCheckRule() (rule, error) {
	q := checkQuery.FindStringSubmatch(m.Query)
	if q == nil {
		return nil, fmt.Errorf("%q is not a query of a service check, such as \"mysql.can_connect\".over(\"env:dev\").by(\"host\").last(4).count_by_status()", m.Query)
	}
	r := &checkRule{check: q[1]}
	counted := false
	for _, part := range checkPart.FindAllStringSubmatch(q[2], -1) {
		name := part[1]
		switch name {
		case "over", "by":
			list, err := quotedList(part[2])
			if err != nil {
				return nil, fmt.Errorf(".%s(%s): %w", name, part[2], err)
			}
			if name == "by" {
				r.by, r.each = list, slices.Equal(list, []string{"*"})
				continue
			}
			for _, tag := range list {
				if tag != "*" {
					r.over = append(r.over, tagIs{tag})
				}
			}
		case "last":
			n, err := strconv.Atoi(part[2])
			if err != nil || n < 1 || n > 100 {
				return nil, fmt.Errorf(".last(%s) is not a number from 1 to 100", part[2])
			}
			r.last = n
		case "count_by_status":
			counted = true
		default:
			return nil, fmt.Errorf(".%s is not evaluated here", name)
		}
	}
	if !counted || r.last == 0 {
		return nil, errors.New("the query lacks .last(n) or .count_by_status()")
	}
	for _, t := range []*float64{m.Options.Critical, m.Options.Warning, m.Options.OK, m.Options.Unknown} {
		if t != nil && (*t < 1 || int(*t) > r.last) {
			return nil, fmt.Errorf("the threshold %g is not from 1 to %d, which .last(%d) counts", *t, r.last, r.last)
		}
	}
	m.grouped = len(r.by) > 0
	return r, nil
}

// quotedList parses texts in quotation marks, separated by commas.
func quotedList(text string) ([]string, error) {
	var all []string
	for part := range splitOutside(text) {
		q := quotedText.FindStringSubmatch(part)
		if q == nil {
			return nil, fmt.Errorf("%q is not in quotation marks", part)
		}
		all = append(all, q[1])
	}
	return all, nil
}

// splitOutside yields the parts between commas that are outside of quotation marks.
func splitOutside(text string) func(func(string) bool) {
	return func(yield func(string) bool) {
		begin, quoted := 0, false
		for i := 0; i < len(text); i++ {
			switch {
			case text[i] == '"':
				quoted = !quoted
			case text[i] == ',' && !quoted:
				if !yield(text[begin:i]) {
					return
				}
				begin = i + 1
			}
		}
		yield(text[begin:])
	}
}

// checksKept bounds the age of the results of checks that are read.
const checksKept = 24 * time.Hour

func (r *checkRule) readings(src Source, _ *Catalog, m *Monitor, now time.Time, _ *notes) []reading {
	groups := map[string]*reading{}
	statuses := map[string][]CheckResult{}
	var order []string
	for _, result := range src.Checks(r.check, now.Add(-checksKept), now) {
		if !r.over.match(result.Tags) {
			continue
		}
		of, complete := []Tags{result.Tags}, true
		if !r.each {
			of, complete = groupsOf(result.Tags, r.by)
		}
		if !complete {
			continue
		}
		for _, g := range of {
			key := g.String()
			if groups[key] == nil {
				groups[key] = &reading{group: g}
				order = append(order, key)
			}
			statuses[key] = append(statuses[key], result)
		}
	}
	var all []reading
	for _, key := range order {
		one := groups[key]
		last := statuses[key]
		last = last[max(len(last)-r.last, 0):]
		newest := last[len(last)-1]
		one.value, one.last = float64(newest.Status), newest.Time
		run := 0
		for i := len(last) - 1; i >= 0 && last[i].Status == newest.Status; i-- {
			run++
		}
		one.variables = map[string]string{"check_message": newest.Message}
		if newest.Status == CheckOK { // Datadog drops the messages of these
			one.variables["check_message"] = ""
		}
		one.state, one.skipped = m.verdict(newest.Status, run)
		all = append(all, *one)
	}
	return all
}

// verdict returns the state for a run of equal statuses, or a reason for none.
func (m *Monitor) verdict(status Status, run int) (State, string) {
	threshold, state := m.Options.OK, OK
	switch status {
	case CheckWarning:
		threshold, state = m.Options.Warning, Warn
	case CheckCritical:
		threshold, state = m.Options.Critical, Alert
	case CheckUnknown:
		threshold, state = m.Options.Unknown, Unknown
	}
	name := [...]string{"OK", "WARNING", "CRITICAL", "UNKNOWN"}[status]
	need := 1.0
	if threshold != nil {
		need = *threshold
	} else if status != CheckOK && status != CheckCritical {
		return Waiting, fmt.Sprintf("the newest result is %s, for which there is no threshold", name)
	}
	if float64(run) < need {
		return Waiting, fmt.Sprintf("%d of %g results in a row are %s", run, need, name)
	}
	return state, ""
}
