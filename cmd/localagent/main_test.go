package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/internal/command"
)

// output is read while the program writes it.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// eventually returns the first group of a pattern in what f returns, once it is
// there.
func eventually(t *testing.T, pattern string, f func() string) string {
	t.Helper()
	for start := time.Now(); time.Since(start) < 30*time.Second; time.Sleep(10 * time.Millisecond) {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(f()); m != nil {
			return m[len(m)-1]
		}
	}
	t.Fatalf("no %s in %s", pattern, f())
	return ""
}

// ports are the flags for free ports.
var ports = slices.Clip([]string{"-addr", "127.0.0.1:0", "-dogstatsd", "127.0.0.1:0", "-pages", "127.0.0.1:0"})

func page(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestLogsOfAFileAndOfStandardInput(t *testing.T) {
	name := filepath.Join(t.TempDir(), "service.log")
	if err := os.WriteFile(name, []byte("{\"msg\":\"a line of it\"}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{name, "-"} {
		ctx, cancel := context.WithCancel(t.Context())
		var stdout, stderr output
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, command.Process{Args: append(ports, "-logs", from),
				Stdin: strings.NewReader("a line of it\n"), Stdout: &stdout, Stderr: &stderr})
		}()
		pages := eventually(t, `pages +(\S+)`, stdout.String)
		eventually(t, `traces +DD_TRACE_AGENT_URL=http://127`, stdout.String)
		eventually(t, `a line of it`, func() string { return page(t, pages+"/api/logs") })
		cancel()
		if status := <-ended; status != 0 || stderr.String() != "" {
			t.Errorf("status %d: %s", status, &stderr)
		}
	}
}

func TestSocketsAndNames(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var stdout, stderr output
	ended := make(chan int, 1)
	socket, dogstatsd := filepath.Join(t.TempDir(), "apm.socket"), filepath.Join(t.TempDir(), "dsd.socket")
	go func() {
		ended <- run(ctx, command.Process{Args: append(ports, "-socket", socket, "-dogstatsd-socket", dogstatsd, "-pages-host", "Demo.example,other.example"),
			Stdout: &stdout, Stderr: &stderr})
	}()
	pages := eventually(t, `pages +(\S+)`, stdout.String)
	eventually(t, `( unix://\S+dsd.socket)`, stdout.String)
	c, err := net.Dial("unixgram", dogstatsd)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "a.b:1|g")
	eventually(t, `"a\.b"`, func() string { return page(t, pages+"/api/metrics") })
	if c, err := net.Dial("unix", socket); err != nil {
		t.Error(err)
	} else {
		c.Close()
	}
	for host, want := range map[string]int{"demo.example:8127": 200, "other.example": 200, "third.example": 403} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", pages, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", host, resp.StatusCode, want)
		}
	}
	cancel()
	if status := <-ended; status != 0 || stderr.String() != "" {
		t.Errorf("status %d: %s", status, &stderr)
	}
}

func TestOpenToOthersIsSaid(t *testing.T) {
	for _, open := range []string{"-addr", "-dogstatsd", "-pages"} {
		ctx, cancel := context.WithCancel(t.Context())
		var stdout, stderr output
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, command.Process{Args: append(ports, open, ":0"), Stdout: &stdout, Stderr: &stderr})
		}()
		eventually(t, `other machines can reach`, stderr.String)
		cancel()
		if status := <-ended; status != 0 {
			t.Errorf("%s: status %d", open, status)
		}
	}
}

func TestFailures(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for args, want := range map[string]struct {
		status int
		says   string
	}{
		"-addr 8126":                     {2, `-addr: "8126" is not host:port`},
		"-memory 1":                      {2, "-memory: 1 is less than 8"},
		"now":                            {2, `unexpected argument "now"`},
		"-addr " + taken.Addr().String(): {1, "address already in use"},
		"-addr 127.0.0.1:0 -dogstatsd 127.0.0.1:0 -pages " + taken.Addr().String(): {1, "choose others with -addr, -dogstatsd and -pages"},
		"-addr 127.0.0.1:0 -dogstatsd 127.0.0.1:0 -pages 127.0.0.1:0 -logs /":      {1, "is a directory"},
	} {
		var stdout, stderr output
		if status := run(t.Context(), command.Process{Args: strings.Fields(args), Stdout: &stdout, Stderr: &stderr}); status != want.status || !strings.Contains(stderr.String(), want.says) {
			t.Errorf("%s: status %d: %s", args, status, &stderr)
		}
	}
}
