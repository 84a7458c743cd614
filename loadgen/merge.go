package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"apmapp/internal/command"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

// mergeProgram is loadgen merge.
func mergeProgram(p command.Process) command.Command {
	var flags outputFlags
	var out outputs
	var runs []string
	var conditions string
	var thresholds []threshold
	return command.Command{
		Name:      "loadgen merge",
		Arguments: "FILE...",
		Summary:   "loadgen merge makes one report of several runs. It adds their histograms instead of averaging percentiles.",
		Examples: []command.Example{
			{Line: "loadgen merge 1.json 2.json", Comment: "files that loadgen -o run.json or -json wrote"},
			{Line: "loadgen merge -o all.html 1.json 2.json", Comment: "and a page with charts"},
		},
		Flags: func(fs *command.Flags) {
			flags.add(fs)
			fs.StringVar(&conditions, "fail-if", "", "`thresholds` that make the exit status 1, such as 'p99>200ms,errors>1%'; see loadgen -help")
		},
		Check: func(arguments []string) (err error) {
			if runs = arguments; len(runs) == 0 {
				return errors.New("no files: name those that loadgen -json or -o run.json wrote")
			}
			if thresholds, err = parseThresholds(conditions); err != nil {
				return ofFlag("fail-if", err)
			}
			out, err = flags.read(p)
			return err
		},
		Run: func(ctx context.Context) error { return merge(ctx, p, runs, out, thresholds) },
	}
}

// merge writes the report of one run that would have sent all requests, and compares
// it with the thresholds.
func merge(ctx context.Context, p command.Process, runs []string, out outputs, thresholds []threshold) error {
	var merged *openloop.Result
	for _, name := range runs {
		r, err := read(ctx, name, p.Stdin)
		if err == nil && merged != nil {
			r, err = openloop.Merge(merged, r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		merged = r
	}
	if err := out.write(ctx, p, merged); err != nil {
		return err
	}
	return failIf(thresholds, merged)
}

func read(ctx context.Context, name string, stdin io.Reader) (*openloop.Result, error) {
	text, err := readInput(ctx, name, stdin)
	if err != nil {
		return nil, err
	}
	return report.ReadJSON(strings.NewReader(text))
}
