package main

import (
	"context"
	"fmt"

	"apmapp/internal/provision"
)

func (p program) destroy(ctx context.Context, client *provision.Client) error {
	all, err := client.Managed(ctx, p.values)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		fmt.Fprintf(p.out, "Nothing carries the marker of %s.\n", p.values.Stack())
		return nil
	}
	fmt.Fprintf(p.out, "Made here for %s:\n", p.values.Stack())
	for _, l := range all {
		fmt.Fprintf(p.out, "  %-32s %s\n", l.Ref, l.Link)
	}
	if p.dryRun {
		return nil
	}
	if err := p.confirm(ctx, fmt.Sprintf("Delete all %d", len(all))); err != nil {
		return err
	}
	return client.Destroy(ctx, all, p.values, p.out)
}
