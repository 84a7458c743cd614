package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
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
		op := operation{name: fmt.Sprintf("list %ss", kind), permission: of.read, method: http.MethodGet, path: of.path,
			query: url.Values{of.size: {strconv.Itoa(pageSize)}, of.from: {strconv.Itoa(from)}}}
		if of.tags != "" {
			op.query.Set(of.tags, managedTag)
		}
		body, err := c.do(ctx, op)
		if err != nil {
			return nil, err
		}
		if o, ok := body.(map[string]any); ok && of.list != "" {
			body = o[of.list]
		}
		elements, ok := body.([]any)
		if !ok && body != nil {
			return nil, fmt.Errorf("%s: the API's answer is not a list", op.name)
		}
		for _, e := range elements {
			o, _ := e.(map[string]any)
			if kind == Downtime {
				o = map[string]any{"data": o}
				if status, _ := attributes(o)["status"].(string); status == "canceled" || status == "ended" {
					continue // the API lists downtimes for some time after their end
				}
			}
			id := idOf(kind, o)
			// A creation or deletion between two pages can make a resource appear twice.
			if id != nil && !seen[fmt.Sprint(id)] {
				seen[fmt.Sprint(id)] = true
				all = append(all, object{kind, id, o})
			}
		}
		if len(elements) < pageSize {
			return all, nil
		}
	}
}

// one sends a request for one resource.
func (c *Client) one(ctx context.Context, op operation, kind Kind, id string) (any, error) {
	if kind == Monitor {
		if _, err := strconv.ParseInt(id, 10, 64); err != nil {
			return nil, fmt.Errorf("%s: %w", op.name, err)
		}
	}
	op.path = apis[kind].path + "/" + url.PathEscape(id)
	return c.do(ctx, op)
}

// get returns one resource.
func (c *Client) get(ctx context.Context, kind Kind, id string) (object, error) {
	body, err := c.one(ctx, operation{name: fmt.Sprintf("read %s %s", kind, id), permission: apis[kind].read, method: http.MethodGet}, kind, id)
	if err != nil {
		return object{}, err
	}
	return newObject(kind, body)
}

// create creates a resource that carries mark. If the outcome of a request is
// unknown, create looks for the marker before it sends the request again, so that
// there is never a second resource.
func (c *Client) create(ctx context.Context, ref Ref, body map[string]any, mark string) (object, error) {
	op := operation{name: "create " + ref.String(), permission: apis[ref.Kind].write, method: http.MethodPost, path: apis[ref.Kind].path, once: true}
	var err error
	if op.body, err = ref.Kind.request(body); err != nil {
		return object{}, fmt.Errorf("%s: %w", op.name, err)
	}
	wait := newBackOff()
	for attempt := 1; ; attempt++ {
		answer, err := c.do(ctx, op)
		if err == nil {
			created, err := newObject(ref.Kind, answer)
			if err != nil {
				return object{}, fmt.Errorf("%s: %w", op.name, err)
			}
			return created, nil
		}
		if !errors.Is(err, errUnknown) {
			return object{}, err
		}
		if attempt == attempts {
			return object{}, fmt.Errorf("%w (after %d attempts)", err, attempt)
		}
		// A new resource may appear in lists late, so one look is not enough.
		const looks = 2
		for range looks {
			if err := c.pause(ctx, wait.NextBackOff(), err); err != nil {
				return object{}, fmt.Errorf("%s: %w", op.name, err)
			}
			found, lookErr := c.find(ctx, ref, mark)
			if lookErr != nil {
				return object{}, fmt.Errorf("%w; then: %w", err, lookErr)
			}
			if found != nil {
				return *found, nil
			}
		}
	}
}

// find returns the resource with a marker, or nil.
func (c *Client) find(ctx context.Context, ref Ref, mark string) (*object, error) {
	all, err := c.list(ctx, ref.Kind)
	if err != nil {
		return nil, err
	}
	found, err := withMark(c, ref, all, mark)
	if err != nil || found == nil {
		return nil, err
	}
	if ref.Kind == Dashboard { // the list omits widgets
		o, err := c.get(ctx, ref.Kind, found.ID())
		return &o, err
	}
	return found, nil
}

// withMark returns the resource that carries mark, or nil. Two are an error: one
// is probably a copy made in the pages, and only people can decide which one to
// change or delete.
func withMark(c *Client, ref Ref, all []object, mark string) (*object, error) {
	var found []object
	for _, o := range all {
		for _, m := range marks(o.kind, o.body) {
			if m == mark {
				found = append(found, o)
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return &found[0], nil
	}
	var links []string
	for _, o := range found {
		links = append(links, c.link(o))
	}
	return nil, fmt.Errorf("%s: %d resources carry its marker: %s; one is probably a copy: delete it, or remove its marker", ref, len(found), strings.Join(links, " "))
}

// update changes a resource to body.
func (c *Client) update(ctx context.Context, ref Ref, o object, body map[string]any) (object, error) {
	op := operation{name: "change " + ref.String(), permission: apis[ref.Kind].write, method: apis[ref.Kind].change}
	var err error
	if op.body, err = ref.Kind.request(body); err != nil {
		return object{}, fmt.Errorf("%s: %w", op.name, err)
	}
	if ref.Kind == Downtime {
		op.body["data"].(map[string]any)["id"] = o.id
	}
	answer, err := c.one(ctx, op, ref.Kind, o.ID())
	if err != nil {
		return object{}, err
	}
	return newObject(ref.Kind, answer)
}

// remove deletes a resource. It succeeds if the resource no longer exists.
func (c *Client) remove(ctx context.Context, o object) error {
	_, err := c.one(ctx, operation{name: fmt.Sprintf("delete %s %s", o.kind, o.ID()), permission: apis[o.kind].write, method: http.MethodDelete}, o.kind, o.ID())
	if notFound(err) {
		return nil
	}
	return err
}
