//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"apmapp/internal/command"
	"apmapp/internal/testing/lockedbuffer"
	"apmapp/loadgen/report"
)

const earlier = "an earlier run"

// hgrm is the beginning of a file of percentiles.
const hgrm = " Value\tPercentile\t"

// short are flags of a run of three requests.
func short(url string, more ...string) []string {
	return append([]string{"-url", url, "-rps", "100", "-duration", "30ms"}, more...)
}

// write creates a file, for an earlier report, and returns its name.
func write(t *testing.T, dir, name string) string {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.WriteFile(name, []byte(earlier), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func link(t *testing.T, to, name string) string {
	t.Helper()
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// isReport fails the test unless a file has the JSON report of a run, and nothing
// after it.
func isReport(t *testing.T, name string) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := report.ReadJSON(f); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

func isLink(t *testing.T, name string) {
	t.Helper()
	if info, err := os.Lstat(name); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("%s is no longer a link: %v, %v", name, info, err)
	}
}

// names returns the names of a directory's files.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

// The report of an earlier run stays until the new one is complete, and there are
// no other files meanwhile.
func TestEarlierReportStaysDuringTheRun(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "run.json")
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if content, err := os.ReadFile(file); string(content) != earlier || err != nil {
			t.Errorf("the file has %q, %v", content, err)
		}
		if got := names(t, dir); got != "run.json" {
			t.Errorf("files during the run: %s", got)
		}
	}))
	defer service.Close()
	if status, _, stderr := execute(t.Context(), short(service.URL, "-o", file, "-hgrm", filepath.Join(dir, "run.hgrm"))...); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	isReport(t, file)
	if got := names(t, dir); got != "run.hgrm run.json" {
		t.Errorf("files after the run: %s", got)
	}
}

func TestFilesKeepModeOwnerAndNames(t *testing.T) {
	url, _ := serve(t, 0)
	dir := t.TempDir()
	target := write(t, dir, "target")
	if err := os.Chmod(target, 0o604); err != nil {
		t.Fatal(err)
	}
	owner := os.Getuid()
	if owner == 0 {
		owner = 4321
		if err := os.Chown(target, owner, owner); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	// A relative link counts from its own directory.
	outer := link(t, "sub/inner.json", filepath.Join(dir, "outer.json"))
	inner := link(t, "../target", filepath.Join(dir, "sub", "inner.json"))
	dangling := link(t, "new.hgrm", filepath.Join(dir, "dangling.hgrm"))
	if status, _, stderr := execute(t.Context(), short(url, "-o", outer, "-hgrm", dangling)...); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	isLink(t, outer)
	isLink(t, inner)
	isLink(t, dangling)
	isReport(t, target)
	info, err := os.Stat(target)
	if err != nil || info.Mode() != 0o604 || int(info.Sys().(*syscall.Stat_t).Uid) != owner {
		t.Errorf("%v of %d, %v; want mode 604 and owner %d", info.Mode(), info.Sys().(*syscall.Stat_t).Uid, err, owner)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "new.hgrm")); !bytes.HasPrefix(content, []byte(hgrm)) {
		t.Errorf("the link's new target has %q, %v", content, err)
	}
	// A new file has the mode that the umask allows.
	plain, err := os.Create(filepath.Join(dir, "plain"))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	want, err := plain.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.Stat(filepath.Join(dir, "new.hgrm")); err != nil || got.Mode() != want.Mode() {
		t.Errorf("a new file has mode %v, %v; want %v", got.Mode(), err, want.Mode())
	}
}

// A file with two names keeps both. Its new content is shorter than its old one.
func TestHardLinksStay(t *testing.T) {
	url, _ := serve(t, 0)
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first.json"), filepath.Join(dir, "second.json")
	if err := os.WriteFile(first, bytes.Repeat([]byte("x"), 1<<20), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(first, second); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := execute(t.Context(), short(url, "-o", first)...); status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	isReport(t, second)
}

// watched is standard error. It calls waiting when loadgen waits for a reader.
type watched struct {
	lockedbuffer.Buffer
	waiting func()
}

func (w *watched) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "waiting for a reader of ") {
		w.waiting()
	}
	return w.Buffer.Write(b)
}

// A FIFO without a reader is waited for until the next signal.
func TestFIFOWithoutAReader(t *testing.T) {
	url, requests := serve(t, 0)
	for _, interrupted := range []bool{false, true} { // the run, before it is written
		fifo := filepath.Join(t.TempDir(), "fifo.txt")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, interrupt := context.WithCancel(t.Context())
		giveUp, again := context.WithCancel(t.Context())
		args := short(url, "-o", fifo)
		stderr := &watched{waiting: interrupt}
		if interrupted {
			args = []string{"-url", url, "-rps", "100", "-o", fifo}
			stderr.waiting = again
			go func() {
				for before := requests.Load(); requests.Load() < before+3; {
				}
				interrupt()
			}()
		}
		var stdout bytes.Buffer
		status := run(ctx, command.Process{Args: args, Getenv: func(string) string { return "" }, Stdout: &stdout, Stderr: stderr, GiveUp: giveUp})
		if status != command.Failure || !strings.Contains(stderr.String(), "-o: the wait for a reader ended: context canceled") || !strings.Contains(stdout.String(), "requests ") {
			t.Errorf("interrupted %t: status %d, %s%s", interrupted, status, &stdout, stderr.String())
		}
		// A reader for the goroutine that still waits.
		if f, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			defer f.Close()
		}
		again()
		interrupt()
	}
}

// Whatever is not a regular file is written, not replaced.
func TestSpecialFilesAreWrittenDirectly(t *testing.T) {
	url, _ := serve(t, 0)
	dir := t.TempDir()
	t.Run("FIFO", func(t *testing.T) {
		fifo := filepath.Join(dir, "fifo.json")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		received := make(chan error, 1)
		go func() {
			f, err := os.Open(fifo)
			if err == nil {
				_, err = report.ReadJSON(f)
			}
			received <- err
		}()
		if status, _, stderr := execute(t.Context(), short(url, "-o", link(t, fifo, filepath.Join(dir, "link.json")))...); status != 0 {
			t.Errorf("status %d: %s", status, stderr)
		}
		if err := <-received; err != nil {
			t.Error(err)
		}
		if info, err := os.Lstat(fifo); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
			t.Errorf("it is no longer a FIFO: %v, %v", info, err)
		}
	})
	t.Run("device", func(t *testing.T) {
		// Two outputs may go to the same device.
		page, percentiles := link(t, os.DevNull, filepath.Join(dir, "null.html")), link(t, os.DevNull, filepath.Join(dir, "null.hgrm"))
		if status, stdout, stderr := execute(t.Context(), short(url, "-o", page, "-hgrm", percentiles)...); status != 0 || !strings.Contains(stdout, "requests  3 due") {
			t.Errorf("status %d: %s%s", status, stdout, stderr)
		}
		isLink(t, page)
		isLink(t, percentiles)
	})
	t.Run("descriptor", func(t *testing.T) {
		for _, name := range []string{"/dev/fd/%d", "/proc/self/fd/%d"} {
			if _, err := os.Stat(filepath.Dir(name)); err != nil {
				continue // there is no /proc
			}
			f, err := os.Create(filepath.Join(dir, "inherited"))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(f, "before")
			status, _, stderr := execute(t.Context(), short(url, "-hgrm", fmt.Sprintf(name, f.Fd()))...)
			fmt.Fprintln(f, "after")
			f.Close()
			content, err := os.ReadFile(f.Name())
			if status != 0 || err != nil || !bytes.HasPrefix(content, []byte("before\n"+hgrm)) || !bytes.HasSuffix(content, []byte("after\n")) {
				t.Errorf("%s: status %d: %s%.40q…, %v", name, status, stderr, content, err)
			}
		}
	})
	// Its name needs no extension: it gets what standard output gets.
	t.Run("-o of a descriptor", func(t *testing.T) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		status, stdout, stderr := execute(t.Context(), short(url, "-o", fmt.Sprintf("/dev/fd/%d", w.Fd()))...)
		w.Close()
		if got, err := io.ReadAll(r); status != 0 || string(got) != stdout || err != nil {
			t.Errorf("status %d: %s%q, %v; want %q", status, stderr, got, err, stdout)
		}
	})
}

func TestOutputsThatCannotBeWritten(t *testing.T) {
	url, requests := serve(t, 0)
	dir := t.TempDir()
	reading, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	socket := filepath.Join(dir, "socket.html")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	earlierRun := write(t, t.TempDir(), "run.json")
	before := names(t, dir)
	for args, want := range map[string]string{
		"-o " + dir + "/none/run.json":                       "-o: open " + dir + "/none/run.json: no such file or directory",
		"-hgrm " + dir:                                       "-hgrm: open " + dir + ": is a directory",
		"-hgrm " + dir + "/none/":                            "-hgrm: open " + dir + "/none/: is a directory",
		"-hgrm " + dir + "/" + strings.Repeat("long", 100):   "file name too long",
		"-hgrm /dev/fd/999":                                  "-hgrm: open /dev/fd/999: bad file descriptor",
		fmt.Sprintf("-hgrm /dev/fd/%d", reading.Fd()):        "it is open for reading only",
		"-o " + socket:                                       "-o: open " + socket + ": it is a socket",
		"-o " + link(t, "loop.txt", dir+"/../loop.txt"):      "-o: stat " + dir + "/../loop.txt: too many levels of symbolic links",
		"-o " + dir + "/new.json -hgrm " + dir + "/none/new": "-hgrm: open " + dir + "/none/new: no such file or directory",
	} {
		for program, args := range map[string]string{"loadgen": "-url " + url + " " + args, "loadgen merge": "merge " + earlierRun + " " + args} {
			status, stdout, stderr := execute(t.Context(), strings.Fields(args)...)
			if status != command.Usage || !strings.HasPrefix(stderr, program+": -") || !strings.Contains(stderr, want) || stdout != "" {
				t.Errorf("%s: status %d, want 2 and %q: %s%s", args, status, want, stdout, stderr)
			}
		}
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests", requests.Load())
	}
	if got := names(t, dir); got != before {
		t.Errorf("files left: %s, want %s", got, before)
	}
}

func TestOutputsThatAreTheSameFile(t *testing.T) {
	url, requests := serve(t, 0)
	dir := t.TempDir()
	old := write(t, dir, "old.txt")
	if err := os.Link(old, dir+"/hard.txt"); err != nil {
		t.Fatal(err)
	}
	link(t, "old.txt", dir+"/soft.txt")
	link(t, "new.txt", dir+"/dangling.txt")
	if err := syscall.Mkfifo(dir+"/fifo.txt", 0o600); err != nil {
		t.Fatal(err)
	}
	stream, err := os.OpenFile(old, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	earlierRun := write(t, t.TempDir(), "run.json")
	before := names(t, dir)
	descriptor := fmt.Sprintf("/dev/fd/%d", stream.Fd())
	for _, test := range []struct {
		name, args     string
		stdout, stderr io.Writer
		want           string
	}{
		{"one new file", "-o DIR/new.txt -hgrm DIR/./new.txt", nil, nil, "-hgrm: \"DIR/./new.txt\" is also the file of -o"},
		{"one old file", "-o DIR/old.txt -hgrm DIR/old.txt", nil, nil, "-hgrm: \"DIR/old.txt\" is also the file of -o"},
		{"a hard link", "-o DIR/hard.txt -hgrm DIR/old.txt", nil, nil, "is also the file of -o"},
		{"a soft link", "-o DIR/soft.txt -hgrm DIR/old.txt", nil, nil, "is also the file of -o"},
		{"a dangling link", "-o DIR/dangling.txt -hgrm DIR/new.txt", nil, nil, "is also the file of -o"},
		{"a FIFO", "-o DIR/fifo.txt -hgrm DIR/fifo.txt", nil, nil, "is also the file of -o"},
		{"a descriptor", "-o DIR/old.txt -hgrm " + descriptor, nil, nil, "is also the file of -o"},
		{"standard output", "-o DIR/soft.txt", stream, nil, "-o: \"DIR/soft.txt\" is also the file of standard output"},
		{"standard error", "-hgrm DIR/hard.txt", nil, stream, "-hgrm: \"DIR/hard.txt\" is also the file of standard error"},
	} {
		for program, first := range map[string]string{"loadgen": "-url " + url, "loadgen merge": "merge " + earlierRun} {
			args := strings.ReplaceAll(first+" "+test.args, "DIR", dir)
			var stderr bytes.Buffer
			p := command.Process{Args: strings.Fields(args), Stdout: io.Discard, Stderr: &stderr}
			if test.stdout != nil {
				p.Stdout = test.stdout
			}
			if test.stderr != nil {
				// Its Stat is used; the message is written to the file.
				p.Stderr = test.stderr
			}
			status := run(t.Context(), p)
			message := stderr.String()
			if test.stderr != nil {
				content, err := os.ReadFile(old)
				if err != nil {
					t.Fatal(err)
				}
				message = string(content)
				if err := errors.Join(os.WriteFile(old, []byte(earlier), 0o644), rewind(stream)); err != nil {
					t.Fatal(err)
				}
			}
			if want := strings.ReplaceAll(test.want, "DIR", dir); status != command.Usage || !strings.HasPrefix(message, program+": -") || !strings.Contains(message, want) {
				t.Errorf("%s, %s: status %d, want 2 and %q: %s", program, test.name, status, want, message)
			}
		}
	}
	if requests.Load() != 0 {
		t.Errorf("%d requests", requests.Load())
	}
	if got := names(t, dir); got != before {
		t.Errorf("files left: %s, want %s", got, before)
	}
	if content, err := os.ReadFile(old); string(content) != earlier {
		t.Errorf("the earlier report is %q, %v", content, err)
	}
}

func rewind(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// A file that cannot be written after all costs neither the others, standard output
// nor the verdict.
func TestOneFileFails(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full")
	}
	url, _ := serve(t, 0)
	dir := t.TempDir()
	file := filepath.Join(dir, "run.json")
	status, stdout, stderr := execute(t.Context(), short(url, "-hgrm", link(t, "/dev/full", dir+"/full"), "-o", file, "-fail-if", "max>1ns")...)
	if !strings.Contains(stderr, "\n-fail-if max>1ns: max is ") {
		t.Errorf("no verdict: %s", stderr)
	}
	if status != 1 || !strings.Contains(stderr, "write the report: -hgrm: write "+dir+"/full: no space left on device") || !strings.Contains(stdout, "requests  3 due") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
	isReport(t, file)
}
