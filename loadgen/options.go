package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"apmapp/loadgen/client"
	"apmapp/loadgen/openloop"
	"apmapp/loadgen/report"
)

// options are the command line, read and checked.
type options struct {
	schedule     openloop.Schedule
	paths        []openloop.Path
	client       client.Options
	maxErrorRate float64
	json         bool
	file         string
}

// raw are the flags as they stand on the command line.
type raw struct {
	rps          float64
	url          string
	paths        string
	arrivals     string
	maxErrorRate string
	header       http.Header
}

func flags(o *options, r *raw) *flag.FlagSet {
	fs := flag.NewFlagSet("loadgen", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Float64Var(&r.rps, "rps", 20, "requests per second; fractions are allowed")
	fs.DurationVar(&o.schedule.Duration, "duration", 0, "length of the run; 0 is until interrupted")
	fs.StringVar(&r.url, "url", "http://127.0.0.1:5050", "base `URL` of the target")
	fs.StringVar(&r.paths, "paths", "/=1,/api/trace=1,/api/apm=1", "`paths` to request, each with its weight")
	fs.StringVar(&r.arrivals, "arrivals", string(openloop.Regular), "constant (evenly spaced) or poisson (independent callers)")
	fs.Uint64Var(&o.schedule.Seed, "seed", 1, "seed of poisson arrivals; equal seeds make equal schedules")
	// The target's own deadline is 5 s; what comes later than twice that was
	// given up on by any caller.
	fs.DurationVar(&o.client.Timeout, "timeout", 10*time.Second, "longest time that a request may take")
	// Each costs a connection: a thousand are within the usual limit of 1,024
	// open files.
	fs.IntVar(&o.client.MaxInFlight, "max-in-flight", 1000, "requests in flight at most; arrivals beyond are dropped and counted")
	fs.StringVar(&o.client.Method, "method", http.MethodGet, "HTTP `method`")
	fs.Func("header", "`Name: value` of a header to send; may be given several times", func(s string) error {
		name, value, ok := strings.Cut(s, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return errors.New("not of the form Name: value")
		}
		r.header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
		return nil
	})
	fs.StringVar(&o.client.Body, "body", "", "body to send")
	fs.BoolVar(&o.client.Insecure, "insecure", false, "take any TLS certificate")
	fs.BoolVar(&o.json, "json", false, "print the report as JSON")
	fs.StringVar(&o.file, "o", "", "also write the report to a `file`: .json or .txt")
	fs.StringVar(&r.maxErrorRate, "max-error-rate", "100%", "`share` of requests, 0 to 1 or in percent, beyond which to exit with 1")
	return fs
}

// parse reads a command line; an error names its flag.
func parse(args []string) (options, error) {
	var o options
	r := raw{header: http.Header{}}
	fs := flags(&o, &r)
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("%q is not a flag", fs.Arg(0))
	}
	o.client.Header = r.header
	o.schedule.Profile = openloop.Constant(r.rps)
	o.schedule.Arrivals = openloop.Arrivals(r.arrivals)
	var errs [6]error
	o.client.Target, errs[0] = target(r.url)
	o.paths, errs[1] = openloop.ParsePaths(r.paths)
	o.maxErrorRate, errs[2] = share(r.maxErrorRate)
	errs[3] = atLeast(1, o.client.MaxInFlight)
	if o.client.Timeout <= 0 {
		errs[4] = fmt.Errorf("%s is not more than 0s", o.client.Timeout)
	}
	errs[5] = fileName(o.file)
	for i, name := range []string{"url", "paths", "max-error-rate", "max-in-flight", "timeout", "o"} {
		if errs[i] != nil {
			return options{}, fmt.Errorf("-%s: %w", name, errs[i])
		}
	}
	if err := o.schedule.Check(); err != nil {
		return options{}, fmt.Errorf("-rps, -arrivals, -duration: %w", err)
	}
	return o, nil
}

func target(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		// The parser's error quotes all of it, a password too.
		return nil, errors.New("not a URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not http:// or https:// and a host", u.Redacted())
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q has more than a path; queries belong to -paths", u.Redacted())
	}
	return u, nil
}

// share reads a number from 0 to 1, or one with a percent sign.
func share(s string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || math.IsNaN(v) || v < 0 || v > 1 {
		return 0, fmt.Errorf("%q is not a share, such as 0.01 or 1%%", s)
	}
	return v, nil
}

func atLeast(least, n int) error {
	if n < least {
		return fmt.Errorf("%d is less than %d", n, least)
	}
	return nil
}

func fileName(name string) error {
	switch filepath.Ext(name) {
	case ".json", ".txt":
		return nil
	case "":
		if name == "" {
			return nil
		}
	}
	return fmt.Errorf("%q ends neither in .json nor in .txt", name)
}

func usage() string {
	var b strings.Builder
	b.WriteString("loadgen sends HTTP requests at a rate of its own and reports what callers would have felt.\n\n")
	fs := flags(&options{}, &raw{header: http.Header{}})
	fs.SetOutput(&b)
	fs.PrintDefaults()
	return b.String()
}

// print writes the report to standard output.
func (o options) print(w io.Writer, r *openloop.Result) error {
	if o.json {
		return report.JSON(w, r)
	}
	return report.Text(w, r)
}

// file is the file of -o, or none.
type file struct {
	*os.File
	name string
}

// create opens the file of -o before the run: one that cannot be written should
// not cost a run. The report of an earlier run stays until this one has its own.
func (o options) create() (file, error) {
	if o.file == "" {
		return file{}, nil
	}
	f, err := os.Create(o.file + ".partial")
	if err != nil {
		return file{}, fmt.Errorf("-o: %w", err)
	}
	return file{f, o.file}, nil
}

func (f file) write(r *openloop.Result) error {
	if f.File == nil {
		return nil
	}
	show := report.Text
	if filepath.Ext(f.name) == ".json" {
		show = report.JSON
	}
	if err := errors.Join(show(f, r), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), f.name)
}

// discard takes the file away again, when there will be no report.
func (f file) discard() error {
	if f.File == nil {
		return nil
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
