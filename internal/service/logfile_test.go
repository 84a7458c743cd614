package service

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"apmapp/internal/testing/poll"
)

// newLogFile opens a log file with a limit in bytes.
func newLogFile(t *testing.T, path string, limit int64) *logFile {
	t.Helper()
	f, err := openLogFile(path, 1)
	if err != nil {
		t.Fatal(err)
	}
	f.limit = limit
	t.Cleanup(f.close)
	return f
}

func write(t *testing.T, f io.Writer, lines string) {
	t.Helper()
	if n, err := io.WriteString(f, lines); n != len(lines) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(lines), err)
	}
}

// wantFiles compares the files of a directory with their contents by name.
func wantFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if expected, ok := want[e.Name()]; err != nil || !ok || string(content) != expected {
			t.Errorf("%s has %q, %v; want %q", e.Name(), content, err, expected)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("%d files, want %d", len(entries), len(want))
	}
}

func TestLogFileIsRotatedAtItsLimit(t *testing.T) {
	dir := t.TempDir()
	f := newLogFile(t, filepath.Join(dir, "log"), 6)
	write(t, f, "a1\n")
	write(t, f, "a2\n") // exactly the limit
	wantFiles(t, dir, map[string]string{"log": "a1\na2\n"})
	first := f.file
	write(t, f, "b1\n")
	if err := first.Close(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after the rotation, the file was open: %v", err)
	}
	wantFiles(t, dir, map[string]string{"log": "b1\n", "log.1": "a1\na2\n"})
	// A line over the limit has a file of its own.
	write(t, f, "longer than the limit\n")
	for _, line := range []string{"cccc\n", "dddd\n", "eeee\n", "ffff\n"} {
		write(t, f, line)
	}
	wantFiles(t, dir, map[string]string{"log": "ffff\n", "log.1": "eeee\n", "log.2": "dddd\n", "log.3": "cccc\n",
		"log.4": "longer than the limit\n", "log.5": "b1\n"})
}

func TestLogFileContinuesAnExistingFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	if err := os.WriteFile(path, []byte("old\ncut o"), 0o600); err != nil {
		t.Fatal(err)
	}
	emptied := newLogFile(t, path, 100)
	write(t, newLogFile(t, path, 100), "new\n")
	wantFiles(t, dir, map[string]string{"log": "old\ncut o\nnew\n"})
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, emptied, "first\n")
	wantFiles(t, dir, map[string]string{"log": "first\n"})
}

// Operators and other programs may move, delete or truncate the file at any time.
func TestLogFileFollowsItsName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	f := newLogFile(t, path, 100)
	write(t, f, "1\n")
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	write(t, f, "2\n")
	wantFiles(t, dir, map[string]string{"log": "2\n", "log.moved": "1\n"})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(t, f, "3\n")
	if err := os.WriteFile(path+".other", []byte("0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".other", path); err != nil {
		t.Fatal(err)
	}
	write(t, f, "4\n")
	wantFiles(t, dir, map[string]string{"log": "0\n4\n", "log.moved": "1\n"})
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	write(t, f, "5\n")
	wantFiles(t, dir, map[string]string{"log": "5\n", "log.moved": "1\n"})
}

// agent follows a file like the Datadog Agent: it opens the name again when another
// file has it or when it is shorter than what was read, and goes on reading the file
// that it had opened before.
type agent struct {
	t     *testing.T
	path  string
	files []*os.File
	lines bytes.Buffer
}

// read reads what was appended. The Agent does so every second.
func (a *agent) read() {
	for _, f := range a.files {
		if _, err := io.Copy(&a.lines, f); err != nil {
			a.t.Fatal(err)
		}
	}
}

// scan looks whether the file was rotated. The Agent does so every ten seconds.
func (a *agent) scan() {
	now, err := os.Stat(a.path)
	if err != nil {
		a.t.Fatal(err)
	}
	if n := len(a.files); n > 0 {
		opened, err := a.files[n-1].Stat()
		if err != nil {
			a.t.Fatal(err)
		}
		at, _ := a.files[n-1].Seek(0, io.SeekCurrent)
		if os.SameFile(now, opened) && now.Size() >= at {
			return
		}
	}
	f, err := os.Open(a.path)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { f.Close() })
	a.files = append(a.files, f)
}

// lost returns how many of the lines from 0 to n the agent did not read.
func (a *agent) lost(n int) (lost int) {
	read := map[string]bool{}
	for line := range strings.Lines(a.lines.String()) {
		read[line] = true
	}
	for i := range n {
		if !read[string(line(i))] {
			lost++
		}
	}
	return lost
}

// The Agent reads every line across 20 rotations, whenever it looks. The same follower
// loses lines if the file is copied and truncated instead, as logrotate's copytruncate
// does.
func TestAgentReadsEveryLineAcrossRotations(t *testing.T) {
	const perFile, rotations = 50, 20
	for _, c := range []struct {
		name  string
		limit int64
		lost  bool
	}{{"rotated by the service", perFile * 1024, false}, {"copied and truncated", 1 << 40, true}} {
		random := rand.New(rand.NewPCG(1, 2))
		path := filepath.Join(t.TempDir(), "log")
		f := newLogFile(t, path, c.limit)
		a := &agent{t: t, path: path}
		a.scan()
		const lines = (rotations + 1) * perFile
		for i := range lines {
			write(t, f, string(line(i)))
			if random.IntN(5) == 0 {
				a.read()
			}
			if i%perFile == perFile/2 {
				a.scan()
			}
			if c.lost && i%perFile == perFile-1 {
				if err := os.Truncate(path, 0); err != nil {
					t.Fatal(err)
				}
			}
		}
		a.scan()
		a.read()
		if n := a.lost(lines); n > 0 != c.lost {
			t.Errorf("%s: the agent lost %d of %d lines, want lost %t", c.name, n, lines, c.lost)
		}
		if rotated := len(a.files) - 1; rotated < rotations {
			t.Errorf("%s: the agent saw %d rotations, want %d", c.name, rotated, rotations)
		}
	}
}

func TestLogFileErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{dir, dir + " is not a regular file"},
		{os.DevNull, os.DevNull + " is not a regular file"},
		{filepath.Join(dir, "missing", "log"), "no such file or directory"},
		{filepath.Join(file, "log"), "not a directory"},
		{dir + "/", "is not a regular file"},
		{filepath.Join(dir, "missing") + "/", "is a directory"},
		{filepath.Join(dir, strings.Repeat("a", 255)), "cannot rotate " + filepath.Join(dir, strings.Repeat("a", 255)) + ": "},
	} {
		cfg := valid(t)
		cfg.LogFile = c.path
		if _, err := Listen(t.Context(), cfg, io.Discard); err == nil || !strings.HasPrefix(err.Error(), "log-file: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.path, err, c.want)
		}
	}
}

// The file gets the same lines as standard output, up to the last one.
func TestServiceWritesItsLogFile(t *testing.T) {
	dir := t.TempDir()
	cfg := valid(t)
	cfg.LogFile, cfg.RetentionInterval = filepath.Join(dir, "log"), poll.Limit
	_, logs, stop, ended := serve(t, cfg)
	stop()
	if err := ended(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logs.String(), `"msg":"stopped"`) {
		t.Errorf("the log does not end with stopped:\n%s", logs)
	}
	wantFiles(t, dir, map[string]string{"log": logs.String()})
	if info, err := os.Stat(cfg.LogFile); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v, want 0640: only the owner and the group may read", info.Mode(), err)
	}
}

// A file that cannot be written costs lines, which are counted by name, and nothing
// else: standard output has them all.
func TestServiceRunsWithoutItsLogFile(t *testing.T) {
	dir := t.TempDir()
	cfg := valid(t)
	cfg.LogFile, cfg.RetentionInterval = filepath.Join(dir, "log"), poll.Limit
	s, logs, stop, ended := serve(t, cfg)
	poll.True(t, "the store reports", func() bool { return strings.Contains(logs.String(), "waiting for MySQL") })
	s.logs.flush()
	if err := os.Remove(cfg.LogFile); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(cfg.LogFile, 0o700); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s.logger.Warn("lost line", "n", i)
	}
	s.logs.flush()
	if err := os.Remove(cfg.LogFile); err != nil {
		t.Fatal(err)
	}
	s.logger.Warn("written again")
	s.logs.flush()
	stop()
	if err := ended(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(cfg.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`"msg":"log lines were dropped: ` + regexp.QuoteMeta(cfg.LogFile) + ` did not take them",.*"logs.dropped":3}`)
	for name, log := range map[string]string{"standard output": logs.String(), "the file": string(content)} {
		if !strings.Contains(log, "written again") || !want.MatchString(log) {
			t.Errorf("%s lacks the report of 3 lines:\n%s", name, log)
		}
	}
	if n := strings.Count(logs.String(), "lost line"); n != 3 {
		t.Errorf("standard output has %d of the 3 lines that the file lost", n)
	}
}
