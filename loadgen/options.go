package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
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
	o.client.Header = r.header
	o.client.NoKeepAlive = !r.keepalive
	o.schedule.Arrivals = openloop.Arrivals(r.arrivals)
	o.schedule.Profile = openloop.Constant(float64(r.rps))
	profile := r.set.Given("profile")
	if profile && r.set.Given("rps") {
		return options{}, errors.New("-rps and -profile name two rates: give one")
	}
	if r.contentType != "" {
		if r.header.Get("Content-Type") != "" {
			return options{}, errors.New("-content-type and -header name two types: give one")
		}
		r.header.Set("Content-Type", r.contentType)
	}
	requests := targets{name: r.targets, given: r.set.Given("url")}
	for _, flag := range []string{"paths", "method"} {
		if r.targets != "" && r.set.Given(flag) {
			return options{}, fmt.Errorf("-targets and -%s: the file has paths and methods: leave out -%[1]s", flag)
		}
	}
	if r.targets == "-" && r.body == "@-" {
		return options{}, errors.New("-targets and -body both read standard input: use a file for one")
	}
	var inputs []named
	for _, of := range []struct {
		name string
		read func() error
	}{
		{"key", func() error {
			if r.key != "" && r.cert == "" {
				return errors.New("needs -cert")
			}
			return nil
		}},
		{"cert", func() error { _, err := client.TLSConfig(r.cert, r.key, "", r.insecure); return err }},
		{"cacert", func() (err error) {
			o.client.TLS, err = client.TLSConfig(r.cert, r.key, r.cacert, r.insecure)
			return err
		}},
		{"profile", func() (err error) {
			if profile {
				o.schedule.Profile, err = openloop.ParseProfile(r.profile)
			}
			return err
		}},
		{"shard", func() (err error) { o.schedule.Shard, o.schedule.Shards, err = shard(r.shard); return err }},
		{"start-at", func() (err error) { o.start, err = startAt(r.startAt, time.Now()); return err }},
		{"url", func() (err error) { o.client.Target, err = target(r.url); return err }},
		{"body", func() (err error) {
			o.client.Body = r.body
			if name, ok := strings.CutPrefix(r.body, "@"); ok {
				inputs = append(inputs, named{"-body", name})
				o.client.Body, err = readInput(ctx, name, p.Stdin)
			}
			return err
		}},
		{"paths", func() (err error) { o.paths, err = openloop.ParsePaths(r.paths); return err }},
		{"targets", func() error {
			if r.targets == "" {
				return nil
			}
			inputs = append(inputs, named{"-targets", r.targets})
			text, err := readInput(ctx, r.targets, p.Stdin)
			if err != nil {
				return err
			}
			requests.base, requests.body = o.client.Target, o.client.Body
			if err := requests.read(text); err != nil {
				return err
			}
			for _, name := range requests.files {
				inputs = append(inputs, named{"-targets", name})
			}
			o.client.Target, o.client.Requests, o.client.Method, o.paths = requests.base, requests.requests, "", requests.paths
			return nil
		}},
		{"resolve", func() (err error) {
			if r.resolve != "" {
				o.client.Address, err = resolve(r.resolve, o.client.Target)
			}
			return err
		}},
		{"unix-socket", func() error {
			switch {
			case r.unixSocket == "":
			case r.resolve != "":
				return errors.New("-resolve names another address: give one")
			default:
				o.client.Address = "unix:" + r.unixSocket
			}
			return nil
		}},
		{"max-error-rate", func() (err error) { o.maxErrorRate, err = share(r.maxErrorRate); return err }},
		{"expect", func() (err error) {
			if r.expect != "" {
				o.expect, err = openloop.ParseExpect(r.expect)
			}
			return err
		}},
		{"fail-if", func() (err error) { o.failIf, err = parseThresholds(r.failIf); return err }},
		{"abort-if", func() (err error) { o.abortIf, err = parseThresholds(r.abortIf); return err }},
		{"statsd", func() (err error) {
			if o.statsd != "" {
				o.statsd, err = metrics.Address(o.statsd)
			}
			return err
		}},
		{"max-in-flight", func() error { return atLeast(1, o.client.MaxInFlight) }},
		{"timeout", func() error {
			if o.client.Timeout <= 0 {
				return fmt.Errorf("must be greater than 0s, got %s", o.client.Timeout)
			}
			return nil
		}},
	} {
		if err := of.read(); err != nil {
			return options{}, fmt.Errorf("-%s: %w", of.name, err)
		}
	}
	if err := checkClient(o.client); err != nil {
		return options{}, err
	}
	if err := requests.check(o.client); err != nil {
		return options{}, err
	}
	if err := o.schedule.Check(); err != nil {
		return options{}, fmt.Errorf("-rps, -arrivals, -duration: %w", err)
	}
	if length := o.schedule.Length(); o.warmup < 0 || length > 0 && o.warmup >= length {
		return options{}, fmt.Errorf("-warmup: must be at least 0s and shorter than the run, got %s of %s", o.warmup, length)
	}
	o.run = describe(r.set, o)
	var err error
	o.outputs, err = r.outputs.read(p, inputs...)
	return o, err
}

// readInput returns the content of a file, or of standard input if it is named -. It
// returns early if ctx ends: a terminal or a FIFO may never end.
func readInput(ctx context.Context, name string, stdin io.Reader) (string, error) {
	var content []byte
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		if name == "-" {
			content, err = io.ReadAll(stdin)
		} else {
			content, err = os.ReadFile(name)
		}
	}()
	select {
	case <-done:
		return string(content), err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// checkClient returns the client's own error about a flag.
func checkClient(o client.Options) error {
	c := client.Options{Target: o.Target, Timeout: o.Timeout, MaxInFlight: o.MaxInFlight}
	for _, of := range []struct {
		name string
		set  func()
	}{
		{"url", func() {}},
		{map[bool]string{true: "unix-socket", false: "resolve"}[strings.HasPrefix(o.Address, "unix:")], func() { c.Address = o.Address }},
		{"redirects", func() { c.Redirects = o.Redirects }},
		{"method", func() { c.Method = o.Method }},
		{"header", func() { c.Header = o.Header }},
	} {
		of.set()
		if _, err := client.New(c); err != nil {
			return fmt.Errorf("-%s: %s", of.name, strings.TrimPrefix(err.Error(), "client: "))
		}
	}
	return nil
}

// resolve reads host:port:address and returns the address with the port. The host
// must be that of the target: another one would have no effect.
func resolve(s string, target *url.URL) (string, error) {
	host, rest, _ := strings.Cut(s, ":")
	port, address, ok := strings.Cut(rest, ":")
	address = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	if !ok || host == "" || port == "" || address == "" {
		return "", fmt.Errorf("%q is not of the form host:port:address", s)
	}
	if host != "*" && !strings.EqualFold(host, target.Hostname()) || port != portOf(target) {
		return "", fmt.Errorf("%q is for %s:%s, but the target is %s", s, host, port, net.JoinHostPort(target.Hostname(), portOf(target)))
	}
	return net.JoinHostPort(address, port), nil
}

// portOf returns the port of a URL, which may be that of its scheme.
func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// shard reads i/n or i+1/n. Whatever starts the generators may count them from 0
// without being able to add, as an Indexed Job of Kubernetes does.
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

// startAt reads a time in the future. next:1m is the same time for all
// generators that ask within the same minute, so nobody has to tell it to them.
func startAt(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if period, ok := strings.CutPrefix(s, "next:"); ok {
		d, err := time.ParseDuration(period)
		if err != nil || d <= 0 {
			return time.Time{}, fmt.Errorf("%q has no valid period: write next:1m, for example", s)
		}
		return now.Truncate(d).Add(d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time, such as 2026-01-02T15:04:05Z or next:1m", s)
	}
	if t.Before(now) {
		return time.Time{}, fmt.Errorf("%s is in the past: it is %s now", s, now.UTC().Format(time.RFC3339))
	}
	return t, nil
}

func target(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") && !strings.HasPrefix(s, "unix:") && s != "" {
		if strings.Contains(s, "@") { // maybe after a password
			return nil, errors.New("no scheme: write http:// before it")
		}
		return nil, fmt.Errorf("%q has no scheme: write http://%s", s, strings.TrimPrefix(s, "//"))
	}
	u, err := url.Parse(s)
	if err != nil {
		// The parser's error quotes the whole URL, with a password.
		return nil, errors.New("not a valid URL")
	}
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		return nil, fmt.Errorf("%q must be http:// or https:// and a host; for a socket, use -unix-socket %s", s, strings.TrimPrefix(path, "//"))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q must be http:// or https:// and a host", u.Redacted())
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q has a query or a fragment: put queries into -paths", u.Redacted())
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
		return fmt.Errorf("must be at least %d, got %d", least, n)
	}
	return nil
}
