package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

// outputFlags are the flags that say where reports go.
type outputFlags struct {
	json       bool
	file, hgrm string
}

func (r *outputFlags) add(fs *flag.FlagSet) {
	fs.BoolVar(&r.json, "json", false, "print the report as JSON")
	fs.StringVar(&r.file, "o", "", "also write the report to a `file`: .html, .json or .txt")
	fs.StringVar(&r.hgrm, "hgrm", "", "also write the response times to a `file`, as percentiles that plotters of HdrHistogram read")
}

func (r outputFlags) read() (outputs, error) {
	out := outputs{show: report.Text}
	if r.json {
		out.show = report.JSON
	}
	if r.file != "" {
		show, ok := map[string]shower{".html": report.HTML, ".json": report.JSON, ".txt": report.Text}[filepath.Ext(r.file)]
		if !ok {
			return outputs{}, fmt.Errorf("-o: %q ends neither in .html, .json nor .txt", r.file)
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

// outputs are where the report of a run goes.
type outputs struct {
	show  shower // on standard output
	files []*file
}

// file gets a report.
type file struct {
	flag, name string
	show       shower
	partial    *os.File
}

// create opens the files before the run: one that cannot be written should not
// cost a run. The reports of an earlier run stay until this one has its own.
func (o outputs) create() error {
	for _, f := range o.files {
		var err error
		if f.partial, err = os.Create(f.name + ".partial"); err != nil {
			return errors.Join(fmt.Errorf("-%s: %w", f.flag, err), o.discard())
		}
	}
	return nil
}

// write writes the report everywhere.
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

// discard takes the files away again, when there will be no report.
func (o outputs) discard() (err error) {
	for _, f := range o.files {
		if f.partial != nil {
			err = errors.Join(err, f.partial.Close(), os.Remove(f.partial.Name()))
		}
	}
	return err
}
