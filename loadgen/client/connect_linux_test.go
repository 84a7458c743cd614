package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"apmapp/internal/testing/poll"
	"apmapp/loadgen/openloop"
)

// refusing is an address that refuses connections.
var refusing = &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 1}

// text returns the content of an address, without what the kernel received.
func text(a unix.Sockaddr) string {
	switch a := a.(type) {
	case *unix.SockaddrInet4:
		return fmt.Sprint(a.Addr, a.Port)
	case *unix.SockaddrInet6:
		return fmt.Sprint(a.Addr, a.Port, a.ZoneId)
	}
	return fmt.Sprintf("%T", a)
}

// address returns the address of a test's service.
func address(t *testing.T, url string) unix.Sockaddr {
	t.Helper()
	a, err := netip.ParseAddrPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	return sockaddr(a.Addr(), int(a.Port()))
}

// A name may have addresses that nothing listens on.
func TestAddresses(t *testing.T) {
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()
	answers := address(t, service.URL)
	for _, test := range []struct {
		name      string
		addresses []unix.Sockaddr
		want      openloop.Exchange
	}{
		{"the first answers", []unix.Sockaddr{answers, refusing}, openloop.Exchange{Status: 404, Bytes: 19}},
		{"the last answers", []unix.Sockaddr{refusing, refusing, answers}, openloop.Exchange{Status: 404, Bytes: 19}},
		{"none answers", []unix.Sockaddr{refusing, refusing}, openloop.Exchange{Failure: Refused}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, ended := newHTTP1(t, "http://127.0.0.1:1")
			h.addresses = test.addresses
			h.Send(openloop.Request{Due: time.Now()})
			h.finish()
			if x := <-ended; x != test.want || len(ended) != 0 {
				t.Errorf("got %+v, want %+v", x, test.want)
			}
		})
	}
}

// The address that accepts the first connection of a run is the one that requests
// try first.
func TestAddressOfTheFirstConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	h, _ := newHTTP1(t, "http://localhost:"+port) // ::1 refuses, if there is one
	if len(h.idle) != 1 || len(h.addresses) == 0 || text(h.addresses[0]) != text(address(t, "http://"+listener.Addr().String())) {
		t.Errorf("%d idle connections, addresses %+v; want one, and %s first", len(h.idle), h.addresses, listener.Addr())
	}
	if h.idle[0].used {
		t.Error("the first connection counts as used: a request on it would be repeated")
	}
}

// An address that does not answer has its share of the time for the first connection, so
// there is time left for the next one.
func TestFirstConnectionTriesEachAddress(t *testing.T) {
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()
	answers := address(t, service.URL)
	h, _ := newHTTP1(t, "http://localhost:1")
	poll.True(t, "the first lookup", func() bool { h.poll(time.Now(), false); return !h.looking })
	h.looking = true // by this test
	h.found <- found{addresses: []unix.Sockaddr{address(t, "http://"+full(t)), answers}}
	h.poller.signal()
	h.connectOnce()
	if len(h.idle) != 1 || text(h.addresses[0]) != text(answers) {
		t.Errorf("%d idle connections, addresses %+v; want one, to %s", len(h.idle), h.addresses, text(answers))
	}
}

// A name that was not found at the start is looked up again, and requests wait for
// that. A lookup that fails ends them, but does not forget known addresses.
func TestLookups(t *testing.T) {
	service := httptest.NewServer(http.NotFoundHandler())
	defer service.Close()
	h, ended := newHTTP1(t, "http://127.0.0.1:1")
	h.addresses, h.looking = nil, true // by this test
	take := func(f found) {
		h.looking = true
		h.found <- f
		h.poller.signal()
		poll.True(t, "the outcome of a lookup", func() bool { h.poll(time.Now(), false); return !h.looking })
	}
	h.Send(openloop.Request{Due: time.Now()})
	h.Send(openloop.Request{Due: time.Now()})
	h.abort(h.queue.first, time.Now(), os.ErrDeadlineExceeded)
	if x := <-ended; x.Failure != Timeout {
		t.Errorf("%+v", x)
	}
	failed := &net.DNSError{Err: "no such host", Name: "shop.example", IsNotFound: true}
	take(found{err: failed})
	if x := <-ended; x.Failure != DNS || len(ended) != 0 {
		t.Errorf("%+v", x)
	}
	h.looking = true
	h.Send(openloop.Request{Due: time.Now()})
	take(found{addresses: []unix.Sockaddr{address(t, service.URL)}})
	take(found{err: failed})
	h.finish()
	if x := <-ended; x.Status != 404 {
		t.Errorf("%+v", x)
	}
}

// A target that refuses connections may have moved: its name is looked up again,
// at most once per second. An address is not.
func TestLooksUpAgain(t *testing.T) {
	for _, test := range []struct {
		host string
		ago  time.Duration
		want bool
	}{{"localhost", lookupPause, true}, {"localhost", lookupPause / 2, false}, {"127.0.0.1", lookupPause, false}} {
		h, ended := newHTTP1(t, "http://"+test.host+":1")
		poll.True(t, "the first lookup", func() bool { h.poll(time.Now(), false); return !h.looking })
		h.lookedUp = time.Now().Add(-test.ago)
		h.addresses = []unix.Sockaddr{refusing}
		h.Send(openloop.Request{Due: time.Now()})
		poll.True(t, "the end of a request", func() bool { h.poll(time.Now(), false); return len(ended) == 1 })
		if looked := h.looking || time.Since(h.lookedUp) < test.ago; looked != test.want {
			t.Errorf("%s, looked up %s ago: looked up again %t, want %t", test.host, test.ago, looked, test.want)
		}
	}
}

// Finish ends a lookup whose outcome nobody needs, and returns after it: it signals a
// file descriptor that Finish closes.
func TestFinishEndsALookup(t *testing.T) {
	h, _ := newHTTP1(t, "http://127.0.0.1:1")
	h.looking = true
	var ended atomic.Bool
	h.lookups.Go(func() {
		<-h.lookupCtx.Done()
		for range 100 {
			runtime.Gosched()
		}
		ended.Store(true)
	})
	h.finish()
	if !ended.Load() {
		t.Error("Finish returned before the lookup ended")
	}
}

// Finish can be told to give up, whatever the requests wait for.
func TestFinishGivesUpInEachState(t *testing.T) {
	ctx, end := context.WithCancel(t.Context())
	end()
	h, ended := newHTTP1(t, "http://127.0.0.1:1")
	c, _ := h.connection(t)
	h.request(c) // waits for an answer
	h.addresses = []unix.Sockaddr{address(t, "http://"+full(t))}
	h.Send(openloop.Request{Due: time.Now()}) // for a connection
	h.addresses, h.looking = nil, true
	h.Send(openloop.Request{Due: time.Now()}) // for an address
	h.Finish(ctx)
	for range 3 {
		if x := <-ended; x != (openloop.Exchange{Failure: Canceled}) {
			t.Errorf("%+v", x)
		}
	}
	if len(h.conns) != 0 {
		t.Errorf("%d connections left", len(h.conns))
	}
}

// A connection that is not established in time is closed, and no other address is tried.
func TestConnectionThatIsTooLate(t *testing.T) {
	h, ended := newHTTP1(t, "http://"+full(t))
	h.addresses = append(h.addresses, refusing)
	h.Send(openloop.Request{Due: time.Now()})
	if len(h.conns) != 1 || len(h.idle) != 0 {
		t.Fatalf("%d connections, %d idle; want one that is being opened", len(h.conns), len(h.idle))
	}
	h.expire(h.deadline(h.queue.first))
	if x := <-ended; x.Failure != Timeout || len(h.conns) != 0 {
		t.Errorf("%+v, %d connections left", x, len(h.conns))
	}
}

// Both senders connect where the options say, and send the target's host.
func TestAddress(t *testing.T) {
	hosts := make(chan string, 1)
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { hosts <- r.Host })
	socket := filepath.Join(t.TempDir(), "http.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	local.Start()
	defer local.Close()
	service := httptest.NewServer(handler)
	defer service.Close()
	for _, address := range []string{"unix:" + socket, strings.TrimPrefix(service.URL, "http://")} {
		senders(t, func(t *testing.T, start starter) {
			c := start(t, "http://shop.example", func(o *Options) { o.Address = address })
			for range 2 {
				if x := c.do(t); x.Status != 200 {
					t.Errorf("%s: %+v", address, x)
				} else if host := <-hosts; host != "shop.example" {
					t.Errorf("%s: host %s", address, host)
				}
			}
		})
	}
	senders(t, func(t *testing.T, start starter) {
		for path, want := range map[string]string{socket + ".none": Refused, filepath.Dir(socket): Refused} {
			if x := start(t, "http://h", func(o *Options) { o.Address = "unix:" + path }).do(t); x.Failure != want {
				t.Errorf("%s: %+v, want %s", path, x, want)
			}
		}
	})
}

func TestSockaddr(t *testing.T) {
	loopback, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	v6 := [16]byte{0: 0xfe, 1: 0x80, 15: 1}
	for ip, want := range map[string]unix.Sockaddr{
		"127.0.0.1":        refusing,
		"::ffff:127.0.0.1": refusing,
		"fe80::1":          &unix.SockaddrInet6{Addr: v6, Port: 1},
		"fe80::1%7":        &unix.SockaddrInet6{Addr: v6, Port: 1, ZoneId: 7},
		"fe80::1%lo":       &unix.SockaddrInet6{Addr: v6, Port: 1, ZoneId: uint32(loopback.Index)},
		"fe80::1%none":     &unix.SockaddrInet6{Addr: v6, Port: 1},
	} {
		if got := sockaddr(netip.MustParseAddr(ip), 1); text(got) != text(want) {
			t.Errorf("%s: got %s, want %s", ip, text(got), text(want))
		}
	}
}
