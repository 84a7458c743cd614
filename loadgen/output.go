package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"apmapp/internal/command"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

// outputFlags are the flags that choose where the report goes.
type outputFlags struct {
	json       bool
	file, hgrm string
}

func (r *outputFlags) add(fs *command.Flags) {
	fs.BoolVar(&r.json, "json", false, "print the report as JSON")
	fs.StringVar(&r.file, "o", "", "also write the report to a `file`: .html, .json or .txt")
	fs.StringVar(&r.hgrm, "hgrm", "", "also write the percentiles of the response times to a `file` that HdrHistogram plotters read")
}

func (r outputFlags) read() (outputs, error) {
	out := outputs{show: report.Text}
	if r.json {
		out.show = report.JSON
	}
	if r.file != "" {
		show, ok := map[string]shower{".html": report.HTML, ".json": report.JSON, ".txt": report.Text}[filepath.Ext(r.file)]
		if !ok {
			return outputs{}, fmt.Errorf("-o: %q must end in .html, .json or .txt", r.file)
		}
		out.files = append(out.files, &file{flag: "o", name: r.file, show: show})
	}
	if r.hgrm != "" {
		out.files = append(out.files, &file{flag: "hgrm", name: r.hgrm, show: report.Percentiles})
	}
	return out, nil
}

// shower writes a report.
type shower func(io.Writer, *openloop.Result) error

// outputs are the places that the report of a run goes to.
type outputs struct {
	show  shower // on standard output
	files []*file
}

// file is an output file. Until the report is complete, it has the suffix
// .partial.
type file struct {
	flag, name string
	show       shower
	partial    *os.File
}

// create opens the files before the run, so that a file that cannot be written
// does not cost a run. The report of an earlier run stays until this run's report
// replaces it.
func (o outputs) create() error {
	for _, f := range o.files {
		var err error
		if f.partial, err = os.Create(f.name + ".partial"); err != nil {
			return errors.Join(fmt.Errorf("-%s: %w", f.flag, err), o.discard())
		}
	}
	return nil
}

// write writes the report to standard output and to the files.
func (o outputs) write(stdout io.Writer, r *openloop.Result) error {
	err := o.show(stdout, r)
	for _, f := range o.files {
		err = errors.Join(err, f.write(r))
	}
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}

func (f *file) write(r *openloop.Result) error {
	if err := errors.Join(f.show(f.partial, r), f.partial.Close()); err != nil {
		return err
	}
	return os.Rename(f.partial.Name(), f.name)
}

// discard removes the partial files after a run without a report.
func (o outputs) discard() (err error) {
	for _, f := range o.files {
		if f.partial != nil {
			err = errors.Join(err, f.partial.Close(), os.Remove(f.partial.Name()))
		}
	}
	return err
}
