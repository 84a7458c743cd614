package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Action is what apply will do about a definition.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "change"
	// Replace deletes a monitor and creates a new one, because the API does not change the
	// type of a monitor.
	Replace Action = "replace"
	Same    Action = "same"
	Failed  Action = "failed" // the comparison failed, see Step.Err
)

// Step is a definition and what apply will do about it.
type Step struct {
	Definition
	Action  Action
	Changes []Change // if Action is Update
	Err     error    // if Action is Failed

	body  map[string]any // to send, with its marker
	found *object
}

// Plan lists what apply will do.
type Plan struct {
	Steps []Step
	// Left are resources of the deployment without a definition: somebody deleted or
	// renamed the file. Only Destroy deletes them.
	Left []Left

	// Copies carry the marker of an older resource.
	Copies []Left

	objects map[Kind][]object
}

// Left is a managed resource without a definition.
type Left struct {
	Ref
	Link string
	object
}

// String describes a copy and what to do about it.
func (l Left) String() string {
	remedy := "remove its tag " + idTag + "..."
	if holder, _ := l.Kind.text(l.body); holder != nil {
		remedy = "remove the line " + strings.Replace(markLine, "%", "...", 1) + " from its text"
	}
	return fmt.Sprintf("%s: a younger resource carries the same marker: %s; if it is yours, %s; destroy -copies deletes it", l.Ref, l.Link, remedy)
}

const replaceNote = "the API does not change a monitor's type: apply -replace deletes the monitor, with its history and mutings, and creates a new one"

// sameType reports whether two types of monitors are one to the API.
func sameType(a, b any) bool {
	plain := func(t any) any {
		if t == "metric alert" {
			return "query alert" // the API uses both names for the same monitor
		}
		return t
	}
	return plain(a) == plain(b)
}

// Counts returns the number of steps by action.
func (p Plan) Counts() map[Action]int {
	n := map[Action]int{}
	for _, s := range p.Steps {
		n[s.Action]++
	}
	return n
}

// prepare returns the body to send: filled, with the marker.
func (d Definition) prepare(values Values, target func(Ref) Target) (map[string]any, error) {
	body, err := d.Fill(values, target)
	if err != nil {
		return nil, err
	}
	m := mark(values.Stack(), d.Key)
	if n := len(idTag + m); n > longestTag {
		return nil, fmt.Errorf("%s: its tag %s has %d characters, but Datadog keeps %d; shorten the key, the service or the environment", d.File, idTag+m, n, longestTag)
	}
	addMark(d.Kind, body, m)
	return body, nil
}

// Validate compares all definitions, filled with values, with the models in schema.
func (all Definitions) Validate(values Values) error {
	var errs []error
	for _, d := range all {
		body, err := d.prepare(values, anyTarget)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, p := range Check(d.Kind, body) {
			if !values.AllowUnknown || !p.New {
				errs = append(errs, fmt.Errorf("%s: %s", d.File, p))
			}
		}
	}
	return errors.Join(errs...)
}

// anyTarget returns a target of the right type for ref.
func anyTarget(ref Ref) Target {
	if ref.Kind == Monitor {
		return Target{ID: json.Number("1"), URL: "https://app.datadoghq.com/monitors/1"}
	}
	return Target{ID: ref.Key, URL: "https://app.datadoghq.com/" + string(ref.Kind) + "/" + ref.Key}
}

// Offline returns the plan for an empty account, without sending a request.
// References stay as they are.
func (all Definitions) Offline(values Values) (Plan, error) {
	var p Plan
	filled, err := all.fill(values, nil)
	for i, d := range filled {
		p.Steps = append(p.Steps, Step{Definition: all[i], Action: Create, body: d.Body})
	}
	return p, err
}

// fill returns valid definitions with the bodies to send.
func (all Definitions) fill(values Values, target func(Ref) Target) (Definitions, error) {
	if err := all.Validate(values); err != nil {
		return nil, err
	}
	var filled Definitions
	for _, d := range all {
		body, err := d.prepare(values, target)
		if err != nil {
			return nil, err
		}
		filled = append(filled, Definition{d.Ref, d.File, body})
	}
	return filled, nil
}

// Plan compares the account with the definitions. It returns an error if there can be
// no plan; the error of a single resource is in its step.
func (c *Client) Plan(ctx context.Context, all Definitions, values Values) (Plan, error) {
	if err := all.Validate(values); err != nil {
		return Plan{}, err
	}
	p := Plan{objects: map[Kind][]object{}}
	for _, kind := range kinds {
		objects, err := c.list(ctx, kind)
		if err != nil {
			return Plan{}, err
		}
		p.objects[kind] = objects
	}
	targets := map[Ref]Target{}
	for _, d := range all {
		step := c.compare(ctx, d, values, p.objects[d.Kind], targets)
		if step.found != nil && step.Action != Replace { // a replacement has a new ID
			targets[d.Ref] = c.target(*step.found)
		}
		p.Steps = append(p.Steps, step)
	}
	for _, kind := range kinds {
		originals, copies := c.managed(kind, p.objects[kind], values)
		for _, l := range originals {
			if !slices.ContainsFunc(all, func(d Definition) bool { return d.Ref == l.Ref }) {
				p.Left = append(p.Left, l)
			}
		}
		p.Copies = append(p.Copies, copies...)
	}
	return p, nil
}

// managed returns the resources of a deployment among objects, and the copies of them.
func (c *Client) managed(kind Kind, objects []object, values Values) (originals, copies []Left) {
	seen := map[string]bool{}
	for _, o := range objects {
		for _, m := range marks(kind, o.body) {
			key, ours := strings.CutPrefix(m, mark(values.Stack(), ""))
			if !ours || key == "" || seen[m] {
				continue
			}
			seen[m] = true
			ref := Ref{kind, key}
			original, others := withMark(objects, m)
			originals = append(originals, Left{ref, c.link(*original), *original})
			for _, o := range others {
				copies = append(copies, Left{ref, c.link(o), o})
			}
		}
	}
	return originals, copies
}

// target returns what references to o stand for.
func (c *Client) target(o object) Target { return Target{ID: o.id, URL: c.link(o)} }

// notYet is the target of a reference to a resource that does not exist yet.
var notYet = Target{ID: "(known after apply)", URL: "(known after apply)"}

// compare finds the resource of d among objects and compares the two.
func (c *Client) compare(ctx context.Context, d Definition, values Values, objects []object, targets map[Ref]Target) Step {
	step := Step{Definition: d, Action: Failed}
	step.body, step.Err = d.prepare(values, func(ref Ref) Target {
		if t, ok := targets[ref]; ok {
			return t
		}
		return notYet
	})
	if step.Err != nil {
		return step
	}
	step.found, _ = withMark(objects, mark(values.Stack(), d.Key))
	if step.found == nil {
		step.Action = Create
		return step
	}
	if d.Kind == Dashboard { // the list omits widgets
		o, err := c.get(ctx, d.Kind, step.found.ID())
		if notFound(err) { // the list still has a dashboard that was deleted
			step.found, step.Action = nil, Create
			return step
		}
		if err != nil {
			step.Err = err
			return step
		}
		step.found = &o
	}
	if from, to := step.found.body["type"], step.body["type"]; d.Kind == Monitor && !sameType(from, to) {
		step.Action = Replace
		step.Changes = []Change{{"type", from, to}}
		return step
	}
	step.Action = Same
	if step.Changes = diff(d.Kind, step.body, step.found.body, d.moving()); len(step.Changes) > 0 {
		step.Action = Update
	}
	return step
}

// moving returns the paths of d whose value depends on the current date.
func (d Definition) moving() map[string]bool {
	all := map[string]bool{}
	walk(d.Body, func(at, s string) {
		if strings.HasPrefix(s, "${next:") {
			all[at] = true
		}
	})
	return all
}

// Write prints the plan. With full, it prints the whole body of each resource to
// create.
func (p Plan) Write(w io.Writer, full bool) {
	for _, s := range p.Steps {
		fmt.Fprintf(w, "%-7s %s\n", s.Action, s.Ref)
		switch {
		case s.Err != nil:
			fmt.Fprintf(w, "    %v\n", s.Err)
		case s.Action == Create && full:
			w.Write(marshal(s.body))
		case s.Action == Create:
			for _, line := range summary(s.Kind, s.body) {
				fmt.Fprintf(w, "    + %s\n", line)
			}
		default:
			writeChanges(w, s.Changes)
			if s.Action == Replace {
				fmt.Fprintln(w, "    "+replaceNote)
			}
		}
	}
	for _, l := range p.Left {
		fmt.Fprintf(w, "%-7s %s no longer has a definition: %s\n", "left", l.Ref, l.Link)
	}
	for _, l := range p.Copies {
		fmt.Fprintf(w, "%-7s %s\n", "copy", l)
	}
	n := p.Counts()
	fmt.Fprintf(w, "\n%d to create, %d to change, %d the same", n[Create], n[Update], n[Same])
	for _, more := range []struct {
		n    int
		what string
	}{{n[Replace], "to replace"}, {n[Failed], "failed"}, {len(p.Left), "left over"}} {
		if more.n > 0 {
			fmt.Fprintf(w, ", %d %s", more.n, more.what)
		}
	}
	fmt.Fprintln(w)
}

// summary describes a resource in a few lines.
func summary(kind Kind, body map[string]any) []string {
	lines := []string{object{kind, "", body}.title()}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	switch kind {
	case Dashboard:
		n := 0
		eachWidget(body["widgets"], func(_, _ map[string]any) { n++ })
		add("%d graphs, groups and notes", n)
	case Monitor:
		add("%v", body["query"])
	case SLO:
		for _, t := range objects(body["thresholds"]) {
			add("%v %% in %v", t["target"], t["timeframe"])
		}
	case Downtime:
		schedule := scheduleOf(body)
		for _, r := range objects(schedule["recurrences"]) {
			add("from %v %v, %v, %v", r["start"], schedule["timezone"], r["duration"], r["rrule"])
		}
	}
	return lines
}
