// Package failure adds to an error the operation that failed and the stack of
// the place where the error was made.
//
// Plain Go errors have no stack, but Datadog's Error Tracking groups by it. A
// package that receives an error from elsewhere (a driver, a panic) wraps it once
// with this package. Its callers add context with fmt.Errorf and %w as usual.
package failure

import (
	"errors"
	"fmt"
	"go/token"
	"reflect"
	"runtime"
	"strings"
)

// Error is an error with the stack of the place where it was made.
type Error struct {
	op    string
	err   error
	stack []uintptr
}

// maxDepth bounds a stack, because each failed request keeps one. Requests of
// apmapp are about 20 frames deep.
const maxDepth = 48

// New wraps err with the operation that failed and the caller's stack. It
// returns nil if err is nil.
func New(op string, err error) error {
	if err == nil {
		return nil
	}
	return wrap(op, err)
}

// Recovered returns an error for the value of a recovered panic. Call it in the
// deferred function that recovers: then the stack leads to the panic.
func Recovered(value any) error {
	cause, ok := value.(error)
	if !ok {
		cause = errors.New(fmt.Sprint(value))
	}
	return wrap("panic", panicked{cause})
}

func wrap(op string, err error) *Error {
	stack := make([]uintptr, maxDepth)
	// Skip runtime.Callers, wrap, and New or Recovered.
	const skip = 3
	return &Error{op: op, err: err, stack: stack[:runtime.Callers(skip, stack)]}
}

// Error returns the operation and the wrapped error.
func (e *Error) Error() string { return e.op + ": " + e.err.Error() }

// Unwrap returns the wrapped error.
func (e *Error) Unwrap() error { return e.err }

// Stack returns the frames, innermost first, in the format of the Go runtime:
// function, then file and line.
func (e *Error) Stack() string {
	var b strings.Builder
	frames := runtime.CallersFrames(e.stack)
	for {
		frame, more := frames.Next()
		if frame.Function != "" {
			fmt.Fprintf(&b, "%s\n\t%s:%d\n", frame.Function, frame.File, frame.Line)
		}
		if !more {
			return b.String()
		}
	}
}

// panicked marks an error that was the value of a panic.
type panicked struct{ error }

func (p panicked) Unwrap() error { return p.error }

// Kind returns the Go type of err's cause, or "panic" for a recovered panic. The
// cause is the first error in the chain with an exported type: types that are not
// exported, such as fmt's, only add context. What follows it may say less, such as
// the syscall.Errno inside of every *net.OpError. Without such a type, the cause is
// the innermost error. Of joined errors, the last one counts.
func Kind(err error) string {
	for {
		if _, ok := err.(panicked); ok {
			return "panic"
		}
		next := unwrap(err)
		if next == nil || isExported(err) {
			return reflect.TypeOf(err).String()
		}
		err = next
	}
}

// isExported reports whether err has an exported type. This package's own only adds
// context.
func isExported(err error) bool {
	if _, own := err.(*Error); own {
		return false
	}
	t := reflect.TypeOf(err)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return token.IsExported(t.Name())
}

func unwrap(err error) error {
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return err.Unwrap()
	case interface{ Unwrap() []error }:
		all := err.Unwrap()
		return all[len(all)-1]
	}
	return nil
}

// Stack returns the stack of the first error in err's chain that has one, or ""
// if there is no stack.
func Stack(err error) string {
	var f *Error
	if errors.As(err, &f) {
		return f.Stack()
	}
	return ""
}
