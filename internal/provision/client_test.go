package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// api is a server and a client of it. Retries do not wait.
type api struct {
	*Client
	mu       sync.Mutex // guards requests
	requests []string   // method, path and query
	waits    []time.Duration
	notices  []string
}

// newAPI returns an api that answers with handler.
func newAPI(t *testing.T, handler http.HandlerFunc) *api {
	t.Helper()
	a := &api{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.requests = append(a.requests, r.Method+" "+r.URL.RequestURI())
		a.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(server.Close)
	c, err := NewClient(Config{APIKey: "secret-api-key", AppKey: "secret-app-key", API: server.URL + "/",
		Sleep:  func(_ context.Context, d time.Duration) error { a.waits = append(a.waits, d); return nil },
		Notice: func(s string) { a.notices = append(a.notices, s) }})
	if err != nil {
		t.Fatal(err)
	}
	a.Client = c
	return a
}

// answers returns a handler with one answer.
func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// refusedKey is the end of the error of an API that refuses everything.
const refusedKey = ": 403 Forbidden; DD_API_KEY is not a key of datadoghq.com: the key is wrong, or DD_SITE is; the address of your pages in Datadog shows the site; without DD_SITE it is datadoghq.com"

// inTurn returns a handler with one answer for each request: "" is a 502, "400" a
// 400, and everything else is a body.
func inTurn(answers []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer := "400" // to requests after the last answer
		if len(answers) > 0 {
			answer, answers = answers[0], answers[1:]
		}
		switch answer {
		case "":
			w.WriteHeader(http.StatusBadGateway)
		case "400":
			w.WriteHeader(http.StatusBadRequest)
		default:
			io.WriteString(w, answer)
		}
	}
}

// letters returns the first letter of each request's method.
func (a *api) letters() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b strings.Builder
	for _, r := range a.requests {
		b.WriteByte(r[0])
	}
	return b.String()
}

func TestNewClientValidates(t *testing.T) {
	const (
		inQuotes = " is in quotes: remove them; a file of variables keeps quotes"
		notASCII = " contains a space or a character that is not ASCII"
		noURL    = "-api is not a URL such as https://proxy.example.com"
		noTLS    = " must begin with https://, because the keys are sent there; http is allowed only to this machine"
	)
	valid := Config{APIKey: "a", AppKey: "b"}
	for _, c := range []struct {
		change func(*Config)
		want   string // "" for a valid configuration
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.Site = "us5.datadoghq.com" }, ""},
		{func(c *Config) { c.Site = "example.com" }, `DD_SITE "example.com" is not a site of Datadog; the sites are datadoghq.com, us3.datadoghq.com, ` +
			"us5.datadoghq.com, datadoghq.eu, ap1.datadoghq.com, ap2.datadoghq.com, uk1.datadoghq.com, ddog-gov.com, us2.ddog-gov.com"},
		{func(c *Config) { c.APIKey, c.AppKey = "", "" }, "DD_API_KEY is not set\nDD_APP_KEY is not set"},
		{func(c *Config) { c.APIKey = "" }, "DD_API_KEY is not set"},
		{func(c *Config) { c.AppKey = "" }, "DD_APP_KEY is not set"},
		{func(c *Config) { *c = Config{APIKey: "\"a\"", Site: "app.datadoghq.eu", API: "proxy"} }, "DD_API_KEY" + inQuotes +
			"\nDD_APP_KEY is not set\nDD_SITE \"app.datadoghq.eu\" is not the name of a site; set DD_SITE=datadoghq.eu\n" + noURL},
		{func(c *Config) { c.APIKey, c.AppKey = "a\n", "b\n" }, "DD_API_KEY" + notASCII + "\nDD_APP_KEY" + notASCII},
		{func(c *Config) { c.API = "https://proxy.example.com/datadog/" }, ""},
		{func(c *Config) { c.API = "http://localhost:8126" }, ""},
		{func(c *Config) { c.API = "http://127.0.0.7" }, ""},
		{func(c *Config) { c.API = "http://[::1]:80" }, ""},
		{func(c *Config) { c.API = "http://10.0.0.1" }, "-api http://10.0.0.1" + noTLS},
		{func(c *Config) { c.API = "http://localhost.example.com" }, "-api http://localhost.example.com" + noTLS},
		{func(c *Config) { c.API = "proxy" }, noURL},
		{func(c *Config) { c.API = "https://" }, noURL},
		{func(c *Config) { c.API = "ftp://example.com" }, noURL},
		{func(c *Config) { c.API = "https://user:pass@example.com" }, noURL},
		{func(c *Config) { c.API = "https://example.com?a=b" }, noURL},
		{func(c *Config) { c.API = "https://example.com#a" }, noURL},
		{func(c *Config) { c.API = "https://exa mple.com" }, noURL},
	} {
		cfg := valid
		c.change(&cfg)
		if _, err := NewClient(cfg); (err == nil) != (c.want == "") || err != nil && err.Error() != c.want {
			t.Errorf("%+v: %v, want %q", cfg, err, c.want)
		}
	}
}

func TestDefaultsOfTheClient(t *testing.T) {
	c, err := NewClient(Config{APIKey: "a", AppKey: "b"})
	if err != nil {
		t.Fatal(err)
	}
	if c.cfg.Timeout != 30*time.Second {
		t.Errorf("timeout %s, want 30s", c.cfg.Timeout)
	}
	for site, want := range map[string]string{"": "https://api.datadoghq.com", "us2.ddog-gov.com": "https://api.us2.ddog-gov.com"} {
		c, err := NewClient(Config{APIKey: "a", AppKey: "b", Site: site})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.base; got != want {
			t.Errorf("site %q: requests go to %s, want %s", site, got, want)
		}
	}
	c.cfg.Notice("dropped") // must not panic
}

// The default Sleep waits, unless the context ends.
func TestSleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewClient(Config{APIKey: "a", AppKey: "b"})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := c.cfg.Sleep(t.Context(), 3*time.Second); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %s, want nil after 3s", err, time.Since(start))
		}
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(stopped)
		if err := c.cfg.Sleep(ctx, time.Hour); !errors.Is(err, stopped) {
			t.Errorf("with a context that has ended: %v, want its cause", err)
		}
	})
}

// The path and the headers of requests.
func TestRequest(t *testing.T) {
	var got string
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		h := r.Header
		got = fmt.Sprintf("%s %s: %s, %s, %s, %q", r.Method, r.URL.RequestURI(), h.Get("DD-API-KEY"), h.Get("DD-APPLICATION-KEY"), h.Get("Accept"), h.Get("Content-Type"))
		if agent := h.Get("User-Agent"); !strings.HasPrefix(agent, "apmapp-provision/") {
			t.Errorf("User-Agent %q", agent)
		}
		io.WriteString(w, `{"id": 7}`)
	})
	for want, send := range map[string]func() error{
		`GET /api/v1/monitor/7: secret-api-key, secret-app-key, application/json, ""`:                 func() error { _, err := a.get(t.Context(), Monitor, "7"); return err },
		`GET /api/v2/dashboard/a%2Fb/shared: secret-api-key, secret-app-key, application/json, ""`:    func() error { _, err := a.links(t.Context(), "a/b"); return err },
		`DELETE /api/v1/dashboard/public/a%2Fb: secret-api-key, secret-app-key, application/json, ""`: func() error { return a.Revoke(t.Context(), Share{token: "a/b"}) },
		`DELETE /api/v2/downtime/a%2Fb: secret-api-key, secret-app-key, application/json, ""`:         func() error { return a.remove(t.Context(), object{kind: Downtime, id: "a/b"}) },
		`POST /api/v1/monitor: secret-api-key, secret-app-key, application/json, "application/json"`:  func() error { _, err := a.create(t.Context(), Ref{Monitor, "a"}, bodies()[Monitor], "m"); return err },
	} {
		if err := send(); err != nil || got != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}

// Requests for a monitor: each answer, the error, and how often the request is sent.
func TestAnswers(t *testing.T) {
	const after6 = " (after 6 attempts)"
	const notTheAPI, checkTheSite = ": this is not an answer of the API: ", "; check DD_SITE, -api and the proxy"
	const redirected = "; redirects are not followed, because the keys would be sent along: check DD_SITE and -api"
	for _, c := range []struct {
		status   int
		body     string
		want     string // the error
		requests int
	}{
		{200, `{"id": 7, "type": "a type that the models do not know"}`, "", 1},
		{200, ``, "the API's answer contains no monitor with an ID", 1},
		{200, `{"id": `, "read monitor 7: the answer broke off" + after6, 6},
		{200, "\ufeff{\"id\": 7}", "", 1},
		{200, "OK", "read monitor 7" + notTheAPI + "OK" + checkTheSite, 1},
		{200, "\ufeff<html><title>Sign in</title></html>", "read monitor 7" + notTheAPI + "Sign in" + checkTheSite, 1},
		{200, "\x1f\x8b\x08\x00", "read monitor 7" + notTheAPI + "4 bytes that are not text" + checkTheSite, 1},
		{200, " <!DOCTYPE html><html><head><title>Sign in</title><style>a{}</style></head><body><script>x()</script><p>To go on, sign&nbsp;in</p></body></html>",
			"read monitor 7" + notTheAPI + "Sign in: To go on, sign in" + checkTheSite, 1},
		{200, `{"name": "x"}`, "the API's answer contains no monitor with an ID", 1},
		{200, `[]`, "the API's answer contains no monitor with an ID", 1},
		{300, ``, "read monitor 7: 300 Multiple Choices" + redirected, 1},
		{302, ``, "read monitor 7: 302 Found" + redirected, 1},
		{400, `{"errors": ["bad", "worse"]}`, "read monitor 7: 400 Bad Request: bad; worse", 1},
		{400, `{"errors": [{"title": "T", "detail": "D"}, {"title": "only"}, {"detail": "also"}]}`, "read monitor 7: 400 Bad Request: T D; only; also", 1},
		{400, `{"errors": "bad"}`, "read monitor 7: 400 Bad Request: bad", 1},
		{400, `{"errors": {"7": ["in use", "twice"], "a": null}}`, "read monitor 7: 400 Bad Request: 7: in use; twice", 1},
		{400, `{"error": "bad"}`, "read monitor 7: 400 Bad Request: bad", 1},
		{400, `{"error": {"code": 3, "message": "bad"}}`, "read monitor 7: 400 Bad Request: bad", 1},
		{400, `{"errors": [], "message": "bad"}`, "read monitor 7: 400 Bad Request: bad", 1},
		{400, `{"other": "bad"}`, "read monitor 7: 400 Bad Request: other: bad", 1},
		{400, `{"fault": {"faultstring": "no key", "detail": {"errorcode": "x"}}}`, "read monitor 7: 400 Bad Request: fault: detail: errorcode: x; faultstring: no key", 1},
		{400, `{"error": "invalid_request", "error_description": "the token expired"}`, "read monitor 7: 400 Bad Request: the token expired", 1},
		{400, `{"errors": [{"title": "T", "detail": "D", "source": {"pointer": "/data/attributes/scope"}}]}`, "read monitor 7: 400 Bad Request: T D (pointer: /data/attributes/scope)", 1},
		{400, `{"errors": {"monitor_ids": [155845151]}}`, "read monitor 7: 400 Bad Request: monitor_ids: 155845151", 1},
		{400, `404 page not found`, "read monitor 7: 400 Bad Request: 404 page not found", 1},
		{400, "Ger\xe4t gesperrt", "read monitor 7: 400 Bad Request: Ger\ufffdt gesperrt", 1},
		{400, "\xff\xfe{\x00}\x00", "read monitor 7: 400 Bad Request: 6 bytes that are not text", 1},
		{400, `{"data": {"token": "t"}, "status": "failed"}`, "read monitor 7: 400 Bad Request: status: failed", 1},
		{400, `["bad"]`, "read monitor 7: 400 Bad Request: bad", 1},
		{400, `bad`, "read monitor 7: 400 Bad Request: bad", 1},
		{400, "<html><title>Denied</title><body><h1>Access &amp; more</h1>\r\n by policy</body>", "read monitor 7: 400 Bad Request: Denied: Access & more by policy; a page answered, not the API; check DD_SITE, -api and the proxy", 1},
		{403, "<html><body>blocked</body></html>", "read monitor 7: 403 Forbidden: blocked; a page answered, not the API; check DD_SITE, -api and the proxy", 1},
		{400, strings.Repeat("x", 301), "read monitor 7: 400 Bad Request: " + strings.Repeat("x", 300) + "...", 1},
		{400, strings.Repeat("x", 300), "read monitor 7: 400 Bad Request: " + strings.Repeat("x", 300), 1},
		{401, `{"errors": ["monitor 7 is used in an SLO"]}`, "read monitor 7: 401 Unauthorized: monitor 7 is used in an SLO", 1},
		{407, ``, "read monitor 7: 407 Proxy Authentication Required; the proxy in HTTPS_PROXY wants a user name and a password", 1},
		{404, `{"errors": ["secret-api-key and secret-app-key"]}`, "read monitor 7: 404 Not Found: [DD_API_KEY] and [DD_APP_KEY]", 1},
		{408, ``, "read monitor 7: 408 Request Timeout" + after6, 6},
		{399, ``, "read monitor 7: 399" + redirected, 1},
		{429, `<title>Slow down</title>`, "read monitor 7: 429 Too Many Requests: Slow down; the API does not say when the rate limit ends" + after6, 6},
		{429, ``, "read monitor 7: 429 Too Many Requests; the API does not say when the rate limit ends" + after6, 6},
		{499, ``, "read monitor 7: 499", 1},
		{500, `<title>oops</title>`, "read monitor 7: 500 Internal Server Error: oops" + after6, 6},
		{501, ``, "read monitor 7: 501 Not Implemented", 1},
		{505, ``, "read monitor 7: 505 HTTP Version Not Supported", 1},
		{511, ``, "read monitor 7: 511 Network Authentication Required", 1},
		{599, ``, "read monitor 7: 599" + after6, 6},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.body), func(t *testing.T) {
			a := newAPI(t, answers(c.status, c.body))
			_, err := a.get(t.Context(), Monitor, "7")
			if got := fmt.Sprint(err); err != nil && got != c.want || err == nil && c.want != "" {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
			if len(a.requests) != c.requests || len(a.waits) != c.requests-1 || len(a.notices) != c.requests-1 {
				t.Errorf("%d requests, %d waits, %d notices; want %d requests", len(a.requests), len(a.waits), len(a.notices), c.requests)
			}
			for i, n := range a.notices {
				// Waits double, with a jitter of half the wait and up to half a second more.
				if base := time.Second << i; a.waits[i] < base/2 || a.waits[i] > base*3/2+500*time.Millisecond {
					t.Errorf("wait %d is %s, want about %s", i, a.waits[i], base)
				}
				if want := fmt.Sprintf("; retry in %s", a.waits[i].Round(100*time.Millisecond)); !strings.HasPrefix(n, "read monitor 7: ") || !strings.HasSuffix(n, want) {
					t.Errorf("notice %q, want one that ends with %q", n, want)
				}
			}
		})
	}
}

// An answer that breaks off is not an answer, even if what arrived is valid JSON.
func TestAnswerThatBreaksOff(t *testing.T) {
	for _, arrived := range []string{"", `{"id"`, `{"id": 7}`} {
		a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, arrived)
		})
		if _, err := a.get(t.Context(), Monitor, "7"); fmt.Sprint(err) != "read monitor 7: the answer broke off (after 6 attempts)" || len(a.requests) != 6 {
			t.Errorf("%q: %v after %d requests", arrived, err, len(a.requests))
		}
	}
}

// A connection that breaks may work the next time. The keys in the error are hidden.
func TestNoConnection(t *testing.T) {
	a := newAPI(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if _, err := a.get(t.Context(), Dashboard, "x"); fmt.Sprint(err) != "read dashboard x: EOF (after 6 attempts)" || errors.Is(err, errUnknown) || !passes(err) || len(a.waits) != 5 {
		t.Errorf("%d waits: %v", len(a.waits), err)
	}
	a.http.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("no way to secret-api-key, secret-app-key")
	})
	if _, err := a.get(t.Context(), Dashboard, "x"); fmt.Sprint(err) != "read dashboard x: no way to [DD_API_KEY], [DD_APP_KEY] (after 6 attempts)" {
		t.Errorf("got %v", err)
	}
	a.cfg.APIKey, a.cfg.AppKey = "way", "y"
	if got := a.plain("no way"); got != "no way" {
		t.Errorf("short keys are hidden in %q", got)
	}
	if a.cfg.APIKey = "four"; a.plain("all four") != "all [DD_API_KEY]" {
		t.Error("a key of four characters is not hidden")
	}
}

func TestResetOfTheRateLimit(t *testing.T) {
	for _, c := range []struct {
		headers string
		want    time.Duration
	}{
		{"", 0},
		{"X-RateLimit-Reset=42", 42 * time.Second},
		{"X-RateLimit-Reset=0.5", 500 * time.Millisecond},
		{"Retry-After=7", 7 * time.Second},
		{"X-RateLimit-Reset=3 Retry-After=7", 3 * time.Second},
		{"X-RateLimit-Reset=0 Retry-After=7", 7 * time.Second},
		{"X-RateLimit-Reset=soon Retry-After=7", 7 * time.Second},
		{"X-RateLimit-Reset=-1", 0},
		{"X-RateLimit-Reset=1e30", 24 * time.Hour},
		{"Retry-After=Wed,_25_Nov_2026_03:00:30_GMT", 30 * time.Second},
		{"Retry-After=Wed,_25_Nov_2026_02:00:00_GMT", 0},
	} {
		h := http.Header{}
		for _, pair := range strings.Fields(c.headers) {
			name, value, _ := strings.Cut(pair, "=")
			h.Set(name, value)
		}
		now := time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)
		if date := h.Get("Retry-After"); date != "" {
			h.Set("Retry-After", strings.ReplaceAll(date, "_", " "))
		}
		if got := reset(h, now); got != c.want {
			t.Errorf("%s: %s, want %s", c.headers, got, c.want)
		}
	}
}

// A rate limit that ends within two minutes is waited for, and the back-off at least.
func TestRateLimit(t *testing.T) {
	for reset, want := range map[string]struct {
		least time.Duration
		err   string
	}{
		"0.001": {500 * time.Millisecond, ""},
		"100":   {100 * time.Second, ""},
		"120":   {120 * time.Second, ""},
		"121":   {0, "read monitor 7: 429 Too Many Requests; the rate limit ends in 2m1s, and provision waits at most 2m0s"},
	} {
		limited := true
		a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
			if limited {
				limited = false
				w.Header().Set("X-RateLimit-Reset", reset)
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			io.WriteString(w, `{"id": 7}`)
		})
		_, err := a.get(t.Context(), Monitor, "7")
		if want.err != "" {
			if fmt.Sprint(err) != want.err || len(a.waits) > 0 {
				t.Errorf("a reset in %s s: %v after %d waits, want %s", reset, err, len(a.waits), want.err)
			}
			continue
		}
		if err != nil || len(a.waits) != 1 || a.waits[0] < want.least || a.waits[0] > want.least+1500*time.Millisecond {
			t.Errorf("a reset in %s s: waits %v, %v; want about %s", reset, a.waits, err, want.least)
		}
	}
}

// Clients that wait for the same end of a rate limit do not all return at once.
func TestWaitsAreSpread(t *testing.T) {
	a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-RateLimit-Reset", "100")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	if _, err := a.get(t.Context(), Monitor, "7"); err == nil {
		t.Fatal("no error")
	}
	slices.Sort(a.waits)
	if len(a.waits) != 5 || a.waits[0] < 100*time.Second || a.waits[4] > 100*time.Second+500*time.Millisecond || a.waits[0] == a.waits[4] {
		t.Errorf("waits %v, want different ones from 100s to 100.5s", a.waits)
	}
}

// Waits double from a second. Jitter of half the wait spreads them out.
func TestBackOff(t *testing.T) {
	b := newBackOff()
	if b.RandomizationFactor != 0.5 {
		t.Errorf("jitter %v, want 0.5", b.RandomizationFactor)
	}
	b.RandomizationFactor = 0
	for want := time.Second; want <= 16*time.Second; want *= 2 {
		if got := b.NextBackOff(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A request without an answer ends after the timeout.
func TestNoAnswerInTime(t *testing.T) {
	a := newAPI(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	a.cfg.Timeout = 5 * time.Millisecond
	if _, err := a.get(t.Context(), Monitor, "7"); fmt.Sprint(err) != "read monitor 7: no answer within 5ms (after 6 attempts)" || !passes(err) {
		t.Errorf("got %v", err)
	}
}

// The target of a redirect does not receive the keys.
func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := newAPI(t, answers(200, `{"id": 7}`))
	a := newAPI(t, http.RedirectHandler(elsewhere.cfg.API, http.StatusTemporaryRedirect).ServeHTTP)
	redirected := ": 307 Temporary Redirect: to " + elsewhere.cfg.API + "; redirects are not followed, because the keys would be sent along: check DD_SITE and -api"
	if _, err := a.get(t.Context(), Monitor, "7"); fmt.Sprint(err) != "read monitor 7"+redirected {
		t.Errorf("got %v", err)
	}
	if _, err := a.create(t.Context(), Ref{Monitor, "a"}, bodies()[Monitor], "m"); fmt.Sprint(err) != "create monitor a"+redirected {
		t.Errorf("got %v", err)
	}
	if len(elsewhere.requests) != 0 || len(a.requests) != 2 {
		t.Errorf("requests %v, elsewhere %v", a.requests, elsewhere.requests)
	}
}

// An error of Sleep ends the retries.
func TestSleepFails(t *testing.T) {
	a := newAPI(t, answers(503, ""))
	a.cfg.Sleep = func(context.Context, time.Duration) error { return errors.New("no time") }
	if _, err := a.get(t.Context(), Monitor, "7"); fmt.Sprint(err) != "read monitor 7: no time" || len(a.requests) != 1 {
		t.Errorf("%v after %v", err, a.requests)
	}
	if _, err := a.create(t.Context(), Ref{Monitor, "a"}, bodies()[Monitor], "m"); fmt.Sprint(err) != "create monitor a: no time" || len(a.requests) != 2 {
		t.Errorf("%v after %v", err, a.requests)
	}
}

// When the context ends, do returns its cause and does not retry.
func TestContextEnds(t *testing.T) {
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		cancel(stopped)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := a.get(ctx, Monitor, "7"); !errors.Is(err, stopped) || err.Error() != "read monitor 7: stopped" || len(a.requests) != 1 {
		t.Errorf("%d requests: %v", len(a.requests), err)
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		site string
		o    object
		want string
	}{
		{"datadoghq.com", object{kind: Monitor, id: json.Number("7")}, "https://app.datadoghq.com/monitors/7"},
		{"datadoghq.eu", object{kind: Dashboard, id: "abc-def-ghi"}, "https://app.datadoghq.eu/dashboard/abc-def-ghi"},
		{"us3.datadoghq.com", object{kind: SLO, id: "0a"}, "https://us3.datadoghq.com/slo?slo_id=0a"},
		{"ddog-gov.com", object{kind: Downtime, id: "0b"}, "https://app.ddog-gov.com/monitors/downtimes?selected=0b"},
		{"us2.ddog-gov.com", object{kind: Monitor, id: json.Number("7")}, "https://us2.ddog-gov.com/monitors/7"},
	} {
		client, err := NewClient(Config{APIKey: "a", AppKey: "b", Site: c.site})
		if err != nil {
			t.Fatal(err)
		}
		if got := client.link(c.o); got != c.want {
			t.Errorf("%s: %s, want %s", c.site, got, c.want)
		}
	}
}

// body is the body of an answer that knows whether it was closed.
type body struct {
	io.Reader
	closed bool
}

func (b *body) Close() error { b.closed = true; return nil }

// A request leaves nothing open: neither its connection nor its timer.
func TestRequestIsReleased(t *testing.T) {
	a := newAPI(t, answers(200, ""))
	b := &body{Reader: strings.NewReader(`{"id": 7}`)}
	var ctx context.Context
	a.http.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		ctx = r.Context()
		if at, ok := ctx.Deadline(); !ok || time.Until(at) > a.cfg.Timeout {
			t.Errorf("the deadline is %v", at)
		}
		return &http.Response{StatusCode: 200, Body: b, Header: http.Header{}}, nil
	})
	if _, err := a.get(t.Context(), Monitor, "7"); err != nil {
		t.Fatal(err)
	}
	if !b.closed || ctx.Err() == nil {
		t.Errorf("the body is closed: %t; the context: %v", b.closed, ctx.Err())
	}
}

// A text from outside becomes one line without control characters.
func TestPlain(t *testing.T) {
	a := newAPI(t, answers(200, ""))
	if got := a.plain(" a\x00b\t\u00a0c\x7fd\u0085\r\ne!\u00a1 "); got != "a b c d e!\u00a1" {
		t.Errorf("got %q", got)
	}
}
