package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"apmapp/internal/command"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

// mergeProgram is loadgen merge.
func mergeProgram(p command.Process) command.Command {
	var flags outputFlags
	var out outputs
	var runs []string
	return command.Command{
		Name:      "loadgen merge",
		Arguments: "FILE...",
		Summary:   "loadgen merge makes one report of several runs. It adds their histograms instead of averaging percentiles.",
		Examples: []command.Example{
			{Line: "loadgen merge 1.json 2.json", Comment: "files that loadgen -o run.json or -json wrote"},
			{Line: "loadgen merge -o all.html 1.json 2.json", Comment: "and a page with charts"},
		},
		Flags: flags.add,
		Check: func(arguments []string) (err error) {
			if runs = arguments; len(runs) == 0 {
				return errors.New("no files: name those that loadgen -json or -o run.json wrote")
			}
			out, err = flags.read(p)
			return err
		},
		Run: func(context.Context) error { return merge(runs, out, p.Stdout) },
	}
}

// merge writes the report of one run that would have sent all requests.
func merge(runs []string, out outputs, stdout io.Writer) error {
	var merged *openloop.Result
	for _, name := range runs {
		r, err := read(name)
		if err == nil && merged != nil {
			r, err = openloop.Merge(merged, r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		merged = r
	}
	return out.write(stdout, merged)
}

func read(name string) (*openloop.Result, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return report.ReadJSON(f)
}
