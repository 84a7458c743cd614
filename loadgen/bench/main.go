// Command bench compares loadgen with other load generators: how precisely each one
// follows a schedule, how much CPU a request costs, and whether its figures are
// true. It prints a table, and whether loadgen meets each of its goals.
// docs/loadgen.md describes how each figure is measured.
//
// It exits with 0 if all goals are met, and with 1 if one is missed or something
// failed.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "sender" {
		os.Exit(sender(os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "sleeper" {
		os.Exit(sleeper(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

func run(ctx context.Context, args []string) int {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	bin := fs.String("bin", "../../bin", "`directory` of loadgen, vegeta and hey; wrk is looked up in PATH")
	rounds := fs.Int("rounds", 5, "number of rounds; the median counts")
	each := fs.Duration("each", 5*time.Second, "length of one measurement")
	only := fs.String("only", "", "measure only the `part` "+schedules+" or "+connections)
	memory := fs.Duration("memory", 10*time.Minute, "length of the memory measurement; 0 skips it")
	if err := fs.Parse(args); err != nil {
		return 2
	}
	if *only != "" && *only != schedules && *only != connections {
		fmt.Fprintf(os.Stderr, "bench: -only must be %s or %s, got %q\n", schedules, connections, *only)
		return 2
	}
	b := &bench{bin: *bin, each: *each, only: *only}
	if err := b.find(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	for n := range *rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", n+1, *rounds)
		if err := b.round(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			return 1
		}
	}
	if *memory > 0 && b.measures(schedules) {
		fmt.Fprintf(os.Stderr, "memory, for %s\n", *memory)
		if err := b.memory(ctx, *memory); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			return 1
		}
	}
	b.print(os.Stdout)
	if !b.goals(os.Stdout) {
		return 1
	}
	return 0
}
