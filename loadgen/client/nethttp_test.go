package client

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"apmapp/loadgen/openloop"
)

func TestTLS(t *testing.T) {
	var proto string
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { proto = r.Proto }))
	service.EnableHTTP2 = true
	service.Config.ErrorLog = log.New(io.Discard, "", 0)
	service.StartTLS()
	defer service.Close()
	insecure := start(t, New, service.URL, func(o *Options) { o.TLS = &tls.Config{InsecureSkipVerify: true} })
	if x := insecure.do(t); x.Status != 200 || proto != "HTTP/2.0" {
		t.Errorf("%+v over %s", x, proto)
	}
	if x := start(t, New, service.URL).do(t); x.Failure != TLS {
		t.Errorf("an unknown certificate: %+v", x)
	}
}

func TestTLSVersionRefused(t *testing.T) {
	service := httptest.NewUnstartedServer(http.NotFoundHandler())
	service.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	service.Config.ErrorLog = log.New(io.Discard, "", 0)
	service.StartTLS()
	defer service.Close()
	if x := start(t, New, service.URL, func(o *Options) { o.TLS = &tls.Config{InsecureSkipVerify: true} }).do(t); x.Failure != TLS {
		t.Errorf("%+v", x)
	}
}

// writePEM writes a file of PEM blocks and returns its name.
func writePEM(t *testing.T, blocks ...*pem.Block) string {
	t.Helper()
	var all []byte
	for _, b := range blocks {
		all = append(all, pem.EncodeToMemory(b)...)
	}
	name := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(name, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A service with a private authority asks for a certificate of its clients.
func TestCertificates(t *testing.T) {
	var clients int
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { clients = len(r.TLS.PeerCertificates) }))
	service.Config.ErrorLog = log.New(io.Discard, "", 0)
	service.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	service.StartTLS()
	defer service.Close()
	own := service.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certBlock, keyBlock := &pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}, &pem.Block{Type: "PRIVATE KEY", Bytes: key}
	cert, keyFile, both := writePEM(t, certBlock), writePEM(t, keyBlock), writePEM(t, certBlock, keyBlock)
	for _, test := range []struct {
		cert, key, ca string
		want          openloop.Exchange
	}{
		{cert, keyFile, cert, openloop.Exchange{Status: 200}},
		{both, "", cert, openloop.Exchange{Status: 200}},
		{"", "", cert, openloop.Exchange{Failure: TLS}},
		{both, "", "", openloop.Exchange{Failure: TLS}},
	} {
		config, err := TLSConfig(test.cert, test.key, test.ca, false)
		if err != nil {
			t.Fatal(err)
		}
		clients = 0
		x := start(t, New, service.URL, func(o *Options) { o.TLS = config }).do(t)
		if x.Status != test.want.Status || x.Failure != test.want.Failure || x.Status == 200 && clients != 1 {
			t.Errorf("%+v: %+v with %d certificates, want %+v", test, x, clients, test.want)
		}
	}
	for _, test := range []struct{ cert, key, ca, want string }{
		{"", keyFile, "", "a key needs a certificate"},
		{cert, "", "", "certificate " + cert + ": "},
		{cert + "x", "", "", "certificate " + cert + "x: open "},
		{"", "", cert + "x", "authorities: open "},
		{"", "", keyFile, "authorities: " + keyFile + " has no certificate in PEM form"},
	} {
		if _, err := TLSConfig(test.cert, test.key, test.ca, false); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// A request follows as many redirects as it may.
func TestRedirects(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Path+"x", http.StatusFound)
	}))
	defer service.Close()
	final := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/end" {
			http.Redirect(w, r, "/end", http.StatusFound)
		}
	}))
	defer final.Close()
	elsewhere := httptest.NewServer(http.RedirectHandler("ftp://shop.example/", http.StatusFound))
	defer elsewhere.Close()
	for _, test := range []struct {
		url             string
		redirects, want int
	}{{final.URL, 0, 302}, {final.URL, 1, 200}, {service.URL, 2, 302}, {elsewhere.URL, 1, 302}} {
		if x := start(t, New, test.url, func(o *Options) { o.Redirects = test.redirects }).do(t); x.Status != test.want || x.Failure != "" {
			t.Errorf("%+v: %+v", test, x)
		}
	}
}

// An address is only that of the target: a redirect may lead to another host.
func TestRedirectFromAnAddress(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	defer other.Close()
	service := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer service.Close()
	for _, target := range []string{"http://shop.invalid", "http://BÜCHER.invalid:81"} {
		c := start(t, New, target, func(o *Options) { o.Redirects, o.Address = 1, service.Listener.Addr().String() })
		if x := c.do(t); x.Status != http.StatusTeapot {
			t.Errorf("%s: %+v, want 418 of the other host", target, x)
		}
	}
}

// A path that is no part of a URL is an error of its requests.
func TestInvalidPath(t *testing.T) {
	o, err := Options{Target: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Timeout: 1, MaxInFlight: 1}.checked()
	if err != nil {
		t.Fatal(err)
	}
	if x := newNetHTTP(o).Do(t.Context(), "/%zz"); x != (openloop.Exchange{Failure: Malformed, Detail: `invalid URL escape "%zz"`}) {
		t.Errorf("%+v", x)
	}
}

// transport is a decorated transport.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestWrap(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Traceparent") != "" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer service.Close()
	c := start(t, New, service.URL, func(o *Options) {
		o.Wrap = func(next http.RoundTripper) http.RoundTripper {
			return transport(func(r *http.Request) (*http.Response, error) {
				r.Header.Set("Traceparent", "x")
				return next.RoundTrip(r)
			})
		}
	})
	if x := c.do(t); x.Status != http.StatusTeapot {
		t.Errorf("%+v", x)
	}
}

// A decorated transport may name the trace of a request: also of one without an
// answer, and instead of the one that the answer reports.
func TestTraceIDOfTheTransport(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Traceresponse", "00-11111111111111111111111111111111-3333333333333333-01")
		if r.URL.Path == "/reset" {
			panic(http.ErrAbortHandler)
		}
	}))
	defer service.Close()
	target, err := url.Parse(service.URL)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{"/own": "own", "/reset": "of the failure", "/none": ""}
	c := newNetHTTP(Options{Target: target, Method: http.MethodGet, MaxInFlight: 1, Wrap: func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			SetTraceID(r.Context(), ids[r.URL.Path])
			return next.RoundTrip(r)
		})
	}})
	for path, want := range map[string]string{"/own": "own", "/reset": "of the failure", "/none": "11111111111111111111111111111111"} {
		if x := c.Do(t.Context(), path); x.TraceID != want || (x.Failure != "") != (path == "/reset") {
			t.Errorf("%s: %+v, want the trace %q", path, x, want)
		}
	}
	SetTraceID(t.Context(), "nowhere") // the context of another request: no effect
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
