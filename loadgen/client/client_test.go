package client

import (
	"context"
	"fmt"
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

	"apmapp/internal/testing/poll"
	"apmapp/loadgen/openloop"
)

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // net/http logs answers without a request
	// The proxy of this machine must not be used in these tests.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Unsetenv(name)
	}
	os.Exit(m.Run())
}

// senders runs a test with each sender. Its starter makes a client of a target,
// with options that change may adapt.
func senders(t *testing.T, test func(*testing.T, starter)) {
	for _, sender := range []struct {
		name string
		of   func(Options) (openloop.Sender, error)
	}{{"HTTP1", HTTP1}, {"NetHTTP", NetHTTP}} {
		t.Run(sender.name, func(t *testing.T) {
			test(t, func(t *testing.T, target string, change ...func(*Options)) *client {
				return start(t, sender.of, target, change...)
			})
		})
	}
}

type starter func(t *testing.T, target string, change ...func(*Options)) *client

// client sends requests with a sender: of its two paths, do requests the first.
type client struct {
	sender openloop.Sender
	finish func()
	giveUp func(context.Context) // finish, until the context ends
	ended  chan ended
}

type ended struct {
	openloop.Request
	sent, end time.Time
	openloop.Exchange
}

func start(t *testing.T, of func(Options) (openloop.Sender, error), target string, change ...func(*Options)) *client {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Target: u, Timeout: poll.Limit, MaxInFlight: 4}
	for _, f := range change {
		f(&o)
	}
	sender, err := of(o)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{sender: sender, ended: make(chan ended, 100)}
	done := func(r openloop.Request, sent, end time.Time, x openloop.Exchange) {
		c.ended <- ended{r, sent, end, withoutDetail(t, x)}
	}
	if err := sender.Start([]openloop.Path{{Path: "/path?q=1,2", Weight: 1}, {Path: "/other", Weight: 1}}, done); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	c.giveUp = func(ctx context.Context) { once.Do(func() { sender.Finish(ctx) }) }
	c.finish = func() { c.giveUp(context.Background()) }
	t.Cleanup(c.finish)
	return c
}

// withoutDetail removes the text of an error, which each failure must have.
func withoutDetail(t *testing.T, x openloop.Exchange) openloop.Exchange {
	if (x.Failure == "") != (x.Detail == "") {
		t.Errorf("failure %q has the detail %q", x.Failure, x.Detail)
	}
	x.Detail = ""
	return x
}

// do sends a request and waits for its end.
func (c *client) do(t *testing.T) openloop.Exchange {
	t.Helper()
	due := time.Now()
	c.sender.Send(openloop.Request{Due: due})
	x := c.wait(t)
	if !x.Due.Equal(due) || x.sent.Before(due) || x.end.Before(x.sent) || x.end.After(time.Now()) {
		t.Errorf("due at %s, sent at %s, ended at %s", due, x.sent, x.end)
	}
	return x.Exchange
}

// wait returns the next end of a request.
func (c *client) wait(t *testing.T) ended {
	t.Helper()
	for start := time.Now(); time.Since(start) < poll.Limit; {
		select {
		case x := <-c.ended:
			return x
		default:
			c.sender.SleepUntil(t.Context(), time.Now().Add(time.Millisecond))
		}
	}
	t.Fatal("the request does not end")
	return ended{}
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
		if encoding := got.Header.Get("Accept-Encoding"); encoding != "" {
			t.Errorf("asks for %s: compressed answers would be counted unpacked", encoding)
		}
	})
}

// A request has no headers that nobody asked for.
func TestPlainRequest(t *testing.T) {
	header := make(chan http.Header, 1)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { header <- r.Header }))
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		start(t, service.URL).do(t)
		if got, want := <-header, (http.Header{"User-Agent": {"loadgen"}}); !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// A request is for the path that it names.
func TestPaths(t *testing.T) {
	paths := make(chan string, 1)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { paths <- r.URL.Path }))
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		c := start(t, service.URL)
		for i, want := range []string{"/path", "/other"} {
			c.sender.Send(openloop.Request{Due: time.Now(), Path: i})
			if x := c.wait(t); x.Status != 200 || x.Path != i {
				t.Errorf("%+v", x)
			}
			if got := <-paths; got != want {
				t.Errorf("path %d: got %s, want %s", i, got, want)
			}
		}
	})
}

// A path of the run can have a method, a target path, headers and a body of its own.
func TestRequests(t *testing.T) {
	requests := make(chan string, 1)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Host, " ", r.Header["X-A"], r.Header["X-B"], " ", string(body))
	}))
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		c := start(t, service.URL, func(o *Options) {
			o.Method, o.Body, o.Header = "PUT", "common", http.Header{"X-A": {"1"}, "X-B": {"2"}}
			o.Requests = map[string]Request{"/other": {Method: "HEAD", Path: "/cart?id=7", Header: http.Header{"X-B": {"3"}, "Host": {"shop.example"}}, Body: "own"}}
		})
		host := strings.TrimPrefix(service.URL, "http://")
		for i, want := range []string{"PUT /path?q=1,2 " + host + " [1] [2] common", "HEAD /cart?id=7 shop.example [1] [3] own"} {
			c.sender.Send(openloop.Request{Due: time.Now(), Path: i})
			if x := c.wait(t); x.Status != 200 {
				t.Errorf("%+v", x)
			}
			if got := <-requests; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	})
}

// Characters that a URL must not have are percent-encoded, also in a query.
func TestNonASCII(t *testing.T) {
	uris := make(chan string, 1)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { uris <- r.RequestURI }))
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		start(t, service.URL, func(o *Options) {
			o.Requests = map[string]Request{"/path?q=1,2": {Path: "/\u00fc?q=a+\u00fc%20b"}}
		}).do(t)
		if got, want := <-uris, "/%C3%BC?q=a+%C3%BC%20b"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// largeBody is more than a socket buffers.
var largeBody = strings.Repeat("large ", 1<<20)

func TestLargeBody(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	}))
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		c := start(t, service.URL, func(o *Options) { o.Method, o.Body = "POST", largeBody })
		for range 2 {
			if x := c.do(t); x.Status != 200 || x.Failure != "" || x.Bytes != int64(len(largeBody)) {
				t.Errorf("%+v", x)
			}
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

// A sleep ends on time, neither early nor late, and with its context.
func TestSleepUntil(t *testing.T) {
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		c := start(t, service.URL)
		for _, d := range []time.Duration{0, time.Millisecond, 10 * time.Millisecond} {
			until := time.Now().Add(d)
			c.sender.SleepUntil(t.Context(), until)
			if early := time.Until(until); early > 0 {
				t.Errorf("woke up %s early from a sleep of %s", early, d)
			}
		}
		for range 2 { // a context replaces the one before
			ctx, end := newContext(t)
			go end()
			began := time.Now()
			c.sender.SleepUntil(ctx, began.Add(2*poll.Limit))
			if time.Since(began) > poll.Limit {
				t.Error("the sleep outlived its context")
			}
		}
	})
}

// Requests end while the sender sleeps: it does not wait for the time of the next
// request.
func TestRequestsEndDuringASleep(t *testing.T) {
	senders(t, func(t *testing.T, start starter) {
		for _, test := range []struct {
			name    string
			answer  func(*net.TCPConn)
			timeout time.Duration
			want    openloop.Exchange
		}{
			{"with an answer", says("HTTP/1.1 204 No Content\r\n\r\n"), poll.Limit, openloop.Exchange{Status: 204}},
			{"with a timeout", func(c *net.TCPConn) { c.Read(make([]byte, 1)) }, 20 * time.Millisecond, openloop.Exchange{Failure: Timeout}},
		} {
			c := start(t, answering(t, test.answer).url, func(o *Options) { o.Timeout = test.timeout })
			ctx, end := newContext(t)
			got := make(chan ended, 1)
			go func() {
				got <- <-c.ended
				end()
			}()
			began := time.Now()
			c.sender.Send(openloop.Request{Due: began})
			c.sender.SleepUntil(ctx, began.Add(2*poll.Limit))
			if took := time.Since(began); took > poll.Limit {
				t.Errorf("%s: slept %s", test.name, took)
			} else if x := <-got; x.Exchange != test.want {
				t.Errorf("%s: got %+v, want %+v", test.name, x.Exchange, test.want)
			}
		}
	})
}

// An answer does not end a sleep.
func TestSleepWithAnAnswer(t *testing.T) {
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		c := start(t, service.URL)
		until := time.Now().Add(20 * time.Millisecond)
		c.sender.Send(openloop.Request{Due: time.Now()})
		c.sender.SleepUntil(t.Context(), until)
		if early := time.Until(until); early > 0 {
			t.Errorf("woke up %s early", early)
		}
	})
}

// Requests that are overdue do not keep answers from being read.
func TestAnswersWhileRequestsAreOverdue(t *testing.T) {
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()
	senders(t, func(t *testing.T, start starter) {
		c := start(t, service.URL)
		overdue := time.Now()
		c.sender.Send(openloop.Request{Due: overdue})
		poll.True(t, "an answer", func() bool {
			c.sender.SleepUntil(t.Context(), overdue)
			return len(c.ended) > 0
		})
	})
}

// New chooses the sender that serves the target.
func TestNewChooses(t *testing.T) {
	options := func(target string) Options {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		return Options{Target: u, Timeout: 1, MaxInFlight: 1}
	}
	decorated := options("http://h")
	decorated.Wrap = func(next http.RoundTripper) http.RoundTripper { return next }
	redirected := options("http://h")
	redirected.Redirects = 1
	http1, err := HTTP1(options("http://h"))
	if err != nil {
		t.Fatal(err)
	}
	netHTTP := openloop.Workers(nil, 1, nil)
	for _, test := range []struct {
		name    string
		options Options
		want    openloop.Sender
	}{
		{"http", options("http://h"), http1},
		{"https", options("https://h"), netHTTP},
		{"a decorated transport", decorated, netHTTP},
		{"redirects", redirected, netHTTP},
	} {
		got, err := New(test.options)
		if err != nil || reflect.TypeOf(got) != reflect.TypeOf(test.want) {
			t.Errorf("%s: %T (%v), want %T", test.name, got, err, test.want)
		}
	}
}

func TestInvalidOptions(t *testing.T) {
	target := func(s string) *url.URL {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	for _, test := range []struct {
		change func(*Options)
		want   string
	}{
		{func(o *Options) { o.Target = nil }, "target must be set"},
		{func(o *Options) { o.Target = target("ftp://h") }, `target must be http:// or https:// and a host, got "ftp://h"`},
		{func(o *Options) { o.Target = target("http:") }, `target must be http:// or https:// and a host, got "http:"`},
		{func(o *Options) { o.Target = target("ftp://me:secret@h") }, `target must be http:// or https:// and a host, got "ftp://me:xxxxx@h"`},
		{func(o *Options) { o.Target = target("http://h:0") }, `port must be between 1 and 65535, got "0"`},
		{func(o *Options) { o.Target = target("http://h:65536") }, `port must be between 1 and 65535, got "65536"`},
		{func(o *Options) { o.Address = "10.0.0.1" }, `address must be HOST:PORT or unix:PATH, got "10.0.0.1"`},
		{func(o *Options) { o.Address = "10.0.0.1:http" }, `port must be between 1 and 65535, got "http"`},
		{func(o *Options) { o.Address = "unix:" }, `path of a socket must have 1 to 107 bytes, got ""`},
		{func(o *Options) { o.Address = "unix:" + strings.Repeat("x", 108) }, `path of a socket must have 1 to 107 bytes, got "` + strings.Repeat("x", 108) + `"`},
		{func(o *Options) { o.Redirects = -1 }, "redirects must be at least 0, got -1"},
		{func(o *Options) { o.MaxInFlight = 0 }, "max-in-flight must be at least 1, got 0"},
		{func(o *Options) { o.Timeout = 0 }, "timeout must be greater than 0s, got 0s"},
		{func(o *Options) { o.Method = "GET IT" }, `net/http: invalid method "GET IT"`},
		{func(o *Options) { o.Header = http.Header{"B d": {"x"}, "Good": {"x"}, "A d": {"x"}} }, `"A d" is not a valid header name`},
		{func(o *Options) { o.Target = target("http://xn--\u00e4") }, "idna: invalid label \"\u00e4\""},
		{func(o *Options) { o.Header = http.Header{"content-length": {"3"}} }, "header Content-Length must be left out: it follows from the body"},
		{func(o *Options) { o.Header = http.Header{"Transfer-Encoding": {"chunked"}} }, "header Transfer-Encoding must be left out: it follows from the body"},
		{func(o *Options) { o.Header = http.Header{"Host": {"two words"}} }, "value of header Host is not a host such as shop.example or shop.example:8080"},
		{func(o *Options) { o.Header = http.Header{"host": {"xn--\u00e4"}} }, "value of header Host is not a host such as shop.example or shop.example:8080"},
		{func(o *Options) { o.Header = http.Header{"Host": {"a", "b"}} }, "header Host must have one value, got 2"},
		{func(o *Options) { o.Header = http.Header{"Host": {}} }, "header Host must have one value, got 0"},
		{func(o *Options) { o.Requests = map[string]Request{"b": {Path: "/"}, "a": {Path: "cart"}} }, `request a: path must start with a slash, got "cart"`},
		{func(o *Options) { o.Requests = map[string]Request{"a": {Path: "/%zz"}} }, `request a: parse "http://h/%zz": invalid URL escape "%zz"`},
		{func(o *Options) { o.Requests = map[string]Request{"a": {Path: "/", Header: http.Header{"B d": {"x"}}}} }, `request a: "B d" is not a valid header name`},
		{func(o *Options) { o.Header = http.Header{"Key": {"fine", "secret\n"}} }, "value of header Key has control characters: remove them"},
	} {
		o := Options{Target: target("http://h"), Timeout: 1, MaxInFlight: 1, Header: http.Header{"Key": {"fine"}}}
		for name, of := range map[string]func(Options) (openloop.Sender, error){"New": New, "HTTP1": HTTP1, "NetHTTP": NetHTTP} {
			if _, err := of(o); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		test.change(&o)
		for name, of := range map[string]func(Options) (openloop.Sender, error){"New": New, "HTTP1": HTTP1, "NetHTTP": NetHTTP} {
			if _, err := of(o); err == nil || err.Error() != "client: "+test.want {
				t.Errorf("%s: got %v, want client: %s", name, err, test.want)
			}
		}
	}
}

// The shortest timeout and one request in flight are enough.
func TestSmallestOptions(t *testing.T) {
	u := &url.URL{Scheme: "http", Host: "h"}
	if _, err := New(Options{Target: u, Timeout: 1, MaxInFlight: 1}); err != nil {
		t.Error(err)
	}
	if _, err := New(Options{Target: u, Timeout: 1, MaxInFlight: 1, Address: "unix:" + strings.Repeat("x", maxSocketPath)}); err != nil {
		t.Errorf("the longest path of a socket: %v", err)
	}
	for want, o := range map[string]Options{
		"client: timeout must be greater than 0s, got -1ns": {Target: u, Timeout: -1, MaxInFlight: 1},
		"client: max-in-flight must be at least 1, got -5":  {Target: u, Timeout: 1, MaxInFlight: -5},
	} {
		if _, err := New(o); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestHostPort(t *testing.T) {
	for _, test := range []struct {
		target, address, host string
		port                  int
	}{
		{"http://h", "", "h", 80},
		{"https://h", "", "h", 443},
		{"http://h:81/base", "", "h", 81},
		{"http://[::1]", "", "::1", 80},
		{"http://[fe80::1%25eth0]:81", "", "fe80::1%eth0", 81},
		{"http://:81", "", "localhost", 81},
		{"http://B\u00dcCHER.example", "", "xn--bcher-kva.example", 80},
		{"http://b\u00fccher.example", "", "xn--bcher-kva.example", 80},
		{"https://h", "10.0.0.1:8443", "10.0.0.1", 8443},
	} {
		u, err := url.Parse(test.target)
		if err != nil {
			t.Fatal(err)
		}
		if host, port, err := (Options{Target: u, Address: test.address}).hostPort(); host != test.host || port != test.port || err != nil {
			t.Errorf("%s %s: got %s, %d, %v; want %s, %d", test.target, test.address, host, port, err, test.host, test.port)
		}
	}
}

func TestTraceID(t *testing.T) {
	const id = "11111111111111112222222222222222"
	for header, want := range map[string]string{
		"00-" + id + "-3333333333333333-01":      id,
		"00-" + id + "-3333333333333333-01-more": id,
		"00-" + id + "-3333333333333333":         "",
		"00-" + id:                               "",
		"":                                       "",
		"00-" + id[1:] + "-3333333333333333-01":  "",
		"00-" + id + "1-3333333333333333-01":     "",
		"00-" + id[1:] + "x-3333333333333333-01": "",
		"00-\x1b[2J" + id[4:] + "-333-01":        "",
	} {
		if got := traceID(header); got != want {
			t.Errorf("%q: %q, want %q", header, got, want)
		}
	}
}

// The proxy of the environment is used, unless there is an address to connect to. The
// environment is read once per process,
// so this test runs processes of its own.
func TestProxy(t *testing.T) {
	if proxy := os.Getenv("TEST_PROXY"); proxy != "" {
		os.Setenv("HTTP_PROXY", proxy) // TestMain unset it
		sender, err := New(Options{Target: &url.URL{Scheme: "http", Host: "shop.invalid"}, Address: os.Getenv("TEST_ADDRESS"), Redirects: 1, Timeout: poll.Limit, MaxInFlight: 1})
		if err != nil {
			fmt.Println(err)
			return
		}
		statuses := make(chan int, 1)
		done := func(_ openloop.Request, _, _ time.Time, x openloop.Exchange) { statuses <- x.Status }
		if err := sender.Start([]openloop.Path{{Path: "/"}}, done); err != nil {
			t.Fatal(err)
		}
		sender.Send(openloop.Request{})
		sender.Finish(t.Context())
		fmt.Println(<-statuses)
		return
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host == "shop.invalid" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer proxy.Close()
	for cgi, want := range map[string]string{
		"":    "418\n",
		"GET": "client: refusing to use HTTP_PROXY value in CGI environment; see golang.org/s/cgihttpproxy\n",
	} {
		output, err := testProcess(t, "TestProxy", "TEST_PROXY="+proxy.URL, "REQUEST_METHOD="+cgi)
		if err != nil || !strings.HasPrefix(output, want) {
			t.Errorf("%s: got %v, %q, want %q", cgi, err, output, want)
		}
	}
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()
	output, err := testProcess(t, "TestProxy", "TEST_PROXY="+proxy.URL, "TEST_ADDRESS="+service.Listener.Addr().String())
	if want := "404\n"; err != nil || !strings.HasPrefix(output, want) {
		t.Errorf("with an address: got %v, %q, want %q", err, output, want)
	}
}
