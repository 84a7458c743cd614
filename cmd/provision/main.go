// Command provision makes a Datadog account match the definitions in
// deploy/datadog: dashboards, monitors, SLOs and downtimes.
//
//	go run ./cmd/provision plan -offline
//	go run ./cmd/provision apply -env dev -notify @team@example.com
//	go run ./cmd/provision test
//
// It exits with 0 after success, 1 after a failure, and 2 when its command line or
// environment is wrong. plan -detailed-exitcode exits with 3 if the account differs
// from the definitions.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a minimal machine has no time zone database

	"apmapp/internal/command"
	"apmapp/internal/provision"
	"apmapp/internal/site"
)

func main() { command.Main(run) }

// run is main without the process: it returns the exit status.
func run(ctx context.Context, p command.Process) int {
	return (&program{Process: p}).execute(ctx)
}

// program is one run of provision.
type program struct {
	command.Process
	options
	sleep func(context.Context, time.Duration) error // waits before a retry; nil is a timer
}

func (p *program) execute(ctx context.Context) int {
	c := command.Command{
		Name: "provision", Arguments: "COMMAND [ID | NAME | FILES]",
		Summary: `provision makes a Datadog account match definitions: dashboards, monitors, SLOs
and downtimes.`,
		Examples: []command.Example{
			{Line: "provision plan -offline", Comment: "print all definitions; needs no keys"},
			{Line: "provision plan", Comment: "show what apply would create and change"},
			{Line: "provision apply", Comment: "make the account match; print links"},
			{Line: "provision destroy", Comment: "delete what apply created; asks first"},
			{Line: "provision export abc-def-ghi", Comment: "write a resource made by hand as a definition"},
			{Line: "provision share timeboard", Comment: "create a public link of a dashboard; asks first"},
			{Line: "provision test", Comment: "test the monitors on data of files; needs no keys"},
			{Line: "provision unshare timeboard", Comment: "revoke the dashboard's public links, or one link by its URL"},
		},
		Notes: `The environment variables DD_API_KEY and DD_APP_KEY hold the account's keys, and
DD_SITE its site (default ` + site.Sites[0] + `). HTTPS_PROXY and NO_PROXY choose a proxy.
docs/datadog.md describes the definitions and the permissions of the keys.`,
		Flags: p.flags,
		Check: func(words []string) error { return p.check(words, p.Getenv) },
		Run:   p.run,
	}
	return c.Execute(ctx, p.Process)
}

func (p *program) run(ctx context.Context) error {
	if p.command == "test" {
		return p.test()
	}
	if p.offline() {
		return p.planOffline()
	}
	client, err := provision.NewClient(p.config())
	if err != nil {
		return command.UsageError{Err: err}
	}
	switch p.command {
	case "plan":
		return p.plan(ctx, client)
	case "apply":
		return p.apply(ctx, client)
	case "export":
		return p.export(ctx, client)
	case "destroy":
		return p.destroy(ctx, client)
	case "share":
		return p.share(ctx, client)
	default:
		return p.unshare(ctx, client)
	}
}

// config returns the configuration of the client.
func (p *program) config() provision.Config {
	return provision.Config{APIKey: p.apiKey, AppKey: p.appKey, Site: p.site, API: p.api,
		Timeout: p.timeout, Sleep: p.sleep, Notice: func(s string) { fmt.Fprintf(p.Stderr, "provision: %s\n", s) }}
}

// confirm asks a question, unless -yes was given. Any answer except yes is an error.
func (p *program) confirm(ctx context.Context, question string) error {
	if p.yes {
		return nil
	}
	fmt.Fprintf(p.Stdout, "%s? Type yes to confirm: ", question)
	answers := make(chan string, 1)
	go func() { // a read from a terminal cannot be canceled
		line, _ := bufio.NewReader(p.Stdin).ReadString('\n')
		answers <- strings.TrimSpace(line)
	}()
	select {
	case answer := <-answers:
		if answer == "yes" {
			return nil
		}
	case <-ctx.Done():
	}
	fmt.Fprintln(p.Stdout)
	return errors.New("not confirmed, so nothing was changed; -yes skips the question")
}
