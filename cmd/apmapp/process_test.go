package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"apmapp/internal/testing/poll"
)

// raceDetector is whether the tests run with the race detector. Then the program
// does too.
var raceDetector bool

// buildOnce builds the program that these tests run.
var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "apmapp")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "apmapp")
	args := []string{"build", "-o", program}
	if raceDetector {
		args = append(args, "-race")
	}
	if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return program, nil
})

func TestMain(m *testing.M) {
	// The tests mostly wait: for processes, for metrics every 10 s, for timeouts. So
	// more of them may run than there are processors.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	code := m.Run()
	if program, err := buildOnce(); err == nil {
		os.RemoveAll(filepath.Dir(program))
	}
	os.Exit(code)
}

// process is a running apmapp.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	exited chan struct{} // closed when the process has ended
	stderr bytes.Buffer  // complete when the process has ended

	mu   sync.Mutex
	logs []logLine
}

type logLine map[string]any

// launch starts apmapp on a free port with the given environment. The process
// ends with the test.
func launch(t *testing.T, environ ...string) *process {
	t.Helper()
	program, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, exited: make(chan struct{})}
	p.cmd = exec.Command(program, "-addr", "127.0.0.1:0")
	p.cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
		// No Agent, unless the test has one.
		"DD_TRACE_AGENT_URL=http://127.0.0.1:1", "DD_TRACE_STARTUP_LOGS=false", "DD_INSTRUMENTATION_TELEMETRY_ENABLED=false",
	}, environ...)
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.read(stdout)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
		if t.Failed() {
			t.Logf("standard error:\n%s\nlast lines:\n%s", &p.stderr, p.tail(15))
		}
	})
	p.url = "http://" + fmt.Sprint(p.awaitLine("listening")["addr"])
	return p
}

// awaitReady returns when the service at url is ready. Its process may not listen yet.
func awaitReady(t testing.TB, url string) {
	t.Helper()
	poll.Until(t, func() error {
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("/readyz: %s", resp.Status)
		}
		return nil
	})
}

// addr returns the service's host:port.
func (p *process) addr() string { return strings.TrimPrefix(p.url, "http://") }

func (p *process) read(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l logLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			l = logLine{"msg": "not JSON: " + lines.Text()}
		}
		p.mu.Lock()
		p.logs = append(p.logs, l)
		p.mu.Unlock()
	}
	_ = p.cmd.Wait()
	close(p.exited)
}

func (p *process) lines() []logLine {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.logs)
}

func (p *process) warnings() []logLine {
	return slices.DeleteFunc(p.lines(), func(l logLine) bool { return l["level"] != "WARN" })
}

func (p *process) tail(n int) string {
	var b strings.Builder
	all := p.lines()
	for _, l := range all[max(0, len(all)-n):] {
		fmt.Fprintln(&b, l)
	}
	return b.String()
}

// awaitLine returns the first line whose message starts with msg.
func (p *process) awaitLine(msg string) logLine {
	p.t.Helper()
	var found logLine
	poll.Until(p.t, func() error {
		for _, l := range p.lines() {
			if strings.HasPrefix(fmt.Sprint(l["msg"]), msg) {
				found = l
				return nil
			}
		}
		select {
		case <-p.exited:
			p.t.Fatalf("apmapp ended without logging %q: %s", msg, &p.stderr)
		default:
		}
		return fmt.Errorf("apmapp did not log %q", msg)
	})
	return found
}

// stop sends SIGTERM and returns the exit status.
func (p *process) stop() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.status()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// status waits for the end of the process and returns its exit status.
func (p *process) status() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(poll.Limit):
		p.t.Fatal("apmapp did not stop")
	}
	return p.cmd.ProcessState.ExitCode()
}

// get returns status, headers and body of a path.
func (p *process) get(path string) (int, http.Header, string) {
	p.t.Helper()
	resp, err := http.Get(p.url + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func (p *process) awaitStatus(path string, want int) {
	p.t.Helper()
	poll.Until(p.t, func() error {
		if got, _, body := p.get(path); got != want {
			return fmt.Errorf("%s: %d %s, want %d", path, got, body, want)
		}
		return nil
	})
}
