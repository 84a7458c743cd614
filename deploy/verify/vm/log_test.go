package vm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"

	"apmapp/internal/testing/poll"
)

const logPath = "/var/log/apmapp/apmapp.log"

// requests returns the log lines of requests in a text. Every line must be JSON.
func (m provisioned) requests(log string) []map[string]any {
	m.t.Helper()
	var requests []map[string]any
	for line := range strings.Lines(log) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			m.t.Fatalf("the log line %q is not JSON: %v", line, err)
		}
		if entry["msg"] == "request" {
			requests = append(requests, entry)
		}
	}
	return requests
}

// testLog checks the log that the Agent reads.
func testLog(m provisioned) {
	m.t.Helper()
	requests := m.requests(m.Read(m.t, logPath))
	for _, entry := range requests {
		if entry["dd.env"] != "dev" || entry["dd.service"] != "apmapp" || entry["dd.trace_id"] == "" {
			m.t.Fatalf("the log line of a request lacks dd.env, dd.service or dd.trace_id: %v", entry)
		}
	}
	if len(requests) < 100 {
		m.t.Errorf("the log has %d requests, want the 100 that loadgen sent", len(requests))
	}
	m.wantFile(logPath, "640 apmapp:apmapp")
}

// follower reads a file like the Agent: it goes on reading a file that was renamed, and
// reads the new file of that name from its beginning.
type follower struct {
	m     provisioned
	files []*os.File
	read  bytes.Buffer
}

// scan looks for a new file. The Agent does so every 10 s.
func (f *follower) scan() {
	now, err := os.Stat(f.m.Path(logPath))
	if err != nil {
		f.m.t.Fatal(err)
	}
	if n := len(f.files); n > 0 {
		if last, err := f.files[n-1].Stat(); err == nil && os.SameFile(last, now) {
			return
		}
	}
	file, err := os.Open(f.m.Path(logPath))
	if err != nil {
		f.m.t.Fatal(err)
	}
	f.m.t.Cleanup(func() { file.Close() })
	f.files = append(f.files, file)
}

// drain reads what was appended. The Agent does so every second.
func (f *follower) drain() {
	for _, file := range f.files {
		if _, err := io.Copy(&f.read, file); err != nil {
			f.m.t.Fatal(err)
		}
	}
}

// burst sends 2,000 requests in two seconds that need no database, and returns how many
// the service answered. A busy machine may refuse some.
func (m provisioned) burst() int {
	m.t.Helper()
	out := m.MustRun(m.t, "loadgen", "-rps", "1000", "-duration", "2s", "-paths", "/missing", "-expect", "404")
	answers := regexp.MustCompile(`answers +([0-9,]+) 4xx`).FindStringSubmatch(out)
	if answers == nil {
		m.t.Fatalf("the service answered no request: %s", out)
	}
	n, err := strconv.Atoi(strings.ReplaceAll(answers[1], ",", ""))
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// testRotation sends more requests than two files hold, and checks that a follower reads
// the line of each.
func testRotation(m provisioned) {
	m.t.Helper()
	m.Write(m.t, "/etc/apmapp/environment", "APMAPP_LOG_FILE_SIZE=1\n")
	m.MustRun(m.t, "systemctl", "restart", "apmapp")
	m.awaitReady()
	f := &follower{m: m}
	f.scan()
	var sent int
	poll.Until(m.t, func() error {
		sent += m.burst()
		f.scan()
		f.drain()
		if n := len(f.files) - 1; n < 2 {
			return fmt.Errorf("the log was rotated %d times, want twice", n)
		}
		return nil
	})
	m.MustRun(m.t, "rm", "/etc/apmapp/environment")
	m.MustRun(m.t, "systemctl", "restart", "apmapp")
	m.awaitReady()
	f.scan()
	f.drain()
	var missing int
	for _, request := range m.requests(f.read.String()) {
		if request["http.status_code"] == 404.0 {
			missing++
		}
	}
	// More, if loadgen has not received an answer.
	if missing < sent {
		m.t.Errorf("the follower read the lines of %d requests, want %d", missing, sent)
	}
}

// testFullDisk fills the disk of the log. The service must answer as before, and log
// again when there is space.
func testFullDisk(m provisioned) {
	m.t.Helper()
	m.MustRun(m.t, "systemctl", "stop", "apmapp")
	m.MustRun(m.t, "mount", "-t", "tmpfs", "-o", "size=256k,mode=750,uid=apmapp,gid=apmapp", "tmpfs", "/var/log/apmapp")
	m.MustRun(m.t, "dd", "if=/dev/zero", "of=/var/log/apmapp/other", "bs=96k", "count=1")
	m.MustRun(m.t, "systemctl", "start", "apmapp")
	m.awaitReady()
	m.burst()
	if free := m.MustRun(m.t, "df", "--output=avail", "/var/log/apmapp"); !strings.HasSuffix(free, " 0") {
		m.t.Fatalf("the disk is not full: %s", free)
	}
	m.load()
	// There is space again: the next line begins after the one that was cut off.
	m.MustRun(m.t, "rm", "/var/log/apmapp/other")
	m.load()
	log := m.Read(m.t, logPath)
	var cut int
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			cut++
		}
		if strings.Count(line, `{"timestamp"`) > 1 {
			m.t.Errorf("two lines are one: %s", line)
		}
	}
	if cut != 1 {
		m.t.Errorf("%d lines were cut off, want 1", cut)
	}
	m.MustRun(m.t, "truncate", "--size=0", logPath)
	m.load()
	m.MustRun(m.t, "systemctl", "stop", "apmapp")
	emptied := m.Read(m.t, logPath)
	if n := len(m.requests(emptied)); n != 100 {
		m.t.Errorf("the log has %d requests, want the 100 since the file was emptied", n)
	}
	// The report follows within a second, which may be after the file was emptied.
	if log += emptied; !strings.Contains(log, "log lines were dropped: "+logPath+" did not take them") || !strings.Contains(log, `"msg":"stopped"`) {
		m.t.Errorf("the log lacks the report of dropped lines, or the last line: %s", log[max(0, len(log)-2000):])
	}
	m.MustRun(m.t, "umount", "/var/log/apmapp")
	m.MustRun(m.t, "systemctl", "start", "apmapp")
	m.awaitReady()
}

// testUpgrade replaces the log of an earlier version, which systemd opened as root and
// logrotate rotated.
func testUpgrade(m provisioned) {
	m.t.Helper()
	before := m.state()
	m.Write(m.t, "/etc/logrotate.d/apmapp", logPath+" { copytruncate }\n")
	m.MustRun(m.t, "chown", "root:root", logPath)
	if out := m.again(); !strings.Contains(out, "changed: /etc/logrotate.d/apmapp removed") {
		m.t.Error("provision.sh does not report that it removes /etc/logrotate.d/apmapp")
	}
	m.wantSame(before, m.state())
}
