package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"apmapp/loadgen/client"
	"apmapp/loadgen/openloop"
)

// options are the command line, read and checked.
type options struct {
	schedule     openloop.Schedule
	start        time.Time // zero is at once
	paths        []openloop.Path
	client       client.Options
	maxErrorRate float64
	trace        bool
	outputs      outputs
}

// raw are the flags as they stand on the command line.
type raw struct {
	rps          float64
	profile      string
	shard        string
	startAt      string
	url          string
	paths        string
	arrivals     string
	maxErrorRate string
	header       http.Header
	outputs      outputFlags
}

func flags(o *options, r *raw) *flag.FlagSet {
	fs := flag.NewFlagSet("loadgen", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Float64Var(&r.rps, "rps", 20, "requests per second; fractions are allowed")
	fs.StringVar(&r.profile, "profile", "", "rate over time, instead of -rps: steps:20,100,500@30s, ramp:0..500@2m or spike:20..500@10s")
	fs.DurationVar(&o.schedule.Duration, "duration", 0, "length of the run; 0 is that of the profile, or until interrupted")
	fs.StringVar(&r.shard, "shard", "", "`i/n`: be the i-th of n generators that share one schedule; i+1/n where they are counted from 0")
	fs.StringVar(&r.startAt, "start-at", "", "`instant` to start at, for generators that share a schedule: 2026-01-02T15:04:05Z, or next:1m for the next full minute")
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
	fs.BoolVar(&o.trace, "trace", false, "make a span of each request, of the service loadgen, and send it to the Datadog Agent")
	r.outputs.add(fs)
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
	o.schedule.Arrivals = openloop.Arrivals(r.arrivals)
	o.schedule.Profile = openloop.Constant(r.rps)
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if given["profile"] && given["rps"] {
		return options{}, errors.New("-rps and -profile are two rates: give one")
	}
	for _, of := range []struct {
		name string
		read func() error
	}{
		{"profile", func() (err error) {
			if given["profile"] {
				o.schedule.Profile, err = openloop.ParseProfile(r.profile)
			}
			return err
		}},
		{"shard", func() (err error) { o.schedule.Shard, o.schedule.Shards, err = shard(r.shard); return err }},
		{"start-at", func() (err error) { o.start, err = startAt(r.startAt, time.Now()); return err }},
		{"url", func() (err error) { o.client.Target, err = target(r.url); return err }},
		{"paths", func() (err error) { o.paths, err = openloop.ParsePaths(r.paths); return err }},
		{"max-error-rate", func() (err error) { o.maxErrorRate, err = share(r.maxErrorRate); return err }},
		{"max-in-flight", func() error { return atLeast(1, o.client.MaxInFlight) }},
		{"timeout", func() error {
			if o.client.Timeout <= 0 {
				return fmt.Errorf("%s is not more than 0s", o.client.Timeout)
			}
			return nil
		}},
	} {
		if err := of.read(); err != nil {
			return options{}, fmt.Errorf("-%s: %w", of.name, err)
		}
	}
	var err error
	if o.outputs, err = r.outputs.read(); err != nil {
		return options{}, err
	}
	if err := o.schedule.Check(); err != nil {
		return options{}, fmt.Errorf("-rps, -arrivals, -duration: %w", err)
	}
	return o, nil
}

// shard reads i/n, or i+1/n: what starts the generators may count them from 0,
// as Kubernetes' Indexed Jobs do, and cannot calculate.
func shard(s string) (i, n int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	number, of, found := strings.Cut(s, "/")
	number, fromZero := strings.CutSuffix(number, "+1")
	i, err = strconv.Atoi(number)
	if fromZero {
		i++
	}
	if n, errOf := strconv.Atoi(of); err == nil && errOf == nil && found && i >= 1 && i <= n {
		return i, n, nil
	}
	return 0, 0, fmt.Errorf("%q is not a shard, such as 1/3, 2/3 or 3/3", s)
}

// startAt reads an instant that is still to come. next:1m is the same one for
// all who ask within the same minute: they need not be told of it.
func startAt(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if period, ok := strings.CutPrefix(s, "next:"); ok {
		d, err := time.ParseDuration(period)
		if err != nil || d <= 0 {
			return time.Time{}, fmt.Errorf("%q is not a next full period, such as next:1m", s)
		}
		return now.Truncate(d).Add(d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not an instant, such as 2026-01-02T15:04:05Z or next:1m", s)
	}
	if t.Before(now) {
		return time.Time{}, fmt.Errorf("%s has passed, it is %s", s, now.UTC().Format(time.RFC3339))
	}
	return t, nil
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

func usage() string {
	return describe("loadgen sends HTTP requests at a rate of its own and reports what callers would have felt.",
		flags(&options{}, &raw{header: http.Header{}})) +
		"\nloadgen merge [flags] a.json b.json ... makes one report of several; see loadgen merge -help.\n"
}

// describe is what -help prints.
func describe(what string, fs *flag.FlagSet) string {
	var b strings.Builder
	b.WriteString(what + "\n\n")
	fs.SetOutput(&b)
	fs.PrintDefaults()
	return b.String()
}
