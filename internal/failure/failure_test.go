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

func made() error { return failure.New("read the table", io.ErrUnexpectedEOF) }

func TestChain(t *testing.T) {
	err := fmt.Errorf("home: %w", made())
	if got, want := err.Error(), "home: read the table: unexpected EOF"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("the cause is lost")
	}
	if stack := failure.Stack(err); !strings.HasPrefix(stack, "apmapp/internal/failure_test.made\n\t") || !strings.Contains(stack, "failure_test.go:") {
		t.Errorf("the stack begins elsewhere:\n%s", stack)
	}
	if failure.New("nothing", nil) != nil {
		t.Error("no error became one")
	}
	if failure.Stack(io.EOF) != "" {
		t.Error("a plain error has a stack")
	}
}

func TestKind(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for want, err := range map[string]error{
		"*errors.errorString": made(),
		"syscall.Errno":       fmt.Errorf("ping: %w", refused),
		"*net.AddrError":      errors.Join(io.EOF, &net.AddrError{}),
	} {
		if got := failure.Kind(err); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
}

func TestRecovered(t *testing.T) {
	recovered := func(value any) (err error) {
		defer func() { err = failure.Recovered(recover()) }()
		panic(value)
	}
	for message, value := range map[string]any{"panic: 42": 42, "panic: EOF": io.EOF} {
		err := fmt.Errorf("work: %w", recovered(value))
		if err.Error() != "work: "+message || failure.Kind(err) != "panic" {
			t.Errorf("%s of kind %s", err, failure.Kind(err))
		}
		if !strings.Contains(failure.Stack(err), "TestRecovered.func1\n") {
			t.Errorf("the stack does not lead to the panic:\n%s", failure.Stack(err))
		}
	}
	if !errors.Is(recovered(io.EOF), io.EOF) {
		t.Error("the value is lost")
	}
}
