package provision

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadogV1"
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
	model            reflect.Type   // of the request that creates a resource
	id               *regexp.Regexp // the form of IDs; it differs by kind
	page             string         // the path of a resource's page, before its ID
}

var apis = map[Kind]apiOf{
	SLO: {path: "/api/v1/slo", list: "data", tags: "tags_query", size: "limit", from: "offset", change: http.MethodPut,
		read: "slos_read", write: "slos_write", model: reflect.TypeFor[datadogV1.ServiceLevelObjectiveRequest](),
		id: regexp.MustCompile(`^[0-9a-f]{32}$`), page: "/slo?slo_id="},
	Dashboard: {path: "/api/v1/dashboard", list: "dashboards", size: "count", from: "start", change: http.MethodPut,
		read: "dashboards_read", write: "dashboards_write", model: reflect.TypeFor[datadogV1.Dashboard](),
		id: regexp.MustCompile(`^[a-z0-9]{3}-[a-z0-9]{3}-[a-z0-9]{3}$`), page: "/dashboard/"},
	Monitor: {path: "/api/v1/monitor", tags: "monitor_tags", size: "page_size", from: "page", change: http.MethodPut,
		read: "monitors_read", write: "monitors_write", model: reflect.TypeFor[datadogV1.Monitor](),
		id: regexp.MustCompile(`^[0-9]+$`), page: "/monitors/"},
	Downtime: {path: "/api/v2/downtime", list: "data", size: "page[limit]", from: "page[offset]", change: http.MethodPatch,
		read: "monitors_downtime", write: "monitors_downtime", model: downtimeRequest(),
		id: regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`), page: "/monitors/downtimes?selected="},
}

// request returns a body in the form of the API's model. The models leave out a field
// that is null, unless the API knows null as its value.
func (k Kind) request(body map[string]any) (map[string]any, error) {
	m := reflect.New(apis[k].model).Interface()
	if err := json.Unmarshal(marshal(body), m); err != nil {
		return nil, err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

// Ref names a definition: its kind and its key.
type Ref struct {
	Kind Kind
	Key  string
}

func (r Ref) String() string { return string(r.Kind) + " " + r.Key }

// File returns the name of the definition's file.
func (r Ref) File() string { return string(r.Kind) + "." + r.Key + ".json" }
