package client

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"apmapp/internal/testing/poll"
)

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

// The timer is set once for a time: to set it again costs a system call.
func TestTimerIsSetOnce(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	past := time.Now().Add(-time.Hour)
	p.armed = past // a timer that is set now expires at once
	p.signal()
	if events := p.await(past); len(events) != 1 || int(events[0].Fd) != p.wake {
		t.Errorf("set again: %v", events)
	}
	future := time.Now().Add(time.Hour)
	p.await(future)
	if p.armed != future {
		t.Errorf("set to %s, want %s", p.armed, future)
	}
}

// A signal to the thread, such as those of Go's scheduler, ends await without an
// event.
func TestAwaitIsInterrupted(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread, stop := unix.Gettid(), make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG)
			}
		}
	}()
	if events := p.await(time.Now().Add(poll.Limit)); len(events) != 0 {
		t.Errorf("%v", events)
	}
}

// A look for events does not wait for one.
func TestPendingDoesNotBlock(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	shortest := time.Hour
	for range 20 { // the machine may be busy during some of them
		began := time.Now()
		p.pending()
		shortest = min(shortest, time.Since(began))
	}
	if shortest > 500*time.Microsecond {
		t.Errorf("takes at least %s", shortest)
	}
}

// A wait without an event lasts until the given time, in whatever way it sleeps.
func TestAwaitLasts(t *testing.T) {
	p, err := newPoller()
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	for _, coarse := range []bool{false, true} {
		p.coarse = coarse
		for _, sleep := range []time.Duration{nap / 2, 2 * nap, nap / 2} { // the timer of the second one has expired
			poll.Until(t, func() error { // a signal may interrupt it
				until := time.Now().Add(sleep)
				events := p.await(until)
				left := time.Until(until)
				if left > 0 && len(events) > 0 {
					t.Fatalf("coarse %t: a wait of %s ended %s early with %v", coarse, sleep, left, events)
				}
				if left > 0 {
					return fmt.Errorf("coarse %t: a wait of %s ended %s early", coarse, sleep, left)
				}
				return nil
			})
		}
		if p.coarse != coarse {
			t.Error("this kernel has no epoll_pwait2")
		}
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

// A read without a timestamp must not shorten the control data of the next one.
func TestReceiveWithAndWithoutTimestamps(t *testing.T) {
	var in receiver
	in.init()
	// Unlike streams, datagrams between processes have timestamps.
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	for with := range 2 {
		if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, with); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.Write(fds[1], []byte("x")); err != nil {
			t.Fatal(err)
		}
		data, _, err := in.receive(fds[0])
		if err != nil || string(data) != "x" || (in.message.Controllen > 0) != (with == 1) {
			t.Errorf("timestamps %d: %q with %d bytes of control data, %v", with, data, in.message.Controllen, err)
		}
	}
}

// Data arrived as long before now as its timestamp is before the wall clock.
func TestArrival(t *testing.T) {
	const whole = unix.SizeofCmsghdr + int(unsafe.Sizeof(unix.Timespec{}))
	now := time.Now()
	for _, test := range []struct {
		name        string
		size        int // of the control data
		level, kind int32
		age, want   time.Duration
	}{
		{"stamped", whole, unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, time.Millisecond, time.Millisecond},
		{"stamped now", whole, unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, 0, 0},
		{"later than now: the wall clock was set back", whole, unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, -time.Hour, 0},
		{"no control data", 0, unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, time.Millisecond, 0},
		{"cut off", whole - 1, unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, time.Millisecond, 0},
		{"of another protocol", whole, unix.IPPROTO_IP, unix.SCM_TIMESTAMPNS, time.Millisecond, 0},
		{"another message", whole, unix.SOL_SOCKET, unix.SCM_RIGHTS, time.Millisecond, 0},
	} {
		var in receiver
		in.init()
		in.message.SetControllen(test.size)
		header := (*unix.Cmsghdr)(unsafe.Pointer(&in.control[0]))
		header.Level, header.Type = test.level, test.kind
		*(*unix.Timespec)(unsafe.Pointer(&in.control[unix.SizeofCmsghdr])) = unix.NsecToTimespec(now.Add(-test.age).UnixNano())
		if got := now.Sub(in.arrival(now)); got != test.want {
			t.Errorf("%s: arrived %s ago, want %s", test.name, got, test.want)
		}
	}
}
