package query

import (
	"fmt"
	"math"
	"regexp"
	"time"
)

// burnRule is the query of an SLO alert.
type burnRule struct {
	slo         string // its ID
	timeframe   string
	long, short time.Duration
	budget      bool // error_budget instead of burn_rate
}

var (
	burnQuery   = regexp.MustCompile(`^\s*burn_rate\("([^"]+)"\)\.over\("(\d+d)"\)\.long_window\("(\d+[mh])"\)\.short_window\("(\d+[mh])"\)`)
	budgetQuery = regexp.MustCompile(`^\s*error_budget\("([^"]+)"\)\.over\("(\d+d)"\)`)
)

func (m *Monitor) parseBurnRule() (rule, error) {
	r := &burnRule{}
	p := &parser{text: m.Query}
	if q := burnQuery.FindStringSubmatch(m.Query); q != nil {
		p.at = len(q[0])
		r.slo, r.timeframe = q[1], q[2]
		r.long, _ = time.ParseDuration(q[3])
		r.short, _ = time.ParseDuration(q[4])
		if r.short < 1 || r.long <= r.short {
			return nil, fmt.Errorf("the short window %s is not shorter than the long one, %s", q[4], q[3])
		}
	} else if q := budgetQuery.FindStringSubmatch(m.Query); q != nil {
		p.at = len(q[0])
		r.slo, r.timeframe, r.budget = q[1], q[2], true
	} else {
		return nil, fmt.Errorf("%q is neither a burn_rate nor an error_budget query", m.Query)
	}
	return r, m.parseThreshold(p)
}

func (r *burnRule) readings(src Source, c *Catalog, m *Monitor, now time.Time, n *notes) []reading {
	s := c.SLO(r.slo)
	if s == nil {
		reason := fmt.Sprintf("the SLO %s is not among the definitions", r.slo)
		n.add(reason)
		return []reading{{value: math.NaN(), skipped: reason}}
	}
	one := reading{value: math.NaN(), variables: map[string]string{"timeframe": r.timeframe}}
	if r.budget {
		status := s.Status(src, r.timeframe, now)
		if one.value = 100 - status.Remaining; math.IsNaN(one.value) {
			one.skipped = "the SLO has no data"
			return []reading{one}
		}
		one.last = now.Unix()
		return []reading{one}
	}
	long, more := s.BurnRate(src, r.timeframe, r.long, now)
	short, _ := s.BurnRate(src, r.timeframe, r.short, now)
	for _, note := range more {
		n.add(note)
	}
	one.value = long
	if math.IsNaN(long) || math.IsNaN(short) {
		one.value, one.skipped = math.NaN(), "the SLO has no data in one of the windows"
		return []reading{one}
	}
	one.last = now.Unix()
	one.variables["long_window_burn_rate"], one.variables["short_window_burn_rate"] = formatNumber(long), formatNumber(short)
	one.state = OK
	both := func(threshold *float64) bool {
		return threshold != nil && compare(long, m.Comparator, *threshold) && compare(short, m.Comparator, *threshold)
	}
	switch {
	case both(m.Options.Critical):
		one.state = Alert
	case both(m.Options.Warning):
		one.state = Warn
	}
	return []reading{one}
}
