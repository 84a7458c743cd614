package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"golang.org/x/net/http/httpguts"

	"apmapp/loadgen/client"
	"apmapp/loadgen/openloop"
)

// readRequests reads the flags of what to request.
func (r *raw) readRequests(ctx context.Context, o *options, stdin io.Reader) (err error) {
	if o.client.Target, err = target(r.url); err != nil {
		return ofFlag("url", err)
	}
	if r.targets == "-" && r.body == "@-" {
		return errors.New("-targets and -body both read standard input: use a file for one")
	}
	o.client.Body = r.body
	if name, ok := strings.CutPrefix(r.body, "@"); ok {
		r.inputs = append(r.inputs, named{"-body", name})
		if o.client.Body, err = readInput(ctx, name, stdin); err != nil {
			return ofFlag("body", err)
		}
	}
	o.client.Header = r.header
	if r.contentType != "" {
		if r.header.Get("Content-Type") != "" {
			return errors.New("-content-type and -header name two types: give one")
		}
		r.header.Set("Content-Type", r.contentType)
	}
	if r.targets == "" {
		o.paths, err = openloop.ParsePaths(r.paths)
		return ofFlag("paths", err)
	}
	return r.readTargets(ctx, o, stdin)
}

// readTargets reads the file of -targets.
func (r *raw) readTargets(ctx context.Context, o *options, stdin io.Reader) error {
	for _, flag := range []string{"paths", "method"} {
		if r.set.Given(flag) {
			return fmt.Errorf("-targets and -%s: the file has paths and methods: leave out -%[1]s", flag)
		}
	}
	t := targets{name: r.targets, base: o.client.Target, given: r.set.Given("url"), body: o.client.Body}
	text, err := readInput(ctx, r.targets, stdin)
	if err == nil {
		err = t.read(text)
	}
	if err != nil {
		return ofFlag("targets", err)
	}
	for _, name := range append(t.files, r.targets) {
		r.inputs = append(r.inputs, named{"-targets", name})
	}
	r.requests = t
	o.client.Target, o.client.Requests, o.client.Method, o.paths = t.base, t.requests, "", t.paths
	return nil
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

func target(s string) (*url.URL, error) {
	if !strings.Contains(s, "://") && !strings.HasPrefix(s, client.SocketPrefix) && s != "" {
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
	if path, ok := strings.CutPrefix(s, client.SocketPrefix); ok {
		return nil, fmt.Errorf("%q must be http:// or https:// and a host; for a socket, use -unix-socket %s", s, strings.TrimPrefix(path, "//"))
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q must be http:// or https:// and a host", u.Redacted())
	}
	// The form of the DNS, which is also shown. The client refuses what has none.
	if host, err := httpguts.PunycodeHostPort(u.Host); err == nil {
		u.Host = host
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q has a query or a fragment: put queries into -paths", u.Redacted())
	}
	return u, nil
}

// checkRequests returns the client's own error about a flag.
func (r *raw) checkRequests(o client.Options) error {
	c := client.Options{Target: o.Target, Timeout: o.Timeout, MaxInFlight: o.MaxInFlight}
	for _, step := range []struct {
		flag string
		set  func()
	}{
		{"url", func() {}},
		{"method", func() { c.Method = o.Method }},
		{"header", func() { c.Header = o.Header }},
		{"redirects", func() { c.Redirects = o.Redirects }},
		{addressFlag(o.Address), func() { c.Address = o.Address }},
	} {
		step.set()
		if _, err := client.New(c); err != nil {
			return ofFlag(step.flag, withoutPackage(err))
		}
	}
	return ofFlag("targets", r.requests.check(c))
}

// withoutPackage returns an error of the client without the name of its package.
func withoutPackage(err error) error { return errors.New(strings.TrimPrefix(err.Error(), "client: ")) }
