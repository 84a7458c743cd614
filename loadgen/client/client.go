// Package client sends the requests of an open loop over HTTP/1.1 and HTTP/2,
// with connections kept alive, and says of each by which kind of error it
// failed.
package client

import (
	"context"
	"crypto/tls"
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
	// Connections is how many idle connections are kept: as many as requests
	// may be in flight.
	Connections int
	// Insecure takes any certificate.
	Insecure bool
}

// Client sends requests. It follows no redirects: they are answers.
type Client struct {
	options Options
	http    *http.Client
}

// New returns a client, or what is wrong with its options.
func New(o Options) (*Client, error) {
	if o.Target == nil || o.Target.Host == "" || o.Target.Scheme != "http" && o.Target.Scheme != "https" {
		return nil, errors.New("client: a target is http:// or https:// and a host")
	}
	if o.Timeout <= 0 {
		return nil, fmt.Errorf("client: a timeout of %s cannot be", o.Timeout)
	}
	if o.Method == "" {
		o.Method = http.MethodGet
	}
	c := &Client{options: o}
	// One request tells whether the method and the headers can be sent at all.
	if _, err := c.request(context.Background(), "/"); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	c.http = &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{}).DialContext,
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: o.Insecure},
			ForceAttemptHTTP2:   true,
			MaxIdleConnsPerHost: o.Connections,
			// Answers are counted as they come over the wire.
			DisableCompression: true,
		},
		Timeout:       o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Do implements openloop.Client.
func (c *Client) Do(ctx context.Context, path string) openloop.Exchange {
	req, err := c.request(ctx, path)
	if err != nil {
		return openloop.Exchange{Failure: kind(err)}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return openloop.Exchange{Failure: kind(err)}
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	x := openloop.Exchange{Status: resp.StatusCode, Bytes: n, TraceID: traceID(resp.Header.Get("Traceresponse"))}
	if err != nil {
		x.Failure = kind(err)
	}
	return x
}

// Close closes the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) request(ctx context.Context, path string) (*http.Request, error) {
	var body io.Reader
	if c.options.Body != "" {
		body = strings.NewReader(c.options.Body)
	}
	req, err := http.NewRequestWithContext(ctx, c.options.Method, strings.TrimSuffix(c.options.Target.String(), "/")+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "loadgen")
	for name, values := range c.options.Header {
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
