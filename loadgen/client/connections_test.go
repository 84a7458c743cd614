package client

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"apmapp/loadgen/openloop"
)

// Each of four requests at once needs a connection; the next four use the same.
func TestConnectionsAreKept(t *testing.T) {
	senders(t, func(t *testing.T, start starter) {
		var peers sync.Map
		// Each round has a barrier of its own: a handler may leave Wait only after the
		// next round has begun.
		var barrier atomic.Pointer[sync.WaitGroup]
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			peers.Store(r.RemoteAddr, true)
			together := barrier.Load()
			together.Done()
			together.Wait()
		}))
		defer service.Close()
		c := start(t, service.URL)
		for range 3 {
			together := new(sync.WaitGroup)
			together.Add(4)
			barrier.Store(together)
			for range 4 {
				c.sender.Send(openloop.Request{Due: time.Now()})
			}
			for range 4 {
				if x := c.wait(t); x.Status != 200 {
					t.Fatalf("%+v", x)
				}
			}
		}
		c.finish()
		n := 0
		peers.Range(func(_, _ any) bool { n++; return true })
		if n != 4 {
			t.Errorf("12 requests, four at once, took %d connections, want 4", n)
		}
	})
}

// Without keep-alive each request has a connection of its own. The service is asked to
// end it, and the sender ends it if the service does not.
func TestNoKeepAlive(t *testing.T) {
	senders(t, func(t *testing.T, start starter) {
		asked, ended := make(chan string, 1), make(chan error, 1)
		service := answering(t, func(c *net.TCPConn) {
			says("HTTP/1.1 204 No Content\r\n\r\n")(c)
			_, err := c.Read(make([]byte, 1))
			ended <- err
		})
		echo := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header.Get("Connection") }))
		defer echo.Close()
		start(t, echo.URL, func(o *Options) { o.NoKeepAlive = true }).do(t)
		if got := <-asked; got != "close" {
			t.Errorf("asked for %q, want close", got)
		}
		c := start(t, service.url, func(o *Options) { o.NoKeepAlive = true })
		before := service.connections.Load()
		for range 2 {
			if x := c.do(t); x.Status != 204 {
				t.Errorf("%+v", x)
			}
			if err := <-ended; err != io.EOF {
				t.Errorf("read: %v, want the end", err)
			}
		}
		if n := service.connections.Load() - before; n > 2 {
			t.Errorf("%d connections for two requests", n)
		}
	})
}

// The service ends connections as announced, later, or without notice.
func TestConnectionsThatEnd(t *testing.T) {
	senders(t, func(t *testing.T, start starter) {
		for _, test := range []struct {
			name, method string
			answer       func(*net.TCPConn)
			want         openloop.Exchange
		}{
			// Here the client knows: also requests that are not repeated succeed.
			{"announced", "POST", says("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"), openloop.Exchange{Status: 200, Bytes: 2}},
			{"as the end of the answer", "POST", says("HTTP/1.1 200 OK\r\n\r\nok"), openloop.Exchange{Status: 200, Bytes: 2}},
			{"HTTP/1.0", "POST", says("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"), openloop.Exchange{Status: 200, Bytes: 2}},
			// Here it finds out with the next request, and repeats that.
			{"without notice", "GET", says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), openloop.Exchange{Status: 200, Bytes: 2}},
			{"after part of another answer", "GET", says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n"), openloop.Exchange{Status: 200, Bytes: 2}},
			{"on the next request", "GET", closeOnNextRequest, openloop.Exchange{Status: 204}},
		} {
			t.Run(test.name, func(t *testing.T) {
				service := answering(t, test.answer)
				c := start(t, service.url, func(o *Options) { o.Method = test.method })
				for range 5 {
					if x := c.do(t); x != test.want {
						t.Fatalf("got %+v, want %+v", x, test.want)
					}
				}
				c.finish()
				if n := service.connections.Load(); n < 5 {
					t.Errorf("%d connections, want one for each request", n)
				}
			})
		}
	})
}

// closeOnNextRequest answers, and closes the connection when the next request
// arrives.
func closeOnNextRequest(c *net.TCPConn) {
	says("HTTP/1.1 204 No Content\r\n\r\n")(c)
	c.Read(make([]byte, 4096))
}

// resetOnNextRequest does the same, with a reset.
func resetOnNextRequest(c *net.TCPConn) {
	closeOnNextRequest(c)
	c.SetLinger(0)
}

// A request without effects is sent again if its connection ended before it.
func TestRepeated(t *testing.T) {
	senders(t, func(t *testing.T, start starter) {
		methods := []string{"GET", "HEAD", "OPTIONS", "TRACE"}
		if strings.HasSuffix(t.Name(), "/HTTP1") && runtime.GOOS == "linux" {
			methods = append(methods, "PUT", "DELETE") // net/http does not repeat them
		}
		for _, method := range methods {
			for name, answer := range map[string]func(*net.TCPConn){"closed": closeOnNextRequest, "reset": resetOnNextRequest} {
				c := start(t, answering(t, answer).url, func(o *Options) { o.Method = method })
				for range 2 {
					if x := c.do(t); x != (openloop.Exchange{Status: 204}) {
						t.Errorf("%s, %s: %+v", method, name, x)
					}
				}
			}
		}
	})
}

// A request that may have effects is not sent twice.
func TestNotRepeated(t *testing.T) {
	senders(t, func(t *testing.T, start starter) {
		for _, test := range []struct {
			name, method string
			answer       func(*net.TCPConn)
			failure      string
		}{
			{"closed", "POST", closeOnNextRequest, Closed},
			{"reset", "POST", resetOnNextRequest, Reset},
			{"closed", "PATCH", closeOnNextRequest, Closed},
			{"closed within the answer", "GET", func(c *net.TCPConn) {
				closeOnNextRequest(c)
				says("HTTP/1.1 200 OK\r\n")(c)
			}, Closed},
		} {
			service := answering(t, test.answer)
			c := start(t, service.url, func(o *Options) { o.Method = test.method })
			if x := c.do(t); x.Status != 204 {
				t.Fatalf("%+v", x)
			}
			if x := c.do(t); x.Failure != test.failure {
				t.Errorf("%s %s: %+v", test.method, test.name, x)
			}
			if n := service.connections.Load(); n != 1 {
				t.Errorf("%s %s: %d connections, want 1", test.method, test.name, n)
			}
		}
	})
}

// An answer that arrives before its request is sent ends the exchange, but the
// rest of the request must not be taken for the next one.
func TestEarlyAnswer(t *testing.T) {
	senders(t, func(t *testing.T, start starter) {
		ended := make(chan struct{})
		service := answering(t, func(c *net.TCPConn) {
			says("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")(c)
			<-ended // and reads no more
		})
		t.Cleanup(func() { close(ended) })
		c := start(t, service.url, func(o *Options) { o.Method, o.Body = "POST", largeBody })
		for range 2 {
			if x := c.do(t); x.Status != 413 || x.Failure != "" {
				t.Errorf("%+v", x)
			}
		}
		c.finish()
		if n := service.connections.Load(); n != 2 {
			t.Errorf("%d connections, want one for each request", n)
		}
	})
}

// A caller that gives up the waiting ends the requests in flight.
func TestFinishGivesUp(t *testing.T) {
	senders(t, func(t *testing.T, start starter) {
		asked := make(chan struct{}, 2)
		silent := answering(t, func(c *net.TCPConn) {
			asked <- struct{}{}
			c.Read(make([]byte, 1))
		})
		c := start(t, silent.url)
		ctx, giveUp := context.WithCancel(t.Context())
		go func() {
			<-asked
			<-asked
			giveUp()
		}()
		for range 2 {
			c.sender.Send(openloop.Request{Due: time.Now()})
		}
		c.giveUp(ctx)
		for range 2 {
			select {
			case x := <-c.ended:
				if x.Failure != Canceled || x.end.Before(x.sent) {
					t.Errorf("%+v", x)
				}
			default:
				t.Fatal("Finish returned before the requests ended")
			}
		}
	})
}

// Finish waits for the answers that are under way.
func TestFinishWaitsForAnswers(t *testing.T) {
	senders(t, func(t *testing.T, start starter) {
		finish := make(chan struct{})
		late := answering(t, func(c *net.TCPConn) {
			<-finish
			says("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")(c)
		})
		c := start(t, late.url)
		c.sender.Send(openloop.Request{Due: time.Now()})
		close(finish)
		c.finish()
		select {
		case x := <-c.ended:
			if x.Status != 200 {
				t.Errorf("%+v", x)
			}
		default:
			t.Error("Finish returned before the request ended")
		}
	})
}
