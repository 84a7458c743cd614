//go:build unix

package command

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"apmapp/internal/testing/poll"
)

// TestMain runs the tests, or, if a test started this process for it, a program
// that drains until its standard input ends.
func TestMain(m *testing.M) {
	if os.Getenv("COMMAND_TEST_PROGRAM") == "" {
		os.Exit(m.Run())
	}
	Main(func(ctx context.Context, p Process) int {
		fmt.Fprintln(p.Stdout, "running")
		<-ctx.Done()
		fmt.Fprintln(p.Stdout, "draining:", context.Cause(ctx))
		_, _ = io.Copy(io.Discard, p.Stdin)
		return Success
	})
}

// draining is a running program of TestMain.
type draining struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Reader
}

func startDraining(t *testing.T, name string, args ...string) *draining {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "COMMAND_TEST_PROGRAM=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p := &draining{t, cmd, stdin, bufio.NewReader(stdout)}
	p.await("running")
	return p
}

func (p *draining) await(want string) {
	p.t.Helper()
	if got, err := p.lines.ReadString('\n'); err != nil || got != want+"\n" {
		p.t.Fatalf("the program printed %q, %v, want %s", got, err, want)
	}
}

func (p *draining) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// drained ends the drain and fails the test unless the program exits with 0.
func (p *draining) drained() {
	p.t.Helper()
	p.stdin.Close()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the program ended by %v, want exit status 0", err)
	}
}

func TestSignalsDrain(t *testing.T) {
	for _, signals := range [][]syscall.Signal{
		{syscall.SIGINT},
		{syscall.SIGTERM},
		{syscall.SIGHUP},
		{syscall.SIGTERM, syscall.SIGTERM}, // GNU timeout: the process, then its group
		{syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT},
	} {
		t.Run(fmt.Sprint(signals), func(t *testing.T) {
			t.Parallel()
			p := startDraining(t, os.Args[0])
			for _, s := range signals {
				p.signal(s)
			}
			p.await("draining: " + signals[0].String() + " signal received")
			p.drained()
		})
	}
}

func TestASignalAfterASecondKills(t *testing.T) {
	t.Parallel()
	p := startDraining(t, os.Args[0])
	start := time.Now()
	p.signal(syscall.SIGTERM)
	p.await("draining: terminated signal received")
	ended := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(ended) }()
	poll.True(t, "a second signal kills the program", func() bool {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	if took := time.Since(start); took < grace {
		t.Errorf("killed %s after the first signal, want at least %s", took, grace)
	}
	if ws := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v, want SIGTERM", p.cmd.ProcessState)
	}
}

// A program that nohup starts outlives its terminal.
func TestIgnoredHangupStaysIgnored(t *testing.T) {
	t.Parallel()
	p := startDraining(t, "/bin/sh", "-c", `trap "" HUP; exec "$0"`, os.Args[0])
	p.signal(syscall.SIGHUP)
	p.signal(syscall.SIGTERM)
	p.await("draining: terminated signal received")
	p.drained()
}
