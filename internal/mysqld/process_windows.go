package mysqld

import (
	"os"
	"os/exec"
	"syscall"
)

// isolate gives the process a group of its own, which Ctrl-C does not reach: the
// service still needs the database.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// terminate kills the process: Windows has no signal for a program without a console.
func terminate(p *os.Process) { _ = p.Kill() }
