// Command provision makes a Datadog account match the definitions in
// deploy/datadog: dashboards, monitors, SLOs and downtimes.
//
//	go run ./cmd/provision plan -offline
//	go run ./cmd/provision apply -env dev -notify @team@example.com
//
// It exits with 0 when all went well, 1 when something failed, and 2 when its
// command line or environment is wrong. plan -detailed-exitcode exits with 3 when
// there is something to do.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // a bare machine has no time zones

	"apmapp/internal/provision"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal gives the next one its default meaning back.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

const (
	failed  = 1
	usage   = 2
	pending = 3 // plan -detailed-exitcode: the account differs
)

// usageError is a command line or an environment that cannot work.
type usageError struct{ error }

// errDiffers is what plan -detailed-exitcode returns for an account that differs.
var errDiffers = errors.New("the account differs")

// run is the program but for its process: it returns the exit status.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, getenv)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, help())
		return 0
	}
	if err != nil {
		return report(err, stderr)
	}
	return execute(ctx, o, stdin, stdout, stderr)
}

func execute(ctx context.Context, o options, stdin io.Reader, stdout, stderr io.Writer) int {
	p := program{options: o, in: stdin, out: stdout, err: stderr}
	return report(p.run(ctx), stderr)
}

// report prints an error, and returns its exit status.
func report(err error, stderr io.Writer) int {
	var u usageError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errDiffers):
		return pending
	case errors.As(err, &u):
		fmt.Fprintf(stderr, "provision: %v\nRun provision -help for commands and flags.\n", err)
		return usage
	}
	fmt.Fprintf(stderr, "provision: %v\n", err)
	return failed
}

type program struct {
	options
	in       io.Reader
	out, err io.Writer
}

func (p program) run(ctx context.Context) error {
	if p.offline() {
		return p.runOffline()
	}
	if p.values.Notify == standIn && (p.command == "plan" || p.command == "apply") {
		return usageError{errors.New("-notify or APMAPP_NOTIFY: say who is told, such as @team@example.com or @slack-ops")}
	}
	client, err := provision.NewClient(provision.Config{APIKey: p.apiKey, AppKey: p.appKey, Site: p.site, API: p.api,
		Timeout: p.timeout, Sleep: p.sleep, Notice: func(s string) { fmt.Fprintf(p.err, "provision: %s\n", s) }})
	if err != nil {
		return usageError{err}
	}
	switch p.command {
	case "export":
		return p.export(ctx, client)
	case "destroy":
		return p.destroy(ctx, client)
	case "share":
		return p.share(ctx, client)
	case "unshare":
		return p.unshare(ctx, client)
	}
	all, err := p.definitions()
	if err != nil {
		return err
	}
	if p.command == "apply" && !p.dryRun {
		return client.Apply(ctx, all, p.values, p.out)
	}
	plan, err := client.Plan(ctx, all, p.values)
	if err != nil {
		return err
	}
	plan.Write(p.out, p.full)
	n := plan.Counts()
	switch {
	case n[provision.Failed] > 0:
		return fmt.Errorf("%d of the definitions could not be compared", n[provision.Failed])
	case p.detailed && n[provision.Create]+n[provision.Update]+len(plan.Left) > 0:
		return errDiffers
	}
	return nil
}

// offline says whether no account is asked.
func (p program) offline() bool {
	return p.noAccount || p.dryRun && p.apiKey == "" && p.appKey == ""
}

func (p program) runOffline() error {
	if p.values.Notify == standIn {
		fmt.Fprintf(p.err, "provision: nobody is named with -notify; %s stands in the messages\n", standIn)
	}
	all, err := p.definitions()
	if err != nil {
		return err
	}
	switch p.command {
	case "plan", "apply":
		plan, err := all.Offline(p.values)
		if err != nil {
			return err
		}
		plan.Write(p.out, p.full)
	default:
		fmt.Fprintf(p.out, "Without keys nobody can say what is there. %s would look for what carries the marker of %s.\n", p.command, p.values.Stack())
	}
	return nil
}

func (p program) definitions() (provision.Definitions, error) {
	all, err := provision.Load(p.dir)
	if err != nil {
		return nil, err
	}
	return all, p.values.Validate()
}

// confirm asks, unless -yes has answered. What is not a yes is a no.
func (p program) confirm(ctx context.Context, question string) error {
	if p.yes {
		return nil
	}
	fmt.Fprintf(p.out, "%s? Only yes does it: ", question)
	answers := make(chan string, 1)
	go func() { // a read of a terminal cannot be called off
		line, _ := bufio.NewReader(p.in).ReadString('\n')
		answers <- strings.TrimSpace(line)
	}()
	select {
	case answer := <-answers:
		if answer == "yes" {
			return nil
		}
	case <-ctx.Done():
	}
	fmt.Fprintln(p.out)
	return errors.New("not confirmed, so nothing was done; -yes answers in advance")
}
