package client

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"apmapp/loadgen/openloop"
)

// new returns a client of a target, which change may adapt.
func newClient(t *testing.T, target string, change ...func(*Options)) *Client {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Target: u, Timeout: 30 * time.Second, Connections: 4}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestRequest(t *testing.T) {
	var got *http.Request
	var body []byte
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Traceresponse", "00-11111111111111112222222222222222-3333333333333333-01")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "short")
	}))
	defer service.Close()
	c := newClient(t, service.URL+"/base/", func(o *Options) {
		o.Method, o.Body = "PUT", "hello"
		o.Header = http.Header{"X-Key": {"a", "b"}, "Host": {"shop.example"}}
	})
	x := c.Do(t.Context(), "/path?q=1,2")
	want := openloop.Exchange{Status: 418, Bytes: 5, TraceID: "11111111111111112222222222222222"}
	if x != want {
		t.Errorf("got %+v, want %+v", x, want)
	}
	if got.Method != "PUT" || got.RequestURI != "/base/path?q=1,2" || got.Host != "shop.example" ||
		strings.Join(got.Header["X-Key"], "") != "ab" || got.UserAgent() != "loadgen" || string(body) != "hello" {
		t.Errorf("sent %s %s to %s with %v and %q", got.Method, got.RequestURI, got.Host, got.Header, body)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	peers := map[string]bool{}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { peers[r.RemoteAddr] = true }))
	defer service.Close()
	c := newClient(t, service.URL)
	for range 10 {
		c.Do(t.Context(), "/")
	}
	if len(peers) != 1 {
		t.Errorf("10 requests took %d connections", len(peers))
	}
}

func TestRedirectIsAnAnswer(t *testing.T) {
	service := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer service.Close()
	if x := newClient(t, service.URL).Do(t.Context(), "/"); x.Status != 302 || x.Failure != "" {
		t.Errorf("%+v", x)
	}
}

func TestTLS(t *testing.T) {
	var proto string
	service := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { proto = r.Proto }))
	service.EnableHTTP2 = true
	service.Config.ErrorLog = log.New(io.Discard, "", 0)
	service.StartTLS()
	defer service.Close()
	insecure := newClient(t, service.URL, func(o *Options) { o.Insecure = true })
	if x := insecure.Do(t.Context(), "/"); x.Status != 200 || proto != "HTTP/2.0" {
		t.Errorf("%+v over %s", x, proto)
	}
	if x := newClient(t, service.URL).Do(t.Context(), "/"); x.Failure != TLS {
		t.Errorf("a certificate of nobody: %+v", x)
	}
}

func TestTLSVersionRefused(t *testing.T) {
	service := httptest.NewUnstartedServer(http.NotFoundHandler())
	service.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	service.Config.ErrorLog = log.New(io.Discard, "", 0)
	service.StartTLS()
	defer service.Close()
	if x := newClient(t, service.URL, func(o *Options) { o.Insecure = true }).Do(t.Context(), "/"); x.Failure != TLS {
		t.Errorf("%+v", x)
	}
}

// answering is a service that does to each connection what answer says, once it
// has read a request.
func answering(t *testing.T, answer func(*net.TCPConn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := conn.Read(make([]byte, 4096)); err == nil {
					answer(conn.(*net.TCPConn))
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

func says(text string) func(*net.TCPConn) {
	return func(c *net.TCPConn) { io.WriteString(c, text) }
}

func TestFailures(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + listener.Addr().String()
	listener.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	for _, test := range []struct {
		name, target, want string
	}{
		{"nothing listens", nobody, Refused},
		{"no such host", "http://nobody.invalid", DNS},
		{"connection reset", answering(t, func(c *net.TCPConn) { c.SetLinger(0) }), Reset},
		{"closed without an answer", answering(t, func(*net.TCPConn) {}), Closed},
		{"closed within the header", answering(t, says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n")), Closed},
		{"closed within the body", answering(t, says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")), Closed},
		{"closed within a chunk", answering(t, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nshort")), Closed},
		{"not HTTP", answering(t, says("SSH-2.0-OpenSSH_9.2\r\n\r\n")), Malformed},
		{"no status", answering(t, says("HTTP/1.1 OK\r\n\r\n")), Malformed},
		{"no chunk", answering(t, says("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")), Malformed},
		{"two lengths", answering(t, says("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")), Malformed},
		{"HTTPS asked of HTTP", strings.Replace(plain.URL, "http:", "https:", 1), TLS},
	} {
		t.Run(test.name, func(t *testing.T) {
			if x := newClient(t, test.target).Do(t.Context(), "/"); x.Failure != test.want {
				t.Errorf("%+v, want %s", x, test.want)
			}
		})
	}
	t.Run("no answer in time", func(t *testing.T) {
		silent := answering(t, func(c *net.TCPConn) { c.Read(make([]byte, 1)) })
		c := newClient(t, silent, func(o *Options) { o.Timeout = 50 * time.Millisecond })
		if x := c.Do(t.Context(), "/"); x.Failure != Timeout {
			t.Errorf("%+v", x)
		}
	})
	t.Run("half an answer in time", func(t *testing.T) {
		slow := answering(t, func(c *net.TCPConn) {
			says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")(c)
			c.Read(make([]byte, 1))
		})
		c := newClient(t, slow, func(o *Options) { o.Timeout = 50 * time.Millisecond })
		if x := c.Do(t.Context(), "/"); x.Failure != Timeout || x.Status != 200 || x.Bytes != 5 {
			t.Errorf("%+v", x)
		}
	})
	t.Run("given up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if x := newClient(t, plain.URL).Do(ctx, "/"); x.Failure != Canceled {
			t.Errorf("%+v", x)
		}
	})
	t.Run("an early answer of its own", func(t *testing.T) {
		early := answering(t, says("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
		if x := newClient(t, early).Do(t.Context(), "/"); x.Status != 200 || x.Bytes != 2 {
			t.Errorf("%+v", x)
		}
	})
}

func TestTraceID(t *testing.T) {
	const id = "11111111111111112222222222222222"
	for header, want := range map[string]string{
		"00-" + id + "-3333333333333333-01":      id,
		"00-" + id + "-3333333333333333-01-more": id,
		"00-" + id:                               "",
		"":                                       "",
		"00-" + id[1:] + "-3333333333333333-01":  "",
		"00-" + id[1:] + "x-3333333333333333-01": "",
		"00-\x1b[2J" + id[4:] + "-333-01":        "",
	} {
		if got := traceID(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

func TestOptionsRefused(t *testing.T) {
	good := Options{Target: &url.URL{Scheme: "http", Host: "h"}, Timeout: 1}
	for want, change := range map[string]func(*Options){
		"a target is http":        func(o *Options) { o.Target = &url.URL{Scheme: "ftp", Host: "h"} },
		"and a host":              func(o *Options) { o.Target = &url.URL{Scheme: "http"} },
		"a timeout of 0s":         func(o *Options) { o.Timeout = 0 },
		`invalid method "GET IT"`: func(o *Options) { o.Method = "GET IT" },
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestMain(m *testing.M) {
	// The proxy of the machine has no part in these tests.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Unsetenv(name)
	}
	os.Exit(m.Run())
}
