package client

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// Windows numbers the errors of sockets its own way.
var (
	refused     = []syscall.Errno{windows.WSAECONNREFUSED}
	reset       = []syscall.Errno{windows.WSAECONNRESET, windows.WSAECONNABORTED}
	unreachable = []syscall.Errno{windows.WSAEHOSTUNREACH, windows.WSAENETUNREACH}
	exhausted   = []syscall.Errno{windows.WSAEADDRINUSE, windows.WSAEADDRNOTAVAIL, windows.WSAEMFILE, windows.WSAENOBUFS}
)
