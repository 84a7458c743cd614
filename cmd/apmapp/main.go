// Command apmapp is a small web service on MySQL that shows Datadog APM in Go:
// each request leaves a trace, a log line with the trace's ID, and CPU samples
// in a profile.
//
// It exits with 0 after a clean stop, 1 after a failure (with -doctor also if a check
// failed), and 2 when its command line or environment is wrong. SIGINT, SIGTERM and SIGHUP stop it; a second signal,
// more than a second later, kills it.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"apmapp/internal/build"
	"apmapp/internal/command"
	"apmapp/internal/service"
)

func main() {
	// If the reader of the log is gone, the service goes on without a log. By default,
	// a write to a closed pipe at standard output ends a Go program.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	command.Main(run)
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, p command.Process) int {
	return program(p, new(service.Settings)).Execute(ctx, p)
}

func program(p command.Process, s *service.Settings) command.Command {
	var check, examine, asJSON bool
	return command.Command{
		Name:    "apmapp",
		Summary: "apmapp answers /, /api/trace and /api/apm from MySQL, with traces, logs and profiles for Datadog.",
		Examples: []command.Example{
			{Line: "DD_ENV=dev apmapp -dsn 'user:password@tcp(127.0.0.1:3306)/apmapp'", Comment: "on a VM, next to the Agent"},
			{Line: "apmapp -dsn-file /run/secrets/dsn -log-level warn", Comment: "the DSN stays out of the process list"},
			{Line: "apmapp -healthcheck", Comment: "ask the running service"},
			{Line: "apmapp -doctor", Comment: "no traces appear? find out why, with the service's own flags and environment"},
		},
		Notes: `Datadog's own variables (DD_SERVICE, DD_ENV, DD_VERSION, DD_TRACE_AGENT_URL, ...)
have the meaning that Datadog documents: see docs/telemetry.md.`,
		Modules: []string{"gopkg.in/DataDog/dd-trace-go.v1", "github.com/DataDog/dd-trace-go/v2", "github.com/go-sql-driver/mysql"},
		Flags: func(fs *command.Flags) {
			s.Add(fs)
			fs.BoolVar(&check, "healthcheck", false, "ask the running service for /healthz; exit with 0 if it answers 200, else with 1")
			fs.BoolVar(&examine, "doctor", false, "find out why no traces appear: check settings, Agent, metrics, logs and MySQL, and send a test trace; exit with 1 if a check failed, with 0 in spite of warnings")
			fs.BoolVar(&asJSON, "json", false, "with -doctor: print JSON")
		},
		Check: func([]string) error {
			switch {
			case check && examine:
				return errors.New("-healthcheck and -doctor exclude each other: give one")
			case asJSON && !examine:
				return errors.New("-json needs -doctor")
			case check:
				return s.ResolveAddr()
			}
			return s.Resolve(p.Getenv, "apmapp", build.Version())
		},
		Run: func(ctx context.Context) error {
			switch {
			case check:
				return healthcheck(ctx, s.Addr)
			case examine:
				return diagnose(ctx, s.Doctor(p.Getenv), p.Stdout, asJSON)
			}
			s.LimitMemory()
			running, err := service.Listen(ctx, s.Config, p.Stdout)
			if err != nil {
				return err
			}
			return running.Serve(ctx)
		},
	}
}
