package vm

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/deploy/verify/vm/debian"
	"apmapp/internal/testing/poll"
)

// tail counts the different lines of requests in a file, with the times of the Datadog Agent's tailer: it reads
// every second, looks for a rotation every 10 s, and reads a rotated file for 60 s more.
// The file is rotated if another one has its name, or if it is shorter than what was
// read. Then the new one is read from its beginning.
func tail(ctx context.Context, path string) int {
	type file struct {
		*os.File
		part    string // of a line
		rotated time.Time
	}
	var files []*file
	lines := map[string]bool{}
	scan := func() {
		now, err := os.Stat(path)
		if err != nil {
			return // between two files
		}
		if n := len(files); n > 0 {
			opened, _ := files[n-1].Stat()
			at, _ := files[n-1].Seek(0, io.SeekCurrent)
			if os.SameFile(now, opened) && now.Size() >= at {
				return
			}
			files[n-1].rotated = time.Now()
		}
		if f, err := os.Open(path); err == nil {
			files = append(files, &file{File: f})
		}
	}
	read := func() {
		for _, f := range files {
			if !f.rotated.IsZero() && time.Since(f.rotated) > time.Minute {
				f.Close()
				continue
			}
			content, _ := io.ReadAll(f)
			all := f.part + string(content)
			end := strings.LastIndexByte(all, '\n') + 1
			f.part = all[end:]
			for line := range strings.Lines(all[:end]) {
				lines[line] = strings.Contains(line, requestLine)
			}
		}
	}
	seconds := time.NewTicker(time.Second)
	defer seconds.Stop()
	for n := 0; ; n++ {
		if n%10 == 0 {
			scan()
		}
		read()
		select {
		case <-seconds.C:
		case <-ctx.Done():
			scan()
			read()
			return countTrue(lines)
		}
	}
}

const requestLine = `"msg":"request"`

func countTrue(lines map[string]bool) (n int) {
	for _, isRequest := range lines {
		if isRequest {
			n++
		}
	}
	return n
}

// BenchmarkLogRotation compares ways to rotate the service's log: how many lines a
// follower like the Agent's loses across 20 rotations at 1,000 lines per second. It
// takes five minutes. docs/adr/0010-log-file.md has its results.
func BenchmarkLogRotation(b *testing.B) {
	const (
		// Longer than the 10 s in which the Agent looks for a new file.
		between   = 12 * time.Second
		rotations = 20
		rate      = 1000
		duration  = rotations*between + between/2
	)
	programs := b.TempDir()
	if err := build(programs); err != nil {
		b.Fatal(err)
	}
	m := debian.Boot(b, bookworm(b), debian.Share{From: programs, To: "/opt/programs"})
	m.MustRun(b, "bash", "-c", "apt-get update -qq && apt-get install -y -qq logrotate")
	m.MustRun(b, "mkdir", "/var/log/service")
	// The journal's files have the same size as the other logs, and it keeps five, too.
	m.Write(b, "/etc/systemd/journald.conf.d/size.conf", "[Journal]\nStorage=persistent\nSystemMaxUse=48M\nSystemMaxFileSize=8M\n")
	m.MustRun(b, "systemctl", "restart", "systemd-journald")
	m.Write(b, "/etc/copytruncate.conf", "/var/log/service/copytruncate.log {\n rotate 5\n copytruncate\n}\n")

	// A line has 330 bytes.
	const fileSize = "APMAPP_LOG_FILE_SIZE=4"
	type way struct {
		name   string
		run    []string // options of systemd-run
		rotate func()
		follow func(context.Context) int
	}
	file := func(name string) func(context.Context) int {
		return func(ctx context.Context) int { return tail(ctx, m.Path("/var/log/service/"+name+".log")) }
	}
	journal := func(unit string) func(context.Context) int {
		m.MustRun(b, "systemd-run", "--quiet", "--unit=follow-"+unit, "--property=StandardOutput=file:/var/log/service/follow-"+unit,
			"journalctl", "--follow", "--lines=all", "--output=cat", "--unit="+unit)
		return func(ctx context.Context) int {
			<-ctx.Done()
			m.MustRun(b, "systemctl", "stop", "follow-"+unit)
			lines := map[string]bool{}
			for line := range strings.Lines(m.Read(b, "/var/log/service/follow-"+unit)) {
				lines[line] = strings.Contains(line, requestLine)
			}
			return countTrue(lines)
		}
	}
	ways := []way{
		{"copytruncate", []string{"--property=StandardOutput=append:/var/log/service/copytruncate.log"},
			func() { m.MustRun(b, "logrotate", "--force", "/etc/copytruncate.conf") }, file("copytruncate")},
		{"service", []string{"--property=StandardOutput=null", "--setenv=APMAPP_LOG_FILE=/var/log/service/service.log", "--setenv=" + fileSize},
			nil, file("service")},
		{"journal", nil, nil, journal("journal")},
		{"journal-unlimited", []string{"--property=LogRateLimitIntervalSec=0"}, nil, journal("journal-unlimited")},
	}
	ctx, stop := context.WithCancel(b.Context())
	var running sync.WaitGroup
	results := make([]string, len(ways))
	for i, w := range ways {
		port := fmt.Sprint(6000 + i)
		m.MustRun(b, append(append([]string{"systemd-run", "--quiet", "--unit=" + w.name}, w.run...),
			"--setenv=DD_TRACE_ENABLED=false", "--setenv=DD_PROFILING_ENABLED=false", "--setenv=DD_INSTRUMENTATION_TELEMETRY_ENABLED=false",
			"/opt/programs/apmapp", "-dsn", "a@tcp(127.0.0.1:1)/a", "-addr", "127.0.0.1:"+port)...)
		read := make(chan int, 1)
		followCtx, stopFollower := context.WithCancel(context.WithoutCancel(ctx))
		go func() { read <- w.follow(followCtx) }()
		if w.rotate != nil {
			go func() {
				tick := time.NewTicker(between)
				defer tick.Stop()
				for range rotations {
					<-tick.C
					w.rotate()
				}
			}()
		}
		running.Go(func() {
			report := filepath.Join("/tmp", w.name+".json")
			poll.Until(b, func() error {
				out, err := m.Run("/opt/programs/loadgen", "-url", "http://127.0.0.1:"+port, "-rps", "10", "-duration", "100ms", "-paths", "/healthz")
				if err != nil {
					return fmt.Errorf("%w: %s", err, out)
				}
				return nil
			})
			out, err := m.Run("/opt/programs/loadgen", "-url", "http://127.0.0.1:"+port, "-rps", fmt.Sprint(rate), "-duration", duration.String(),
				"-paths", "/missing", "-expect", "404", "-o", report)
			if err != nil {
				out += err.Error()
			}
			m.MustRun(b, "systemctl", "stop", w.name)
			time.Sleep(5 * time.Second) // the journal's reader
			stopFollower()
			answers := regexp.MustCompile(`(?m)^answers .*$`).FindString(out)
			results[i] = fmt.Sprintf("%s: the follower read %d lines; loadgen: %s", w.name, <-read, answers)
		})
	}
	running.Wait()
	stop()
	for _, r := range results {
		b.Log(r)
	}
	for _, command := range []string{"systemctl show --property=CPUUsageNSec systemd-journald", "journalctl --disk-usage", "ls -s /var/log/service"} {
		out, err := m.Run(strings.Fields(command)...)
		b.Logf("%s: %s %v", command, strings.ReplaceAll(out, "\n", " "), err)
	}
}
