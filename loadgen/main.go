// Command loadgen sends HTTP requests on a schedule that does not wait for the
// answers, and reports the response times that callers would have had.
//
//	go run ./loadgen -rps 20
//	go run ./loadgen -profile ramp:0..500@2m -o run.html
//	go run ./loadgen merge a.json b.json
//
// It exits with 0 after a run, 1 when the run exceeded -max-error-rate or a threshold,
// nothing answered or the report could not be written, and 2 when its command line is
// wrong. The first interrupt ends the sending. A second one ends the wait for
// outstanding answers; the report is still written. A third one kills the program.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"syscall"

	"apmapp/internal/command"
	"apmapp/internal/format"
	"apmapp/loadgen/client"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

func main() {
	// The files of the report are written even if nobody reads standard output or
	// standard error any more.
	signal.Ignore(syscall.SIGPIPE)
	command.MainInSteps(run)
}

// run is main without the process: it returns the exit status.
func run(ctx context.Context, p command.Process) int {
	if len(p.Args) > 0 && p.Args[0] == "merge" {
		p.Args = p.Args[1:]
		return mergeProgram(p).Execute(ctx, p)
	}
	return program(ctx, p, report.Terminal(p.Stderr)).Execute(ctx, p)
}

// program is loadgen without a subcommand. The live line goes to live. When ctx ends,
// program no longer waits for its inputs.
func program(ctx context.Context, p command.Process, live io.Writer) command.Command {
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
		Modules: []string{"gopkg.in/DataDog/dd-trace-go.v1", "github.com/DataDog/dd-trace-go/v2", "github.com/DataDog/datadog-go/v5", "github.com/HdrHistogram/hdrhistogram-go"},
		Notes:   notes,
		Flags:   r.flags,
		Hints:   hints, Unexpected: unexpected,
		Check: func([]string) (err error) {
			o, err = r.options(ctx, p)
			return err
		},
		Run: func(ctx context.Context) error { return load(ctx, o, p, live) },
	}
}

const notes = `Paths:
  -paths '/a=2,/b' requests /a twice as often as /b. In a path with a query, every
  equals sign belongs to the query. Its weight precedes it: -paths '2:/a?id=7,/b'.
  A comma in a query ends it only before a slash or a weight with a colon.

Targets, in the form of vegeta's:
  3 GET /search?q=go              three of these for each of the others

  POST /cart                      a path, or a URL at the target
  Content-Type: application/json  headers
  @cart.json                      the file of the body, as the last line

Thresholds compare (>, >=, <, <=):
  p50, p99.9, …, max, mean        of the response time, with a duration: p99>200ms
  errors, failed, dropped         shares of the requests due: errors>1%
  achieved                        requests served per second: achieved<95`

// load runs the schedule and writes its report. Spans and metrics that are still to be
// sent do not hold the report back.
func load(ctx context.Context, o options, p command.Process, live io.Writer) error {
	warn := func(format string, args ...any) {
		fmt.Fprintf(p.Stderr, eraseLine(live)+format, args...) // the live line may be on this terminal
	}
	if o.trace {
		stop := startTracer(warn)
		defer stop()
		o.client.Wrap = traced
	}
	observe, stopMetrics := startMetrics(o, warn)
	defer stopMetrics()
	sender, err := client.New(o.client)
	if err != nil {
		return err
	}
	engine, err := openloop.New(openloop.Config{
		Schedule:    o.schedule,
		Start:       o.start,
		Warmup:      o.warmup,
		Expect:      o.expect,
		Abort:       abort(o.abortIf),
		Paths:       o.paths,
		Sender:      sender,
		MaxInFlight: o.client.MaxInFlight,
		Observe:     observe,
		Wait:        p.GiveUp,
		Run:         o.run,
	})
	if err != nil {
		return err
	}
	leave := whenInterrupted(ctx, func() {
		if n := engine.Snapshot().InFlight; n > 0 {
			warn("loadgen: waiting up to %s for %s in flight; interrupt again, after a second, to stop waiting, and once more to end without a report\n", o.client.Timeout, requests(n))
		}
	})
	stop := report.Watch(live, engine.Snapshot)
	result, err := engine.Run(ctx)
	leave()
	stop()
	if err != nil {
		return err
	}
	err = errors.Join(o.outputs.write(ctx, p, result), o.verdict(result))
	if ctx.Err() != nil && result.Total.Arrivals == 0 {
		err = errors.Join(err, errors.New("nothing was measured: the run was interrupted before the first request that counts"))
	}
	return err
}

// whenInterrupted calls f when ctx ends. leave undoes that, and returns after f if
// it was called.
func whenInterrupted(ctx context.Context, f func()) (leave func()) {
	called := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(called)
		f()
	})
	return func() {
		if !stop() {
			<-called
		}
	}
}

func eraseLine(live io.Writer) string {
	if live == io.Discard {
		return ""
	}
	return report.Erase
}

func requests(n int) string {
	if n == 1 {
		return "1 request"
	}
	return format.Count(int64(n)) + " requests"
}
