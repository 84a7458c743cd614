package main

import (
	"context"
	"fmt"

	"apmapp/internal/provision"
)

// destroy deletes what carries the marker of the deployment.
func (p *program) destroy(ctx context.Context, client *provision.Client) error {
	all, copies, err := client.Managed(ctx, p.values)
	if err != nil {
		return err
	}
	if p.copies {
		all, copies = copies, nil
	}
	for _, l := range copies {
		fmt.Fprintf(p.Stdout, "copy, not deleted: %s\n", l)
	}
	if len(all) == 0 && p.copies {
		fmt.Fprintf(p.Stdout, "Each marker of %s is on one resource only.\n", p.values.Stack())
		return nil
	}
	if len(all) == 0 {
		fmt.Fprintf(p.Stdout, "The account has nothing with the marker of %s.\n", p.values.Stack())
		return nil
	}
	what := "provision created for %s:\n"
	if p.copies {
		what = "younger resources with the marker of another one of %s:\n"
	}
	fmt.Fprintf(p.Stdout, what, p.values.Stack())
	for _, l := range all {
		fmt.Fprintf(p.Stdout, "  %-32s %s\n", l.Ref, l.Link)
	}
	if p.dryRun {
		return nil
	}
	if err := p.confirm(ctx, fmt.Sprintf("Delete these %d resources", len(all))); err != nil {
		return err
	}
	return client.Destroy(ctx, all, p.values, p.Stdout)
}
