package containers

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/poll"
)

// run starts a container as the deployments do: read-only, without capabilities, on
// this machine's loopback.
func (w *workshop) run(name, image string, options []string, args ...string) *container {
	w.t.Helper()
	all := []string{"run", "--rm", "--name", name, "--network", "host", "--log-driver", "none",
		"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		// podman's own defaults are above what this machine may allow.
		"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"}
	all = append(append(append(all, options...), image), args...)
	c := &container{w: w, name: name, cmd: w.command("podman", all...), exited: make(chan error, 1)}
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	if err := c.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { c.exited <- c.cmd.Wait() }()
	w.t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			_ = w.command("podman", "rm", "--force", "--time", "1", name).Run()
			<-c.exited
		}
		if w.t.Failed() {
			w.t.Logf("%s said:\n%s", name, &c.output)
		}
	})
	return c
}

// container is one that runs.
type container struct {
	w      *workshop
	name   string
	cmd    *exec.Cmd
	output lockedbuffer.Buffer
	exited chan error
}

// until waits until holds returns true. It fails the test if the container ends first.
func (c *container) until(what string, holds func() bool) {
	c.w.t.Helper()
	poll.True(c.w.t, c.name+": "+what, func() bool {
		if holds() {
			return true
		}
		select {
		case err := <-c.exited:
			c.exited <- err
			c.w.t.Fatalf("%s ended before its %s: %v\n%s", c.name, what, err, &c.output)
		default:
		}
		return false
	})
}

// wait returns the exit status.
func (c *container) wait() int {
	c.w.t.Helper()
	select {
	case <-c.exited:
		return c.cmd.ProcessState.ExitCode()
	case <-time.After(poll.Limit):
		c.w.t.Fatalf("%s has not ended within %s", c.name, poll.Limit)
		return -1
	}
}

// process is what the kernel says of the container's first process.
func (c *container) process(file string) string {
	c.w.t.Helper()
	return read(c.w.t, filepath.Join("/proc", c.w.do("podman", "inspect", "--format", "{{.State.Pid}}", c.name), file))
}

// readOnlyRoot reads proc_pid_mountinfo(5).
func readOnlyRoot(mountinfo string) bool {
	for scanner := bufio.NewScanner(strings.NewReader(mountinfo)); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		if len(fields) > 5 && fields[4] == "/" {
			return slices.Contains(strings.Split(fields[5], ","), "ro")
		}
	}
	return false
}
