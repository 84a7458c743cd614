package containers

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/poll"
)

// container is a running container.
type container struct {
	w      *workshop
	name   string
	cmd    *exec.Cmd
	output lockedbuffer.Buffer
	exited chan struct{} // closed when the container has ended
	err    error         // how it ended
}

// run starts a container as the deployments do: read-only and without capabilities.
// It shares this machine's network, so that the tests reach it.
func (w *workshop) run(name, image string, options []string, args ...string) *container {
	w.t.Helper()
	all := []string{"run", "--rm", "--name", name, "--network", "host", "--log-driver", "none",
		"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		// podman's defaults may be higher than this machine allows.
		"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"}
	all = append(append(append(all, options...), image), args...)
	c := &container{w: w, name: name, cmd: w.command("podman", all...), exited: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	if err := c.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.exited)
	}()
	w.t.Cleanup(func() {
		select {
		case <-c.exited:
		default:
			_ = w.command("podman", "rm", "--force", "--time", "1", name).Run()
			<-c.exited
		}
		if w.t.Failed() {
			w.t.Logf("output of %s:\n%s", name, &c.output)
		}
	})
	return c
}

// until waits until holds returns true. It fails the test if the container ends first.
func (c *container) until(what string, holds func() bool) {
	c.w.t.Helper()
	poll.True(c.w.t, c.name+": "+what, func() bool {
		if holds() {
			return true
		}
		select {
		case <-c.exited:
			c.w.t.Fatalf("%s ended before its %s: %v", c.name, what, c.err)
		default:
		}
		return false
	})
}

// wait waits for the container's end and returns its exit status.
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

// stop sends SIGTERM to the container and returns its exit status.
func (c *container) stop() int {
	c.w.t.Helper()
	c.w.do("podman", "kill", "--signal", "TERM", c.name)
	return c.wait()
}

// process returns a file of /proc for the container's first process.
func (c *container) process(file string) string {
	c.w.t.Helper()
	return read(c.w.t, filepath.Join("/proc", c.w.do("podman", "inspect", "--format", "{{.State.Pid}}", c.name), file))
}

// readOnlyRoot reports whether mountinfo, as in proc_pid_mountinfo(5), has a read-only
// root.
func readOnlyRoot(mountinfo string) bool {
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) > 5 && fields[4] == "/" {
			return slices.Contains(strings.Split(fields[5], ","), "ro")
		}
	}
	return false
}
