// Package client sends the requests of an open loop, and says of each by which
// kind of error it failed. Connections are kept; redirects are not followed:
// they are answers.
//
// It has two ways to send them. HTTP1, on Linux, is one thread that does without
// goroutines, so that it is on time and leaves the machine to the target; it
// speaks HTTP/1.1 in the clear. NetHTTP is Go's own client, for all else.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"apmapp/loadgen/openloop"
)

// Options are what requests have in common.
type Options struct {
	// Target is the service's base URL; paths are appended to it.
	Target *url.URL
	// Method is GET when empty.
	Method string
	Header http.Header
	Body   string
	// Timeout bounds each request, connecting included.
	Timeout time.Duration
	// MaxInFlight is how many requests may be in flight, each on a connection.
	MaxInFlight int
	// Insecure takes any certificate.
	Insecure bool
	// Wrap, unless nil, has a part in each request; only NetHTTP does that.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// New returns the sender that serves the target best, or what is wrong with the
// options.
func New(o Options) (openloop.Sender, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	req, err := o.request(context.Background(), "/")
	if err != nil {
		return nil, err
	}
	proxy, err := http.ProxyFromEnvironment(req)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if o.Target.Scheme == "http" && proxy == nil && o.Wrap == nil {
		return HTTP1(o)
	}
	return NetHTTP(o)
}

// checked returns the options with their defaults, or what is wrong with them.
func (o Options) checked() (Options, error) {
	if o.Target == nil || o.Target.Host == "" || o.Target.Scheme != "http" && o.Target.Scheme != "https" {
		return o, errors.New("client: a target is http:// or https:// and a host")
	}
	if o.Timeout <= 0 {
		return o, fmt.Errorf("client: a timeout of %s cannot be", o.Timeout)
	}
	if o.MaxInFlight < 1 {
		return o, fmt.Errorf("client: %d requests in flight at most cannot be", o.MaxInFlight)
	}
	if o.Method == "" {
		o.Method = http.MethodGet
	}
	// One request tells whether the method and the headers can be sent at all.
	req, err := o.request(context.Background(), "/")
	if err == nil {
		err = req.Write(io.Discard)
	}
	if err != nil {
		return o, fmt.Errorf("client: %w", err)
	}
	return o, nil
}

// idempotent are the methods of requests that may be sent twice: RFC 9110,
// section 9.2.2.
var idempotent = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodOptions: true,
	http.MethodTrace: true, http.MethodPut: true, http.MethodDelete: true,
}

// hostPort is where to connect to.
func (o Options) hostPort() string {
	port := o.Target.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(o.Target.Hostname(), port)
}

func (o Options) request(ctx context.Context, path string) (*http.Request, error) {
	var body io.Reader
	if o.Body != "" {
		body = strings.NewReader(o.Body)
	}
	req, err := http.NewRequestWithContext(ctx, o.Method, strings.TrimSuffix(o.Target.String(), "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "loadgen")
	if user := o.Target.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	for name, values := range o.Header {
		if http.CanonicalHeaderKey(name) == "Host" {
			req.Host = values[0]
			continue
		}
		req.Header[name] = values
	}
	return req, nil
}

// traceID returns the trace ID of a traceresponse header, "" where that is none:
// https://www.w3.org/TR/trace-context-2/#traceresponse-header
func traceID(header string) string {
	parts := strings.Split(header, "-")
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}
