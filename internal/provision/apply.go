package provision

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Apply does what a plan says, and prints each resource as it is done. One that
// fails keeps only those from being done that refer to it. The error says what
// failed; running it again goes on from there.
func (c *Client) Apply(ctx context.Context, all Definitions, values Values, w io.Writer) error {
	p, err := c.Plan(ctx, all, values)
	if err != nil {
		return err
	}
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
			errs = append(errs, context.Cause(ctx))
			break
		}
		if needs := d.missing(targets); len(needs) > 0 {
			fail(d, fmt.Errorf("%s: not done, it needs %s", d.Ref, strings.Join(needs, " and ")))
			continue
		}
		// With the IDs of what was made just now.
		step = c.compare(ctx, d, values, p.objects[d.Kind], targets)
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
		fmt.Fprintf(w, "%-8s %-32s %s has no definition any more; destroy removes it\n", "left", l.Ref, l.Link)
	}
	if len(errs) == 0 {
		return nil
	}
	summary := "nothing was changed"
	if len(done) > 0 {
		summary = "done: " + strings.Join(done, ", ")
	}
	return fmt.Errorf("%w\n%s\nnot done: %s\nrun it again to go on", errors.Join(errs...), summary, strings.Join(failed, ", "))
}

// missing are the definitions that d refers to and that do not exist.
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

func (c *Client) carryOut(ctx context.Context, step Step, values Values, w io.Writer) (verb string, o object, err error) {
	switch step.Action {
	case Failed:
		return "", object{}, step.Err
	case Same:
		return "same", *step.found, nil
	case Create:
		verb = "created"
		o, err = c.create(ctx, step.Ref, step.body, mark(values.Stack(), step.Key))
	case Update:
		verb = "changed"
		o, err = c.update(ctx, step.Ref, *step.found, step.body)
	}
	if err != nil {
		return "", object{}, err
	}
	if kept := diff(step.Kind, step.body, o.body, step.moving()); len(kept) > 0 {
		fmt.Fprintf(w, "the API did not take all of %s:\n", step.Ref)
		writeChanges(w, kept)
	}
	return verb, o, nil
}

// Managed are the resources of a deployment, in the order in which they can be
// removed.
func (c *Client) Managed(ctx context.Context, values Values) ([]Left, error) {
	var all []Left
	for _, kind := range slices.Backward(kinds) {
		objects, err := c.list(ctx, kind)
		if err != nil {
			return nil, err
		}
		byKey := map[string][]object{}
		for _, o := range objects {
			for _, m := range marks(kind, o.body) {
				if key := keyOf(m, values.Stack()); key != "" {
					byKey[key] = append(byKey[key], o)
					all = append(all, Left{Ref{kind, key}, c.link(o), o})
				}
			}
		}
		for key := range byKey {
			if _, err := withMark(c, Ref{kind, key}, objects, mark(values.Stack(), key)); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// Destroy removes resources that Managed has returned. Each is read again before:
// what has lost its marker since is no longer this program's.
func (c *Client) Destroy(ctx context.Context, all []Left, values Values, w io.Writer) error {
	var errs []error
	var rest []string
	for i, l := range all {
		if ctx.Err() != nil {
			for _, l := range all[i:] {
				rest = append(rest, l.Ref.String())
			}
			errs = append(errs, context.Cause(ctx))
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
	return fmt.Errorf("%w\nstill there: %s\nrun it again to go on", errors.Join(errs...), strings.Join(rest, ", "))
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
		return fmt.Errorf("%s: %s has no marker any more, so it stays", l.Ref, l.Link)
	}
	return c.remove(ctx, o)
}
