package provision

import (
	"context"
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
	"time"

	"github.com/DataDog/datadog-api-client-go/v2/api/datadog"
	"github.com/DataDog/datadog-api-client-go/v2/api/datadogV1"
	"github.com/DataDog/datadog-api-client-go/v2/api/datadogV2"
	"github.com/cenkalti/backoff/v5"
)

// Sites are where Datadog keeps accounts, as DD_SITE names them.
var Sites = []string{"datadoghq.com", "us3.datadoghq.com", "us5.datadoghq.com", "datadoghq.eu", "ap1.datadoghq.com",
	"ap2.datadoghq.com", "uk1.datadoghq.com", "ddog-gov.com", "us2.ddog-gov.com"}

// Config says whose account it is and how patient to be with it.
type Config struct {
	APIKey, AppKey string
	Site           string // of Sites; empty is the first
	API            string // the API's base URL instead of the site's; for proxies and tests

	Timeout time.Duration                              // of one request; 0 is 30 s
	Sleep   func(context.Context, time.Duration) error // waits before a retry; nil waits
	Notice  func(string)                               // hears of retries; nil drops them
}

const (
	// A dashboard takes the API a second or two to store; 30 s is no answer.
	defaultTimeout = 30 * time.Second
	// With waits that double from 1 s, five retries are half a minute: a restart of
	// something, not an outage. Running it again costs nothing.
	attempts = 6
	// Limits of the API reset within a minute; a longer wait is somebody's mistake.
	longestWait = 2 * time.Minute
	// Pages of the lists: the most that monitors allow is 1000, the default 100.
	pageSize = 100
)

// Client talks to one account.
type Client struct {
	cfg        Config
	dashboards *datadogV1.DashboardsApi
	monitors   *datadogV1.MonitorsApi
	slos       *datadogV1.ServiceLevelObjectivesApi
	downtimes  *datadogV2.DowntimesApi
	sharing    *datadogV2.DashboardSharingApi
}

// NewClient checks cfg; it sends nothing.
func NewClient(cfg Config) (*Client, error) {
	if cfg.Site == "" {
		cfg.Site = Sites[0]
	}
	if !slices.Contains(Sites, cfg.Site) {
		return nil, fmt.Errorf("DD_SITE: %q is not a site; these are %s", cfg.Site, strings.Join(Sites, ", "))
	}
	var missing []string
	for name, key := range map[string]string{"DD_API_KEY": cfg.APIKey, "DD_APP_KEY": cfg.AppKey} {
		if key == "" {
			missing = append(missing, name)
		} else if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return nil, fmt.Errorf("%s has a space or another character in it that no key has", name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return nil, fmt.Errorf("%s not set", strings.Join(missing, " and "))
	}
	base := "https://api." + cfg.Site
	if cfg.API != "" {
		u, err := url.Parse(cfg.API)
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, errors.New("-api: not a URL such as https://proxy.example.com")
		}
		if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, errors.New("-api: keys go over https, or to this machine")
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
		// A redirect would take the keys along.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// The client's own retries stay off: they send a POST again after a 5xx,
	// though it may have been done.
	conf.RetryConfiguration.EnableRetry = false
	// In preview: the only way to learn which public links a dashboard has.
	conf.SetUnstableOperationEnabled("v2.ListSharedDashboardsByDashboardId", true)
	api := datadog.NewAPIClient(conf)
	return &Client{cfg: cfg,
		dashboards: datadogV1.NewDashboardsApi(api),
		monitors:   datadogV1.NewMonitorsApi(api),
		slos:       datadogV1.NewServiceLevelObjectivesApi(api),
		downtimes:  datadogV2.NewDowntimesApi(api),
		sharing:    datadogV2.NewDashboardSharingApi(api),
	}, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// APIError is an answer that is not success.
type APIError struct {
	Op         string // what was asked for
	Status     int
	Message    string // the API's own words
	Permission string // what the key needs for it
}

func (e *APIError) Error() string {
	s := fmt.Sprintf("%s: %d %s", e.Op, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		s += ": " + e.Message
	}
	switch e.Status {
	case http.StatusForbidden:
		s += fmt.Sprintf("; the application key, its scopes and its owner's role need the permission %s (or the keys are not of this DD_SITE)", e.Permission)
	case http.StatusUnauthorized:
		s += "; DD_API_KEY or DD_APP_KEY is wrong, or not of this DD_SITE"
	case http.StatusTooManyRequests:
		s += "; the rate limit did not end in time"
	}
	return s
}

// notFound says whether err is that there is no such thing.
func notFound(err error) bool {
	var e *APIError
	return errors.As(err, &e) && e.Status == http.StatusNotFound
}

// errUnknown is a request of which nobody knows whether it was done: no answer
// came, or one that says that something broke.
var errUnknown = errors.New("no one knows whether it was done")

// operation is a request: its name for people, and what its key needs.
type operation struct {
	name       string
	permission string
	// once: doing it twice makes two, so what is in doubt is not done again.
	once bool
	call func(context.Context) (*http.Response, error)
}

// do performs op, again if need be, and returns the body of the answer.
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

// pause waits before a retry, and says so. Beyond d it waits some more, by chance,
// so that several who wait for the same reset do not come back together.
func (c *Client) pause(ctx context.Context, d time.Duration, why error) error {
	d += rand.N(500 * time.Millisecond)
	c.cfg.Notice(fmt.Sprintf("%v; again in %s", why, d.Round(100*time.Millisecond)))
	return c.cfg.Sleep(ctx, d)
}

// try performs op once. after says when it may be tried again; below 0 is never.
func (c *Client) try(ctx context.Context, op operation) (body any, after time.Duration, err error) {
	rctx, cancel := context.WithTimeout(context.WithValue(ctx, datadog.ContextAPIKeys, map[string]datadog.APIKey{
		"apiKeyAuth": {Key: c.cfg.APIKey}, "appKeyAuth": {Key: c.cfg.AppKey},
	}), c.cfg.Timeout)
	defer cancel()
	resp, err := op.call(rctx)
	if resp == nil {
		var transport *url.Error
		if !errors.As(err, &transport) { // it was never sent
			return nil, -1, fmt.Errorf("%s: %w", op.name, err)
		}
		if rctx.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("no answer within %s", c.cfg.Timeout)
		}
		return nil, c.inDoubt(op), fmt.Errorf("%s: %s: %w", op.name, c.redact(err.Error()), errUnknown)
	}
	text, readErr := io.ReadAll(resp.Body)
	resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusTooManyRequests:
		return nil, reset(resp.Header), c.apiError(op, resp.StatusCode, text) // refused, so not done
	case resp.StatusCode >= 500 || resp.StatusCode == http.StatusRequestTimeout:
		return nil, c.inDoubt(op), fmt.Errorf("%w: %w", c.apiError(op, resp.StatusCode, text), errUnknown)
	case resp.StatusCode >= 300:
		return nil, -1, c.apiError(op, resp.StatusCode, text)
	case readErr != nil || len(text) == 0 && err != nil:
		return nil, c.inDoubt(op), fmt.Errorf("%s: the answer broke off: %w", op.name, errUnknown)
	}
	if len(text) == 0 {
		return nil, 0, nil
	}
	// What the answer says is read from it, not from the client's models: those
	// cannot read a list in which somebody has a kind of monitor that is newer.
	d := json.NewDecoder(strings.NewReader(string(text)))
	d.UseNumber()
	if err := d.Decode(&body); err != nil {
		return nil, c.inDoubt(op), fmt.Errorf("%s: the answer is not JSON: %w", op.name, errUnknown)
	}
	return body, 0, nil
}

// inDoubt is when to try again what may have been done.
func (c *Client) inDoubt(op operation) time.Duration {
	if op.once {
		return -1
	}
	return 0
}

// reset reads when the rate limit ends, which is in seconds from now.
func reset(h http.Header) time.Duration {
	for _, name := range []string{"X-RateLimit-Reset", "Retry-After"} {
		if seconds, err := strconv.ParseFloat(h.Get(name), 64); err == nil && seconds > 0 {
			return time.Duration(min(seconds, 86400) * float64(time.Second))
		}
	}
	return 0
}

func (c *Client) apiError(op operation, status int, text []byte) error {
	var message string
	var answer struct {
		Errors []any `json:"errors"`
	}
	if json.Unmarshal(text, &answer) == nil {
		var all []string
		for _, e := range answer.Errors {
			if o, ok := e.(map[string]any); ok {
				e = strings.TrimSpace(fmt.Sprintf("%v %v", orEmpty(o["title"]), orEmpty(o["detail"])))
			}
			all = append(all, fmt.Sprint(e))
		}
		message = strings.Join(all, "; ")
	}
	return &APIError{Op: op.name, Status: status, Message: c.redact(message), Permission: op.permission}
}

func orEmpty(v any) any {
	if v == nil {
		return ""
	}
	return v
}

// redact takes the keys out of a text that came from elsewhere.
func (c *Client) redact(s string) string {
	return strings.NewReplacer(c.cfg.APIKey, "[DD_API_KEY]", c.cfg.AppKey, "[DD_APP_KEY]").Replace(s)
}

// App is the base URL of a site's pages.
func App(site string) string {
	if strings.Count(site, ".") == 1 { // the others have a name of their own in front
		site = "app." + site
	}
	return "https://" + site
}

// page is where people see things.
func (c *Client) page(path string) string { return App(c.cfg.Site) + path }
