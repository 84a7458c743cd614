package faults

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"apmapp/internal/nearest"
)

// fault is a fault with its cause and its signs.
type fault struct {
	name string
	// why is one sentence: what happens and why.
	why   string
	cause cause
	// do describes the cause, byHand how a person undoes it if the demo was killed; ""
	// means that the fault ends with the demo.
	do, byHand string
	signs      []sign
}

const nap = 1200 * time.Millisecond // above the threshold of the monitor p99-latency

var (
	renameColumn = "ALTER TABLE visits RENAME COLUMN route TO way"
	restoreName  = "ALTER TABLE visits RENAME COLUMN way TO route"
	createNap    = fmt.Sprintf("CREATE TRIGGER nap BEFORE INSERT ON visits FOR EACH ROW SET NEW.route = IF(SLEEP(%g) = 0, NEW.route, '')", nap.Seconds())
	dropNap      = "DROP TRIGGER nap"
	renameTable  = "RENAME TABLE visits TO kept"
	restoreTable = "RENAME TABLE kept TO visits"
)

// catalog has all faults, in the order in which all are shown.
var catalog = []fault{
	{
		name:  "bad-migration",
		why:   "A migration renames a column that the service still reads, so MySQL refuses its statements and requests get a 500.",
		cause: statements(renameColumn, restoreName), do: renameColumn, byHand: restoreName,
		signs: []sign{
			traces("GET /api/apm answers 500", `service:SERVICE resource:"GET /api/apm" status:500`),
			traces("spans of statements have MySQL's error about the column route", `type:sql error:true @error.message:*route*`),
			line("log: an error about the column", "ERROR", "unknown column", `column \"route\"`),
			alert("error-rate", time.Minute),
		},
	},
	{
		name:  "slow-statement",
		why:   "A trigger makes each INSERT take 1.2 s, so GET /api/trace is slow and nothing fails.",
		cause: statements(createNap, dropNap), do: createNap, byHand: dropNap,
		signs: []sign{
			slow("GET /api/trace", 200*time.Millisecond),
			traces("spans of INSERT take more than a second", "type:sql resource:INSERT* duration:>1s"),
			alert("p99-latency", time.Minute),
		},
	},
	{
		name:  "lock",
		why:   "A backup locks the table visits, so each INSERT waits until the request's time is over and gets a 503; the waiting statements take the connections that others need.",
		cause: lockTable, do: lock,
		signs: []sign{
			traces("GET /api/trace answers 503", `service:SERVICE resource:"GET /api/trace" status:503`),
			traces("spans of INSERT end after more than 4 s with an error", "type:sql resource:INSERT* error:true duration:>4s"),
			line("log: a deadline exceeded", "ERROR", "deadline exceeded"),
			alert("p99-latency", time.Minute),
		},
	},
	{
		name:  "table-gone",
		why:   "Somebody renames the table visits, so requests get a 503 and the service is not ready until the table is back.",
		cause: statements(renameTable, restoreTable), do: renameTable, byHand: restoreTable,
		signs: []sign{
			traces("GET / answers 503", `service:SERVICE resource:"GET /" status:503`),
			line("log: the table is missing", "WARN", "the table visits is missing"),
			readyz("/readyz names the missing table", 503, "the table visits is missing"),
			alert("error-rate", time.Minute),
		},
	},
	{
		name:  "database-down",
		why:   "The database's server stops (with -dsn and the embedded database: the network to it is cut), so requests get a 503 at once.",
		cause: stopDatabase, do: "the database does not answer",
		signs: []sign{
			traces("GET / answers 503", `service:SERVICE resource:"GET /" status:503`),
			traces("spans name the refused connection", "service:SERVICE error:true @error.message:*refused*"),
			line("log: connection refused", "ERROR", "refused"),
			readyz("/readyz: nothing listens at MySQL's address", 503, "nothing listens"),
			cannotConnect(),
			alert("mysql-down", time.Minute),
		},
	},
	{
		name:  "connections",
		why:   "Another program takes all connections of the database's server while the service has lost its own, so requests get a 503.",
		cause: takeConnections, do: "all connections are taken",
		signs: []sign{
			traces("GET / answers 503", `service:SERVICE resource:"GET /" status:503`),
			traces("spans have MySQL's error about too many connections", `service:SERVICE error:true @error.message:*connections*`),
			line("log: too many connections", "ERROR", "too many connections", "max_user_connections"),
			readyz("/readyz: too many connections", 503, "too many connections"),
			cannotConnect(),
			alert("mysql-down", time.Minute),
		},
	},
	{
		name:  "spike",
		why:   "Traffic grows beyond what the service can serve, so it refuses some requests before it traces them, and serves the others.",
		cause: spike, do: "1,000 requests per second, then twice as many every 2 s until some are refused",
		signs: []sign{refused(), refusedRequests, alert("overload", time.Minute)},
	},
	{
		name:  "no-traffic",
		why:   "The traffic's source stops, so the service gets no requests although it is ready.",
		cause: stopTraffic, do: "the traffic is stopped",
		signs: []sign{silence(5 * time.Second), readyz("/readyz: ready", 200), noTraffic()},
	},
	{
		name:  "agent-away",
		why:   "The local agent ends, so the service works but its traces and metrics are lost.",
		cause: leave, do: "the local agent does not answer",
		signs: []sign{
			silence(5 * time.Second),
			line("log: the tracer cannot reach the Agent", "WARN", "lost", "unable to", "failed", "refused"),
			readyz("/readyz: ready", 200),
			noTraffic(),
		},
	},
}

// All is the name that stands for all faults.
const All = "all"

// Names returns the names of all faults.
func Names() []string {
	var all []string
	for _, f := range catalog {
		all = append(all, f.name)
	}
	return all
}

// Parse returns the names of faults that a text means: one, several with commas between, or
// all.
func Parse(text string) ([]string, error) {
	if text == All {
		return Names(), nil
	}
	names := strings.Split(text, ",")
	for i, name := range names {
		name = strings.TrimSpace(name)
		names[i] = name
		switch {
		case name == "":
			return nil, fmt.Errorf("%q has an empty name: separate names by single commas", text)
		case name == All:
			return nil, fmt.Errorf("%s stands alone: remove it or the other names, got %q", All, text)
		}
		if !slices.Contains(Names(), name) {
			return nil, unknown(name)
		}
	}
	return names, nil
}

func unknown(name string) error {
	if near := nearest.Name(strings.ToLower(name), Names()); near != "" {
		return fmt.Errorf("unknown fault %q; did you mean %s?", name, near)
	}
	return fmt.Errorf("unknown fault %q: must be one of %s, or all", name, strings.Join(Names(), ", "))
}

// Describe returns a list of all faults for people.
func Describe() string {
	var text strings.Builder
	for _, f := range catalog {
		fmt.Fprintf(&text, "%s\n  %s\n", f.name, f.why)
		for _, s := range f.signs {
			fmt.Fprintf(&text, "  - %s\n", s.text)
		}
	}
	return text.String()
}
