// Command bench shows whether the demo stays as fast and as small as it is in its
// second minute. It runs the demo as people do, measures one window after another, and
// compares the last ones with the second.
//
// It exits with 0 if p50, CPU and memory stay within the limit, 1 if they do not or
// after a failure, and 2 when its command line is wrong.
package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/command"
)

func main() { command.Main(run) }

// run is main without the process: it returns the exit status.
func run(ctx context.Context, p command.Process) int {
	var (
		o               options
		databases, runs string
	)
	c := command.Command{
		Name: "bench",
		Summary: `bench runs the demo, measures it in windows, and compares p50, CPU and memory of
the last windows with those of the second.`,
		Examples: []command.Example{
			{Line: "bench", Comment: "both databases, each an hour at 20/s and ten minutes at 200/s"},
			{Line: "bench -databases embedded -runs 200/2m -window 20s", Comment: "a short check"},
		},
		Flags: func(fs *command.Flags) {
			fs.StringVar(&o.program, "demo", "bin/demo", "`path` of the demo")
			fs.StringVar(&databases, "databases", "embedded,mysqld", "`values` of the demo's flag -database, one run after another")
			fs.StringVar(&runs, "runs", "20/1h,200/10m", "`rates and lengths` of runs: requests per second, slash, duration")
			fs.DurationVar(&o.window, "window", time.Minute, "length of a window")
		},
		Check: func([]string) (err error) {
			o.databases = strings.Split(databases, ",")
			o.runs, err = parseRuns(runs, o.window)
			return err
		},
		Run: func(ctx context.Context) error { return bench(ctx, o, p.Stdout, p.Stderr) },
	}
	return c.Execute(ctx, p)
}

type options struct {
	program   string
	databases []string
	runs      []demand
	window    time.Duration
}

// demand is the rate and the length of a run.
type demand struct {
	rps    float64
	length time.Duration
}

// leastWindows are the first one, which warms up, the base, and those to compare.
const leastWindows = 2 + compared

func parseRuns(s string, window time.Duration) (runs []demand, err error) {
	if window < probeInterval {
		return nil, fmt.Errorf("-window must be at least %s, got %s", probeInterval, window)
	}
	for run := range strings.SplitSeq(s, ",") {
		rate, length, _ := strings.Cut(run, "/")
		rps, errRate := strconv.ParseFloat(rate, 64)
		d, errLength := time.ParseDuration(length)
		if errRate != nil || errLength != nil {
			return nil, fmt.Errorf("-runs must be RATE/LENGTH such as 200/10m, with commas between runs, got %q", run)
		}
		if d < leastWindows*window {
			return nil, fmt.Errorf("-runs: a run must have at least %d windows of %s, got %q", leastWindows, window, run)
		}
		runs = append(runs, demand{rps, d})
	}
	return runs, nil
}

// bench makes all runs. It returns status 1 if a limit is exceeded.
func bench(ctx context.Context, o options, stdout, stderr io.Writer) error {
	var exceeded bool
	for _, database := range o.databases {
		for _, demand := range o.runs {
			fmt.Fprintf(stdout, "%s database, %g requests per second, %s\n", database, demand.rps, demand.length)
			windows, err := measure(ctx, o, database, demand, stdout, stderr)
			if err != nil {
				return err
			}
			for _, finding := range compare(windows) {
				fmt.Fprintln(stdout, finding)
				exceeded = exceeded || finding.exceeded()
			}
			text, failed := failures(windows)
			exceeded = exceeded || failed
			fmt.Fprintf(stdout, "%s\n\n", text)
		}
	}
	if exceeded {
		return command.Status(command.Failure)
	}
	return nil
}
