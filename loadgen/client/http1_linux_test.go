package client

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"slices"
	"sync"
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

// startedHTTP1 is a sender that finish ends once.
type startedHTTP1 struct {
	*http1
	finish func()
}

// newHTTP1 starts a sender. The ends of its requests are sent to a channel.
func newHTTP1(t *testing.T, target string, change ...func(*Options)) (startedHTTP1, chan openloop.Exchange) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Target: u, Timeout: poll.Limit, MaxInFlight: 4}
	for _, f := range change {
		f(&o)
	}
	sender, err := HTTP1(o)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan openloop.Exchange, 100)
	err = sender.Start([]openloop.Path{{Path: "/", Weight: 1}}, func(_ openloop.Request, sent, end time.Time, x openloop.Exchange) {
		if end.Before(sent) {
			t.Errorf("sent at %s, ended at %s", sent, end)
		}
		ended <- withoutDetail(t, x)
	})
	if err != nil {
		t.Fatal(err)
	}
	finish := sync.OnceFunc(func() { sender.Finish(context.Background()) })
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

// Requests that are sent at the same time are connected at the same time.
func TestManyConnections(t *testing.T) {
	const n = 50
	h, ended := newHTTP1(t, "http://127.0.0.1:1")
	for range n {
		h.Send(openloop.Request{Due: time.Now()})
	}
	h.finish()
	for range n {
		if x := <-ended; x != (openloop.Exchange{Failure: Refused}) {
			t.Errorf("%+v", x)
		}
	}
}

// pending is the context of a run that goes on. It counts who waits for its end.
type pending struct {
	context.Context
	done    chan struct{}
	waiting *int
}

func newPending() pending { return pending{context.Background(), make(chan struct{}), new(int)} }

func (c pending) Done() <-chan struct{} { return c.done }

// AfterFunc is what context.AfterFunc calls.
func (c pending) AfterFunc(func()) (stop func() bool) {
	*c.waiting++
	return func() bool { *c.waiting--; return true }
}

// A sender waits for the end of one context at a time, and after Finish of none:
// a signal would be written to a file descriptor that is closed.
func TestContextsAreLeft(t *testing.T) {
	h, _ := newHTTP1(t, "http://127.0.0.1:1")
	first, second := newPending(), newPending()
	for _, step := range []struct {
		name          string
		do            func()
		first, second int
	}{
		{"a sleep", func() { h.SleepUntil(first, time.Now()) }, 1, 0},
		{"a sleep with the same context", func() { h.SleepUntil(first, time.Now()) }, 1, 0},
		{"a sleep with another context", func() { h.SleepUntil(second, time.Now()) }, 0, 1},
		{"Finish", h.finish, 0, 0},
	} {
		step.do()
		if *first.waiting != step.first || *second.waiting != step.second {
			t.Errorf("after %s: %d wait for the first context, %d for the second; want %d, %d", step.name, *first.waiting, *second.waiting, step.first, step.second)
		}
	}
}

// Each request costs a sleep, which must not register with its context again.
func TestSleepWithTheSameContext(t *testing.T) {
	h, _ := newHTTP1(t, "http://127.0.0.1:1")
	if n := testing.AllocsPerRun(10, func() { h.watch(t.Context()) }); n != 0 {
		t.Errorf("%v allocations per sleep, want 0", n)
	}
}

// A context that ends signals once. The sender waits for this signal before it
// leaves the context.
func TestLeavingAContextThatEnds(t *testing.T) {
	h, _ := newHTTP1(t, "http://127.0.0.1:1")
	for range 20 {
		ctx, end := newContext(t)
		h.watch(ctx)
		end()
		h.watch(t.Context())
		if events := h.poller.pending(); !slices.ContainsFunc(events, func(e unix.EpollEvent) bool { return int(e.Fd) == h.poller.wake }) {
			t.Fatalf("no signal among the events %v", events)
		}
		h.poller.clearSignal()
	}
}

// While requests are overdue, answers are read every 100 µs, not after each
// request.
func TestAnswersWaitForOverdueRequests(t *testing.T) {
	h, ended := newHTTP1(t, "http://127.0.0.1:1")
	c, peer := h.connection(t)
	h.request(c)
	unix.Write(peer, []byte("HTTP/1.1 204 No Content\r\n\r\n"))
	overdue := time.Now()
	h.polled = overdue.Add(time.Hour) // less than 100 µs before any time of this test
	h.SleepUntil(t.Context(), overdue)
	if len(ended) != 0 {
		t.Error("read an answer at once")
	}
	before := time.Now()
	h.polled = before.Add(-100 * time.Microsecond)
	h.SleepUntil(t.Context(), overdue)
	if len(ended) != 1 || h.polled.Before(before) {
		t.Errorf("%d answers read, the last time at %s; want 1", len(ended), h.polled)
	}
	for range 100 { // the machine may be busy during some of them
		now := time.Now()
		h.polled = now
		if h.SleepUntil(t.Context(), overdue); h.polled == now {
			return
		}
	}
	t.Error("reads answers after each request")
}

// Every event ends a sleep, also a short one: an event that waited would be measured
// as time that the target took.
func TestEventsEndSleeps(t *testing.T) {
	for _, coarse := range []bool{false, true} {
		h, _ := newHTTP1(t, "http://127.0.0.1:1")
		h.poller.coarse = coarse
		for _, sleep := range []time.Duration{nap / 2, 2 * nap} {
			poll.Until(t, func() error { // the machine may be busy
				h.poller.signal()
				until := time.Now().Add(sleep)
				if h.poll(until, true); !time.Now().Before(until) {
					return fmt.Errorf("coarse %t: an event did not end a sleep of %s", coarse, sleep)
				}
				return nil
			})
		}
	}
}

// A sender that waits leaves the CPU to the target.
func TestWaitingTakesNoCPU(t *testing.T) {
	runtime.LockOSThread() // time is counted by thread
	defer runtime.UnlockOSThread()
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	silent := answering(t, func(c *net.TCPConn) { c.Read(make([]byte, 1)) })
	h, ended := newHTTP1(t, silent.url, func(o *Options) { o.Timeout = 100 * time.Millisecond })
	before := used()
	sent := time.Now()
	h.Send(openloop.Request{Due: sent})
	h.SleepUntil(t.Context(), sent.Add(50*time.Millisecond))
	h.finish()
	if took := used() - before; took > 25*time.Millisecond {
		t.Errorf("took %s of CPU time to wait for 100ms", took)
	}
	if x := <-ended; x.Failure != Timeout {
		t.Errorf("%+v", x)
	}
}

// A request times out at its deadline, not before. It ends once.
func TestDeadline(t *testing.T) {
	h, ended := newHTTP1(t, "http://127.0.0.1:1")
	c, _ := h.connection(t)
	x := h.request(c)
	h.expire(h.deadline(x).Add(-1))
	if len(ended) != 0 {
		t.Error("timed out too early")
	}
	h.expire(h.deadline(x))
	if len(ended) != 1 || (<-ended).Failure != Timeout {
		t.Error("did not time out at its deadline")
	}
	h.end(x, time.Now(), openloop.Exchange{Status: 200})
	if len(ended) != 0 {
		t.Error("ended twice")
	}
}

// Start refuses a path that is no part of a URL.
func TestStartWithAnInvalidPath(t *testing.T) {
	sender, err := HTTP1(Options{Target: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, Timeout: 1, MaxInFlight: 1})
	if err != nil {
		t.Fatal(err)
	}
	const want = `parse "http://127.0.0.1:1/%zz": invalid URL escape "%zz"`
	if err := sender.Start([]openloop.Path{{Path: "/"}, {Path: "/%zz"}}, nil); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// full returns the address of a target that accepts no more connections.
func full(t *testing.T) string {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
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
			return addr
		}
		t.Cleanup(func() { c.Close() })
	}
}

// The target accepts no more connections: requests time out before they have one.
func TestNoConnectionInTime(t *testing.T) {
	c := start(t, HTTP1, "http://"+full(t), func(o *Options) { o.Timeout = 50 * time.Millisecond })
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
	listener, err := net.Listen("tcp", "127.0.0.1:0") // its connections need no files until they are accepted
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	target := &url.URL{Scheme: "http", Host: listener.Addr().String()}
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
	for more, want := range []string{
		"epoll_create1: too many open files",
		"timerfd_create: too many open files",
		"eventfd: too many open files",
		"", // but no socket
	} {
		sender, err := HTTP1(Options{Target: target, Timeout: poll.Limit, MaxInFlight: 1})
		if err != nil {
			t.Fatal(err)
		}
		unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(free + more), Max: limit.Max})
		failures := make(chan string, 1)
		err = sender.Start([]openloop.Path{{Path: "/"}}, func(_ openloop.Request, _, _ time.Time, x openloop.Exchange) { failures <- x.Failure })
		if err == nil {
			sender.Send(openloop.Request{})
			sender.Finish(t.Context())
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

// The connection is reset while a large request is being sent.
func TestResetWithinTheRequest(t *testing.T) {
	service := answering(t, func(c *net.TCPConn) { c.SetLinger(0) })
	c := start(t, HTTP1, service.url, func(o *Options) { o.Method, o.Body = "POST", largeBody })
	if x := c.do(t); x != (openloop.Exchange{Failure: Reset}) {
		t.Errorf("%+v", x)
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
			if all[name].prev != nil || all[name].next != nil {
				t.Errorf("removed in the order %s: %c keeps others in memory", order, name)
			}
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
