package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"apmapp/internal/command"
	"apmapp/loadgen/client"
	"apmapp/loadgen/metrics"
	"apmapp/loadgen/openloop"
)

// options are the command line after parsing.
type options struct {
	schedule     openloop.Schedule
	start        time.Time // zero means at once
	warmup       time.Duration
	paths        []openloop.Path
	expect       openloop.Expect
	failIf       []threshold
	abortIf      []threshold
	client       client.Options
	maxErrorRate float64
	trace        bool
	statsd       string // an address of DogStatsD, or ""
	outputs      outputs
	run          openloop.Run // what reports name
}

// raw are the flags' values before they are checked.
type raw struct {
	set          *command.Flags
	parsed       options // the flags that need no parsing
	rps          rate
	profile      string
	shard        string
	startAt      string
	url          string
	paths        string
	targets      string
	body         string
	contentType  string
	arrivals     string
	expect       string
	failIf       string
	abortIf      string
	maxErrorRate string
	insecure     bool
	cert, key    string
	cacert       string
	resolve      string
	unixSocket   string
	keepalive    bool
	header       http.Header
	outputs      outputFlags
	requests     targets // of -targets
	inputs       []named // files that the run reads
}

func newRaw() *raw { return &raw{rps: 20, header: http.Header{}} }

func (r *raw) flags(fs *command.Flags) {
	r.set = fs
	o := &r.parsed
	fs.Group("Schedule", func() {
		fs.Var(&r.rps, "rps", "`rate` in requests per second; fractions are allowed")
		fs.StringVar(&r.profile, "profile", "", "`rate` over time, instead of -rps: 20@1m,100..500@5m (stages), steps:20,100,500@30s, ramp:0..500@2m or spike:20..500@10s")
		fs.DurationVar(&o.schedule.Duration, "duration", 0, "length of the run; 0 means the length of the profile, or until interrupted")
		fs.StringVar(&r.arrivals, "arrivals", string(openloop.Regular), "`distribution` of arrivals: constant (evenly spaced) or poisson (independent callers)")
		fs.Uint64Var(&o.schedule.Seed, "seed", 1, "seed of poisson arrivals; equal seeds make equal schedules")
		fs.StringVar(&r.shard, "shard", "", "`i/n`: be generator i of n that share one schedule; write i+1/n if they are counted from 0")
		fs.DurationVar(&o.warmup, "warmup", 0, "length of the first part of the run, whose requests are sent but not counted")
		fs.StringVar(&r.startAt, "start-at", "", "`time` to start at, for generators that share a schedule: 2026-01-02T15:04:05Z, or next:1m for the next full minute")
	})
	fs.Group("Requests", func() {
		fs.StringVar(&r.url, "url", "http://127.0.0.1:5050", "base `URL` of the target")
		fs.StringVar(&r.paths, "paths", "/=1,/api/trace=1,/api/apm=1", "`paths` to request, each with its weight: /a=2,/b=1, or 2:/a?id=7 with a query; see below")
		fs.StringVar(&r.targets, "targets", "", "`file` with requests that differ in method, headers or body, instead of -paths; - is standard input; see below")
		fs.StringVar(&o.client.Method, "method", http.MethodGet, "HTTP `method`")
		fs.Func("header", "header to send, as `Name: value`; may be given several times", func(s string) error { return addHeader(r.header, s) })
		fs.StringVar(&r.body, "body", "", "`text` to send as the request body; @file sends the content of a file, @- standard input")
		fs.StringVar(&r.contentType, "content-type", "", "`type` of the body, such as application/json: the header Content-Type")
		// The target's own deadline is 5 s; after twice that, every caller has given
		// up.
		fs.DurationVar(&o.client.Timeout, "timeout", 10*time.Second, "maximum duration of a request")
		// Each request in flight needs a connection: a thousand are within the usual
		// limit of 1,024 open files.
		fs.IntVar(&o.client.MaxInFlight, "max-in-flight", 1000, "maximum `number` of requests in flight; arrivals beyond are dropped and counted")
		fs.BoolVar(&o.trace, "trace", false, "send a span for each request, of the service loadgen, to the Datadog Agent")
	})
	fs.Group("Connections", func() {
		fs.StringVar(&r.resolve, "resolve", "", "connect to an address instead of the host of -url: `host:port:address`, as curl has it")
		fs.StringVar(&r.unixSocket, "unix-socket", "", "connect to the UNIX socket at `path`; -url still sets the Host header and the scheme")
		fs.BoolVar(&r.keepalive, "keepalive", true, "keep connections; =false opens one for each request")
		fs.IntVar(&o.client.Redirects, "redirects", 0, "`number` of redirects that a request follows; without it a redirect is an answer")
		fs.StringVar(&r.cacert, "cacert", "", "PEM `file` with the authorities to trust instead of the system's")
		fs.StringVar(&r.cert, "cert", "", "PEM `file` with a client certificate")
		fs.StringVar(&r.key, "key", "", "PEM `file` with the key of -cert, if that does not contain it")
		fs.BoolVar(&r.insecure, "insecure", false, "accept any TLS certificate")
	})
	fs.Group("Report", func() {
		r.outputs.add(fs)
		fs.StringVar(&o.statsd, "statsd", "", "`address` of DogStatsD, to which metrics of the requests are sent: host:port, udp://host:port or unix:///path/to/socket")
	})
	fs.Group("Exit status", func() {
		fs.StringVar(&r.expect, "expect", "", "`statuses` that count as served, such as 2xx,304,400-404; by default all below 500")
		fs.StringVar(&r.maxErrorRate, "max-error-rate", "100%", "exit with 1 if a larger `share` of requests fails or is dropped: 0 to 1, or in percent")
		fs.StringVar(&r.failIf, "fail-if", "", "`thresholds` that make the exit status 1, such as 'p99>200ms,errors>1%'; see below")
		fs.StringVar(&r.abortIf, "abort-if", "", "`thresholds` that end the run early, with its report and status 1; checked every second for all of the run so far")
	})
}

// options checks the values. An error names its flag.
func (r *raw) options(ctx context.Context, p command.Process) (options, error) {
	o := r.parsed
	for _, read := range []func() error{
		func() error { return r.readSchedule(&o) },
		func() error { return r.readRequests(ctx, &o, p.Stdin) },
		func() error { return r.readConnections(&o) },
		func() error { return r.checkRequests(o.client) },
		func() error { return r.readVerdict(&o) },
		func() (err error) {
			if o.statsd != "" {
				o.statsd, err = metrics.Address(o.statsd)
			}
			return ofFlag("statsd", err)
		},
		func() (err error) { o.outputs, err = r.outputs.read(p, r.inputs...); return err },
	} {
		if err := read(); err != nil {
			return options{}, err
		}
	}
	o.run = describe(r.set, o)
	return o, nil
}

// ofFlag adds the name of its flag to an error.
func ofFlag(flag string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("-%s: %w", flag, err)
}
