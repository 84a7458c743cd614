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

// sharePermission is what the API's specification asks for.
const sharePermission = "dashboards_public_share"

// Share is a public link of a dashboard.
type Share struct {
	URL   string
	token string
	kind  string // open, invite, embed
}

// Shared says what a link of the dashboard would show.
type Shared struct {
	Title   string
	Link    string
	Graphs  []string // titles
	Queries []string // what they read
	Links   []Share  // that exist
	// Unlisted: the API, whose list of links is in preview, does not have it here.
	Unlisted bool

	id string
}

// ParseShare reads a public link.
func ParseShare(link string) (Share, error) {
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(u.Path, "/sb/") || strings.Count(u.Path, "/") != 2 || len(u.Path) == len("/sb/") {
		return Share{}, fmt.Errorf("%q is no public link: these have the form https://p.datadoghq.com/sb/token", link)
	}
	return Share{URL: link, token: strings.TrimPrefix(u.Path, "/sb/")}, nil
}

// Shared returns what is to be seen on a managed dashboard, and its public links.
func (c *Client) Shared(ctx context.Context, key string, values Values) (Shared, error) {
	ref := Ref{Dashboard, key}
	o, err := c.find(ctx, ref, mark(values.Stack(), key))
	if err != nil {
		return Shared{}, err
	}
	if o == nil {
		return Shared{}, fmt.Errorf("%s: the account has none of %s; apply makes it", ref, values.Stack())
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

// links are the public links of a dashboard.
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

// Publish makes a public link of a dashboard, or returns the one that it has.
func (c *Client) Publish(ctx context.Context, s Shared) (link string, made bool, err error) {
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

// open is the URL of the link that needs no invitation, or "".
func open(links []Share) string {
	for _, l := range links {
		if l.kind == "open" {
			return l.URL
		}
	}
	return ""
}

// Revoke ends a public link.
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
