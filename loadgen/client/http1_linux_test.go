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
	"sync"
	"testing"
	"time"
	"unsafe"

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

// startedHTTP1 is a sender that finish ends once.
type startedHTTP1 struct {
	*http1
	finish func()
}

// newHTTP1 starts a sender. The ends of its requests are sent to a channel.
func newHTTP1(t *testing.T, target string) (startedHTTP1, chan openloop.Exchange) {
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
	finish := sync.OnceFunc(sender.Finish)
	t.Cleanup(finish)
	return startedHTTP1{sender.(*http1), finish}, ended
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
	h.dialed = []dialed{{exchange: &exchange{over: true}, fd: own}, {exchange: &exchange{over: true}, fd: -1, err: unix.ECONNREFUSED}}
	h.takeDialed()
	if len(h.idle) != 1 || h.idle[0].fd != own || !h.idle[0].used || len(ended) != 0 {
		t.Errorf("%d idle connections, %d ends of requests; want 1, 0", len(h.idle), len(ended))
	}
}

// Finish closes connections that nobody waits for any more.
func TestFinishClosesLateConnections(t *testing.T) {
	h, _ := newHTTP1(t, "http://127.0.0.1:1")
	own, peer := socketPair(t)
	h.dialed = []dialed{{exchange: &exchange{over: true}, fd: own}}
	h.finish()
	if n, err := unix.Read(peer, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("read %d bytes, %v; want the end", n, err)
	}
}

// Idle connections that their peer closes, or on which it sends something, are
// not used again. The others are, the last one first.
func TestIdleConnections(t *testing.T) {
	h, _ := newHTTP1(t, "http://127.0.0.1:1")
	var conns []*conn
	var peers []int
	for range 4 {
		own, peer := socketPair(t)
		c, err := h.adopt(own)
		if err != nil {
			t.Fatal(err)
		}
		h.setIdle(c)
		conns, peers = append(conns, c), append(peers, peer)
	}
	unix.Shutdown(peers[0], unix.SHUT_RDWR)
	unix.Write(peers[2], []byte("HTTP/1.1 408 Request Timeout\r\n"))
	h.poll(time.Now(), false)
	if !slices.Equal(h.idle, []*conn{conns[1], conns[3]}) || len(h.conns) != 2 {
		t.Fatalf("%d idle of %d connections, want 2 of 2", len(h.idle), len(h.conns))
	}
	h.Send(openloop.Request{Due: time.Now()})
	if conns[3].exchange == nil || len(h.idle) != 1 || h.idle[0] != conns[1] {
		t.Error("the connection that was used last is not used first")
	}
	h.fail(conns[3], unix.ECONNRESET) // do not wait for an answer
	h.dials.Wait()
	h.takeDialed()
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
	c := start(t, HTTP1, "http://"+addr, func(o *Options) { o.Timeout = 50 * time.Millisecond })
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
	httptest.NewServer(http.NotFoundHandler()).Close() // opens files of Go's own, which stay open
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

// With fewer files than a sender needs, its start or its requests fail, and
// nothing stays open. The limit applies to a process, so this test runs its own.
func TestNoFilesLeft(t *testing.T) {
	if os.Getenv("TEST_FILES") == "" {
		if output, err := testProcess(t, "TestNoFilesLeft", "TEST_FILES=1"); err != nil {
			t.Error(output)
		}
		return
	}
	target := &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	lowest := func() int { // the lowest file descriptor that is free
		fd, err := unix.Dup(0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		return fd
	}
	time.AfterFunc(time.Hour, func() {}).Stop() // opens the files of Go's own poller
	for range 32 {                              // leave no gaps: the limit is on the highest one
		if _, err := unix.Dup(0); err != nil {
			t.Fatal(err)
		}
	}
	free := lowest()
	for more, want := range []string{"epoll_create1: too many open files", "timerfd_create: too many open files", "eventfd: too many open files", ""} {
		sender, err := HTTP1(Options{Target: target, Timeout: poll.Limit, MaxInFlight: 1})
		if err != nil {
			t.Fatal(err)
		}
		unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(free + more), Max: limit.Max})
		failures := make(chan string, 1)
		err = sender.Start([]openloop.Path{{Path: "/"}}, func(_ openloop.Request, _, _ time.Time, x openloop.Exchange) { failures <- x.Failure })
		if err == nil {
			sender.Send(openloop.Request{})
			sender.Finish()
		}
		unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("with %d files: got %q, want %q", more, got, want)
		}
		if err == nil {
			if failure := <-failures; failure != NoPorts {
				t.Errorf("with %d files: the request failed with %q, want %q", more, failure, NoPorts)
			}
		}
		if lowest() != free {
			t.Errorf("with %d files: some stay open", more)
		}
	}
}

// Signals end a sleep, and are cleared by it.
func TestPoller(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	await := func(until time.Time) []unix.EpollEvent {
		for {
			// Signals of Go's scheduler interrupt it.
			if events := p.await(until); len(events) > 0 || !time.Now().Before(until) {
				return events
			}
		}
	}
	if events := p.pending(); len(events) != 0 {
		t.Errorf("at first: %v", events)
	}
	p.signal()
	if events := await(time.Now().Add(poll.Limit)); len(events) != 1 || int(events[0].Fd) != p.wake {
		t.Errorf("after a signal: %v", events)
	}
	p.clearSignal()
	for range 2 {
		if events := await(time.Now().Add(5 * time.Millisecond)); len(events) != 1 || int(events[0].Fd) != p.timer {
			t.Errorf("after 5 ms: %v", events)
		}
	}
	// The expired timer must not end the next sleep.
	began := time.Now()
	p.signal()
	if events := await(began.Add(poll.Limit)); len(events) != 1 || int(events[0].Fd) != p.wake {
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

// The connection is reset while a large request is being sent.
func TestResetWithinTheRequest(t *testing.T) {
	service := answering(t, func(c *net.TCPConn) { c.SetLinger(0) })
	c := start(t, HTTP1, service.url, func(o *Options) { o.Method, o.Body = "POST", largeBody })
	if x := c.do(t); x != (openloop.Exchange{Failure: Reset}) {
		t.Errorf("%+v", x)
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
	// This socket has no timestamps. The one of the last answer must not be used.
	header := (*unix.Cmsghdr)(unsafe.Pointer(&in.control[0]))
	header.Level, header.Type = unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS
	data, at, err := in.receive(own)
	if err != nil || len(data) != 100 || at.Before(before) || at.After(time.Now()) {
		t.Errorf("%d bytes at %s, %v", len(data), at, err)
	}
}
