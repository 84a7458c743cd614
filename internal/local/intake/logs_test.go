package intake

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/poll"
)

func TestLogWriter(t *testing.T) {
	s := store.New(0)
	w := NewLogWriter(s)
	for _, piece := range []string{"one\ntw", "o\n\n", "three", "\n", strings.Repeat("x", wire.MaxLine+10), "\nfour\nfive"} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	messages := func() string {
		lines, _ := s.Logs(store.LogFilter{Limit: 10})
		var got []string
		for _, l := range lines {
			got = append(got, l.Message[:min(5, len(l.Message))])
		}
		return fmt.Sprint(got)
	}
	if got, want := messages(), "[four xxxxx three two one]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	w.Flush()
	w.Flush()
	if got, want := messages(), "[five four xxxxx three two one]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestLastLineWithoutNewline: it appears after a second without another piece.
func TestLastLineWithoutNewline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := store.New(0)
		w := NewLogWriter(s)
		lines := func() int {
			synctest.Wait()
			_, n := s.Logs(store.LogFilter{})
			return n
		}
		fmt.Fprint(w, "first\nlast")
		time.Sleep(quietTime - 1)
		fmt.Fprint(w, " line")
		time.Sleep(quietTime - 1)
		if n := lines(); n != 1 {
			t.Errorf("%d lines, want 1", n)
		}
		time.Sleep(1 * time.Nanosecond)
		synctest.Wait()
		if got, _ := s.Logs(store.LogFilter{Limit: 1}); lines() != 2 || got[0].Message != "last line" {
			t.Errorf("%d lines, want 2: %v", lines(), got)
		}
		fmt.Fprint(w, "\nnext\n")
		time.Sleep(quietTime)
		if n := lines(); n != 3 {
			t.Errorf("%d lines, want 3", n)
		}
	})
}

// TestLongLinesInPieces: a line of a megabyte, in pieces of any size, keeps its level
// and its trace ID.
func TestLongLinesInPieces(t *testing.T) {
	const id = "6b060d8f000000007aa1645abafb4873"
	line := `{"level":"error","msg":"` + strings.Repeat("x", 1<<20) + `","dd.trace_id":"` + id + `"}` + "\nnext\n"
	for _, size := range []int{1 << 21, 32 << 10, 1000, 4097} {
		s := store.New(0)
		w := NewLogWriter(s)
		for rest := line; rest != ""; {
			n := min(size, len(rest))
			fmt.Fprint(w, rest[:n])
			rest = rest[n:]
			w.mu.Lock()
			kept := len(w.partial)
			w.mu.Unlock()
			if kept > 2*wire.MaxLine {
				t.Fatalf("%d bytes are kept", kept)
			}
		}
		got, _ := s.Logs(store.LogFilter{Limit: 3})
		if len(got) != 2 || got[0].Message != "next" || got[1].Level != "ERROR" || got[1].TraceID != id || len(got[1].Raw) > wire.MaxLine {
			t.Errorf("pieces of %d: %d lines, %.60v", size, len(got), got)
		}
	}
}

// TestLogsOfTraces: lines of other languages are found by the ID of their trace.
func TestLogsOfTraces(t *testing.T) {
	const id, half, decimal = "6b060d8f000000007aa1645abafb4873", "7aa1645abafb4873", "8836454284724488307"
	s := store.New(0)
	fmt.Fprintln(NewLogWriter(s), strings.Join([]string{
		`2026-01-02 03:04:05,000 ERROR [app] [dd.service=py dd.trace_id=` + id + ` dd.span_id=5] - python`,
		`I, [2026-01-02T03:04:05 #1] INFO -- : [dd.service=rb dd.trace_id=` + decimal + ` dd.span_id=5 ddsource=ruby] ruby`,
		`2026-01-02 03:04:05 [main] INFO a.B - ` + id + ` 1234567890123 - java`,
		`info: App[0] {dd_trace_id:"` + id + `", dd_span_id:"5"} net`,
		`{"message":"php","level":400,"level_name":"ERROR","extra":{"dd":{"trace_id":"` + id + `"}}}`,
		`{"level":50,"msg":"node","dd":{"trace_id":"` + decimal + `","span_id":"5"}}`,
		`otel trace_id=` + strings.ToUpper(id) + ` span_id=00f067aa0ba902b7`,
		`half dd.trace_id=` + half,
		`other dd.trace_id=6b060d8f000000007aa1645abafb4874`,
	}, "\n"))
	got, n := s.Logs(store.LogFilter{TraceID: id, Limit: 20})
	if n != 8 {
		t.Errorf("%d lines, want 8: %v", n, got)
	}
}

func TestFollow(t *testing.T) {
	name := filepath.Join(t.TempDir(), "service.log")
	var got lockedbuffer.Buffer
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { ended <- Follow(ctx, name, &got) }()
	write := func(flags int, text string) {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|flags, 0o666)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, text)
		f.Close()
	}
	await := func(want string) {
		t.Helper()
		poll.True(t, fmt.Sprintf("%q is copied", want), func() bool { return got.String() == want })
	}
	write(0, "first\n")
	await("first\n")
	write(os.O_APPEND, "second\n")
	await("first\nsecond\n")
	if err := os.Rename(name, name+".1"); err != nil {
		t.Fatal(err)
	}
	write(0, "rotated\n")
	await("first\nsecond\nrotated\n")
	write(os.O_TRUNC, "cut\n")
	await("first\nsecond\nrotated\ncut\n")

	// A line without a newline does not continue in another file, nor after a truncation.
	all := "first\nsecond\nrotated\ncut\n"
	next := func(flags int, text, want string) {
		t.Helper()
		write(flags, text)
		all += want
		await(all)
	}
	next(os.O_APPEND, "open", "open")
	if err := os.Rename(name, name+".2"); err != nil {
		t.Fatal(err)
	}
	next(0, "other", "\nother")
	next(os.O_TRUNC, "one", "\none")
	next(os.O_TRUNC, "a longer line than before", "\na longer line than before") // by the time of the next look
	next(os.O_APPEND, " continues", " continues")
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := got.String(); got != all+"\n" {
		t.Errorf("%q: the last line has no end", got)
	}
}
