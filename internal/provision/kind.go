package provision

import (
	"reflect"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadogV1"
	"github.com/DataDog/datadog-api-client-go/v2/api/datadogV2"
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

// model returns the type of the API's request that creates a resource.
func (k Kind) model() reflect.Type {
	switch k {
	case SLO:
		return reflect.TypeFor[datadogV1.ServiceLevelObjectiveRequest]()
	case Dashboard:
		return reflect.TypeFor[datadogV1.Dashboard]()
	case Monitor:
		return reflect.TypeFor[datadogV1.Monitor]()
	case Downtime:
		return reflect.TypeFor[datadogV2.DowntimeCreateRequest]()
	}
	return nil
}

// permissions returns the permissions that the application key needs, by the names
// of the API's specification.
func (k Kind) permissions() (read, write string) {
	switch k {
	case SLO:
		return "slos_read", "slos_write"
	case Dashboard:
		return "dashboards_read", "dashboards_write"
	case Monitor:
		return "monitors_read", "monitors_write"
	default:
		return "monitors_downtime", "monitors_downtime"
	}
}

// Ref names a definition: its kind and its key.
type Ref struct {
	Kind Kind
	Key  string
}

func (r Ref) String() string { return string(r.Kind) + " " + r.Key }

// File returns the name of the definition's file.
func (r Ref) File() string { return string(r.Kind) + "." + r.Key + ".json" }
