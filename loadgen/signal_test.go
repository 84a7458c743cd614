//go:build unix

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/poll"
	"apmapp/loadgen/report"
)

// TestMain runs the tests, or loadgen if a test started this process for it.
func TestMain(m *testing.M) {
	if os.Getenv("LOADGEN_TEST_PROGRAM") != "" {
		main()
	}
	// The programs of the tests inherit whether SIGHUP is ignored, as it is if nohup
	// started the tests, but not that it is handled.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	// The proxy of this machine must not be used in these tests.
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
		os.Unsetenv(name)
	}
	os.Exit(m.Run())
}

// process is a running loadgen.
type process struct {
	*exec.Cmd
	t              *testing.T
	stdout, stderr lockedbuffer.Buffer
	ended          chan struct{}
}

// startProcess starts loadgen. prepare may change the process before.
func startProcess(t *testing.T, prepare func(*exec.Cmd), args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...), t: t, ended: make(chan struct{})}
	p.Env = append(os.Environ(), "LOADGEN_TEST_PROGRAM=1")
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	if prepare != nil {
		prepare(p.Cmd)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.Wait(); close(p.ended) }()
	t.Cleanup(func() { _ = p.Process.Kill(); <-p.ended })
	return p
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// insist sends a signal until holds returns true: within a second after a signal,
// another one has no effect.
func (p *process) insist(s syscall.Signal, what string, holds func() bool) {
	p.t.Helper()
	poll.True(p.t, what, func() bool {
		if holds() {
			return true
		}
		_ = p.Process.Signal(s)
		return false
	})
}

// exits waits for the end of the process and fails the test unless its exit status
// is as wanted.
func (p *process) exits(want int) {
	p.t.Helper()
	poll.True(p.t, "the end of the process", p.hasEnded)
	if got := p.ProcessState.ExitCode(); got != want {
		p.t.Errorf("%v, want exit status %d: %s", p.ProcessState, want, p.stderr.String())
	}
}

// silent answers the first request. Others wait until their callers leave.
func silent(t *testing.T) (url string, waiting, left *atomic.Int64) {
	var first atomic.Bool
	waiting, left = new(atomic.Int64), new(atomic.Int64)
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if first.CompareAndSwap(false, true) {
			return
		}
		waiting.Add(1)
		<-r.Context().Done()
		left.Add(1)
	}))
	t.Cleanup(service.Close)
	return service.URL, waiting, left
}

// The second signal ends the wait for answers. Both tell what happens, and the
// report is complete.
func TestSecondInterruptStopsWaiting(t *testing.T) {
	t.Parallel()
	for _, trace := range []string{"-trace=false", "-trace"} { // each has its own client
		t.Run(trace, func(t *testing.T) {
			t.Parallel()
			url, waiting, left := silent(t)
			dir := t.TempDir()
			p := startProcess(t, func(c *exec.Cmd) {
				c.Env = append(c.Env, "DD_TRACE_AGENT_URL=http://127.0.0.1:1", "DD_INSTRUMENTATION_TELEMETRY_ENABLED=false", "DD_TRACE_STARTUP_LOGS=false")
			}, "-url", url, "-rps", "50", "-timeout", "1m", "-o", filepath.Join(dir, "run.json"), trace)
			poll.True(t, "requests in flight", func() bool { return waiting.Load() >= 3 })
			p.signal(syscall.SIGINT)
			line := regexp.MustCompile(`(?m)^loadgen: waiting up to 1m0s for \d+ requests in flight; interrupt again, after a second, to stop waiting, and once more to end without a report$`)
			poll.True(t, "a line about the requests in flight", func() bool { return line.MatchString(p.stderr.String()) })
			p.insist(syscall.SIGINT, "the end of the requests in flight", func() bool { return left.Load() > 0 })
			p.exits(0)
			if names(t, dir) != "run.json" {
				t.Errorf("files: %s", names(t, dir))
			}
			f, err := os.Open(filepath.Join(dir, "run.json"))
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r, err := report.ReadJSON(f)
			if err != nil || r.Total.Statuses[200] != 1 || r.Total.Failures["canceled"] != r.Total.Arrivals-1 || r.Total.Failures["canceled"] < 3 {
				t.Errorf("%+v, %v; want all but one canceled", r, err)
			}
			if want := fmt.Sprintf("%d canceled", r.Total.Arrivals-1); !strings.Contains(p.stdout.String(), want) {
				t.Errorf("no %q in\n%s", want, p.stdout.String())
			}
		})
	}
}

// A FIFO without a reader is the only thing left to wait for. The third signal
// ends that, and all other outputs are complete.
func TestThirdInterruptKills(t *testing.T) {
	t.Parallel()
	url, waiting, left := silent(t)
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, nil, "-url", url, "-rps", "50", "-hgrm", filepath.Join(dir, "fifo"), "-o", filepath.Join(dir, "run.json"))
	poll.True(t, "requests in flight", func() bool { return waiting.Load() > 0 })
	p.insist(syscall.SIGTERM, "the end of the requests in flight", func() bool { return left.Load() > 0 })
	poll.True(t, "the wait for a reader", func() bool {
		return strings.Contains(p.stderr.String(), "loadgen: waiting for a reader of "+filepath.Join(dir, "fifo")+"\n")
	})
	if report := p.stdout.String(); !strings.Contains(report, "\nslowest\n") {
		t.Errorf("standard output has\n%s", report)
	}
	p.insist(syscall.SIGTERM, "the end of the process", p.hasEnded)
	if status := p.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("ended by %v, want SIGTERM", p.ProcessState)
	}
	isReport(t, filepath.Join(dir, "run.json"))
	if names(t, dir) != "fifo run.json" {
		t.Errorf("files: %s", names(t, dir))
	}
}

// A run that is killed leaves the earlier report, and nothing else.
func TestKilledRunLeavesNoFiles(t *testing.T) {
	t.Parallel()
	url, waiting, _ := silent(t)
	dir := t.TempDir()
	p := startProcess(t, nil, "-url", url, "-rps", "50", "-hgrm", filepath.Join(dir, "new"), "-o", write(t, dir, "run.json"))
	poll.True(t, "requests in flight", func() bool { return waiting.Load() > 0 })
	p.signal(syscall.SIGKILL)
	p.exits(-1)
	if content, err := os.ReadFile(filepath.Join(dir, "run.json")); string(content) != earlier || err != nil || names(t, dir) != "run.json" {
		t.Errorf("files: %s; the earlier report is %q, %v", names(t, dir), content, err)
	}
}

// Readers of standard output and standard error that leave early, and a terminal
// that closes, cost no file.
func TestFilesWithoutReadersOfTheStreams(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"the run ends":    {"-rps", "20", "-duration", "200ms"},
		"SIGHUP":          {"-rps", "20"},
		"standard output": {"-rps", "20", "-duration", "200ms", "-hgrm", "/dev/stderr"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, waiting, _ := silent(t)
			file := filepath.Join(t.TempDir(), "run.json")
			p := startProcess(t, func(c *exec.Cmd) {
				broken := func() *os.File {
					r, w, err := os.Pipe()
					if err != nil {
						t.Fatal(err)
					}
					r.Close()
					t.Cleanup(func() { w.Close() })
					return w
				}
				c.Stdout = broken()
				if name != "standard output" {
					c.Stderr = broken()
				}
			}, append(args, "-url", url, "-timeout", "500ms", "-o", file)...)
			if name == "SIGHUP" {
				poll.True(t, "requests in flight", func() bool { return waiting.Load() > 0 })
				p.signal(syscall.SIGHUP)
			}
			p.exits(0)
			isReport(t, file)
			if name == "standard output" && !strings.HasPrefix(p.stderr.String(), hgrm) {
				t.Errorf("standard error has %q", p.stderr.String())
			}
		})
	}
}

// Files do not wait for a pager that does not read on.
func TestFilesWhileStandardOutputBlocks(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, 0)
	file := filepath.Join(t.TempDir(), "run.json")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for err == nil { // fill the pipe
		_ = w.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, err = w.Write(make([]byte, 1<<10))
	}
	p := startProcess(t, func(c *exec.Cmd) { c.Stdout = w }, short(url, "-o", file)...)
	w.Close()
	poll.True(t, "the file", func() bool {
		info, err := os.Stat(file) // an empty one is there for a moment, to see whether it can be written
		return err == nil && info.Size() > 0 && !p.hasEnded()
	})
	isReport(t, file)
	if content, err := io.ReadAll(r); err != nil || !bytes.Contains(content, []byte("requests  3 due")) {
		t.Errorf("%v, %.2000q", err, content)
	}
	p.exits(0)
}

// An interrupt ends the wait for an input that does not end.
func TestInterruptWhileReadingInputs(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"targets": {"-targets", "-"}, "body": {"-body", "@-"}, "merge": {"merge", "-"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			p := startProcess(t, func(c *exec.Cmd) { c.Stdin = r }, args...)
			r.Close()
			// More than a pipe holds: the program reads it, and receives signals by now.
			if _, err := w.Write(bytes.Repeat([]byte("\n"), 1<<20)); err != nil {
				t.Fatal(err)
			}
			p.signal(syscall.SIGINT)
			poll.True(t, "the end of the process", p.hasEnded)
			if got := p.stderr.String(); p.ProcessState.ExitCode() < 1 || !strings.Contains(got, "interrupt signal received") {
				t.Errorf("%v: %s", p.ProcessState, got)
			}
		})
	}
}

// Both reports of standard output are whole, also if it is a file.
func TestPercentilesOnStandardOutput(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"/dev/stdout", "-"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			percentilesOnStandardOutput(t, name)
		})
	}
}

func percentilesOnStandardOutput(t *testing.T, name string) {
	url, _ := serve(t, 0)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	fmt.Fprintln(out, "before")
	p := startProcess(t, func(c *exec.Cmd) { c.Stdout = out }, short(url, "-hgrm", name)...)
	p.exits(0)
	content, err := os.ReadFile(out.Name())
	if err != nil || !bytes.HasPrefix(content, []byte("before\ntarget    GET http://")) || !bytes.Contains(content, []byte("\n"+hgrm)) || !bytes.Contains(content, []byte("#[Max     =")) {
		t.Errorf("%v, %s", err, content)
	}
}

// A disk that is full costs neither the earlier report nor a name.
func TestEarlierReportStaysIfTheNewOneFails(t *testing.T) {
	t.Parallel()
	url, _ := serve(t, 0)
	dir := t.TempDir()
	file := write(t, dir, "run.html") // the page is larger than the limit
	p := startProcess(t, func(c *exec.Cmd) {
		c.Args = append([]string{"sh", "-c", `trap "" XFSZ; ulimit -f 8; exec "$0" "$@"`, c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
	}, short(url, "-o", file)...)
	p.exits(1)
	if got := p.stderr.String(); !strings.Contains(got, "write the report: -o: write ") || !strings.Contains(got, "file too large") {
		t.Errorf("standard error: %s", got)
	}
	if content, err := os.ReadFile(file); string(content) != earlier || err != nil || names(t, dir) != "run.html" {
		t.Errorf("files: %s; the earlier report is %q, %v", names(t, dir), content, err)
	}
}
