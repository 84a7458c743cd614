//go:build unix

package report

import (
	"os"

	"golang.org/x/sys/unix"
)

func setWidth(f *os.File, columns uint16) error {
	return unix.IoctlSetWinsize(int(f.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
}
