package client

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
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
	insecure := start(t, New, service.URL, func(o *Options) { o.Insecure = true })
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
	if x := start(t, New, service.URL, func(o *Options) { o.Insecure = true }).do(t); x.Failure != TLS {
		t.Errorf("%+v", x)
	}
}

// A path that is no part of a URL is an error of its requests.
func TestInvalidPath(t *testing.T) {
	o, err := Options{Target: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Timeout: 1, MaxInFlight: 1}.checked()
	if err != nil {
		t.Fatal(err)
	}
	if x := newNetHTTP(o).Do(t.Context(), "/%zz"); x != (openloop.Exchange{Failure: Malformed}) {
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
