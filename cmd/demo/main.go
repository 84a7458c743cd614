// Command demo runs all of apmapp with one command, without an account: a database,
// the service, traffic to it, and a local agent with pages that show traces, logs,
// profiles and metrics. The database is a private instance of an installed MySQL or
// MariaDB, or else an embedded one that speaks the MySQL protocol.
//
// It exits with 0 when it was interrupted or its time is over, 1 after a
// failure, and 2 when its command line is wrong. The first interrupt ends it
// with the report of the traffic; a second one, more than a second later, kills it.
package main

import (
	"context"
	"io"

	"apmapp/internal/command"
	"apmapp/internal/faults"
	"apmapp/loadgen/report"
)

func main() { command.MainForReader(run) }

// run is main without the process: it returns the exit status.
func run(ctx context.Context, p command.Process) int {
	var g given
	var o options
	c := command.Command{
		Name: "demo",
		Summary: `demo runs the service with a database, traffic, a local agent and its pages.
It removes its files when it ends. Where DD_TRACE_AGENT_URL or DD_AGENT_HOST names an Agent, the demo
sends to that one and has no pages.`,
		Examples: []command.Example{
			{Line: "demo", Comment: "20 requests per second until interrupted; pages on http://127.0.0.1:8127"},
			{Line: "demo -rps 100 -duration 1m", Comment: "one minute of more traffic"},
			{Line: "demo -fault slow-statement", Comment: "cause a fault, watch until it is seen, undo it; -fault list describes all"},
			{Line: "demo -dsn 'user:password@tcp(127.0.0.1:3306)/apmapp'", Comment: "on a MySQL server of your own"},
		},
		Modules: []string{"gopkg.in/DataDog/dd-trace-go.v1", "github.com/DataDog/dd-trace-go/v2", "github.com/dolthub/go-mysql-server"},
		Flags:   g.flags,
		Check: func([]string) (err error) {
			o, err = g.options(p.Getenv)
			return err
		},
		Run: func(ctx context.Context) error {
			if o.list {
				_, err := io.WriteString(p.Stdout, faults.Describe())
				return err
			}
			return demo(ctx, o, p.Stdout, p.Stderr, report.Terminal(p.Stderr))
		},
	}
	return c.Execute(ctx, p)
}
