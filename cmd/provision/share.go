package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"apmapp/internal/command"
	"apmapp/internal/provision"
)

// share creates a public link of a dashboard.
func (p *program) share(ctx context.Context, client *provision.Client) error {
	s, err := client.Shared(ctx, p.argument, p.values)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.Stdout, "With a public link anybody can see %q without a login, until you run unshare:\n", s.Title)
	fmt.Fprintf(p.Stdout, "  live graphs of the past hour: %s\n", strings.Join(s.Graphs, "; "))
	fmt.Fprintf(p.Stdout, "  the names of hosts, services, routes and statements that these queries return:\n")
	for _, q := range s.Queries {
		fmt.Fprintf(p.Stdout, "    %s\n", q)
	}
	if s.Unlisted {
		fmt.Fprintln(p.Stdout, "The API does not list this account's public links: if the dashboard has one, this creates a second one.")
	}
	if p.dryRun {
		return nil
	}
	if err := p.confirm(ctx, "Create the link"); err != nil {
		return err
	}
	url, created, err := client.Publish(ctx, s)
	if err != nil {
		return err
	}
	if !created {
		fmt.Fprintln(p.Stdout, "The dashboard already has a link:")
	}
	fmt.Fprintln(p.Stdout, url)
	return nil
}

// unshare revokes the public links of a dashboard, or the link that is given.
func (p *program) unshare(ctx context.Context, client *provision.Client) error {
	var links []provision.Share
	if strings.Contains(p.argument, "://") {
		l, err := provision.ParseShare(p.argument)
		if err != nil {
			return command.UsageError{Err: fmt.Errorf("unshare: %w", err)}
		}
		links = append(links, l)
	} else {
		s, err := client.Shared(ctx, p.argument, p.values)
		switch {
		case err != nil:
			return err
		case s.Unlisted:
			return errors.New("the API does not list this account's public links; give the URL of the link to unshare")
		case len(s.Links) == 0:
			fmt.Fprintf(p.Stdout, "%q has no public link.\n", s.Title)
		}
		links = s.Links
	}
	for _, l := range links {
		if p.dryRun {
			fmt.Fprintf(p.Stdout, "would revoke %s\n", l.URL)
			continue
		}
		if err := client.Revoke(ctx, l); err != nil {
			return err
		}
		fmt.Fprintf(p.Stdout, "revoked %s\n", l.URL)
	}
	return nil
}
