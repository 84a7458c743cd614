//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"apmapp/internal/command"
	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/loopback"
	"apmapp/internal/testing/poll"
)

// block is a block of code of docs/exercise.md.
type block struct {
	kind string // here, account or text
	text string
}

// exercise returns docs/exercise.md and its blocks of code.
func exercise(t *testing.T) (page string, blocks []block) {
	t.Helper()
	content, err := os.ReadFile("../../docs/exercise.md")
	if err != nil {
		t.Fatal(err)
	}
	page = string(content)
	for _, m := range regexp.MustCompile("(?ms)^```([^\n]*)\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		blocks = append(blocks, block{strings.TrimPrefix(m[1], "sh "), m[2]})
	}
	return page, blocks
}

// reader follows docs/exercise.md with a demo of its own.
type reader struct {
	t       *testing.T
	ports   *strings.Replacer // from the page's to the test's
	args    []string
	stop    func() // the demo
	printed *lockedbuffer.Buffer
}

// demo starts the demo instead of the one that runs, as "make demo" would.
func (r *reader) demo(flags string) {
	r.t.Helper()
	if r.stop != nil {
		r.stop()
	}
	var stdout, stderr lockedbuffer.Buffer
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan int, 1)
	args := append(slices.Clone(r.args), strings.Fields(flags)...)
	go func() {
		ended <- run(ctx, command.Process{Args: args, Getenv: os.Getenv, Stdout: &stdout, Stderr: &stderr})
	}()
	r.printed = &stdout
	r.stop = func() {
		cancel()
		if status := <-ended; status != 0 || stderr.String() != "" {
			r.t.Errorf("the demo ended with status %d: %s", status, &stderr)
		}
		r.stop = nil
	}
	poll.True(r.t, "the demo runs", func() bool { return strings.Contains(stdout.String(), "\ntry ") || stderr.String() != "" })
}

var makeDemo = regexp.MustCompile(`(?m)^make demo(?: ARGS='(.*)')?$`)

// follow runs the commands of a block and returns what they and the demo print. A demo that
// they start is not started again.
func (r *reader) follow(commands string, again bool) (string, error) {
	r.t.Helper()
	start := makeDemo.FindStringSubmatchIndex(commands)
	if start == nil {
		return r.bash(commands)
	}
	if !again {
		if out, err := r.bash(commands[:start[0]]); err != nil {
			return out, err
		}
		r.demo(r.ports.Replace(makeDemo.FindStringSubmatch(commands)[1]))
	}
	out, err := r.bash(commands[start[1]:])
	return r.printed.String() + out, err
}

// bash runs commands at the root of the repository.
func (r *reader) bash(commands string) (string, error) {
	cmd := exec.CommandContext(r.t.Context(), "bash", "-euo", "pipefail", "-c", r.ports.Replace(commands))
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, out)
	}
	return string(out), err
}

// TestExercise follows the left column of docs/exercise.md from its first to its last
// command: each succeeds and prints what the page shows, and each linked page exists.
func TestExercise(t *testing.T) {
	for _, program := range []string{"bash", "curl", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	t.Setenv("TMPDIR", t.TempDir())
	t.Setenv("DD_TRACE_AGENT_URL", "")
	t.Setenv("DD_AGENT_HOST", "")
	port := func() string {
		_, port, err := net.SplitHostPort(loopback.FreeAddr(t))
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	service, pages := port(), port()
	r := &reader{
		t:     t,
		ports: strings.NewReplacer("127.0.0.1:5050", "127.0.0.1:"+service, "127.0.0.1:8127", "127.0.0.1:"+pages, "/tmp/exercise", filepath.Join(t.TempDir(), "exercise")),
		args: []string{"-database", "embedded", "-port", service, "-pages-port", pages,
			"-agent-port", "0", "-dogstatsd-port", "0", "-otlp-grpc-port", "0", "-otlp-http-port", "0"},
	}
	page, blocks := exercise(t)
	ran := 0
	for i, b := range blocks {
		if b.kind != "here" {
			continue
		}
		ran++
		var want []string
		if i+1 < len(blocks) && blocks[i+1].kind == "text" {
			want = strings.Split(strings.TrimSuffix(r.ports.Replace(blocks[i+1].text), "\n"), "\n")
		}
		again := false
		// Metrics take some seconds to arrive.
		poll.Until(t, func() error {
			got, err := r.follow(b.text, again)
			again = true
			if err != nil {
				return fmt.Errorf("%s%w", b.text, err)
			}
			for _, line := range want {
				if !strings.Contains(got, line) {
					return fmt.Errorf("%sprints no %s:\n%s", b.text, line, got)
				}
			}
			return nil
		})
	}
	if ran < 8 {
		t.Errorf("docs/exercise.md has %d blocks for here, want at least 8", ran)
	}
	for _, m := range regexp.MustCompile(`\((http://127\.0\.0\.1:8127/[^)]*)\)`).FindAllStringSubmatch(page, -1) {
		resp, err := http.Get(r.ports.Replace(m[1]))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("docs/exercise.md links %s: %s", m[1], resp.Status)
		}
	}
	r.stop()
}

// accountCommands has the commands of the right column, and how to check them without an
// account. Their groups are arguments of check, which returns what is wrong.
var accountCommands = []struct {
	form  string
	check func(t *testing.T, args []string) string
}{
	{`make (\w+)`, func(t *testing.T, args []string) string { return contains(t, "Makefile", "\n"+args[0]+":") }},
	{`export [\w]+=\S+(?: [\w]+=\S+)*`, nil}, // deploy/verify/agent knows the names
	{`sudo (?:--preserve-env=\S+ )?(deploy/\S+) (--\w+)`, func(t *testing.T, args []string) string { return contains(t, args[0], "  "+args[1]+" ") }},
	{`sudo datadog-agent status`, nil},
	{`sudo -u dd-agent -- datadog-agent check (\w+)`, func(_ *testing.T, args []string) string {
		for _, name := range []string{args[0] + ".yaml", args[0] + ".d/conf.yaml"} {
			if _, err := os.Stat("../../deploy/agent/conf.d/" + name); err == nil {
				return ""
			}
		}
		return "deploy/agent has no check " + args[0]
	}},
	{`sudo systemctl (?:restart|start|stop) datadog-agent`, nil},
	{`sudo sed -i 's/([^/]+)/[^/]+/' /etc/datadog-agent/(\S+)`, func(t *testing.T, args []string) string {
		return contains(t, "deploy/agent/"+args[1], args[0])
	}},
	{`go run \./cmd/provision (?:plan|apply)((?: -\w+ \S+)*)`, func(_ *testing.T, args []string) string {
		// A plan has the same flags, and needs no account.
		cmd := exec.Command("go", append([]string{"run", "./cmd/provision", "plan", "-offline"}, strings.Fields(args[0])...)...)
		cmd.Dir = "../.."
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Sprintf("%v: %s", err, out)
		}
		return ""
	}},
	{`curl -i http://127\.0\.0\.1:5050/\S*`, nil},
}

// contains returns an error text unless a file of the repository contains a text.
func contains(t *testing.T, file, text string) string {
	t.Helper()
	content, err := os.ReadFile("../../" + file)
	if err != nil {
		return err.Error()
	}
	if !strings.Contains(string(content), text) {
		return file + " has no " + text
	}
	return ""
}

func TestExerciseWithAnAccount(t *testing.T) {
	_, blocks := exercise(t)
	checked := 0
	for _, b := range blocks {
		if b.kind != "here" && b.kind != "account" && b.kind != "text" {
			t.Errorf("a block of kind %q, want here, account or text:\n%s", b.kind, b.text)
		}
		if b.kind != "account" {
			continue
		}
		for line := range strings.Lines(b.text) {
			line = strings.TrimSpace(line)
			known := false
			for _, c := range accountCommands {
				m := regexp.MustCompile(`^` + c.form + `$`).FindStringSubmatch(line)
				if m == nil {
					continue
				}
				known = true
				if c.check != nil {
					if wrong := c.check(t, m[1:]); wrong != "" {
						t.Errorf("%s: %s", line, wrong)
					}
				}
			}
			if !known {
				t.Errorf("%s: no check of this test knows the command", line)
			}
			checked++
		}
	}
	if checked < 10 {
		t.Errorf("checked %d commands, want at least 10", checked)
	}
}

// The page and the definitions have the same numbers, and its links lead somewhere.
func TestExerciseIsTrue(t *testing.T) {
	page, _ := exercise(t)
	page = strings.Join(strings.Fields(page), " ")
	for _, c := range []struct{ file, has, page string }{
		{"deploy/agent/conf.d/my_metric.yaml", "min_collection_interval: 45", "run it every 45 seconds"},
		{"deploy/agent/checks.d/my_metric.py", "random.randint(0, 1000)", "a random whole number from 0 to 1000"},
		{"deploy/agent/datadog.yaml", "env: dev\ntags:\n  - project:apmapp\n  - role:web\n  - role:database\n  - team:apm\n", "`env:dev`, `project:apmapp`, `role:web`, `role:database`, `team:apm`"},
		{"deploy/datadog/dashboard.timeboard.json", "anomalies(queries, 'basic', 2)", "`anomalies(queries, 'basic', 2)`"},
		{"deploy/datadog/dashboard.timeboard.json", ".rollup(sum, 3600)", "`.rollup(sum, 3600)`"},
		{"deploy/datadog/monitor.my-metric.json", "avg(last_5m):avg:my_metric{", "watches the average of `my_metric` over five minutes"},
		{"deploy/datadog/monitor.my-metric.json", `"critical": 800, "warning": 500`, "it warns above 500, alerts above 800"},
		{"deploy/datadog/monitor.my-metric.json", `"no_data_timeframe": 10,`, "no data for 10 minutes"},
		{"deploy/datadog/monitor.my-metric.json", `{{#is_alert}}\nmy_metric on {{host.name}} ({{host.ip}}) is {{value}}`, "an alert has the value, the threshold, and the host's name and IP address"},
		{"deploy/datadog/downtime.nights.json", `@19:00}",`, "from 19:00 to 09:00 on weekdays"},
		{"deploy/datadog/downtime.nights.json", `"duration": "14h"`, "from 19:00 to 09:00 on weekdays"},
		{"deploy/datadog/downtime.nights.json", `"start": "${next:MO@00:00}",`, "a recurrence of its own covers Monday from 00:00 to 09:00"},
		{"deploy/datadog/downtime.weekends.json", "BYDAY=SA,SU", "all day on Saturdays and Sundays"},
	} {
		if wrong := contains(t, c.file, c.has); wrong != "" || !strings.Contains(page, c.page) {
			t.Errorf("%s; on the page: %q", wrong, c.page)
		}
	}
	links := regexp.MustCompile(`\]\(([^):]+?)(#[^)]*)?\)`).FindAllStringSubmatch(page, -1)
	for _, m := range links {
		if _, err := os.Stat(filepath.Join("../../docs", m[1])); err != nil {
			t.Error(err)
		}
	}
	if len(links) < 10 {
		t.Errorf("%d links, want at least 10", len(links))
	}
}
