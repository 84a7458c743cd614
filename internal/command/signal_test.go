//go:build unix

package command

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"syscall"
	"testing"
	"time"

	"apmapp/internal/testing/poll"
)

// TestMain runs the tests, or, if a test started this process for it, a program
// that drains until its standard input ends. With MainInSteps it also prints when
// to give up the drain.
func TestMain(m *testing.M) {
	program := func(ctx context.Context, p Process) int {
		if p.GiveUp != nil {
			context.AfterFunc(p.GiveUp, func() { fmt.Fprintln(p.Stdout, "giving up:", context.Cause(p.GiveUp)) })
		}
		fmt.Fprintln(p.Stdout, "running")
		<-ctx.Done()
		fmt.Fprintln(p.Stdout, "draining:", context.Cause(ctx))
		_, _ = io.Copy(io.Discard, p.Stdin)
		return Success
	}
	switch os.Getenv("COMMAND_TEST_PROGRAM") {
	case "":
		// The programs of the tests inherit whether SIGHUP is ignored, as it is if nohup
		// started the tests, but not that it is handled.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
		os.Exit(m.Run())
	case "MainInSteps":
		MainInSteps(program)
	case "MainForReader":
		MainForReader(func(ctx context.Context, p Process) int {
			for ctx.Err() == nil {
				fmt.Fprintln(p.Stdout, "running")
				time.Sleep(time.Millisecond)
			}
			fmt.Fprintln(p.Stderr, "files are removed")
			return Success
		})
	default:
		Main(program)
	}
}

// draining is a running program of TestMain.
type draining struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Reader
}

func startDraining(t *testing.T, main, name string, args ...string) *draining {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "COMMAND_TEST_PROGRAM="+main)
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
			p := startDraining(t, "Main", os.Args[0])
			for _, s := range signals {
				p.signal(s)
			}
			// Two threads may receive two signals at once, in any order.
			got, err := p.lines.ReadString('\n')
			if !slices.ContainsFunc(signals, func(s syscall.Signal) bool { return got == "draining: "+s.String()+" signal received\n" }) {
				t.Errorf("the program printed %q, %v, want one of %v", got, err, signals)
			}
			p.drained()
		})
	}
}

func TestASignalAfterASecondKills(t *testing.T) {
	t.Parallel()
	p := startDraining(t, "Main", os.Args[0])
	start := time.Now()
	p.signal(syscall.SIGTERM)
	p.await("draining: terminated signal received")
	p.killedBy(syscall.SIGTERM, start.Add(grace))
}

// The second signal gives up the drain, the third one kills. Signals that arrive
// within a second of these change nothing.
func TestSignalsInSteps(t *testing.T) {
	t.Parallel()
	p := startDraining(t, "MainInSteps", os.Args[0])
	began := time.Now()
	p.signal(syscall.SIGINT)
	p.signal(syscall.SIGINT)
	p.await("draining: interrupt signal received")
	lines := make(chan string, 1)
	go func() {
		line, _ := p.lines.ReadString('\n')
		lines <- line
	}()
	poll.True(t, "a second signal gives up the drain", func() bool {
		p.signal(syscall.SIGTERM)
		select {
		case line := <-lines:
			if line != "giving up: terminated signal received\n" {
				t.Errorf("the program printed %q", line)
			}
			return true
		default:
			return false
		}
	})
	if took := time.Since(began); took < grace {
		t.Errorf("gave up %s after the first signal, want at least %s", took, grace)
	}
	p.killedBy(syscall.SIGINT, began.Add(2*grace))
}

// killedBy sends signals until one kills the program. It fails the test if that is
// earlier than the given time.
func (p *draining) killedBy(s syscall.Signal, earliest time.Time) {
	p.t.Helper()
	ended := make(chan struct{})
	go func() { _ = p.cmd.Wait(); close(ended) }()
	poll.True(p.t, "another signal kills the program", func() bool {
		_ = p.cmd.Process.Signal(s)
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	if early := time.Until(earliest); early > 0 {
		p.t.Errorf("killed %s too early", early)
	}
	if ws := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != s {
		p.t.Errorf("ended by %v, want %v", p.cmd.ProcessState, s)
	}
}

// head reads one line and leaves.
func TestReaderThatLeaves(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/sh", "-c", `{ "$0"; echo "status $?" >&2; } | head -n 1`, os.Args[0])
	cmd.Env = append(os.Environ(), "COMMAND_TEST_PROGRAM=MainForReader")
	if got, err := cmd.CombinedOutput(); err != nil || string(got) != "running\nfiles are removed\nstatus 0\n" {
		t.Errorf("%v: %q", err, got)
	}
}

// A program that nohup starts outlives its terminal.
func TestIgnoredHangupStaysIgnored(t *testing.T) {
	t.Parallel()
	p := startDraining(t, "Main", "/bin/sh", "-c", `trap "" HUP; exec "$0"`, os.Args[0])
	p.signal(syscall.SIGHUP)
	p.signal(syscall.SIGTERM)
	p.await("draining: terminated signal received")
	p.drained()
}
