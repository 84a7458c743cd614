package localagent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/poll"
)

func TestParseLog(t *testing.T) {
	now := time.Unix(5, 0)
	for line, want := range map[string]string{
		`{"msg":"m","level":"warn","dd.service":"s","dd.trace_id":"t","dd.span_id":"1","timestamp":"2026-01-02T03:04:05Z"}`: "2026-01-02T03:04:05Z WARN s m t 1",
		`{"message":"m","status":"error","dd":{"service":"s","trace_id":"12","span_id":7}}`:                                 "1970-01-01T00:00:05Z ERROR s m 12 7",
		`plain text`:             "1970-01-01T00:00:05Z INFO  plain text  ",
		`{"msg":`:                `1970-01-01T00:00:05Z INFO  {"msg":  `,
		`[1]`:                    "1970-01-01T00:00:05Z INFO  [1]  ",
		`{"msg":{"a":1}}`:        `1970-01-01T00:00:05Z INFO  {"msg":{"a":1}}  `,
		"{\"msg\":\"\xff bad\"}": "1970-01-01T00:00:05Z INFO  \uFFFD bad  ",
	} {
		l := ParseLog([]byte(line), now)
		got := fmt.Sprintf("%s %s %s %s %s %s", l.Time.UTC().Format(time.RFC3339), l.Level, l.Service, l.Message, l.TraceID, l.SpanID)
		if got != want {
			t.Errorf("%s:\n got %q\nwant %q", line, got, want)
		}
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add(`{"dd":{"trace_id":"1"},"msg":"m"}`)
	f.Fuzz(func(t *testing.T, line string) {
		l := ParseLog([]byte(line), time.Now())
		if len(l.Raw) > 3*len(line) || strings.ToValidUTF8(l.Raw, "") != l.Raw {
			t.Errorf("%q", l.Raw)
		}
	})
}

func TestLogWriter(t *testing.T) {
	s := NewStore(0)
	w := NewLogWriter(s)
	for _, piece := range []string{"one\ntw", "o\n\n", "three", "\n", strings.Repeat("x", maxLine+10), "\nfour\nfive"} {
		if n, err := w.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	lines, _ := s.Logs(LogFilter{Limit: 10})
	var got []string
	for _, l := range lines {
		got = append(got, l.Message[:min(5, len(l.Message))])
	}
	if want := "[four xxxxx three two one]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
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
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
