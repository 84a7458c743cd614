package client

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"apmapp/internal/testing/poll"
	"apmapp/loadgen/openloop"
)

// An answer ends when it arrives, by the kernel's timestamp, not when the sender
// wakes up and reads it.
func TestAnswerEndsWhenItArrives(t *testing.T) {
	written := make(chan time.Time, 1)
	c := start(t, HTTP1, answering(t, func(c *net.TCPConn) {
		for err := error(nil); err == nil; _, err = c.Read(make([]byte, 4096)) {
			says("HTTP/1.1 204 No Content\r\n\r\n")(c)
			written <- time.Now()
		}
	}).url)
	// The kernel begins with timestamps some time after the first socket asks for
	// them.
	poll.Until(t, func() error {
		c.sender.Send(openloop.Request{Due: time.Now()})
		arrived := <-written
		for time.Since(arrived) < time.Millisecond {
		}
		if x := c.wait(t); x.Status != 204 || x.end.Before(x.sent) || x.end.After(arrived) {
			return fmt.Errorf("written at %s, ended at %s: %+v", arrived, x.end, x.Exchange)
		}
		return nil
	})
}

// newHTTP1 is a started sender whose requests end in a channel.
func newHTTP1(t *testing.T, target string) (*http1, chan openloop.Exchange) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	sender, err := HTTP1(Options{Target: u, Timeout: poll.Limit, MaxInFlight: 4})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan openloop.Exchange, 100)
	err = sender.Start([]openloop.Path{{Path: "/", Weight: 1}}, func(_ openloop.Request, sent, end time.Time, x openloop.Exchange) {
		if end.Before(sent) {
			t.Errorf("sent at %s, ended at %s", sent, end)
		}
		ended <- x
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sender.Finish)
	return sender.(*http1), ended
}

// socketPair returns two connected sockets.
func socketPair(t *testing.T) (own, peer int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[1]) })
	return fds[0], fds[1]
}

// The wall clock, which the kernel's timestamps are of, is set forward while a
// request is in flight: its answer seems to have arrived before it was sent.
func TestWallClockChange(t *testing.T) {
	h, ended := newHTTP1(t, "http://127.0.0.1:1")
	own, _ := socketPair(t)
	c, err := h.adopt(own)
	if err != nil {
		t.Fatal(err)
	}
	x := &exchange{sent: time.Now()}
	h.queue.push(x)
	h.write(c, x)
	h.read(c, []byte("HTTP/1.1 204 No Content\r\n\r\n"), x.sent.Add(-time.Hour))
	if got := <-ended; got.Status != 204 {
		t.Errorf("%+v", got)
	}
}

// A connection that is established after its request timed out serves the next
// one.
func TestConnectionThatIsTooLate(t *testing.T) {
	h, ended := newHTTP1(t, "http://127.0.0.1:1")
	own, _ := socketPair(t)
	h.dialed = append(h.dialed, dialed{exchange: &exchange{over: true}, fd: own})
	h.takeDialed()
	if len(h.idle) != 1 || h.idle[0].fd != own || !h.idle[0].used || len(ended) != 0 {
		t.Errorf("%d idle connections, %d ends of requests; want 1, 0", len(h.idle), len(ended))
	}
}

// The target accepts no more connections: requests time out before they have one.
func TestNoConnectionInTime(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*unix.SockaddrInet4).Port}).String()
	for { // fill the queue of connections
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			break
		}
		defer c.Close()
	}
	began := time.Now()
	c := start(t, HTTP1, "http://"+addr, func(o *Options) { o.Timeout = 50 * time.Millisecond })
	if took := time.Since(began); took >= connectWait {
		t.Errorf("the start took %s, more than a request may take", took)
	}
	if x := c.do(t); x != (openloop.Exchange{Failure: Timeout}) {
		t.Errorf("%+v", x)
	}
}

// The sender connects before the first request, whose answer would otherwise be
// later by the time to connect.
func TestConnectsBeforeTheFirstRequest(t *testing.T) {
	service := answering(t, says("HTTP/1.1 204 No Content\r\n\r\n"))
	start(t, HTTP1, service.url)
	poll.True(t, "a connection", func() bool { return service.connections.Load() == 1 })
}

// A sender leaves no file descriptors open, whatever happened to its requests.
func TestFinishClosesEverything(t *testing.T) {
	openFiles := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close") }))
	service.Close() // its poller stays open: this is the first file that counts
	before := openFiles()
	for _, answer := range []func(*net.TCPConn){
		says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
		says("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
		closeOnNextRequest,
		func(c *net.TCPConn) { c.Read(make([]byte, 1)) },
	} {
		t.Run("", func(t *testing.T) {
			c := start(t, HTTP1, answering(t, answer).url, func(o *Options) { o.Timeout = 50 * time.Millisecond })
			c.do(t)
			c.do(t)
			c.finish()
		})
	}
	poll.True(t, "as many open files as before", func() bool { return openFiles() == before })
}

// Signals end a sleep, and are cleared by it.
func TestPoller(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if events := p.pending(); len(events) != 0 {
		t.Errorf("at first: %v", events)
	}
	p.signal()
	if events := p.await(time.Now().Add(poll.Limit)); len(events) != 1 || int(events[0].Fd) != p.wake {
		t.Errorf("after a signal: %v", events)
	}
	p.clearSignal()
	for range 2 {
		until := time.Now().Add(5 * time.Millisecond)
		if events := p.await(until); len(events) != 1 || int(events[0].Fd) != p.timer || time.Now().Before(until) {
			t.Errorf("%v, %s early", events, time.Until(until))
		}
	}
	// The expired timer must not end the next sleep.
	began := time.Now()
	p.signal()
	if events := p.await(began.Add(poll.Limit)); len(events) != 1 || int(events[0].Fd) != p.wake {
		t.Errorf("after the timer: %v", events)
	}
	p.clearSignal()

	own, peer := socketPair(t)
	defer unix.Close(own)
	if err := p.add(own, unix.EPOLLIN); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(peer, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if events := p.pending(); len(events) != 1 || int(events[0].Fd) != own || events[0].Events != unix.EPOLLIN {
		t.Errorf("data: %v", events)
	}
	if err := p.modify(own, unix.EPOLLOUT); err != nil {
		t.Fatal(err)
	}
	if events := p.pending(); len(events) != 1 || events[0].Events != unix.EPOLLOUT {
		t.Errorf("watched for writing only: %v", events)
	}
	if err := p.add(own, unix.EPOLLIN); err == nil || err.Error() != "epoll_ctl: file exists" {
		t.Errorf("added twice: %v", err)
	}
}

// A time before the clock's base must not become zero, which stops a timer.
func TestTimespecIsNeverZero(t *testing.T) {
	clock, err := newMonotonic()
	if err != nil {
		t.Fatal(err)
	}
	if at := clock.timespec(time.Now().Add(-1000 * time.Hour)); at.Nano() != 1 {
		t.Errorf("%d ns", at.Nano())
	}
	if at := clock.timespec(clock.base.Add(time.Second)); at.Nano() != clock.ns+1e9 {
		t.Errorf("%d ns, want %d", at.Nano(), clock.ns+1e9)
	}
}

func TestExchanges(t *testing.T) {
	for _, order := range []string{"abc", "acb", "bac", "bca", "cab", "cba"} {
		var q exchanges
		all := map[rune]*exchange{}
		for _, name := range "abc" {
			all[name] = &exchange{}
			q.push(all[name])
		}
		left := []rune("abc")
		for _, name := range order {
			q.remove(all[name])
			left = slices.DeleteFunc(left, func(r rune) bool { return r == name })
			var forward, backward []*exchange
			for x := q.first; x != nil; x = x.next {
				forward = append(forward, x)
			}
			for x := q.last; x != nil; x = x.prev {
				backward = append(backward, x)
			}
			slices.Reverse(backward)
			var want []*exchange
			for _, name := range left {
				want = append(want, all[name])
			}
			if !slices.Equal(forward, want) || !slices.Equal(backward, want) {
				t.Errorf("removed in the order %s: after %c %d forward, %d backward, want %d", order, name, len(forward), len(backward), len(want))
			}
		}
	}
}

func TestReceive(t *testing.T) {
	var in receiver
	in.init()
	own, peer := socketPair(t)
	defer unix.Close(own)
	if _, _, err := in.receive(own); err != unix.EAGAIN {
		t.Errorf("without data: %v, want EAGAIN", err)
	}
	if _, err := unix.Write(peer, []byte(strings.Repeat("x", 100))); err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	data, at, err := in.receive(own) // this socket has no timestamps
	if err != nil || len(data) != 100 || at.Before(before) || at.After(time.Now()) {
		t.Errorf("%d bytes at %s, %v", len(data), at, err)
	}
}
