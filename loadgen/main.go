// Command loadgen sends HTTP requests at a rate that does not depend on how the
// target bears it, and reports what callers would have felt.
//
//	go run ./loadgen -rps 20
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
	o, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage())
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "loadgen: %v\nRun loadgen -help for all flags.\n", err)
		return 2
	}
	if err := load(ctx, o, stdout, live); err != nil {
		fmt.Fprintf(stderr, "loadgen: %v\n", err)
		return 1
	}
	return 0
}

// load runs the schedule and writes its report.
func load(ctx context.Context, o options, stdout, live io.Writer) (err error) {
	out, err := o.create()
	if err != nil {
		return err
	}
	sender, err := client.New(o.client)
	if err != nil {
		return errors.Join(err, out.discard())
	}
	engine, err := openloop.New(openloop.Config{
		Schedule:    o.schedule,
		Paths:       o.paths,
		Sender:      sender,
		MaxInFlight: o.client.MaxInFlight,
	})
	if err != nil {
		return errors.Join(err, out.discard())
	}
	stop := report.Watch(live, engine.Snapshot)
	result, err := engine.Run(ctx)
	stop()
	if err != nil {
		return errors.Join(err, out.discard())
	}
	if err := errors.Join(o.print(stdout, result), out.write(result)); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	switch t := &result.Total; {
	case t.Completed() > 0 && len(t.Statuses) == 0:
		return fmt.Errorf("nothing answered at %s; to have a target, run: make demo", o.client.Target.Redacted())
	case result.ErrorRate() > o.maxErrorRate:
		return fmt.Errorf("%.2f %% of the requests were not served; -max-error-rate allows %.2f %%", 100*result.ErrorRate(), 100*o.maxErrorRate)
	}
	return nil
}
