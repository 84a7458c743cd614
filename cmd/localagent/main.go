// Command localagent stands in for the Datadog Agent on one machine: it receives
// traces, profiles, DogStatsD metrics and log lines from any program that Datadog
// traces, and shows them as pages. It needs no account. It sends nothing to
// Datadog; -forward sends to an Agent of your choice.
//
//	go run ./cmd/localagent -logs service.log
//
// It exits with 0 when it was interrupted, 1 after a failure, and 2 when its
// command line is wrong.
package main

import (
	"context"

	"apmapp/internal/command"
)

func main() { command.MainForReader(run) }

// run is main without the process: it returns the exit status.
func run(ctx context.Context, p command.Process) int {
	var o options
	c := command.Command{
		Name: "localagent",
		Summary: `localagent receives what Datadog's tracers, profilers and DogStatsD clients send,
and shows it as pages.`,
		Examples: []command.Example{
			{Line: "localagent", Comment: "pages on http://127.0.0.1:8127"},
			{Line: "localagent -logs service.log", Comment: "with the log lines of a service"},
			{Line: "localagent -record run.tape", Comment: "keep everything for localagent -replay run.tape"},
		},
		Modules: []string{"github.com/DataDog/datadog-agent/pkg/trace"},
		Flags:   o.flags,
		Check:   o.check,
		Run:     func(ctx context.Context) error { return serve(ctx, o, p.Stdin, p.Stdout, p.Stderr) },
	}
	return c.Execute(ctx, p)
}
