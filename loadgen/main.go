// Command loadgen sends HTTP requests at a rate that does not depend on how the
// target bears it, and reports what callers would have felt.
//
//	go run ./loadgen -rps 20
//	go run ./loadgen -profile ramp:0..500@2m -o run.html
//	go run ./loadgen merge a.json b.json
//
// It exits with 0 after a run, 1 when more failed than -max-error-rate allows,
// nothing answered at all or the report could not be written, and 2 when its
// command line is wrong. The first interrupt ends the run with its report, the
// second ends the program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"apmapp/loadgen/client"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal gives the next one its default meaning back.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, report.Terminal()))
}

// run is the program but for its process: it returns the exit status. The live
// line goes to live.
func run(ctx context.Context, args []string, stdout, stderr, live io.Writer) int {
	if len(args) > 0 && args[0] == "merge" {
		o, err := parseMerge(args[1:])
		return finish("loadgen merge", mergeUsage, err, func() error { return merge(o, stdout) }, stdout, stderr)
	}
	o, err := parse(args)
	return finish("loadgen", usage, err, func() error { return load(ctx, o, stdout, live) }, stdout, stderr)
}

// finish does a command's work, unless its command line asked for help or was
// wrong, and returns the exit status.
func finish(name string, help func() string, parsed error, work func() error, stdout, stderr io.Writer) int {
	switch {
	case errors.Is(parsed, flag.ErrHelp):
		fmt.Fprint(stdout, help())
		return 0
	case parsed != nil:
		fmt.Fprintf(stderr, "%s: %v\nRun %s -help for all flags.\n", name, parsed, name)
		return 2
	}
	if err := work(); err != nil {
		fmt.Fprintf(stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// load runs the schedule and writes its report.
func load(ctx context.Context, o options, stdout, live io.Writer) error {
	if err := o.outputs.create(); err != nil {
		return err
	}
	result, err := send(ctx, o, live)
	if err != nil {
		return errors.Join(err, o.outputs.discard())
	}
	if err := o.outputs.write(stdout, result); err != nil {
		return err
	}
	switch t := &result.Total; {
	case t.Completed() > 0 && len(t.Statuses) == 0:
		return fmt.Errorf("nothing answered at %s; to have a target, run: make demo", o.client.Target.Redacted())
	case result.ErrorRate() > o.maxErrorRate:
		return fmt.Errorf("%.2f %% of the requests were not served; -max-error-rate allows %.2f %%", 100*result.ErrorRate(), 100*o.maxErrorRate)
	}
	return nil
}

func send(ctx context.Context, o options, live io.Writer) (*openloop.Result, error) {
	if o.trace {
		stop := startTracer()
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
