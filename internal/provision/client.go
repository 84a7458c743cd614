package provision

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadog"
	"github.com/cenkalti/backoff/v5"
)

// Sites are Datadog's sites, by their values of DD_SITE.
var Sites = []string{"datadoghq.com", "us3.datadoghq.com", "us5.datadoghq.com", "datadoghq.eu", "ap1.datadoghq.com",
	"ap2.datadoghq.com", "uk1.datadoghq.com", "ddog-gov.com", "us2.ddog-gov.com"}

// Config names the account and bounds the requests to it.
type Config struct {
	APIKey, AppKey string
	Site           string // one of Sites; "" is the first
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
)

// CheckSite returns an error unless site is one of Sites.
func CheckSite(site string) error {
	if slices.Contains(Sites, site) {
		return nil
	}
	return fmt.Errorf("DD_SITE %q is not a site of Datadog; the sites are %s", site, strings.Join(Sites, ", "))
}

// Client sends requests to one account.
type Client struct {
	cfg Config
	api *datadog.APIClient
}

// NewClient validates cfg. It sends nothing.
func NewClient(cfg Config) (*Client, error) {
	if cfg.Site == "" {
		cfg.Site = Sites[0]
	}
	if err := CheckSite(cfg.Site); err != nil {
		return nil, err
	}
	var missing []string
	for _, v := range []struct{ name, key string }{{"DD_API_KEY", cfg.APIKey}, {"DD_APP_KEY", cfg.AppKey}} {
		if v.key == "" {
			missing = append(missing, v.name)
		} else if strings.ContainsFunc(v.key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, fmt.Errorf("%s contains a space or a character that is not ASCII", v.name) // the key is secret
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("%s not set", strings.Join(missing, " and "))
	}
	base := "https://api." + cfg.Site
	if cfg.API != "" {
		u, err := url.Parse(cfg.API)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, errors.New("-api is not a URL such as https://proxy.example.com") // it may contain a password
		}
		if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("-api %s must begin with https://, because the keys are sent there; http is allowed only to this machine", cfg.API)
		}
		base = strings.TrimSuffix(u.String(), "/")
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
	conf := datadog.NewConfiguration()
	conf.UserAgent = "apmapp-provision " + conf.UserAgent
	conf.Servers = datadog.ServerConfigurations{{URL: base}}
	conf.HTTPClient = &http.Client{
		Transport: http.DefaultTransport.(*http.Transport).Clone(),
		// The client would send the keys to the target of a redirect.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// The client's own retries stay off: they repeat a POST after a 5xx, although it
	// may have taken effect.
	conf.RetryConfiguration.EnableRetry = false
	return &Client{cfg, datadog.NewAPIClient(conf)}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// APIError is an answer with a status of 300 or more.
type APIError struct {
	Op         string // the request, for people
	Status     int
	Message    string // from the API
	Permission string // that the request needs
}

func (e *APIError) Error() string {
	s := fmt.Sprintf("%s: %d %s", e.Op, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		s += ": " + e.Message
	}
	switch e.Status {
	case http.StatusForbidden:
		s += fmt.Sprintf("; the application key, its scopes and its owner's role need the permission %s (or the keys belong to another DD_SITE)", e.Permission)
	case http.StatusUnauthorized:
		s += "; DD_API_KEY or DD_APP_KEY is wrong, or belongs to another DD_SITE"
	case http.StatusTooManyRequests:
		s += "; the rate limit did not end in time"
	}
	if e.Status < 400 {
		s += "; redirects are not followed, because the keys would be sent along: check DD_SITE and -api"
	}
	return s
}

// notFound reports whether err is an answer with status 404.
func notFound(err error) bool {
	var e *APIError
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// errUnknown means that a request got no answer, or one that reports a server
// error.
var errUnknown = errors.New("outcome unknown: the request may or may not have taken effect")

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
			return nil, fmt.Errorf("%s: %w", op.name, context.Cause(ctx))
		}
		if attempt == attempts || after > longestWait {
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
	rctx, cancel := context.WithTimeout(context.WithValue(ctx, datadog.ContextAPIKeys, map[string]datadog.APIKey{
		"apiKeyAuth": {Key: c.cfg.APIKey}, "appKeyAuth": {Key: c.cfg.AppKey},
	}), c.cfg.Timeout)
	defer cancel()
	resp, text, err := c.send(rctx, op)
	if resp == nil {
		var transport *url.Error
		if !errors.As(err, &transport) { // the request was not sent
			return nil, -1, fmt.Errorf("%s: %w", op.name, err)
		}
		if rctx.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("no answer within %s", c.cfg.Timeout)
		}
		return nil, c.inDoubt(op), fmt.Errorf("%s: %s: %w", op.name, c.redact(err.Error()), errUnknown)
	}
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return nil, reset(resp.Header), c.apiError(op, resp.StatusCode, text) // refused, so it had no effect
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusRequestTimeout:
		return nil, c.inDoubt(op), fmt.Errorf("%w: %w", c.apiError(op, resp.StatusCode, text), errUnknown)
	case resp.StatusCode >= 300:
		return nil, -1, c.apiError(op, resp.StatusCode, text)
	case err != nil:
		return nil, c.inDoubt(op), fmt.Errorf("%s: the answer broke off: %w", op.name, errUnknown)
	case len(text) == 0:
		return nil, 0, nil
	}
	// Not by the client's models: those cannot read a list with a monitor of a type
	// that is newer than the models.
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&body); err != nil {
		return nil, c.inDoubt(op), fmt.Errorf("%s: the answer is not valid JSON: %w", op.name, errUnknown)
	}
	return body, 0, nil
}

// send sends op and reads the answer. The client's functions for single operations
// come with their models. Those of version 2 of the API take more than a minute and
// 7 GB to compile; see docs/adr/0009-provision-v2-requests.md.
func (c *Client) send(ctx context.Context, op operation) (resp *http.Response, text []byte, err error) {
	header := map[string]string{"Accept": "application/json"}
	var body any
	if op.body != nil {
		body, header["Content-Type"] = op.body, "application/json"
	}
	datadog.SetAuthKeys(ctx, &header, [2]string{"apiKeyAuth", "DD-API-KEY"}, [2]string{"appKeyAuth", "DD-APPLICATION-KEY"})
	request, err := c.api.PrepareRequest(ctx, c.api.Cfg.Servers[0].URL+op.path, op.method, body, header, op.query, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	if resp, err = c.api.CallAPI(request); err == nil {
		text, err = datadog.ReadBody(resp)
	}
	return resp, text, err
}

// inDoubt returns when to retry an operation whose outcome is unknown; see try.
func (c *Client) inDoubt(op operation) time.Duration {
	if op.once {
		return -1
	}
	return 0
}

// reset returns the time until the rate limit ends. The headers hold seconds.
func reset(h http.Header) time.Duration {
	for _, name := range []string{"X-RateLimit-Reset", "Retry-After"} {
		if seconds, err := strconv.ParseFloat(h.Get(name), 64); err == nil && seconds > 0 {
			return time.Duration(min(seconds, 86400) * float64(time.Second))
		}
	}
	return 0
}

// apiError returns an APIError with the messages of the answer.
func (c *Client) apiError(op operation, status int, text []byte) error {
	var message string
	var answer struct {
		Errors []any `json:"errors"`
	}
	if json.Unmarshal(text, &answer) == nil {
		var all []string
		for _, e := range answer.Errors {
			if o, ok := e.(map[string]any); ok {
				e = strings.TrimSpace(fmt.Sprintf("%v %v", cmp.Or(o["title"], any("")), cmp.Or(o["detail"], any(""))))
			}
			all = append(all, fmt.Sprint(e))
		}
		message = strings.Join(all, "; ")
	}
	return &APIError{Op: op.name, Status: status, Message: c.redact(message), Permission: op.permission}
}

// redact replaces the keys in a text from outside.
func (c *Client) redact(s string) string {
	return strings.NewReplacer(c.cfg.APIKey, "[DD_API_KEY]", c.cfg.AppKey, "[DD_APP_KEY]").Replace(s)
}

// App returns the base URL of a site's pages.
func App(site string) string {
	if strings.Count(site, ".") == 1 { // other sites begin with a name, such as us3
		site = "app." + site
	}
	return "https://" + site
}
