package client

import (
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// monotonic converts Go's times to the kernel's monotonic clock, which Go reads
// too but does not expose.
type monotonic struct {
	base time.Time
	ns   int64
}

func newMonotonic() (monotonic, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return monotonic{}, os.NewSyscallError("clock_gettime", err)
	}
	return monotonic{time.Now(), now.Nano()}, nil
}

// timespec never returns zero, which would stop a timer.
func (m monotonic) timespec(t time.Time) unix.Timespec {
	return unix.NsecToTimespec(max(1, m.ns+t.Sub(m.base).Nanoseconds()))
}

// receiver reads from sockets, and from the kernel when the data arrived.
type receiver struct {
	message unix.Msghdr
	vector  unix.Iovec
	buffer  [64 << 10]byte // large enough for a usual answer in one call
	control [64]byte       // a header and a timespec
}

func (r *receiver) init() {
	r.vector.Base = &r.buffer[0]
	r.vector.SetLen(len(r.buffer))
	r.message.Iov = &r.vector
	r.message.SetIovlen(1)
	r.message.Control = &r.control[0]
}

// receive does not block. The data is valid until the next call.
func (r *receiver) receive(fd int) (data []byte, at time.Time, err error) {
	r.message.SetControllen(len(r.control))
	n, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.message)), 0)
	if errno != 0 {
		return nil, time.Time{}, errno
	}
	return r.buffer[:n], r.arrival(time.Now()), nil
}

// arrival returns when the data arrived that was read at now. The kernel's
// timestamp is of the wall clock; only its distance from now is used.
func (r *receiver) arrival(now time.Time) time.Time {
	if int(r.message.Controllen) < unix.SizeofCmsghdr+int(unsafe.Sizeof(unix.Timespec{})) {
		return now
	}
	header := (*unix.Cmsghdr)(unsafe.Pointer(&r.control[0]))
	if header.Level != unix.SOL_SOCKET || header.Type != unix.SCM_TIMESTAMPNS {
		return now
	}
	stamp := (*unix.Timespec)(unsafe.Pointer(&r.control[unix.SizeofCmsghdr]))
	age := time.Duration(now.UnixNano() - stamp.Nano())
	return now.Add(-max(0, age))
}
