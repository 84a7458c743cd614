package provision

import (
	"net/http"
	"net/url"
	"regexp"
)

// Kind is a kind of resource. A definition's file name begins with it.
type Kind string

// The kinds, in the order of creation: a later kind may refer to an earlier one.
// Destroy deletes in the opposite order, because the API refuses to delete an SLO
// that a dashboard shows.
const (
	SLO       Kind = "slo"
	Dashboard Kind = "dashboard"
	Monitor   Kind = "monitor"
	Downtime  Kind = "downtime"
)

var kinds = []Kind{SLO, Dashboard, Monitor, Downtime}

// apiOf describes the API's requests for a kind, and its page.
type apiOf struct {
	path string
	list string // the field of a list's answer with the resources; "" if the answer is the list
	// The parameters of a list: tags to select by, resources per page, where the page begins.
	tags, size, from string
	change           string         // the method that changes a resource
	read, write      string         // the permissions that the application key needs, by the names of the API's specification
	model            string         // of the request that creates a resource, in schema
	id               *regexp.Regexp // the form of IDs; it differs by kind
	page             string         // the path of a resource's page, before its ID
}

var apis = map[Kind]apiOf{
	SLO: {path: "/api/v1/slo", list: "data", tags: "tags_query", size: "limit", from: "offset", change: http.MethodPut,
		read: "slos_read", write: "slos_write", model: "ServiceLevelObjectiveRequest",
		id: regexp.MustCompile(`^[0-9a-f]{32}$`), page: "/slo?slo_id="},
	Dashboard: {path: "/api/v1/dashboard", list: "dashboards", size: "count", from: "start", change: http.MethodPut,
		read: "dashboards_read", write: "dashboards_write", model: "Dashboard",
		id: regexp.MustCompile(`^[a-z0-9]{3}-[a-z0-9]{3}-[a-z0-9]{3}$`), page: "/dashboard/"},
	Monitor: {path: "/api/v1/monitor", tags: "monitor_tags", size: "page_size", from: "page", change: http.MethodPut,
		read: "monitors_read", write: "monitors_write", model: "Monitor",
		id: regexp.MustCompile(`^[0-9]+$`), page: "/monitors/"},
	Downtime: {path: "/api/v2/downtime", list: "data", size: "page[limit]", from: "page[offset]", change: http.MethodPatch,
		read: "monitors_downtime", write: "monitors_downtime", model: "DowntimeRequest",
		id: regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`), page: "/monitors/downtimes?selected="},
}

// operation returns a request for the resource with an ID, or without one for all of the
// kind.
func (k Kind) operation(name, method, id string) operation {
	of := apis[k]
	op := operation{name: name, permission: of.write, method: method, path: of.path}
	if method == http.MethodGet {
		op.permission = of.read
	}
	if id != "" {
		op.path += "/" + url.PathEscape(id)
	}
	return op
}

// Ref names a definition: its kind and its key.
type Ref struct {
	Kind Kind
	Key  string
}

func (r Ref) String() string { return string(r.Kind) + " " + r.Key }

// File returns the name of the definition's file.
func (r Ref) File() string { return string(r.Kind) + "." + r.Key + ".json" }
