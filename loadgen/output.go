package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"apmapp/internal/command"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

// outputFlags are the flags that choose where the report goes.
type outputFlags struct {
	json       bool
	file, hgrm string
	set        *command.Flags
}

func (r *outputFlags) add(fs *command.Flags) {
	r.set = fs
	fs.BoolVar(&r.json, "json", false, "print the report as JSON")
	fs.StringVar(&r.file, "o", "", "also write the report to a `file`: .html, .json or .txt")
	fs.StringVar(&r.hgrm, "hgrm", "", "also write the percentiles of the response times to a `file` that HdrHistogram plotters read")
}

// read returns the outputs, or an error if one cannot be written or two are the
// same file. Inputs are the files that the run reads, by flag.
func (r outputFlags) read(p command.Process, inputs ...named) (outputs, error) {
	for _, f := range []named{{"o", r.file}, {"hgrm", r.hgrm}} {
		if f.name == "" && r.set.Given(f.flag) {
			return outputs{}, fmt.Errorf("-%s: the name of the file is empty", f.flag)
		}
	}
	out := outputs{show: report.Text}
	if r.json {
		out.show = report.JSON
	}
	if r.file != "" {
		show, ok := map[string]shower{".html": report.HTML, ".json": report.JSON, ".txt": report.Text}[strings.ToLower(filepath.Ext(r.file))]
		at, err := locate(r.file)
		if !ok && err != nil {
			return outputs{}, fmt.Errorf("-o: %w", err)
		}
		if !ok && !at.isSpecial() {
			return outputs{}, fmt.Errorf("-o: %q must end in .html, .json or .txt", r.file)
		}
		if !ok { // a device such as /dev/stderr
			show = out.show
		}
		out.files = append(out.files, file{named{"-o", r.file}, show})
	}
	if r.hgrm != "" {
		out.files = append(out.files, file{named{"-hgrm", r.hgrm}, report.Percentiles})
	}
	for _, f := range out.files {
		// Text is for people, who can tell two reports apart.
		if at, err := locate(f.name); r.json && err == nil && at.descriptor == 1 {
			return outputs{}, fmt.Errorf("-json: standard output has the JSON report, and %s writes there too: leave out one", f.flag)
		}
	}
	return out, out.check(p, inputs)
}

// shower writes a report.
type shower func(io.Writer, *openloop.Result) error

// outputs are the places that the report of a run goes to.
type outputs struct {
	show  shower // on standard output
	files []file
}

// named is a file of the command line.
type named struct{ flag, name string }

// file is an output file.
type file struct {
	named
	show shower
}

// check makes sure, before the run, that the files can be written and that none
// would overwrite another one.
func (o outputs) check(p command.Process, inputs []named) (err error) {
	type used struct {
		by     string
		info   fs.FileInfo
		stream bool
	}
	var all []used
	for _, stream := range []struct {
		name string
		w    io.Writer
	}{{"standard output", p.Stdout}, {"standard error", p.Stderr}} {
		if f, ok := stream.w.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
				all = append(all, used{stream.name, info, true})
			}
		}
	}
	for _, in := range inputs {
		if info, err := os.Stat(in.name); err == nil && info.Mode().IsRegular() {
			all = append(all, used{in.flag, info, false})
		}
	}
	for _, f := range o.files {
		at, err := locate(f.name)
		if err != nil {
			return fmt.Errorf("%s: %w", f.flag, err)
		}
		info, remove, err := at.probe()
		if err != nil {
			return fmt.Errorf("%s: %w", f.flag, err)
		}
		// Only when all are known: two names may create the same file.
		defer remove()
		for _, u := range all {
			// Writing to a descriptor does not overwrite, nor does writing to a terminal.
			harmless := u.stream && at.descriptor >= 0 || info.Mode()&fs.ModeCharDevice != 0
			if os.SameFile(info, u.info) && !harmless {
				return fmt.Errorf("%s: %q is also the file of %s: give each its own", f.flag, f.name, u.by)
			}
		}
		all = append(all, used{f.flag, info, false})
	}
	return nil
}

// write writes the report to the files and to standard output. Regular files come
// first: nothing that happens to a pipe or a terminal costs them. FIFOs, which may
// wait for a reader, come last; the next signal ends that wait.
func (o outputs) write(ctx context.Context, p command.Process, r *openloop.Result) error {
	signal := ctx
	if ctx.Err() != nil {
		signal = p.GiveUp
	}
	if signal == nil || signal.Err() != nil { // the next signal kills the program
		signal = context.Background()
	}
	var errs []error
	var special []func() error
	for _, f := range o.files {
		var b bytes.Buffer
		at, err := locate(f.name)
		if err == nil {
			err = f.show(&b, r)
		}
		put := func() error {
			err := at.put(b.Bytes(), func() { fmt.Fprintf(p.Stderr, "loadgen: waiting for a reader of %s\n", f.name) })
			if err != nil {
				return fmt.Errorf("%s: %w", f.flag, err)
			}
			return nil
		}
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", f.flag, err))
		case at.isSpecial():
			special = append(special, func() error { return within(signal, f.flag, put) })
		default:
			errs = append(errs, put())
		}
	}
	// A reader that has seen enough is no failure of the run.
	if err := o.show(p.Stdout, r); !errors.Is(err, syscall.EPIPE) {
		errs = append(errs, err)
	}
	for _, put := range special {
		errs = append(errs, put())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

// within calls f, which writes the output of a flag, and returns early if ctx ends.
func within(ctx context.Context, flag string, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s: the wait for a reader ended: %w", flag, context.Cause(ctx))
	}
}
