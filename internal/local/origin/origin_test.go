package origin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"apmapp/internal/local/origin"
)

// header is a list of names and values.
type header []string

func TestRequests(t *testing.T) {
	next := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "served") })
	hosts := []string{"demo.example"}
	pages, intake := origin.Pages(hosts, next), origin.Intake(hosts, next)
	const own, other = "127.0.0.1:8126", "https://evil.example"
	for _, c := range []struct {
		name          string
		method, host  string
		header        header
		pages, intake int
	}{
		{"curl", "GET", own, nil, 200, 200},
		{"tracer", "PUT", own, nil, 200, 200},
		{"tracer in a container", "POST", "localagent:8126", nil, 403, 200},
		{"tracer over a socket", "POST", "", nil, 403, 200},
		{"empty headers", "POST", own, header{"Origin", "", "Sec-Fetch-Site", ""}, 200, 200},
		{"typed address", "GET", own, header{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200, 200},
		{"script of the page", "GET", own, header{"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"}, 200, 200},
		{"script of the page that posts", "POST", own, header{"Sec-Fetch-Site", "same-origin", "Origin", "http://" + own}, 200, 200},
		{"own origin in capitals", "POST", "LocalHost:8126", header{"Origin", "http://localhost:8126"}, 200, 200},
		{"own origin, TLS ends before", "POST", "demo.example", header{"Origin", "https://demo.example"}, 200, 200},

		{"script of another site", "GET", own, header{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}, 403, 403},
		{"image in another site", "GET", own, header{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, 403, 403},
		{"form of another site", "POST", own, header{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Origin", other}, 403, 403},
		{"form without an origin", "POST", own, header{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 403, 403},
		{"another port of this machine", "POST", own, header{"Sec-Fetch-Site", "same-site"}, 403, 403},
		{"unknown site", "GET", own, header{"Sec-Fetch-Site", "galaxy"}, 403, 403},
		{"old browser", "POST", own, header{"Origin", other}, 403, 403},
		{"old browser, another port", "POST", own, header{"Origin", "http://127.0.0.1:3000"}, 403, 403},
		{"old browser, localhost and its address", "POST", own, header{"Origin", "http://localhost:8126"}, 403, 403},
		{"sandboxed frame or file", "POST", own, header{"Origin", "null"}, 403, 403},
		{"no URL", "POST", own, header{"Origin", "://"}, 403, 403},
		{"the second of two origins", "POST", own, header{"Origin", "http://" + own, "Origin", other}, 403, 403},
		{"preflight", "OPTIONS", own, header{"Origin", other, "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors"}, 403, 403},

		// Links show pages, but no browser has work at the intake.
		{"link", "GET", own, header{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, 200, 403},
		{"link of another port", "GET", own, header{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "navigate"}, 200, 403},
		{"frame in another site", "GET", own, header{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 403, 403},
		{"link with an origin", "GET", own, header{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Origin", other}, 403, 403},

		// DNS rebinding: the site's own name resolves to this machine.
		{"rebinding, script that posts", "POST", "evil.example:8126", header{"Sec-Fetch-Site", "same-origin", "Origin", "http://evil.example:8126"}, 403, 403},
		{"rebinding, old browser", "POST", "evil.example:8126", header{"Origin", "http://evil.example:8126"}, 403, 403},
		{"rebinding, script that reads", "GET", "evil.example:8126", header{"Sec-Fetch-Site", "same-origin"}, 403, 403},
		{"name that begins with an address", "POST", "127.0.0.1.evil.com", header{"Origin", "http://127.0.0.1.evil.com"}, 403, 403},
	} {
		for _, port := range []struct {
			name    string
			handler http.Handler
			want    int
		}{{"pages", pages, c.pages}, {"intake", intake, c.intake}} {
			r := httptest.NewRequest(c.method, "/", nil)
			r.Host = c.host
			for i := 0; i < len(c.header); i += 2 {
				r.Header.Add(c.header[i], c.header[i+1])
			}
			w := httptest.NewRecorder()
			port.handler.ServeHTTP(w, r)
			reason := map[int]string{200: "served", 403: "not allowed"}[port.want]
			if w.Code != port.want || !strings.Contains(w.Body.String(), reason) {
				t.Errorf("%s, %s: status %d, want %d: %s", port.name, c.name, w.Code, port.want, w.Body)
			}
			if got := w.Header(); got.Get("Cross-Origin-Resource-Policy") != "same-origin" || got.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s, %s: %v", port.name, c.name, got)
			}
		}
	}
}

func TestReasons(t *testing.T) {
	intake := origin.Intake(nil, http.NotFoundHandler())
	for _, c := range []struct{ name, value, host, want string }{
		{"Sec-Fetch-Site", "cross-site", "localhost", `requests from other sites are not allowed: Sec-Fetch-Site is "cross-site"`},
		{"Origin", "null", "localhost:1", `requests from other sites are not allowed: Origin is "null", and the host is "localhost:1"`},
		{"Origin", "http://evil", "evil", `host "evil" is not allowed in a browser: use an IP address or localhost`},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Host = c.host
		r.Header.Set(c.name, c.value)
		w := httptest.NewRecorder()
		if intake.ServeHTTP(w, r); w.Body.String() != c.want+"\n" {
			t.Errorf("%s %s: %s, want %s", c.name, c.value, w.Body, c.want)
		}
	}
}

func TestHosts(t *testing.T) {
	pages := origin.Pages(origin.Named([]string{"demo.example"}, "APM.example:8127"), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{
		"127.0.0.1:8127":     200,
		"[::1]:8127":         200,
		"192.0.2.7":          200,
		"localhost:8127":     200,
		"LocalHost.":         200,
		"apm.localhost:8127": 200,
		"demo.example:8127":  200,
		"apm.example:8127":   200,
		"evil.example:8127":  403,
		"localhost.evil.com": 403,
		"notlocalhost":       403,
		"x.demo.example":     403,
		"evil.com:8127:8127": 403,
		"":                   403,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		if pages.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%q: status %d, want %d", host, w.Code, want)
		}
	}
}

func TestNamed(t *testing.T) {
	for addr, want := range map[string][]string{
		"Host.example:1": {"a", "host.example"},
		"[::1]:1":        {"a", "::1"},
		":1":             {"a"},
		"nonsense":       {"a"},
	} {
		if got := origin.Named([]string{"a"}, addr); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", addr, got, want)
		}
	}
}
