package failure_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"apmapp/internal/failure"
)

func readTable() error { return failure.New("read the table", io.ErrUnexpectedEOF) }

func TestNew(t *testing.T) {
	err := fmt.Errorf("home: %w", readTable())
	if got, want := err.Error(), "home: read the table: unexpected EOF"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	lines := strings.Split(failure.Stack(err), "\n")
	if lines[0] != "apmapp/internal/failure_test.readTable" || !strings.HasPrefix(lines[1], "\t") || !strings.Contains(lines[1], "failure_test.go:15") {
		t.Errorf("the stack begins with %q", lines[:2])
	}
	if lines[2] != "apmapp/internal/failure_test.TestNew" {
		t.Errorf("the second frame is %q, want the caller", lines[2])
	}
	if failure.New("nothing", nil) != nil {
		t.Error("nil became an error")
	}
	if failure.Stack(io.EOF) != "" {
		t.Error("a plain error has a stack")
	}
}

func deep(frames int) error {
	if frames == 0 {
		return readTable()
	}
	return deep(frames - 1)
}

func TestStackIsBounded(t *testing.T) {
	for _, c := range []struct{ calls, want int }{{10, 10 + 4}, {100, 48}} {
		// Each frame is two lines. Four frames surround the calls of deep:
		// readTable, this test, and the two frames that started it.
		if got := strings.Count(failure.Stack(deep(c.calls-1)), "\n") / 2; got != c.want {
			t.Errorf("%d calls: a stack of %d frames, want %d", c.calls, got, c.want)
		}
	}
}

func TestKind(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		err  error
		want string
	}{
		{readTable(), "*errors.errorString"},
		{fmt.Errorf("ping: %w", refused), "*net.OpError"},
		{failure.New("ping", fmt.Errorf("dial: %w", refused)), "*net.OpError"},
		{errors.Join(errors.New("close"), refused), "*net.OpError"},
		{syscall.ECONNREFUSED, "syscall.Errno"},
		{errors.Join(io.EOF, &net.AddrError{}), "*net.AddrError"},
	} {
		if got := failure.Kind(c.err); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}

func TestRecovered(t *testing.T) {
	recovered := func(value any) (err error) {
		defer func() { err = failure.Recovered(recover()) }()
		panic(value)
	}
	for _, c := range []struct {
		value any
		want  string
	}{{42, "work: panic: 42"}, {io.EOF, "work: panic: EOF"}} {
		err := fmt.Errorf("work: %w", recovered(c.value))
		if err.Error() != c.want || failure.Kind(err) != "panic" {
			t.Errorf("%s of kind %s, want %s of kind panic", err, failure.Kind(err), c.want)
		}
		if !strings.Contains(failure.Stack(err), "TestRecovered.func1\n") {
			t.Errorf("the stack does not lead to the panic:\n%s", failure.Stack(err))
		}
	}
	if !errors.Is(recovered(io.EOF), io.EOF) {
		t.Error("the value is lost")
	}
}
