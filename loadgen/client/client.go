// Package client sends the requests of an open loop and classifies their errors.
// By default connections are kept, and redirects are not followed: they count as
// answers.
//
// There are two senders. HTTP1, on Linux, sends HTTP/1.1 without TLS from one
// thread, without a goroutine per request, so that it is on time and leaves the
// CPU to the target. NetHTTP uses Go's own client, for everything else.
package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"

	"apmapp/loadgen/openloop"
)

// Options are common to all requests of a run.
type Options struct {
	// Target is the service's base URL; paths are appended to it.
	Target *url.URL
	// Address, if set, is where to connect instead of the target's host and port:
	// HOST:PORT or unix:PATH.
	Address string
	// Method is GET if empty.
	Method string
	// Header may have a Host, which replaces that of the target.
	Header http.Header
	Body   string
	// Requests are what paths of the run send, by openloop.Path.Path. A path that
	// is not in it is requested with Method, Header and Body.
	Requests map[string]Request
	// Timeout limits each request, including the time to connect.
	Timeout time.Duration
	// MaxInFlight is the maximum number of requests in flight, each on its own
	// connection.
	MaxInFlight int
	// NoKeepAlive sends each request on a connection of its own.
	NoKeepAlive bool
	// Redirects is the number of redirects that a request follows. The answer after
	// them counts, also if it is one more redirect. Only NetHTTP supports it.
	Redirects int
	// TLS is nil for the defaults of crypto/tls.
	TLS *tls.Config
	// Wrap, if set, decorates the transport. Only NetHTTP supports it.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Request is what a path of a run sends.
type Request struct {
	// Method is the method of the options if empty.
	Method string
	// Path is the path and query. It starts with a slash.
	Path string
	// Header is sent besides that of the options, and wins over it.
	Header http.Header
	Body   string
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
	proxy, err := o.proxy(req)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if o.Target.Scheme == "http" && proxy == nil && o.Wrap == nil && o.Redirects == 0 {
		return HTTP1(o)
	}
	return NetHTTP(o)
}

// proxy returns the proxy of the environment. With an address, connections go there
// instead.
func (o Options) proxy(req *http.Request) (*url.URL, error) {
	if o.Address != "" {
		return nil, nil
	}
	return http.ProxyFromEnvironment(req)
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
	if path, ok := strings.CutPrefix(o.address(), SocketPrefix); !ok {
		if _, _, err := o.hostPort(); err != nil {
			return o, fmt.Errorf("client: %w", err)
		}
	} else if path == "" || len(path) > maxSocketPath {
		return o, fmt.Errorf("client: path of a socket must have 1 to %d bytes, got %q", maxSocketPath, path)
	}
	if o.Timeout <= 0 {
		return o, fmt.Errorf("client: timeout must be greater than 0s, got %s", o.Timeout)
	}
	if o.MaxInFlight < 1 {
		return o, fmt.Errorf("client: max-in-flight must be at least 1, got %d", o.MaxInFlight)
	}
	if o.Redirects < 0 {
		return o, fmt.Errorf("client: redirects must be at least 0, got %d", o.Redirects)
	}
	if o.Method == "" {
		o.Method = http.MethodGet
	}
	if err := checkHeader(o.Header); err != nil {
		return o, fmt.Errorf("client: %w", err)
	}
	if err := o.checkRequest("/"); err != nil {
		return o, fmt.Errorf("client: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Requests)) {
		r := o.Requests[name]
		err := checkHeader(r.Header)
		if err == nil && !strings.HasPrefix(r.Path, "/") {
			err = fmt.Errorf("path must start with a slash, got %q", r.Path)
		}
		if err == nil {
			err = o.checkRequest(name)
		}
		if err != nil {
			return o, fmt.Errorf("client: request %s: %w", name, err)
		}
	}
	return o, nil
}

// SocketPrefix precedes the path of a UNIX socket in Options.Address.
const SocketPrefix = "unix:"

// maxSocketPath is the length of the field for it in Linux's struct sockaddr_un,
// without the terminating zero.
const maxSocketPath = 107

// checkRequest writes a request, which shows whether its method and its URL are
// valid.
func (o Options) checkRequest(name string) error {
	req, err := o.request(context.Background(), name)
	if err != nil {
		return err
	}
	return req.Write(io.Discard)
}

// checkHeader exists because writing a request silently leaves out or changes
// what it refuses. Its errors do not show values, which may be secret.
func checkHeader(header http.Header) error {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("%q is not a valid header name", name)
		}
		switch http.CanonicalHeaderKey(name) {
		case "Content-Length", "Transfer-Encoding", "Trailer":
			return fmt.Errorf("header %s must be left out: it follows from the body", http.CanonicalHeaderKey(name))
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

// address returns where to connect: HOST:PORT or unix:PATH.
func (o Options) address() string {
	if o.Address != "" {
		return o.Address
	}
	return net.JoinHostPort(o.Target.Hostname(), Port(o.Target))
}

// Port returns the port of a URL, by default that of its scheme, "" for a scheme that
// is not http or https.
func Port(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return map[string]string{"http": "80", "https": "443"}[u.Scheme]
}

// hostPort returns the host and port to connect to. International names are in
// the form of the DNS.
func (o Options) hostPort() (host string, port int, err error) {
	host, number, err := net.SplitHostPort(o.address())
	if err != nil {
		return "", 0, fmt.Errorf("address must be HOST:PORT or unix:PATH, got %q", o.address())
	}
	if port, err = strconv.Atoi(number); err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("port must be between 1 and 65535, got %q", number)
	}
	if host == "" {
		return "localhost", port, nil
	}
	// As net/http does it: names in ASCII stay as they are.
	if strings.ContainsFunc(host, func(r rune) bool { return r > unicode.MaxASCII }) {
		host, err = idna.Lookup.ToASCII(host)
	}
	return host, port, err
}

// of returns the request for a path of the run.
func (o Options) of(path string) Request {
	r, ok := o.Requests[path]
	if !ok {
		r = Request{Path: path, Body: o.Body}
	}
	if r.Method == "" {
		r.Method = o.Method
	}
	return r
}

func (o Options) request(ctx context.Context, path string) (*http.Request, error) {
	r := o.of(path)
	req, err := http.NewRequestWithContext(ctx, r.Method, strings.TrimSuffix(o.Target.String(), "/")+r.Path, strings.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	req.URL.RawQuery = nonASCII.ReplaceAllStringFunc(req.URL.RawQuery, url.QueryEscape)
	req.Close = o.NoKeepAlive
	req.Header.Set("User-Agent", "loadgen")
	if user := o.Target.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	for _, header := range []http.Header{o.Header, r.Header} {
		for name, values := range header {
			if http.CanonicalHeaderKey(name) == "Host" {
				req.Host = values[0]
			} else {
				req.Header[name] = values
			}
		}
	}
	return req, nil
}

// nonASCII matches what a URL must percent-encode. net/url does so in paths only.
var nonASCII = regexp.MustCompile(`[^\x00-\x7f]+`)

// traceID returns the trace ID of a traceresponse header, "" if it is invalid:
// https://www.w3.org/TR/trace-context-2/#traceresponse-header
func traceID(header string) string {
	parts := strings.Split(header, "-")
	if len(parts) < 4 || len(parts[1]) != 32 || strings.Trim(parts[1], "0123456789abcdef") != "" {
		return ""
	}
	return parts[1]
}
