package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Apply creates and changes resources until the account matches the definitions.
// It prints a line for each resource. If one fails, Apply skips those that refer
// to it and continues with the rest. The error lists what failed. Running Apply
// again continues from there.
//
// A monitor whose type changes is replaced if replace is set; otherwise it fails.
func (c *Client) Apply(ctx context.Context, all Definitions, values Values, replace bool, w io.Writer) error {
	began := time.Now()
	p, err := c.Plan(ctx, all, values)
	if err != nil {
		return err
	}
	start := values.Now
	targets := map[Ref]Target{}
	var failed, done []string
	var errs []error
	fail := func(d Definition, err error) {
		failed = append(failed, d.String())
		errs = append(errs, err)
		fmt.Fprintf(w, "%-8s %s\n", "failed", d.Ref)
	}
	for i, step := range p.Steps {
		d := step.Definition
		if ctx.Err() != nil {
			for _, rest := range p.Steps[i:] {
				failed = append(failed, rest.String())
			}
			errs = append(errs, momentary{context.Cause(ctx)})
			break
		}
		if needs := d.missing(targets); len(needs) > 0 {
			fail(d, fmt.Errorf("%s: skipped, because it needs %s", d.Ref, strings.Join(needs, " and ")))
			continue
		}
		// The API accepts no past start of a downtime, and a rate limit takes minutes.
		values.Now = start.Add(time.Since(began))
		// Compare again, now with the IDs of resources that this run created.
		step = c.compare(ctx, d, values, p.objects[d.Kind], targets)
		if step.Action == Replace && !replace {
			step.Action, step.Err = Failed, fmt.Errorf("%s: its type is %v and shall be %v; %s", d.Ref, step.found.body["type"], step.body["type"], replaceNote)
		}
		verb, o, err := c.carryOut(ctx, step, values, w)
		if err != nil {
			fail(d, err)
			continue
		}
		targets[d.Ref] = c.target(o)
		if verb != "same" {
			done = append(done, d.String())
		}
		fmt.Fprintf(w, "%-8s %-32s %s\n", verb, d.Ref, c.link(o))
	}
	for _, l := range p.Left {
		fmt.Fprintf(w, "%-8s %-32s %s no longer has a definition; destroy deletes it\n", "left", l.Ref, l.Link)
	}
	for _, l := range p.Copies {
		fmt.Fprintf(w, "%-8s %s\n", "copy", l)
	}
	if len(errs) == 0 {
		return nil
	}
	summary := "nothing was changed"
	if len(done) > 0 {
		summary = "done: " + strings.Join(done, ", ")
	}
	return unfinished("apply", fmt.Sprintf("%s\nnot done: %s", summary, strings.Join(failed, ", ")), errs)
}

// unfinished returns the error of a command that did not do everything. It recommends to
// run the command again if that can help.
func unfinished(command, summary string, errs []error) error {
	if slices.ContainsFunc(errs, passes) {
		summary += "\nrun " + command + " again to continue"
	}
	return fmt.Errorf("%w\n%s", errors.Join(errs...), summary)
}

// missing returns the definitions that d refers to and that have no resource yet.
func (d Definition) missing(targets map[Ref]Target) []string {
	var all []string
	for ref := range d.references() {
		if _, ok := targets[ref]; !ok {
			all = append(all, ref.String())
		}
	}
	slices.Sort(all)
	return all
}

// carryOut creates or changes the resource of step. It warns on w if the API did
// not accept every value.
func (c *Client) carryOut(ctx context.Context, step Step, values Values, w io.Writer) (verb string, o object, err error) {
	switch step.Action {
	case Failed:
		return "", object{}, step.Err
	case Same:
		return "same", *step.found, nil
	case Create:
		verb = "created"
		o, err = c.create(ctx, step.Ref, step.toSend(values), mark(values.Stack(), step.Key))
	case Update:
		verb = "changed"
		o, err = c.update(ctx, step.Ref, *step.found, step.toSend(values), step.Changes)
	case Replace:
		verb = "replaced"
		o, err = c.replace(ctx, step, mark(values.Stack(), step.Key))
	}
	if err != nil {
		return "", object{}, err
	}
	if kept := diff(step.Kind, step.body, o.body, step.moving()); len(kept) > 0 {
		fmt.Fprintf(w, "the API did not accept all of %s:\n", step.Ref)
		writeChanges(w, kept)
	}
	return verb, o, nil
}

// replace deletes a monitor and creates a new one, after the API has validated that.
func (c *Client) replace(ctx context.Context, step Step, mark string) (object, error) {
	op := step.Kind.operation("validate "+step.Ref.String(), http.MethodPost, "validate")
	op.permission, op.body = apis[step.Kind].read, withoutNull(step.Kind, step.body)
	if _, err := c.do(ctx, op); err != nil && !notFound(err) {
		return object{}, err
	}
	if err := c.remove(ctx, *step.found); err != nil {
		return object{}, err
	}
	return c.create(ctx, step.Ref, step.body, mark)
}

// Managed returns the resources of a deployment in the order of deletion, and the copies
// of them: younger resources that carry the same marker.
func (c *Client) Managed(ctx context.Context, values Values) (originals, copies []Left, err error) {
	for _, kind := range slices.Backward(kinds) {
		objects, err := c.list(ctx, kind)
		if err != nil {
			return nil, nil, err
		}
		some, others := c.managed(kind, objects, values)
		originals, copies = append(originals, some...), append(copies, others...)
	}
	return originals, copies, nil
}

// Destroy deletes resources that Managed returned. It reads each one again first,
// and keeps it if somebody has removed its marker meanwhile.
func (c *Client) Destroy(ctx context.Context, all []Left, values Values, w io.Writer) error {
	var errs []error
	var rest []string
	for i, l := range all {
		if ctx.Err() != nil {
			for _, l := range all[i:] {
				rest = append(rest, l.Ref.String())
			}
			errs = append(errs, momentary{context.Cause(ctx)})
			break
		}
		err := c.destroy(ctx, l, values)
		if err != nil {
			rest = append(rest, l.Ref.String())
			errs = append(errs, err)
			fmt.Fprintf(w, "%-8s %s\n", "failed", l.Ref)
			continue
		}
		fmt.Fprintf(w, "%-8s %s\n", "deleted", l.Ref)
	}
	if len(errs) == 0 {
		return nil
	}
	return unfinished("destroy", "not deleted: "+strings.Join(rest, ", "), errs)
}

func (c *Client) destroy(ctx context.Context, l Left, values Values) error {
	o, err := c.get(ctx, l.Kind, l.ID())
	if notFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if !slices.Contains(marks(l.Kind, o.body), mark(values.Stack(), l.Key)) {
		return fmt.Errorf("%s: not deleted, because %s no longer carries the marker", l.Ref, l.Link)
	}
	return c.remove(ctx, o)
}
