// Command loadgen sends HTTP requests on a schedule that does not wait for the
// answers, and reports the response times that callers would have had.
//
//	go run ./loadgen -rps 20
//	go run ./loadgen -profile ramp:0..500@2m -o run.html
//	go run ./loadgen merge a.json b.json
//
// It exits with 0 after a run, 1 when more requests failed than -max-error-rate
// allows, nothing answered or the report could not be written, and 2 when its
// command line is wrong. The first interrupt ends the run with its report. A second
// one, more than a second later, kills the program.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"apmapp/internal/command"
	"apmapp/loadgen/client"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

func main() { command.Main(run) }

// run is main without the process: it returns the exit status.
func run(ctx context.Context, p command.Process) int {
	if len(p.Args) > 0 && p.Args[0] == "merge" {
		p.Args = p.Args[1:]
		return mergeProgram(p).Execute(ctx, p)
	}
	return program(p, report.Terminal(p.Stderr)).Execute(ctx, p)
}

// program is loadgen without a subcommand. The live line goes to live.
func program(p command.Process, live io.Writer) command.Command {
	r := newRaw()
	var o options
	return command.Command{
		Name:    "loadgen",
		Summary: "loadgen sends HTTP requests at a given rate and reports the response times that callers would have had.",
		Examples: []command.Example{
			{Line: "loadgen -rps 20 -duration 1m", Comment: "20 requests per second for a minute"},
			{Line: "loadgen -profile spike:50..1500@10s -o run.html", Comment: "a spike of traffic, and a page with charts"},
			{Line: "loadgen merge -o all.html 1.json 2.json", Comment: "one report of several runs; see loadgen merge -help"},
		},
		Modules: []string{"gopkg.in/DataDog/dd-trace-go.v1", "github.com/DataDog/dd-trace-go/v2", "github.com/HdrHistogram/hdrhistogram-go"},
		Flags:   r.flags,
		Check: func([]string) (err error) {
			o, err = r.options()
			return err
		},
		Run: func(ctx context.Context) error { return load(ctx, o, p.Stdout, p.Stderr, live) },
	}
}

// load runs the schedule and writes its report.
func load(ctx context.Context, o options, stdout, warnings, live io.Writer) error {
	if err := o.outputs.create(); err != nil {
		return err
	}
	result, err := send(ctx, o, warnings, live)
	if err != nil {
		return errors.Join(err, o.outputs.discard())
	}
	if err := o.outputs.write(stdout, result); err != nil {
		return err
	}
	switch t := &result.Total; {
	case t.Completed() > 0 && len(t.Statuses) == 0:
		return fmt.Errorf("nothing answered at %s; for a target to try, run: make demo", o.client.Target.Redacted())
	case result.ErrorRate() > o.maxErrorRate:
		return fmt.Errorf("%.2f %% of the requests failed or were dropped; -max-error-rate allows %.2f %%", 100*result.ErrorRate(), 100*o.maxErrorRate)
	}
	return nil
}

func send(ctx context.Context, o options, warnings, live io.Writer) (*openloop.Result, error) {
	if o.trace {
		stop := startTracer(warnings)
		defer stop()
		o.client.Wrap = traced
	}
	sender, err := client.New(o.client)
	if err != nil {
		return nil, err
	}
	engine, err := openloop.New(openloop.Config{
		Schedule:    o.schedule,
		Start:       o.start,
		Paths:       o.paths,
		Sender:      sender,
		MaxInFlight: o.client.MaxInFlight,
	})
	if err != nil {
		return nil, err
	}
	stop := report.Watch(live, engine.Snapshot)
	defer stop()
	return engine.Run(ctx)
}
