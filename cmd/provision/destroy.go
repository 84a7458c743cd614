package main

import (
	"context"
	"fmt"

	"apmapp/internal/provision"
)

// destroy deletes what carries the marker of the deployment.
func (p *program) destroy(ctx context.Context, client *provision.Client) error {
	all, err := client.Managed(ctx, p.values)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintf(p.Stdout, "The account has nothing with the marker of %s.\n", p.values.Stack())
		return nil
	}
	fmt.Fprintf(p.Stdout, "provision created for %s:\n", p.values.Stack())
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
