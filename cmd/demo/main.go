// Command demo runs all of apmapp in one process, without an account: a
// database in memory that speaks MySQL's protocol, the service, and traffic to
// it.
//
// It exits with 0 when it was interrupted or its time is over, 1 when something
// failed, and 2 when its command line is wrong. The first interrupt ends it
// with the report of the traffic, the second at once.
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

	"apmapp/loadgen/report"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal gives the next one its default meaning back.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr, report.Terminal()))
}

// run is the program but for its process: it returns the exit status. The live
// line goes to live.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr, live io.Writer) int {
	o, err := parse(args, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage())
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "demo: %v\nRun demo -help for all flags.\n", err)
		return 2
	}
	if err := demo(ctx, o, stdout, live); err != nil {
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return 1
	}
	return 0
}
