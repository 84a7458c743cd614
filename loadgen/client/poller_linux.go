package client

import (
	"encoding/binary"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// poller waits for events of sockets, for a point in time and for a signal.
type poller struct {
	epoll, timer, wake int // file descriptors
	clock              monotonic
	armed              time.Time // what the timer is set to
	coarse             bool      // the kernel has no epoll_pwait2
	events             []unix.EpollEvent
}

func newPoller() (*poller, error) {
	p := &poller{epoll: -1, timer: -1, wake: -1, events: make([]unix.EpollEvent, 128)}
	if err := p.open(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *poller) open() (err error) {
	if p.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	// A timer instead of the timeout of epoll_wait, which counts milliseconds.
	if p.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK); err != nil {
		return os.NewSyscallError("timerfd_create", err)
	}
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	// An expired timer is one event, not one for each wait until it is set again.
	if err = p.add(p.timer, unix.EPOLLIN|unix.EPOLLET); err != nil {
		return err
	}
	if err = p.add(p.wake, unix.EPOLLIN); err != nil {
		return err
	}
	p.clock, err = newMonotonic()
	return err
}

func (p *poller) close() {
	for _, fd := range []int{p.epoll, p.timer, p.wake} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// add watches a file descriptor until it is closed.
func (p *poller) add(fd int, events uint32) error { return p.control(unix.EPOLL_CTL_ADD, fd, events) }

// modify changes the events that a file descriptor is watched for.
func (p *poller) modify(fd int, events uint32) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, events)
}

func (p *poller) control(op, fd int, events uint32) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}))
}

// signal makes await return. Any goroutine may call it.
func (p *poller) signal() {
	_, _ = unix.Write(p.wake, binary.NativeEndian.AppendUint64(nil, 1))
}

func (p *poller) clearSignal() {
	var count [8]byte
	_, _ = unix.Read(p.wake, count[:])
}

// pending returns the pending events without blocking.
func (p *poller) pending() []unix.EpollEvent {
	// A raw call, like all calls here that do not block: the scheduler need not
	// know of it.
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)), 0, 0, 0)
	if errno != 0 {
		return nil
	}
	return p.events[:n]
}

// nap is the longest sleep in a raw call, in which the thread keeps its place in
// Go's scheduler. It costs 8 µs of CPU less than a call that the scheduler knows of.
const nap = 2 * time.Millisecond

// await blocks until there is an event, or until the given time, and returns the
// events; the timer's expiry is one.
func (p *poller) await(until time.Time) []unix.EpollEvent {
	left := time.Until(until)
	if left <= 0 {
		return p.pending()
	}
	if left < nap && !p.coarse {
		timeout := unix.NsecToTimespec(left.Nanoseconds())
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.epoll), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)),
			uintptr(unsafe.Pointer(&timeout)), 0, 0)
		switch errno {
		case 0:
			return p.events[:n]
		case unix.EINTR: // by a signal
			return nil
		}
		p.coarse = true // before Linux 5.11
	}
	if until != p.armed {
		// An absolute time: a delay between here and the sleep does not move it.
		// Setting the timer also clears its last expiry.
		at := unix.ItimerSpec{Value: p.clock.timespec(until)}
		if err := unix.TimerfdSettime(p.timer, unix.TFD_TIMER_ABSTIME, &at, nil); err != nil {
			panic(fmt.Sprintf("timerfd_settime %+v: %v", at, err)) // a bug in this package
		}
		p.armed = until
	}
	n, err := unix.EpollWait(p.epoll, p.events, -1)
	if err != nil {
		return nil // interrupted by a signal
	}
	return p.events[:n]
}
