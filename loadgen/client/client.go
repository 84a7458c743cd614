// Package client sends the requests of an open loop and classifies their errors.
// Connections are kept. Redirects are not followed: they count as answers.
//
// There are two senders. HTTP1, on Linux, sends HTTP/1.1 without TLS from one
// thread, without a goroutine per request, so that it is on time and leaves the
// CPU to the target. NetHTTP uses Go's own client, for everything else.
package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"apmapp/loadgen/openloop"
)

// Options are common to all requests of a run.
type Options struct {
	// Target is the service's base URL; paths are appended to it.
	Target *url.URL
	// Method is GET if empty.
	Method string
	// Header may have a Host, which replaces that of the target.
	Header http.Header
	Body   string
	// Timeout limits each request, including the time to connect.
	Timeout time.Duration
	// MaxInFlight is the maximum number of requests in flight, each on its own
	// connection.
	MaxInFlight int
	// Insecure accepts any certificate.
	Insecure bool
	// Wrap, if set, decorates the transport. Only NetHTTP supports it.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// New returns the sender that suits the target best, or an error if the options
// are invalid.
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

// checked returns the options with their defaults, or an error if they are
// invalid.
func (o Options) checked() (Options, error) {
	if o.Target == nil {
		return o, errors.New("client: target must be set")
	}
	if o.Target.Host == "" || o.Target.Scheme != "http" && o.Target.Scheme != "https" {
		return o, fmt.Errorf("client: target must be http:// or https:// and a host, got %q", o.Target.Redacted())
	}
	if o.Timeout <= 0 {
		return o, fmt.Errorf("client: timeout must be greater than 0s, got %s", o.Timeout)
	}
	if o.MaxInFlight < 1 {
		return o, fmt.Errorf("client: max-in-flight must be at least 1, got %d", o.MaxInFlight)
	}
	if o.Method == "" {
		o.Method = http.MethodGet
	}
	if err := checkHeader(o.Header); err != nil {
		return o, fmt.Errorf("client: %w", err)
	}
	// Writing one request shows whether the method and the target are valid.
	req, err := o.request(context.Background(), "/")
	if err == nil {
		err = req.Write(io.Discard)
	}
	if err != nil {
		return o, fmt.Errorf("client: %w", err)
	}
	return o, nil
}

// checkHeader exists because writing a request silently leaves out or changes
// what it refuses. Its errors do not show values, which may be secret.
func checkHeader(header http.Header) error {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("%q is not a valid header name", name)
		}
		for _, value := range header[name] {
			if !httpguts.ValidHeaderFieldValue(value) {
				return fmt.Errorf("value of header %s has control characters: remove them", name)
			}
		}
		if http.CanonicalHeaderKey(name) == "Host" {
			if len(header[name]) != 1 {
				return fmt.Errorf("header Host must have one value, got %d", len(header[name]))
			}
			host, err := httpguts.PunycodeHostPort(header[name][0])
			if err != nil || !httpguts.ValidHostHeader(host) {
				return errors.New("value of header Host is not a host such as shop.example or shop.example:8080")
			}
		}
	}
	return nil
}

// idempotent holds the methods of requests that may be sent twice: RFC 9110,
// section 9.2.2.
var idempotent = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodOptions: true,
	http.MethodTrace: true, http.MethodPut: true, http.MethodDelete: true,
}

// hostPort returns the address to connect to.
func (o Options) hostPort() string {
	port := o.Target.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(o.Target.Hostname(), port)
}

func (o Options) request(ctx context.Context, path string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, o.Method, strings.TrimSuffix(o.Target.String(), "/")+path, strings.NewReader(o.Body))
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
		} else {
			req.Header[name] = values
		}
	}
	return req, nil
}

// traceID returns the trace ID of a traceresponse header, "" if it is invalid:
// https://www.w3.org/TR/trace-context-2/#traceresponse-header
func traceID(header string) string {
	parts := strings.Split(header, "-")
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}
