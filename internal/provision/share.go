package provision

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadogV1"
)

// sharePermission is the permission that the API's specification names.
const sharePermission = "dashboards_public_share"

// Share is a public link of a dashboard.
type Share struct {
	URL   string
	token string
	kind  string // open, invite or embed
}

// Shared describes what a public link of a dashboard shows.
type Shared struct {
	Title   string
	Link    string
	Graphs  []string // titles
	Queries []string // of the graphs
	Links   []Share  // existing ones
	// Unlisted reports that the account's API does not list links. The list is in
	// preview.
	Unlisted bool

	id string
}

// ParseShare parses the URL of a public link.
func ParseShare(link string) (Share, error) {
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(u.Path, "/sb/") || strings.Count(u.Path, "/") != 2 || len(u.Path) == len("/sb/") {
		return Share{}, fmt.Errorf("%q is not a public link; public links have the form https://p.datadoghq.com/sb/TOKEN", link)
	}
	return Share{URL: link, token: strings.TrimPrefix(u.Path, "/sb/")}, nil
}

// Shared returns what a managed dashboard shows, and its public links.
func (c *Client) Shared(ctx context.Context, key string, values Values) (Shared, error) {
	ref := Ref{Dashboard, key}
	o, err := c.find(ctx, ref, mark(values.Stack(), key))
	if err != nil {
		return Shared{}, err
	}
	if o == nil {
		return Shared{}, fmt.Errorf("the account has no %s of %s; create it with apply", ref, values.Stack())
	}
	s := Shared{Title: o.title(), Link: c.link(*o), id: o.ID()}
	var visit func(widgets any)
	visit = func(widgets any) {
		for _, w := range list(widgets) {
			w, _ := w.(map[string]any)
			d, _ := w["definition"].(map[string]any)
			if title, _ := d["title"].(string); title != "" && d["type"] != "group" {
				s.Graphs = append(s.Graphs, title)
			}
			visit(d["widgets"])
		}
	}
	visit(o.body["widgets"])
	walk("", o.body, func(at, text string) {
		if strings.HasSuffix(at, ".query") || strings.HasSuffix(at, ".query_string") || strings.HasSuffix(at, ".check") {
			s.Queries = append(s.Queries, text)
		}
	})
	slices.Sort(s.Queries)
	s.Queries = slices.Compact(s.Queries)
	s.Links, err = c.links(ctx, s.id)
	if notFound(err) {
		s.Unlisted, err = true, nil
	}
	return s, err
}

// links returns the public links of a dashboard.
func (c *Client) links(ctx context.Context, id string) ([]Share, error) {
	body, err := c.do(ctx, operation{name: "list the public links of dashboard " + id, permission: "dashboards_read",
		call: func(ctx context.Context) (*http.Response, error) {
			_, resp, err := c.sharing.ListSharedDashboardsByDashboardId(ctx, id)
			return resp, err
		}})
	if err != nil {
		return nil, err
	}
	answer, _ := body.(map[string]any)
	var all []Share
	for _, e := range list(answer["data"]) {
		o, _ := e.(map[string]any)
		a := attributes(o)
		token, _ := a["token"].(string)
		link, _ := a["url"].(string)
		kind, _ := a["share_type"].(string)
		if token != "" {
			all = append(all, Share{URL: link, token: token, kind: kind})
		}
	}
	return all, nil
}

// Publish creates a public link of a dashboard, or returns the existing one.
func (c *Client) Publish(ctx context.Context, s Shared) (link string, created bool, err error) {
	if link := open(s.Links); link != "" {
		return link, false, nil
	}
	body := *datadogV1.NewSharedDashboard(s.id, datadogV1.DASHBOARDTYPE_CUSTOM_TIMEBOARD)
	body.SetShareType(datadogV1.DASHBOARDSHARETYPE_OPEN)
	body.SetGlobalTimeSelectableEnabled(false)
	body.SetGlobalTime(datadogV1.DashboardGlobalTime{LiveSpan: datadogV1.DASHBOARDGLOBALTIMELIVESPAN_PAST_ONE_HOUR.Ptr()})
	op := operation{name: "share dashboard " + s.id, permission: sharePermission, once: true,
		call: func(ctx context.Context) (*http.Response, error) {
			_, resp, err := c.dashboards.CreatePublicDashboard(ctx, body)
			return resp, err
		}}
	wait := newBackOff()
	for attempt := 1; ; attempt++ {
		answer, err := c.do(ctx, op)
		if err == nil {
			o, _ := answer.(map[string]any)
			link, _ := o["public_url"].(string)
			if link == "" {
				return "", false, fmt.Errorf("%s: the API's answer has no public URL", op.name)
			}
			return link, true, nil
		}
		if !errors.Is(err, errUnknown) || attempt == attempts {
			return "", false, err
		}
		if err := c.pause(ctx, wait.NextBackOff(), err); err != nil {
			return "", false, err
		}
		links, err := c.links(ctx, s.id)
		if err != nil {
			return "", false, err
		}
		if link := open(links); link != "" {
			return link, true, nil
		}
	}
}

// open returns the URL of a link that needs no invitation, or "".
func open(links []Share) string {
	for _, l := range links {
		if l.kind == "open" {
			return l.URL
		}
	}
	return ""
}

// Revoke revokes a public link. It succeeds if the link no longer exists.
func (c *Client) Revoke(ctx context.Context, s Share) error {
	_, err := c.do(ctx, operation{name: "revoke " + s.URL, permission: sharePermission,
		call: func(ctx context.Context) (*http.Response, error) {
			_, resp, err := c.dashboards.DeletePublicDashboard(ctx, s.token)
			return resp, err
		}})
	if notFound(err) {
		return nil
	}
	return err
}
