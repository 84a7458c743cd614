package provision

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	publicPath      = "/api/v1/dashboard/public"
	sharePermission = "dashboards_public_share" // by the API's specification
)

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
	eachWidget(o.body["widgets"], func(_, d map[string]any) {
		if title, _ := d["title"].(string); title != "" && d["type"] != "group" {
			s.Graphs = append(s.Graphs, title)
		}
	})
	walk(o.body, func(at, text string) {
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

// links returns the public links of a dashboard. Only this request lists them. It is
// in preview.
func (c *Client) links(ctx context.Context, id string) ([]Share, error) {
	body, err := c.do(ctx, operation{name: "list the public links of dashboard " + id, permission: "dashboards_read",
		method: http.MethodGet, path: "/api/v2/dashboard/" + url.PathEscape(id) + "/shared"})
	if err != nil {
		return nil, err
	}
	answer, _ := body.(map[string]any)
	var all []Share
	for _, o := range objects(answer["data"]) {
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
	if found := open(s.Links); found != nil {
		return *found, false, nil
	}
	op := operation{name: "share dashboard " + s.id, permission: sharePermission, method: http.MethodPost, path: publicPath,
		body: map[string]any{"dashboard_id": s.id, "dashboard_type": "custom_timeboard", "share_type": "open",
			"global_time": map[string]any{"live_span": "1h"}, "global_time_selectable_enabled": false}}
	link, err = createOnce(ctx, c, op, func(answer any) (string, error) {
		o, _ := answer.(map[string]any)
		if link, _ := o["public_url"].(string); link != "" {
			return link, nil
		}
		return "", errors.New("the API's answer has no public URL")
	}, func() (*string, error) {
		links, err := c.links(ctx, s.id)
		return open(links), err
	})
	return link, err == nil, err
}

// open returns the URL of a link that needs no invitation, or nil.
func open(links []Share) *string {
	for _, l := range links {
		if l.kind == "open" {
			return &l.URL
		}
	}
	return nil
}

// Revoke revokes a public link. It succeeds if the link no longer exists.
func (c *Client) Revoke(ctx context.Context, s Share) error {
	_, err := c.do(ctx, operation{name: "revoke " + s.URL, permission: sharePermission,
		method: http.MethodDelete, path: publicPath + "/" + url.PathEscape(s.token)})
	if notFound(err) {
		return nil
	}
	return err
}
