// Command apmapp is a small web service on MySQL that shows Datadog APM done in
// Go: every request leaves a trace, a log line that joins it, and its share of
// a profile.
//
// It exits with 0 after a clean stop, 1 when something failed, and 2 when its
// command line or environment is wrong. A second signal ends it at once.
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

	"apmapp/internal/build"
	"apmapp/internal/service"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal gives the next one its default meaning back.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is the program but for its process: it returns the exit status.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	opts, err := parse(args, getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage())
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "apmapp: %v\nRun apmapp -help for all flags.\n", err)
		return 2
	case opts.version:
		fmt.Fprint(stdout, build.Summary("apmapp",
			"gopkg.in/DataDog/dd-trace-go.v1", "github.com/DataDog/dd-trace-go/v2", "github.com/go-sql-driver/mysql"))
		return 0
	case opts.healthcheck:
		err = healthcheck(ctx, opts.service.Addr)
	default:
		err = serve(ctx, opts.service, stdout)
	}
	if err != nil {
		fmt.Fprintf(stderr, "apmapp: %v\n", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, cfg service.Config, logs io.Writer) error {
	s, err := service.Listen(ctx, cfg, logs)
	if err != nil {
		return err
	}
	return s.Serve(ctx)
}
