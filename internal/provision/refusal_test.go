package provision

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// After the first refusal, the client asks the API once about the keys.
func TestRefusedKeys(t *testing.T) {
	const (
		needs = "the application key, its scopes and its owner's role need the permission monitors_read"
		key   = "DD_API_KEY is not a key of datadoghq.com: the key is wrong, or DD_SITE is; the address of your pages in Datadog shows the site; without DD_SITE it is datadoghq.com"
	)
	for _, c := range []struct {
		name       string
		refusal    int
		body       string
		key, both  int // statuses of the two validations
		want       string
		validation string // the requests about the keys
	}{
		{"a wrong API key", 403, `{"errors": ["Forbidden"]}`, 403, 0, "403 Forbidden; " + key, "GET /api/v1/validate"},
		{"a wrong API key, 401", 401, `{"errors": ["Unauthorized"]}`, 401, 0, "401 Unauthorized; " + key, "GET /api/v1/validate"},
		{"a wrong API key, with a full stop", 401, `{"errors": ["Authentication error."]}`, 401, 0, "401 Unauthorized: Authentication error.; " + key, "GET /api/v1/validate"},
		{"a wrong API key, by the answer", 403, ``, 0, 0, "403 Forbidden; " + key, "GET /api/v1/validate"},
		{"a wrong application key", 403, `{"errors": ["Forbidden"]}`, 200, 403,
			"403 Forbidden; DD_APP_KEY is not an application key of this account; DD_API_KEY is valid", "GET /api/v1/validate GET /api/v2/validate_keys"},
		{"a missing permission", 403, `{"errors": ["Forbidden"]}`, 200, 200, "403 Forbidden; both keys are valid: " + needs, "GET /api/v1/validate GET /api/v2/validate_keys"},
		{"words of the API's own", 403, `{"errors": ["this dashboard is restricted"]}`, 200, 200,
			"403 Forbidden: this dashboard is restricted; both keys are valid: " + needs, "GET /api/v1/validate GET /api/v2/validate_keys"},
		{"an API that knows only the API key", 403, ``, 200, 404, "403 Forbidden; DD_API_KEY is valid: DD_APP_KEY is wrong, or lacks a permission: " + needs, "GET /api/v1/validate GET /api/v2/validate_keys"},
		{"an API that validates nothing", 401, ``, 404, 0, "401 Unauthorized; DD_API_KEY or DD_APP_KEY is wrong, or belongs to another DD_SITE, or " + needs, "GET /api/v1/validate"},
		{"a 401 with words of its own", 401, `{"errors": ["monitor 7 is used in an SLO"]}`, 403, 403, "401 Unauthorized: monitor 7 is used in an SLO", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAPI(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/api/v1/validate":
					if r.Header.Get("DD-API-KEY") != "secret-api-key" || r.Header.Get("DD-APPLICATION-KEY") != "" {
						t.Errorf("headers %v, want the API key alone", r.Header)
					}
					if c.key == 0 { // 200 with a reason
						io.WriteString(w, `{"valid": false}`)
						return
					}
					w.WriteHeader(c.key)
					io.WriteString(w, `{"valid": true}`)
				case "/api/v2/validate_keys":
					if r.Header.Get("DD-APPLICATION-KEY") != "secret-app-key" {
						t.Errorf("headers %v, want both keys", r.Header)
					}
					w.WriteHeader(c.both)
				default:
					w.WriteHeader(c.refusal)
					io.WriteString(w, c.body)
				}
			})
			for range 2 { // it asks once
				if _, err := a.get(t.Context(), Monitor, "7"); fmt.Sprint(err) != "read monitor 7: "+c.want {
					t.Errorf("got\n%v\nwant\n%s", err, c.want)
				}
			}
			if got, want := strings.Join(a.requests, " "), strings.TrimSpace("GET /api/v1/monitor/7 "+c.validation)+" GET /api/v1/monitor/7"; got != want {
				t.Errorf("requests %s, want %s", got, want)
			}
			if len(a.waits) > 0 {
				t.Errorf("waits %v", a.waits)
			}
		})
	}
}

// The two keys have different lengths.
func TestExchangedKeys(t *testing.T) {
	for _, c := range []struct {
		api, app int
		want     bool
	}{{40, 32, true}, {32, 40, false}, {40, 40, false}, {32, 32, false}} {
		a := newAPI(t, answers(403, ""))
		a.cfg.APIKey, a.cfg.AppKey = strings.Repeat("a", c.api), strings.Repeat("b", c.app)
		if _, err := a.get(t.Context(), Monitor, "7"); strings.HasSuffix(fmt.Sprint(err), "; DD_API_KEY and DD_APP_KEY seem to be exchanged") != c.want {
			t.Errorf("%d and %d characters: %v", c.api, c.app, err)
		}
	}
}

// roundTrip is a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Where a retry cannot help, provision does not retry. The request did not reach the API, so its
// outcome is known.
func TestNoConnectionThatARetryWouldMake(t *testing.T) {
	dial := func(err error) error { return &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	for _, c := range []struct {
		err     error
		retried bool
	}{
		{dial(&net.DNSError{Err: "no such host", Name: "api.example.com", IsNotFound: true}), false},
		{dial(&net.DNSError{Err: "server misbehaving", Name: "api.example.com", IsTemporary: true}), true},
		{dial(&net.DNSError{Err: "i/o timeout", Name: "api.example.com", IsTimeout: true}), true},
		{dial(errors.New("connect: connection refused")), false},
		{&net.OpError{Op: "proxyconnect", Err: errors.New("connection refused")}, false},
		{&net.OpError{Op: "socks connect", Err: errors.New("unknown error")}, false},
		{dial(timeout{}), true},
		{&net.OpError{Op: "remote error", Err: errors.New("tls: certificate required")}, false},
		{&net.OpError{Op: "local error", Err: errors.New("tls: bad record MAC")}, false},
		{proxyError{"proxy:3128", http.StatusForbidden}, false},
		{proxyError{"proxy:3128", http.StatusBadGateway}, true},
		{errors.New(`malformed HTTP response "SSH-2.0-OpenSSH_9"`), false},
		{errors.New("http: server gave HTTP response to HTTPS client"), false},
		{errors.New(`unsupported protocol scheme "x"`), false},
		{&tls.CertificateVerificationError{Err: errors.New("x509: certificate signed by unknown authority")}, false},
		{tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}, false},
		{&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, true},
		{io.ErrUnexpectedEOF, true},
	} {
		a := newAPI(t, answers(200, `{"id": 7}`))
		a.http.Transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, c.err })
		_, err := a.get(t.Context(), Monitor, "7")
		if retried := len(a.waits) == 5; retried != c.retried || len(a.waits) != 0 != c.retried || passes(err) != c.retried || errors.Is(err, errUnknown) {
			t.Errorf("%v: %d waits, %v", c.err, len(a.waits), err)
		}
		if hint := strings.HasSuffix(fmt.Sprint(err), "; check the network, the proxy, DD_SITE and -api"); hint == c.retried || !strings.Contains(fmt.Sprint(err), c.err.Error()) {
			t.Errorf("%v: got %v", c.err, err)
		}
		a.waits = nil
		_, err = a.create(t.Context(), Ref{Monitor, "a"}, bodies()[Monitor], "m")
		if errors.Is(err, errUnknown) != c.retried || len(a.waits) != 0 != c.retried {
			t.Errorf("%v: a creation waits %v: %v", c.err, a.waits, err)
		}
	}
}

type timeout struct{}

func (timeout) Error() string   { return "i/o timeout" }
func (timeout) Timeout() bool   { return true }
func (timeout) Temporary() bool { return true }

// A proxy that refuses: nothing to wait for, unless it cannot reach the API now.
func TestProxyThatRefuses(t *testing.T) {
	for status, waits := range map[int]int{http.StatusProxyAuthRequired: 0, http.StatusForbidden: 0, http.StatusBadGateway: 5} {
		proxy := httptest.NewServer(answers(status, "secret"))
		defer proxy.Close()
		a := newAPI(t, nil)
		a.base = "https://api.datadoghq.com"
		a.http.Transport.(*http.Transport).Proxy = func(*http.Request) (*url.URL, error) {
			return url.Parse(strings.Replace(proxy.URL, "//", "//user:password@", 1))
		}
		want := fmt.Sprintf("read monitor 7: the proxy %s refuses the connection: %d %s", strings.TrimPrefix(proxy.URL, "http://"), status, http.StatusText(status))
		if waits == 0 {
			want += "; check the network, the proxy, DD_SITE and -api"
		} else {
			want += " (after 6 attempts)"
		}
		if _, err := a.get(t.Context(), Monitor, "7"); fmt.Sprint(err) != want || len(a.waits) != waits {
			t.Errorf("%d waits: %v\nwant %s", len(a.waits), err, want)
		}
	}
}

// A server that speaks another protocol, and one that sends without end.
func TestAnotherServer(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			io.WriteString(c, "SSH-2.0-OpenSSH_9\r\n")
			c.Close()
		}
	}))
	defer other.Close()
	long := newAPI(t, answers(404, "<p>start</p>"+strings.Repeat(" ", 1<<20)+"<p>end</p>"))
	if _, err := long.get(t.Context(), Monitor, "7"); !strings.HasPrefix(fmt.Sprint(err), "read monitor 7: 404 Not Found: start; a page answered") {
		t.Errorf("a long page: %v", err)
	}
	a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
		for chunk := make([]byte, 1<<20); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	if _, err := a.get(t.Context(), Monitor, "7"); fmt.Sprint(err) != "read monitor 7: this is not an answer of the API: 67108864 bytes that are not text; check DD_SITE, -api and the proxy" {
		t.Errorf("got %v", err)
	}
	a.base = other.URL
	if _, err := a.get(t.Context(), Monitor, "7"); !strings.HasSuffix(fmt.Sprint(err), `malformed HTTP response "SSH-2.0-OpenSSH_9"; check the network, the proxy, DD_SITE and -api`) || len(a.waits) > 0 {
		t.Errorf("%d waits: %v", len(a.waits), err)
	}
}

// A redirect is named without what its target may hold of secrets.
func TestTargetOfARedirect(t *testing.T) {
	for target, want := range map[string]string{
		"https://login.example.com/sso?token=x#y":  ": to https://login.example.com/sso",
		"https://user:pass@login.example.com/":     ": to https://login.example.com/",
		"/elsewhere":                               ": to /elsewhere",
		"https://login.example.com/secret-api-key": ": to https://login.example.com/[DD_API_KEY]",
		"": "",
	} {
		a := newAPI(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", target)
			w.WriteHeader(http.StatusFound)
		})
		if _, err := a.get(t.Context(), Monitor, "7"); fmt.Sprint(err) != "read monitor 7: 302 Found"+want+"; redirects are not followed, because the keys would be sent along: check DD_SITE and -api" {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// Only an error that may be gone recommends to run the command again.
func TestPasses(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{errors.New("x"), false},
		{&APIError{Status: 400}, false},
		{&APIError{Status: 403}, false},
		{&APIError{Status: 429}, true},
		{&APIError{Status: 503}, true},
		{&APIError{Status: 501}, false},
		{fmt.Errorf("x: %w", errUnknown), true},
		{fmt.Errorf("x: %w", momentary{context.Canceled}), true},
	} {
		if got := passes(c.err); got != c.want {
			t.Errorf("%v: %t", c.err, got)
		}
	}
	if !errors.Is(momentary{context.Canceled}, context.Canceled) {
		t.Error("momentary hides its cause")
	}
}

// The error names the site. The default one may be a DD_SITE that was forgotten.
func TestSiteOfAWrongKey(t *testing.T) {
	a := newAPI(t, answers(403, ""))
	a.cfg.Site = "datadoghq.eu"
	if _, err := a.get(t.Context(), Monitor, "7"); !strings.HasSuffix(fmt.Sprint(err), "DD_API_KEY is not a key of datadoghq.eu: the key is wrong, or DD_SITE is; the address of your pages in Datadog shows the site") {
		t.Errorf("got %v", err)
	}
}
