//go:build unix && !linux

package mysqld

import (
	"os/exec"
	"syscall"
)

// isolate gives the process a group of its own: an interrupt at the terminal goes to
// the group of the program that started it, whose service still needs the database.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
