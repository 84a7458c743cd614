package main

import (
	"context"
	"fmt"

	"apmapp/internal/command"
	"apmapp/internal/provision"
)

// exampleHandle is in the messages of an offline plan without -notify.
const exampleHandle = "@you@example.com"

// differs is the exit status of plan -detailed-exitcode for an account that
// differs from the definitions.
const differs = command.Status(3)

// plan prints what apply would do.
func (p *program) plan(ctx context.Context, client *provision.Client) error {
	all, err := provision.Load(p.dir)
	if err != nil {
		return err
	}
	plan, err := client.Plan(ctx, all, p.values)
	if err != nil {
		return err
	}
	plan.Write(p.Stdout, p.full)
	n := plan.Counts()
	switch {
	case n[provision.Failed] > 0:
		return fmt.Errorf("cannot compare %d of %d definitions", n[provision.Failed], len(all))
	case p.detailed && n[provision.Create]+n[provision.Update]+n[provision.Replace]+len(plan.Left) > 0:
		return differs
	}
	return nil
}

// apply makes the account match the definitions.
func (p *program) apply(ctx context.Context, client *provision.Client) error {
	if p.dryRun {
		return p.plan(ctx, client)
	}
	all, err := provision.Load(p.dir)
	if err != nil {
		return err
	}
	return client.Apply(ctx, all, p.values, p.replace, p.Stdout)
}

// planOffline runs a command without sending a request.
func (p *program) planOffline() error {
	if p.command != "plan" && p.command != "apply" {
		fmt.Fprintf(p.Stdout, "%s did nothing: without DD_API_KEY and DD_APP_KEY it cannot read the account.\n", p.command)
		return nil
	}
	if p.values.Notify == exampleHandle {
		fmt.Fprintf(p.Stderr, "provision: -notify is not set; messages are shown with %s\n", exampleHandle)
	}
	all, err := provision.Load(p.dir)
	if err != nil {
		return err
	}
	plan, err := all.Offline(p.values)
	if err != nil {
		return err
	}
	plan.Write(p.Stdout, p.full)
	return nil
}
