package query

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// compositeRule is the query of a composite monitor: IDs of monitors, joined by && || ! and
// parentheses.
// https://docs.datadoghq.com/monitors/types/composite/
type compositeRule struct {
	members []string // IDs, in the order of the query, each once
	root    statusOf
}

// statusOf computes a status from those of the members. An OK is not alert-worthy; the other
// ones are Alert, Warn and NoData.
type statusOf func(members []State) State

// maxMembers is the most monitors that Datadog accepts in a composite.
const maxMembers = 10

func (m *Monitor) parseCompositeRule() (rule, error) {
	p := &compositeParser{parser: parser{text: m.Query}}
	root, err := p.or(0)
	if err == nil && !p.end() {
		err = fmt.Errorf("%q: unexpected %s", m.Query, p.rest())
	}
	if err == nil && len(p.members) > maxMembers {
		err = fmt.Errorf("%d monitors are joined; at most %d can be", len(p.members), maxMembers)
	}
	if err != nil {
		return nil, err
	}
	if m.Options.Timeout > 0 {
		m.Notes = append(m.Notes, "options.timeout_h of a composite monitor is not evaluated here")
	}
	return &compositeRule{p.members, root}, nil
}

type compositeParser struct {
	parser
	members []string
}

// memberID matches an ID of an account, such as 1234, or one that stands for it here.
var memberID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:_-]*`)

func (p *compositeParser) or(depth int) (statusOf, error) {
	return p.joined(depth, "||", p.and, func(a, b State) State { return max(a, b) })
}

func (p *compositeParser) and(depth int) (statusOf, error) {
	return p.joined(depth, "&&", p.not, func(a, b State) State { return min(a, b) })
}

// joined parses operands that an operator joins. States are in the order of severity: the
// more severe one of two is alert-worthy if one of them is, the less severe one if both are.
func (p *compositeParser) joined(depth int, operator string, operand func(int) (statusOf, error), join func(a, b State) State) (statusOf, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	all, err := operand(depth)
	for err == nil && p.take(operator) {
		var next statusOf
		if next, err = operand(depth); err == nil {
			before := all
			all = func(members []State) State { return join(before(members), next(members)) }
		}
	}
	return all, err
}

func (p *compositeParser) not(depth int) (statusOf, error) {
	if p.take("!") {
		if depth > maxDepth {
			return nil, errors.New("nested too deeply")
		}
		of, err := p.not(depth + 1)
		return func(members []State) State {
			switch of(members) {
			case OK:
				return Alert
			case NoData:
				return NoData
			}
			return OK
		}, err
	}
	if p.take("(") {
		of, err := p.or(depth + 1)
		if err == nil {
			err = p.expect(")")
		}
		return of, err
	}
	id := p.match(memberID)
	if id == "" {
		return nil, fmt.Errorf("the ID of a monitor is missing before %s", p.rest())
	}
	at := slices.Index(p.members, id)
	if at < 0 {
		at = len(p.members)
		p.members = append(p.members, id)
	}
	return func(members []State) State { return members[at] }, nil
}

// Members returns the IDs of the monitors that a composite monitor joins; nil for others.
func (m *Monitor) Members() []string {
	if r, ok := m.rule.(*compositeRule); ok {
		return r.members
	}
	return nil
}

func (r *compositeRule) readings(_ Source, c *Catalog, m *Monitor, now time.Time, n *notes) []reading {
	var members []*Monitor
	for _, id := range r.members {
		member := c.MonitorByID(id)
		reason := ""
		switch {
		case member == nil:
			reason = fmt.Sprintf("the monitor %s is not among the definitions", id)
		case member.Unevaluated != "":
			reason = fmt.Sprintf("the monitor %s is not evaluated here: %s", member.Key, member.Unevaluated)
		case member.Members() != nil:
			reason = fmt.Sprintf("the monitor %s is a composite: Datadog joins no composites", member.Key)
		}
		if reason != "" {
			return []reading{{value: math.NaN(), skipped: reason}}
		}
		members = append(members, member)
	}
	all := []reading{}
	for _, together := range common(members) {
		all = append(all, r.reading(m, members, together, now))
	}
	if len(all) == 0 {
		n.add("the monitors have no groups in common so far")
	}
	return all
}

// reading computes the status of one group: together has a group of each member.
func (r *compositeRule) reading(m *Monitor, members []*Monitor, together []*group, now time.Time) reading {
	one := reading{value: math.NaN(), last: now.Unix(), variables: map[string]string{}}
	var states []State
	for i, g := range together {
		if len(g.Tags) > len(one.group) {
			one.group = g.Tags
		}
		letter := string(rune('a' + i)) // the names of members in messages
		one.variables[letter+".status"] = g.State.String()
		if one.variables[letter+".value"] = ""; !math.IsNaN(g.Value) {
			one.variables[letter+".value"] = formatNumber(g.Value)
		}
		if g.State == Waiting || g.State == Unknown {
			one.skipped = fmt.Sprintf("the monitor %s is in the state %q", members[i].Key, g.State)
		}
		states = append(states, g.State)
	}
	if one.skipped != "" {
		return one
	}
	one.state = r.root(states)
	if one.state == NoData && !m.Options.NotifyNoData {
		one.state, one.skipped = Waiting, "the result is No Data, and the monitor does not notify of that: the last state stays"
	}
	return one
}

// common returns the groups that monitors have in common: the values of tags count, not their
// keys. A monitor by fewer tags belongs to all groups that have its values. A monitor without
// groups belongs to all.
func common(members []*Monitor) (all [][]*group) {
	most := 0 // the member with the most tags
	for i, m := range members {
		if dimensions(m) > dimensions(members[most]) {
			most = i
		}
	}
	for _, g := range members[most].groups {
		together := make([]*group, len(members))
		for i, m := range members {
			if i == most {
				together[i] = g
			} else {
				together[i] = m.within(g, dimensions(m) == dimensions(members[most]))
			}
		}
		if !slices.Contains(together, nil) {
			all = append(all, together)
		}
	}
	return all
}

// dimensions returns the number of tags of a monitor's groups.
func dimensions(m *Monitor) (n int) {
	for _, g := range m.groups {
		n = max(n, len(g.Tags))
	}
	return n
}

// within returns the group whose values are all among those of another group; equal requires
// that it has as many. A group with the same keys comes first.
func (m *Monitor) within(of *group, equal bool) (found *group) {
	values := valuesOf(of.Tags)
	for _, g := range m.groups {
		inside := !equal || len(g.Tags) == len(of.Tags)
		for _, v := range valuesOf(g.Tags) {
			inside = inside && slices.Contains(values, v)
		}
		if !inside {
			continue
		}
		if !slices.ContainsFunc(g.Tags, func(tag string) bool { return !slices.Contains(of.Tags, tag) }) {
			return g
		}
		if found == nil {
			found = g
		}
	}
	return found
}

func valuesOf(tags Tags) (values []string) {
	for _, t := range tags {
		_, value, _ := strings.Cut(t, ":")
		values = append(values, value)
	}
	return values
}
