package provision

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"apmapp/internal/build"
	"apmapp/internal/site"

	"github.com/cenkalti/backoff/v5"
)

// Config names the account and bounds the requests to it.
type Config struct {
	APIKey, AppKey string
	Site           string // one of site.Sites; "" is the first
	API            string // the API's base URL instead of the site's, for proxies and tests

	Timeout time.Duration                              // of one request; 0 is 30 s
	Sleep   func(context.Context, time.Duration) error // waits before a retry; nil is a timer
	Notice  func(string)                               // is called before each retry; may be nil
}

const (
	// The API stores a dashboard within a second or two. After 30 s it will not answer.
	defaultTimeout = 30 * time.Second
	// Waits double from 1 s, so five retries take half a minute: long enough for a
	// restart on the server's side, too short for an outage. Then people can run the
	// command again, at no cost.
	attempts = 6
	// Rate limits of the API reset within a minute. A longer wait is a mistake.
	longestWait = 2 * time.Minute
	// Resources per page of a list. Monitors allow 1000; the default is 100.
	pageSize = 100
	// The largest answers, pages of a list, have a few megabytes.
	longestAnswer = 64 << 20
)

// Client sends requests to one account.
type Client struct {
	cfg  Config
	base string // the API's URL, without a slash at the end
	http *http.Client

	asked   sync.Once // about the keys
	verdict string    // why the API refuses a request, as far as the keys are the reason
	lacks   bool      // the keys may lack a permission
}

// base returns the URL of the API, without a slash at the end.
func (cfg Config) base() (string, error) {
	if cfg.API == "" {
		return "https://api." + cfg.Site, nil
	}
	u, err := url.Parse(cfg.API)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http" {
		return "", errors.New("-api is not a URL such as https://proxy.example.com") // it may contain a password
	}
	if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", fmt.Errorf("-api %s must begin with https://, because the keys are sent there; http is allowed only to this machine", cfg.API)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// NewClient validates cfg. Its error names everything that is missing or wrong, one a
// line. It sends nothing.
func NewClient(cfg Config) (*Client, error) {
	if cfg.Site == "" {
		cfg.Site = site.Sites[0]
	}
	base, apiErr := cfg.base()
	if err := errors.Join(site.CheckKey("DD_API_KEY", cfg.APIKey), site.CheckKey("DD_APP_KEY", cfg.AppKey), site.Check(cfg.Site), apiErr); err != nil {
		return nil, err
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.Sleep == nil {
		cfg.Sleep = sleep
	}
	if cfg.Notice == nil {
		cfg.Notice = func(string) {}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.OnProxyConnectResponse = func(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		return proxyError{proxy.Host, resp.StatusCode}
	}
	return &Client{cfg: cfg, base: base, http: &http.Client{
		Transport: transport,
		// A redirect's target would receive the keys.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// operation is a request to the API.
type operation struct {
	name       string // for people
	permission string // that the application key needs
	method     string
	path       string
	query      url.Values
	body       map[string]any // nil for none
	// once: repeating the request creates a second resource, so do does not repeat
	// it when its outcome is unknown.
	once bool
}

// do performs op, with retries, and returns the body of the answer.
func (c *Client) do(ctx context.Context, op operation) (any, error) {
	wait := newBackOff()
	for attempt := 1; ; attempt++ {
		body, after, err := c.try(ctx, op)
		if err == nil || after < 0 {
			return body, err
		}
		if ctx.Err() != nil {
			return nil, momentary{fmt.Errorf("%s: %w", op.name, context.Cause(ctx))}
		}
		if after > longestWait {
			return nil, fmt.Errorf("%w, and provision waits at most %s", err, longestWait)
		}
		if attempt == attempts {
			return nil, fmt.Errorf("%w (after %d attempts)", err, attempt)
		}
		if err := c.pause(ctx, max(after, wait.NextBackOff()), err); err != nil {
			return nil, fmt.Errorf("%s: %w", op.name, err)
		}
	}
}

func newBackOff() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff() // with jitter of half the wait
	b.InitialInterval = time.Second
	b.Multiplier = 2
	return b
}

// pause announces a retry and waits for d and up to half a second more. The random
// part spreads out clients that wait for the same reset of the rate limit.
func (c *Client) pause(ctx context.Context, d time.Duration, why error) error {
	d += rand.N(500 * time.Millisecond)
	c.cfg.Notice(fmt.Sprintf("%v; retry in %s", why, d.Round(100*time.Millisecond)))
	return c.cfg.Sleep(ctx, d)
}

// try performs op once. after is the least time to wait before a retry; if it is
// negative, op must not be retried.
func (c *Client) try(ctx context.Context, op operation) (body any, after time.Duration, err error) {
	resp, text, err := c.send(ctx, op)
	if u := (*url.Error)(nil); errors.As(err, &u) {
		err = u.Err // op has a name
	}
	switch {
	case resp == nil && noConnection(err):
		return nil, -1, fmt.Errorf("%s: %s; check the network, the proxy, DD_SITE and -api", op.name, c.plain(err.Error()))
	case resp == nil:
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = fmt.Errorf("no answer within %s", c.cfg.Timeout)
		}
		return c.inDoubt(op, momentary{fmt.Errorf("%s: %s", op.name, c.plain(err.Error()))})
	case resp.StatusCode == http.StatusTooManyRequests:
		return nil, reset(resp.Header, time.Now()), c.apiError(ctx, op, resp, text) // refused, so it had no effect
	case temporary(resp.StatusCode):
		return c.inDoubt(op, c.apiError(ctx, op, resp, text))
	case resp.StatusCode >= 300:
		return nil, -1, c.apiError(ctx, op, resp, text)
	case err != nil:
		return c.inDoubt(op, momentary{fmt.Errorf("%s: the answer broke off", op.name)})
	case len(text) == 0:
		return nil, 0, nil
	}
	switch body, err = decode(text); {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return c.inDoubt(op, momentary{fmt.Errorf("%s: the answer broke off", op.name)})
	case err != nil: // the page of a proxy or a login
		return nil, -1, fmt.Errorf("%s: this is not an answer of the API: %s; check DD_SITE, -api and the proxy", op.name, c.plain(reason(text)))
	}
	return body, 0, nil
}

// decode returns the JSON value that text begins with. Numbers are json.Number.
func decode(text []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// send sends op and reads the answer, within the timeout.
func (c *Client) send(ctx context.Context, op operation) (*http.Response, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	address := c.base + op.path
	if len(op.query) > 0 {
		address += "?" + op.query.Encode()
	}
	var body io.Reader
	if op.body != nil {
		body = bytes.NewReader(marshal(op.body))
	}
	request, err := http.NewRequestWithContext(ctx, op.method, address, body)
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "apmapp-provision/"+build.Version())
	request.Header.Set("DD-API-KEY", c.cfg.APIKey)
	if op.path != validatePath {
		request.Header.Set("DD-APPLICATION-KEY", c.cfg.AppKey)
	}
	if op.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, longestAnswer))
	return resp, bytes.TrimPrefix(text, []byte("\ufeff")), err
}

// proxyError is the refusal of a proxy to connect to the API.
type proxyError struct {
	proxy  string
	status int
}

func (e proxyError) Error() string {
	return fmt.Sprintf("the proxy %s refuses the connection: %d %s", e.proxy, e.status, http.StatusText(e.status))
}

// noConnection reports whether err is a reason that a retry does not remove and that kept
// the request from the API: no such host, nothing listens, no common version of TLS, a wrong
// certificate, another protocol, a proxy that refuses.
func noConnection(err error) bool {
	var e *net.OpError
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var proxy proxyError
	switch {
	case errors.As(err, &proxy):
		return !temporary(proxy.status)
	case errors.As(err, &name):
		return !name.IsTimeout && !name.IsTemporary
	case errors.As(err, &certificate), errors.As(err, &record):
		return true
	case errors.As(err, &e) && slices.Contains([]string{"dial", "proxyconnect", "socks connect", "local error", "remote error"}, e.Op): // errors are alerts of TLS
		return !e.Timeout()
	}
	// The transport has no types for these.
	return err != nil && slices.ContainsFunc([]string{"server gave HTTP response to HTTPS client", "malformed HTTP", "unsupported protocol scheme", "invalid proxy"},
		func(text string) bool { return strings.Contains(err.Error(), text) })
}

// temporary reports whether an answer with this status may differ next time. Network
// Authentication Required is the login page of a network.
func temporary(status int) bool {
	return status == http.StatusRequestTimeout || status >= 500 && status != http.StatusNotImplemented &&
		status != http.StatusHTTPVersionNotSupported && status != http.StatusNetworkAuthenticationRequired
}

// inDoubt returns when to retry an operation that got no answer, or one of a server that
// failed, and its error. After a write the outcome is unknown.
func (c *Client) inDoubt(op operation, err error) (any, time.Duration, error) {
	if op.method != http.MethodGet {
		err = fmt.Errorf("%w: %w", err, errUnknown)
	}
	if op.once {
		return nil, -1, err
	}
	return nil, 0, err
}

// reset returns the time until the rate limit ends. The headers hold seconds, and
// Retry-After may hold a date.
func reset(h http.Header, now time.Time) time.Duration {
	for _, name := range []string{"X-RateLimit-Reset", "Retry-After"} {
		if seconds, err := strconv.ParseFloat(h.Get(name), 64); err == nil && seconds > 0 {
			return time.Duration(min(seconds, 86400) * float64(time.Second))
		}
	}
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// App returns the base URL of a site's pages.
func App(site string) string {
	if strings.Count(site, ".") == 1 { // other sites begin with a name, such as us3
		site = "app." + site
	}
	return "https://" + site
}
