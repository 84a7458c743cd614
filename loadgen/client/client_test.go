package client

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/loadgen/openloop"
)

// senders runs a test with each way of sending; the starter that it gets makes a
// client of a target, with options that change may adapt.
func senders(t *testing.T, test func(*testing.T, starter)) {
	for name, of := range map[string]func(Options) (openloop.Sender, error){"HTTP1": HTTP1, "NetHTTP": NetHTTP} {
		t.Run(name, func(t *testing.T) {
			test(t, func(t *testing.T, target string, change ...func(*Options)) *client {
				return start(t, of, target, change...)
			})
		})
	}
}

type starter func(t *testing.T, target string, change ...func(*Options)) *client

// client sends one request after the other.
type client struct {
	sender openloop.Sender
	finish func()
	due    time.Time
	ended  chan openloop.Exchange
}

// patience is far longer than anything takes here.
const patience = 30 * time.Second

func start(t *testing.T, of func(Options) (openloop.Sender, error), target string, change ...func(*Options)) *client {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Target: u, Timeout: patience, MaxInFlight: 4}
	for _, f := range change {
		f(&o)
	}
	sender, err := of(o)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{sender: sender, ended: make(chan openloop.Exchange, 4)}
	if err := sender.Start([]openloop.Path{{Path: "/path?q=1,2", Weight: 1}}, c.done); err != nil {
		t.Fatal(err)
	}
	c.finish = sync.OnceFunc(sender.Finish)
	t.Cleanup(c.finish)
	return c
}

func (c *client) done(r openloop.Request, sent, end time.Time, x openloop.Exchange) {
	if !r.Due.Equal(c.due) || sent.Before(r.Due) || end.Before(sent) {
		x.Failure = "due, sent and end are not in order"
	}
	c.ended <- x
}

// do sends a request and waits for its end.
func (c *client) do(t *testing.T) openloop.Exchange {
	t.Helper()
	c.due = time.Now()
	c.sender.Send(openloop.Request{Due: c.due})
	for time.Since(c.due) < patience {
		select {
		case x := <-c.ended:
			return x
		default:
			c.sender.SleepUntil(t.Context(), time.Now().Add(time.Millisecond))
		}
	}
	t.Fatal("the request does not end")
	return openloop.Exchange{}
}

func TestRequest(t *testing.T) {
	type request struct {
		*http.Request
		body string
	}
	requests := make(chan request, 1)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- request{r, string(body)}
		w.Header().Set("Traceresponse", "00-11111111111111112222222222222222-3333333333333333-01")
		w.WriteHeader(http.StatusTeapot)
		io.WriteString(w, "short")
	}))
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		c := start(t, strings.Replace(service.URL, "//", "//user:secret@", 1)+"/base/", func(o *Options) {
			o.Method, o.Body = "PUT", "hello"
			o.Header = http.Header{"X-Key": {"a", "b"}, "Host": {"shop.example"}}
		})
		x := c.do(t)
		want := openloop.Exchange{Status: 418, Bytes: 5, TraceID: "11111111111111112222222222222222"}
		if x != want {
			t.Errorf("got %+v, want %+v", x, want)
		}
		got := <-requests
		user, password, _ := got.BasicAuth()
		if got.Method != "PUT" || got.RequestURI != "/base/path?q=1,2" || got.Host != "shop.example" || user+password != "usersecret" ||
			strings.Join(got.Header["X-Key"], "") != "ab" || got.UserAgent() != "loadgen" || got.body != "hello" {
			t.Errorf("sent %s %s to %s with %v and %q", got.Method, got.RequestURI, got.Host, got.Header, got.body)
		}
	})
}

func TestLargeBody(t *testing.T) {
	sent := strings.Repeat("large ", 1<<20) // more than a socket takes at once
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	}))
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		c := start(t, service.URL, func(o *Options) { o.Method, o.Body = "POST", sent })
		for range 2 {
			if x := c.do(t); x.Status != 200 || x.Failure != "" || x.Bytes != int64(len(sent)) {
				t.Errorf("%+v", x)
			}
		}
	})
}

func TestConnectionsAreKept(t *testing.T) {
	var peers sync.Map
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { peers.Store(r.RemoteAddr, true) }))
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		peers.Clear()
		c := start(t, service.URL)
		for range 10 {
			c.do(t)
		}
		n := 0
		peers.Range(func(_, _ any) bool { n++; return true })
		if n != 1 {
			t.Errorf("10 requests took %d connections", n)
		}
	})
}

// TestConnectionsThatEnd has a service that keeps a connection for one answer
// more than it says, or for one less.
func TestConnectionsThatEnd(t *testing.T) {
	senders(t, func(t *testing.T, start starter) {
		for name, answer := range map[string]func(*net.TCPConn){
			"as said":    says("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"),
			"unsaid":     says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
			"as an end":  says("HTTP/1.1 200 OK\r\n\r\nok"),
			"HTTP/1.0":   says("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
			"unasked":    says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"),
			"on request": sayAndEndOnRequest,
		} {
			t.Run(name, func(t *testing.T) {
				c := start(t, answering(t, answer))
				for range 5 {
					if x := c.do(t); x.Status != 200 || x.Bytes != 2 || x.Failure != "" {
						t.Fatalf("%+v", x)
					}
				}
			})
		}
	})
}

// sayAndEndOnRequest closes the connection when the next request has come.
func sayAndEndOnRequest(c *net.TCPConn) {
	says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")(c)
	c.Read(make([]byte, 4096))
}

// TestNotSentTwice has a request that does harm when it is.
func TestNotSentTwice(t *testing.T) {
	senders(t, func(t *testing.T, start starter) {
		c := start(t, answering(t, sayAndEndOnRequest), func(o *Options) { o.Method = "POST" })
		if x := c.do(t); x.Status != 200 {
			t.Fatalf("%+v", x)
		}
		if x := c.do(t); x.Failure != Closed {
			t.Errorf("%+v", x)
		}
	})
}

func TestRedirectIsAnAnswer(t *testing.T) {
	service := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusFound))
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		if x := start(t, service.URL).do(t); x.Status != 302 || x.Failure != "" {
			t.Errorf("%+v", x)
		}
	})
}

// TestNewChooses has targets that only one way of sending serves.
func TestNewChooses(t *testing.T) {
	options := func(target string) Options {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		return Options{Target: u, Timeout: 1, MaxInFlight: 1}
	}
	http1, err := HTTP1(options("http://h"))
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]any{"http://h": http1, "https://h": openloop.Workers(nil, 1, nil)} {
		got, err := New(options(target))
		if err != nil || reflect.TypeOf(got) != reflect.TypeOf(want) {
			t.Errorf("%s: %T (%v), want %T", target, got, err, want)
		}
	}
}

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
		t.Errorf("a certificate of nobody: %+v", x)
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
	senders(t, func(t *testing.T, start starter) {
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
		} {
			t.Run(test.name, func(t *testing.T) {
				if x := start(t, test.target).do(t); x.Failure != test.want {
					t.Errorf("%+v, want %s", x, test.want)
				}
			})
		}
		hurried := func(o *Options) { o.Timeout = 50 * time.Millisecond }
		t.Run("no answer in time", func(t *testing.T) {
			c := start(t, answering(t, func(c *net.TCPConn) { c.Read(make([]byte, 1)) }), hurried)
			for range 2 {
				if x := c.do(t); x.Failure != Timeout {
					t.Errorf("%+v", x)
				}
			}
		})
		t.Run("half an answer in time", func(t *testing.T) {
			slow := answering(t, func(c *net.TCPConn) {
				says("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")(c)
				c.Read(make([]byte, 1))
			})
			if x := start(t, slow, hurried).do(t); x.Failure != Timeout || x.Status != 200 || x.Bytes != 5 {
				t.Errorf("%+v", x)
			}
		})
		t.Run("an answer when the run ends", func(t *testing.T) {
			finish := make(chan struct{})
			late := answering(t, func(c *net.TCPConn) {
				<-finish
				says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")(c)
			})
			c := start(t, late)
			c.due = time.Now()
			c.sender.Send(openloop.Request{Due: c.due})
			close(finish)
			c.finish()
			if x := <-c.ended; x.Status != 200 {
				t.Errorf("%+v", x)
			}
		})
		t.Run("an early answer of its own", func(t *testing.T) {
			early := answering(t, says("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
			if x := start(t, early).do(t); x.Status != 200 || x.Bytes != 2 {
				t.Errorf("%+v", x)
			}
		})
	})
	t.Run("HTTPS asked of HTTP", func(t *testing.T) {
		plain := httptest.NewServer(http.NotFoundHandler())
		defer plain.Close()
		if x := start(t, New, strings.Replace(plain.URL, "http:", "https:", 1)).do(t); x.Failure != TLS {
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
	good := Options{Target: &url.URL{Scheme: "http", Host: "h"}, Timeout: 1, MaxInFlight: 1}
	for want, change := range map[string]func(*Options){
		"a target is http":        func(o *Options) { o.Target = &url.URL{Scheme: "ftp", Host: "h"} },
		"and a host":              func(o *Options) { o.Target = &url.URL{Scheme: "http"} },
		"0 requests in flight":    func(o *Options) { o.MaxInFlight = 0 },
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
	log.SetOutput(io.Discard) // net/http's word on answers that nobody asked for
	// The proxy of the machine has no part in these tests.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Unsetenv(name)
	}
	os.Exit(m.Run())
}
