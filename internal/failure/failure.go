// Package failure gives an error the two things its readers ask for: what was
// being done when it happened, and the stack of the place where it was made.
//
// Plain Go errors have no stack, and Datadog's Error Tracking groups by it. A
// package that meets a foreign error (a driver's, a panic's value) wraps it
// here once; everything above adds context with fmt.Errorf and %w as usual.
package failure

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
)

// Error is an error with the stack of the place that made it.
type Error struct {
	op    string
	err   error
	stack []uintptr
}

// maxDepth bounds a stack. Requests here are about 20 frames deep, and a stack
// is kept for every failed request.
const maxDepth = 48

// New wraps err with the operation that failed and the caller's stack. It
// returns nil when err is nil.
func New(op string, err error) error {
	if err == nil {
		return nil
	}
	return wrap(op, err)
}

// Recovered makes an error of a recovered panic value. Called from the
// deferred function that recovered, its stack begins where the panic happened.
func Recovered(value any) error {
	cause, ok := value.(error)
	if !ok {
		cause = errors.New(fmt.Sprint(value))
	}
	return wrap("panic", panicked{cause})
}

func wrap(op string, err error) *Error {
	stack := make([]uintptr, maxDepth)
	// Callers itself, wrap, and New or Recovered are no part of the story.
	const skip = 3
	return &Error{op: op, err: err, stack: stack[:runtime.Callers(skip, stack)]}
}

// Error returns the operation and the error it met.
func (e *Error) Error() string { return e.op + ": " + e.err.Error() }

// Unwrap returns the error that was met.
func (e *Error) Unwrap() error { return e.err }

// Stack returns the frames, innermost first, in the form that the Go runtime
// prints them: function, then file and line.
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

// panicked marks a cause that arrived as a panic.
type panicked struct{ error }

func (p panicked) Unwrap() error { return p.error }

// Kind names the innermost cause of err: "panic" for a recovered panic, else
// its Go type. Where an error joins several, the last one counts.
func Kind(err error) string {
	for {
		if _, ok := err.(panicked); ok {
			return "panic"
		}
		next := unwrap(err)
		if next == nil {
			return reflect.TypeOf(err).String()
		}
		err = next
	}
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

// Stack returns the stack of the first error in err's chain that has one, or
// "" when none has.
func Stack(err error) string {
	var f *Error
	if errors.As(err, &f) {
		return f.Stack()
	}
	return ""
}
