package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

// mergeOptions are the command line of loadgen merge.
type mergeOptions struct {
	outputs outputs
	runs    []string
}

func mergeFlags(r *outputFlags) *flag.FlagSet {
	fs := flag.NewFlagSet("merge", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	r.add(fs)
	return fs
}

func parseMerge(args []string) (mergeOptions, error) {
	var r outputFlags
	fs := mergeFlags(&r)
	if err := fs.Parse(args); err != nil {
		return mergeOptions{}, err
	}
	if fs.NArg() == 0 {
		return mergeOptions{}, errors.New("no files: give those that loadgen -json or -o run.json has written")
	}
	out, err := r.read()
	return mergeOptions{out, fs.Args()}, err
}

func mergeUsage() string {
	return describe("loadgen merge [flags] a.json b.json ... makes one report of several runs: histograms are added, not averaged.",
		mergeFlags(&outputFlags{}))
}

// merge writes the report that one run would have had that sent all requests.
func merge(o mergeOptions, stdout io.Writer) error {
	var merged *openloop.Result
	for _, name := range o.runs {
		r, err := read(name)
		if err == nil && merged != nil {
			r, err = openloop.Merge(merged, r)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		merged = r
	}
	if err := o.outputs.create(); err != nil {
		return err
	}
	return o.outputs.write(stdout, merged)
}

func read(name string) (*openloop.Result, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return report.ReadJSON(f)
}
