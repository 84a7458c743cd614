// Package command is what the programs of this repository share: signals, flags
// with environment variables beside them, -help, -version, error messages and
// exit statuses.
//
// It uses the standard library's flag.FlagSet as the registry of flags, because
// the programs take flags with one dash (loadgen -rps 20).
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"apmapp/internal/build"
)

// Exit statuses of all programs. A program may have more of its own: see Status.
const (
	Success = 0
	Failure = 1
	Usage   = 2 // the command line or the environment is wrong
)

// Process is what a program gets from the operating system. Tests fill it with
// buffers.
type Process struct {
	Args           []string // without the program's name
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// GiveUp is set by MainInSteps. It ends at the second signal.
	GiveUp context.Context
}

// grace is the time after the first signal in which further signals change
// nothing. Some senders signal a process twice at once: GNU timeout signals the
// process and its group, a terminal that closes sends SIGHUP and SIGTERM.
const grace = time.Second

// Main calls run and exits with the status that it returns. The first SIGINT,
// SIGTERM or SIGHUP ends ctx. A signal that arrives more than a second later kills
// the process.
func Main(run func(context.Context, Process) int) {
	os.Exit(run(untilSignal(func() {}), newProcess()))
}

// MainForReader is Main for a program that prints until it is ended. Also when the reader of
// its standard output leaves, as head does, ctx ends, so that the program removes its files.
// By default, the next write to the pipe would kill it.
func MainForReader(run func(context.Context, Process) int) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, end := context.WithCancel(untilSignal(func() {}))
	p := newProcess()
	p.Stdout = &watched{p.Stdout, end}
	os.Exit(run(ctx, p))
}

// watched discards what nobody reads any more, and calls left then.
type watched struct {
	io.Writer
	left func()
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		w.left()
		return len(b), nil
	}
	return n, err
}

// MainInSteps is Main for a program that waits for something after the first
// signal and has work to do after the wait. A second signal, more than a second
// later, ends Process.GiveUp. A third one, again more than a second later, kills
// the process.
func MainInSteps(run func(context.Context, Process) int) {
	p := newProcess()
	giveUp, end := context.WithCancelCause(context.Background())
	p.GiveUp = giveUp
	os.Exit(run(untilSignal(func() {
		second := untilSignal(func() {})
		context.AfterFunc(second, func() { end(context.Cause(second)) })
	}), p))
}

func newProcess() Process {
	return Process{Args: os.Args[1:], Getenv: os.Getenv, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
}

// untilSignal returns a context that ends at the next signal. After the grace, it
// calls then and leaves further signals alone.
func untilSignal(then func()) context.Context {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	// nohup starts a program with SIGHUP ignored, so that it outlives its terminal.
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, func() {
		time.AfterFunc(grace, func() {
			then()
			stop()
		})
	})
	return ctx
}

// Command is a program, or one of its subcommands.
type Command struct {
	// Name is what people type: "loadgen merge".
	Name string
	// Arguments describes what may follow besides flags, such as "FILE...". A
	// command without Arguments refuses them.
	Arguments string
	// Summary is one or two sentences that say what the command does.
	Summary string
	// Examples are command lines with a comment each. -help begins with them.
	Examples []Example
	// Notes is the end of -help.
	Notes string
	// Hints are for flags that similar programs have and this one does not: what to
	// use instead, by name.
	Hints map[string]string
	// Unexpected returns the error for an argument of a command without Arguments.
	// If it is nil or returns nil, the error only quotes the argument.
	Unexpected func(argument string) error
	// Modules are the Go modules whose versions -version prints.
	Modules []string
	// Flags defines the flags.
	Flags func(*Flags)
	// Check reads the flags' values and the arguments after parsing. An error is
	// a usage error. Check may be nil.
	Check func(arguments []string) error
	// Run does the work. Its error is printed.
	Run func(context.Context) error
}

// Example is one command line of -help.
type Example struct{ Line, Comment string }

// Status is an error that ends a program with its own exit status. Nothing is
// printed for it.
type Status int

func (s Status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// UsageError marks an error as one of the command line or the environment.
type UsageError struct{ Err error }

func (e UsageError) Error() string { return e.Err.Error() }
func (e UsageError) Unwrap() error { return e.Err }

// Execute parses p.Args and runs the command. It prints help, version and errors
// and returns the exit status.
func (c Command) Execute(ctx context.Context, p Process) int {
	fs, version := c.flags()
	arguments, err := fs.parse(p.Args, p.Getenv)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.Stdout, c.help())
		return Success
	case err == nil && *version:
		fmt.Fprint(p.Stdout, build.Summary(c.Name, c.Modules...))
		return Success
	case err == nil:
		err = c.check(arguments)
	}
	if err != nil {
		err = UsageError{err}
	} else {
		err = c.Run(ctx)
	}
	var status Status
	switch {
	case err == nil:
		return Success
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintf(p.Stderr, "%s: %v\n", c.Name, err)
	if errors.As(err, new(UsageError)) {
		fmt.Fprintf(p.Stderr, "Run %s -help for all flags.\n", c.Name)
		return Usage
	}
	return Failure
}

func (c Command) check(arguments []string) error {
	if c.Arguments == "" && len(arguments) > 0 {
		if c.Unexpected != nil {
			if err := c.Unexpected(arguments[0]); err != nil {
				return err
			}
		}
		return fmt.Errorf("unexpected argument %q: flags begin with -", arguments[0])
	}
	if c.Check == nil {
		return nil
	}
	return c.Check(arguments)
}

// flags returns the command's flags, with -version.
func (c Command) flags() (fs *Flags, version *bool) {
	fs = &Flags{FlagSet: flag.NewFlagSet(c.Name, flag.ContinueOnError), variables: map[string]string{}, group: map[string]string{}, hints: c.Hints}
	if c.Flags != nil {
		c.Flags(fs)
	}
	general := "Flags"
	if len(fs.groups) > 0 {
		general = "General"
	}
	fs.Group(general, func() { version = fs.Bool("version", false, "print the version and exit") })
	return fs, version
}
