package client

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// Windows has its own numbers for socket errors.
var (
	refused     = []syscall.Errno{windows.WSAECONNREFUSED}
	reset       = []syscall.Errno{windows.WSAECONNRESET, windows.WSAECONNABORTED}
	unreachable = []syscall.Errno{windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH}
	exhausted   = []syscall.Errno{windows.WSAEADDRINUSE, windows.WSAEADDRNOTAVAIL, windows.WSAEMFILE, windows.WSAENOBUFS}
)
