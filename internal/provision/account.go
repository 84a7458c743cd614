package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadogV1"
	"github.com/DataDog/datadog-api-client-go/v2/api/datadogV2"
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
func (c *Client) link(o object) string {
	switch o.kind {
	case SLO:
		return c.page("/slo?slo_id=" + o.ID())
	case Dashboard:
		return c.page("/dashboard/" + o.ID())
	case Monitor:
		return c.page("/monitors/" + o.ID())
	default:
		return c.page("/monitors/downtimes?selected=" + o.ID())
	}
}

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

// model converts a body to the client's model M.
func model[M any](body map[string]any) (M, error) {
	var m M
	err := json.Unmarshal(marshal(body), &m)
	return m, err
}

// list returns the resources of a kind that may carry a marker: tagged SLOs and
// monitors, and all dashboards and downtimes. Dashboards are summaries without
// widgets.
func (c *Client) list(ctx context.Context, kind Kind) ([]object, error) {
	read, _ := kind.permissions()
	var all []object
	seen := map[string]bool{}
	for page := 0; ; page++ {
		offset := int64(page * pageSize)
		op := operation{name: fmt.Sprintf("list %ss", kind), permission: read}
		var field string
		switch kind {
		case SLO:
			field = "data"
			op.call = func(ctx context.Context) (*http.Response, error) {
				_, resp, err := c.slos.ListSLOs(ctx, *datadogV1.NewListSLOsOptionalParameters().
					WithTagsQuery(managedTag).WithLimit(pageSize).WithOffset(offset))
				return resp, err
			}
		case Dashboard:
			field = "dashboards"
			op.call = func(ctx context.Context) (*http.Response, error) {
				_, resp, err := c.dashboards.ListDashboards(ctx, *datadogV1.NewListDashboardsOptionalParameters().
					WithCount(pageSize).WithStart(offset))
				return resp, err
			}
		case Monitor:
			op.call = func(ctx context.Context) (*http.Response, error) {
				_, resp, err := c.monitors.ListMonitors(ctx, *datadogV1.NewListMonitorsOptionalParameters().
					WithMonitorTags(managedTag).WithPage(int64(page)).WithPageSize(pageSize))
				return resp, err
			}
		case Downtime:
			field = "data"
			op.call = func(ctx context.Context) (*http.Response, error) {
				_, resp, err := c.downtimes.ListDowntimes(ctx, *datadogV2.NewListDowntimesOptionalParameters().
					WithPageOffset(offset).WithPageLimit(pageSize))
				return resp, err
			}
		}
		body, err := c.do(ctx, op)
		if err != nil {
			return nil, err
		}
		if o, ok := body.(map[string]any); ok && field != "" {
			body = o[field]
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

// get returns one resource.
func (c *Client) get(ctx context.Context, kind Kind, id string) (object, error) {
	read, _ := kind.permissions()
	body, err := c.do(ctx, operation{name: fmt.Sprintf("read %s %s", kind, id), permission: read,
		call: func(ctx context.Context) (*http.Response, error) {
			switch kind {
			case SLO:
				_, resp, err := c.slos.GetSLO(ctx, id)
				return resp, err
			case Dashboard:
				_, resp, err := c.dashboards.GetDashboard(ctx, id)
				return resp, err
			case Monitor:
				number, err := strconv.ParseInt(id, 10, 64)
				if err != nil {
					return nil, err
				}
				_, resp, err := c.monitors.GetMonitor(ctx, number)
				return resp, err
			default:
				_, resp, err := c.downtimes.GetDowntime(ctx, id)
				return resp, err
			}
		}})
	if err != nil {
		return object{}, err
	}
	return newObject(kind, body)
}

// create creates a resource that carries mark. If the outcome of a request is
// unknown, create looks for the marker before it sends the request again, so that
// there is never a second resource.
func (c *Client) create(ctx context.Context, ref Ref, body map[string]any, mark string) (object, error) {
	_, write := ref.Kind.permissions()
	op := operation{name: "create " + ref.String(), permission: write, once: true}
	if err := c.creation(ref.Kind, body, &op); err != nil {
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

// creation sets op.call to the request that creates body.
func (c *Client) creation(kind Kind, body map[string]any, op *operation) (err error) {
	switch kind {
	case SLO:
		m, err := model[datadogV1.ServiceLevelObjectiveRequest](body)
		op.call = func(ctx context.Context) (*http.Response, error) {
			_, resp, err := c.slos.CreateSLO(ctx, m)
			return resp, err
		}
		return err
	case Dashboard:
		m, err := model[datadogV1.Dashboard](body)
		op.call = func(ctx context.Context) (*http.Response, error) {
			_, resp, err := c.dashboards.CreateDashboard(ctx, m)
			return resp, err
		}
		return err
	case Monitor:
		m, err := model[datadogV1.Monitor](body)
		op.call = func(ctx context.Context) (*http.Response, error) {
			_, resp, err := c.monitors.CreateMonitor(ctx, m)
			return resp, err
		}
		return err
	default:
		m, err := model[datadogV2.DowntimeCreateRequest](body)
		op.call = func(ctx context.Context) (*http.Response, error) {
			_, resp, err := c.downtimes.CreateDowntime(ctx, m)
			return resp, err
		}
		return err
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
	_, write := ref.Kind.permissions()
	op := operation{name: "change " + ref.String(), permission: write}
	var err error
	switch ref.Kind {
	case SLO:
		var m datadogV1.ServiceLevelObjective
		m, err = model[datadogV1.ServiceLevelObjective](body)
		op.call = func(ctx context.Context) (*http.Response, error) {
			_, resp, err := c.slos.UpdateSLO(ctx, o.ID(), m)
			return resp, err
		}
	case Dashboard:
		var m datadogV1.Dashboard
		m, err = model[datadogV1.Dashboard](body)
		op.call = func(ctx context.Context) (*http.Response, error) {
			_, resp, err := c.dashboards.UpdateDashboard(ctx, o.ID(), m)
			return resp, err
		}
	case Monitor:
		id, idErr := strconv.ParseInt(o.ID(), 10, 64)
		var m datadogV1.MonitorUpdateRequest
		m, err = model[datadogV1.MonitorUpdateRequest](body)
		err = errors.Join(idErr, err)
		op.call = func(ctx context.Context) (*http.Response, error) {
			_, resp, err := c.monitors.UpdateMonitor(ctx, id, m)
			return resp, err
		}
	default:
		data, _ := body["data"].(map[string]any)
		data["id"] = o.id
		var m datadogV2.DowntimeUpdateRequest
		m, err = model[datadogV2.DowntimeUpdateRequest](body)
		delete(data, "id")
		op.call = func(ctx context.Context) (*http.Response, error) {
			_, resp, err := c.downtimes.UpdateDowntime(ctx, o.ID(), m)
			return resp, err
		}
	}
	if err != nil {
		return object{}, fmt.Errorf("%s: %w", op.name, err)
	}
	answer, err := c.do(ctx, op)
	if err != nil {
		return object{}, err
	}
	return newObject(ref.Kind, answer)
}

// remove deletes a resource. It succeeds if the resource no longer exists.
func (c *Client) remove(ctx context.Context, o object) error {
	_, write := o.kind.permissions()
	_, err := c.do(ctx, operation{name: fmt.Sprintf("delete %s %s", o.kind, o.ID()), permission: write,
		call: func(ctx context.Context) (*http.Response, error) {
			switch o.kind {
			case SLO:
				_, resp, err := c.slos.DeleteSLO(ctx, o.ID())
				return resp, err
			case Dashboard:
				_, resp, err := c.dashboards.DeleteDashboard(ctx, o.ID())
				return resp, err
			case Monitor:
				id, err := strconv.ParseInt(o.ID(), 10, 64)
				if err != nil {
					return nil, err
				}
				_, resp, err := c.monitors.DeleteMonitor(ctx, id)
				return resp, err
			default:
				return c.downtimes.CancelDowntime(ctx, o.ID())
			}
		}})
	if notFound(err) {
		return nil
	}
	return err
}
