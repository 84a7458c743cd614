package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// object is a resource in an account.
type object struct {
	kind Kind
	id   any // a json.Number for a monitor, else a string
	body map[string]any
}

func (o object) ID() string { return fmt.Sprint(o.id) }

// title returns the name that people see in the pages.
func (o object) title() string {
	for _, field := range []string{"title", "name"} {
		if s, ok := o.body[field].(string); ok && s != "" {
			return s
		}
	}
	message, _ := attributes(o.body)["message"].(string)
	first, _, _ := strings.Cut(message, "\n")
	return first
}

// link returns the URL of an object's page.
func (c *Client) link(o object) string { return App(c.cfg.Site) + apis[o.kind].page + o.ID() }

// idOf returns the ID in a body from the API, or nil.
func idOf(kind Kind, body map[string]any) any {
	if data, ok := body["data"].(map[string]any); ok && kind == Downtime {
		return data["id"]
	}
	return body["id"]
}

// newObject reads the API's answer to a request for one resource.
func newObject(kind Kind, body any) (object, error) {
	if o, ok := body.(map[string]any); ok && kind == SLO {
		// The SLO is in data; after a creation data is a list with it.
		body = o["data"]
		if list, ok := body.([]any); ok && len(list) == 1 {
			body = list[0]
		}
	}
	o, _ := body.(map[string]any)
	id := idOf(kind, o)
	switch id.(type) {
	case string, json.Number:
		return object{kind, id, o}, nil
	}
	return object{}, fmt.Errorf("the API's answer contains no %s with an ID", kind)
}

// list returns the resources of a kind that may carry a marker: tagged SLOs and
// monitors, and all dashboards and downtimes. Dashboards are summaries without
// widgets.
func (c *Client) list(ctx context.Context, kind Kind) ([]object, error) {
	of := apis[kind]
	var all []object
	seen := map[string]bool{}
	for page := 0; ; page++ {
		from := page * pageSize
		if kind == Monitor {
			from = page // this API counts pages
		}
		op := kind.operation(fmt.Sprintf("list %ss", kind), http.MethodGet, "")
		op.query = url.Values{of.size: {strconv.Itoa(pageSize)}, of.from: {strconv.Itoa(from)}}
		if of.tags != "" {
			op.query.Set(of.tags, ManagedTag)
		}
		body, err := c.do(ctx, op)
		if err != nil {
			return nil, err
		}
		if of.list != "" {
			o, _ := body.(map[string]any)
			v, found := o[of.list]
			if body = v; found && v == nil {
				body = []any{}
			}
		}
		elements, ok := body.([]any)
		if !ok { // an account that seems to be empty would get everything a second time
			return nil, fmt.Errorf("%s: the API's answer is not a list; check DD_SITE, -api and the proxy", op.name)
		}
		before := len(seen)
		for _, o := range objects(elements) {
			if kind == Downtime {
				o = map[string]any{"data": o}
			}
			id := idOf(kind, o)
			// A creation or deletion between two pages can make a resource appear twice.
			if id == nil || seen[fmt.Sprint(id)] {
				continue
			}
			seen[fmt.Sprint(id)] = true
			// The API lists downtimes for some time after their end.
			if status := attributes(o)["status"]; kind != Downtime || status != "canceled" && status != "ended" {
				all = append(all, object{kind, id, o})
			}
		}
		if len(elements) < pageSize || len(seen) == before { // a gateway may drop the number of the page
			return all, nil
		}
	}
}

// get returns one resource.
func (c *Client) get(ctx context.Context, kind Kind, id string) (object, error) {
	body, err := c.do(ctx, kind.operation(fmt.Sprintf("read %s %s", kind, id), http.MethodGet, id))
	if err != nil {
		return object{}, err
	}
	return newObject(kind, body)
}

// create creates a resource that carries mark.
func (c *Client) create(ctx context.Context, ref Ref, body map[string]any, mark string) (object, error) {
	op := ref.Kind.operation("create "+ref.String(), http.MethodPost, "")
	op.body = withoutNull(ref.Kind, body)
	return createOnce(ctx, c, op, func(answer any) (object, error) { return newObject(ref.Kind, answer) },
		func() (*object, error) { return c.find(ctx, ref, mark) })
}

// createOnce sends op, which creates something, and reads the answer. If the outcome of a
// request is unknown, it calls find before it sends the request again. The lists of the
// API may omit something new for longer than createOnce looks, so a second one is rare,
// but possible.
func createOnce[T any](ctx context.Context, c *Client, op operation, read func(answer any) (T, error), find func() (*T, error)) (none T, err error) {
	op.once = true
	wait := newBackOff()
	for attempt := 1; ; attempt++ {
		answer, err := c.do(ctx, op)
		if err == nil {
			created, err := read(answer)
			if err != nil {
				return none, fmt.Errorf("%s: %w", op.name, err)
			}
			return created, nil
		}
		if !errors.Is(err, errUnknown) {
			return none, err
		}
		if attempt == attempts {
			return none, fmt.Errorf("%w (after %d attempts)", err, attempt)
		}
		// A list may omit something new, so one look is not enough.
		const looks = 2
		for range looks {
			if err := c.pause(ctx, wait.NextBackOff(), err); err != nil {
				return none, fmt.Errorf("%s: %w", op.name, err)
			}
			found, lookErr := find()
			if lookErr != nil {
				return none, fmt.Errorf("%w; then: %w", err, lookErr)
			}
			if found != nil {
				return *found, nil
			}
		}
	}
}

// withoutNull returns a body without fields that are null. To the API, an absent field
// and a null one are the same, except where a request changes only the fields that it
// has: the fields of a monitor and the attributes of a downtime, which null clears.
func withoutNull(kind Kind, body map[string]any) map[string]any {
	return without(body, func(at string, v any) bool {
		clears := kind == Monitor && !strings.ContainsAny(at, ".[") || kind == Downtime && !strings.Contains(at, "[")
		return v == nil && !clears
	})
}

// find returns the resource with a marker, or nil.
func (c *Client) find(ctx context.Context, ref Ref, mark string) (*object, error) {
	all, err := c.list(ctx, ref.Kind)
	if err != nil {
		return nil, err
	}
	found, _ := withMark(all, mark)
	if found != nil && ref.Kind == Dashboard { // the list omits widgets
		o, err := c.get(ctx, ref.Kind, found.ID())
		return &o, err
	}
	return found, nil
}

// withMark returns the resource that carries mark, or nil, and others that carry it,
// too: a clone that somebody made in the pages keeps the tags of a monitor or SLO, and a
// creation whose answer was lost may have been sent again. The original is the oldest.
func withMark(all []object, mark string) (original *object, copies []object) {
	for _, o := range all {
		if slices.Contains(marks(o.kind, o.body), mark) {
			copies = append(copies, o)
		}
	}
	if len(copies) == 0 {
		return nil, nil
	}
	slices.SortStableFunc(copies, older)
	return &copies[0], copies[1:]
}

// older compares two resources with the same marker. One whose text ends with the marker
// is as apply wrote it, so it precedes one whose text continues.
func older(a, b object) int {
	continued := func(o object) int {
		if _, after := o.kind.inText(o.body); strings.TrimSpace(after) != "" {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(continued(a), continued(b)), a.created().Compare(b.created()),
		cmp.Compare(len(a.ID()), len(b.ID())), cmp.Compare(a.ID(), b.ID())) // IDs of monitors grow
}

// created returns the time of a resource's creation. Without one, the resource counts as
// the newest.
func (o object) created() time.Time {
	var v any
	for _, field := range []string{"created_at", "created"} {
		v = cmp.Or(v, o.body[field], attributes(o.body)[field])
	}
	switch v := v.(type) {
	case json.Number: // SLOs
		if seconds, err := v.Float64(); err == nil {
			if seconds > 1e11 {
				seconds /= 1000
			}
			return time.Unix(int64(seconds), 0)
		}
	case string:
		if at, err := time.Parse(time.RFC3339, v); err == nil {
			return at
		}
	}
	return time.Unix(1<<40, 0)
}

// update changes a resource to body. changes are the differences between the two.
func (c *Client) update(ctx context.Context, ref Ref, o object, body map[string]any, changes []Change) (object, error) {
	op := ref.Kind.operation("change "+ref.String(), apis[ref.Kind].change, o.ID())
	op.body = withoutNull(ref.Kind, carryOver(ref.Kind, body, o.body))
	if ref.Kind == Downtime {
		op.body["data"].(map[string]any)["id"] = o.id
		// A new schedule ends the downtime that is active, and begins with its first start.
		if !slices.ContainsFunc(changes, func(c Change) bool { return strings.HasPrefix(c.Path, schedulePath) }) {
			delete(attributes(op.body), "schedule")
		}
	}
	answer, err := c.do(ctx, op)
	if notFound(err) {
		return object{}, momentary{err} // somebody deleted it after the list; the next run creates it
	}
	if err != nil {
		return object{}, err
	}
	return newObject(ref.Kind, answer)
}

// remove deletes a resource. It succeeds if the resource no longer exists.
func (c *Client) remove(ctx context.Context, o object) error {
	_, err := c.do(ctx, o.kind.operation(fmt.Sprintf("delete %s %s", o.kind, o.ID()), http.MethodDelete, o.ID()))
	if notFound(err) {
		return nil
	}
	return err
}
