package faults

import (
	"context"

	"github.com/go-sql-driver/mysql"

	"apmapp/internal/local/store"
)

// Demo is what faults act on, and where they are seen.
type Demo struct {
	// Database connects to the service's database, without Network.
	Database *mysql.Config
	// Network is between the service and its database.
	Network *Network
	// Stop and Start stop the database's server and start it again. If they are nil, the
	// server belongs to others, and a fault cuts the network to it instead.
	Stop, Start func(context.Context) error
	// Rate is the usual rate of the traffic in requests per second. SetRate changes it; 0
	// stops the traffic.
	Rate    float64
	SetRate func(perSecond float64)
	// Leave ends the local agent for its clients, Return starts it again.
	Leave, Return func() error

	// Name is the name of the service in telemetry. Ready returns the status and the body
	// of its /readyz, 0 and an error without an answer.
	Name  string
	Ready func() (status int, body string)
	// Monitor returns the state of a monitor by its key, "" if there is no such monitor. Nil
	// means that no monitors are evaluated.
	Monitor func(key string) (state string)
	// Store has the telemetry. Checks means that it has the results of service checks.
	Store  *store.Store
	Checks bool
}

// leastRate is the rate below which a fault takes too long to show.
const leastRate = 1
