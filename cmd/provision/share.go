package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"apmapp/internal/provision"
)

func (p program) share(ctx context.Context, client *provision.Client) error {
	s, err := client.Shared(ctx, p.argument, p.values)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.out, "A public link of %q shows, to anybody who has it, without a login, until unshare:\n", s.Title)
	fmt.Fprintf(p.out, "  live graphs of the past hour: %s\n", strings.Join(s.Graphs, "; "))
	fmt.Fprintf(p.out, "  with the names of hosts, services, routes and statements that these read:\n")
	for _, q := range s.Queries {
		fmt.Fprintf(p.out, "    %s\n", q)
	}
	if s.Unlisted {
		fmt.Fprintln(p.out, "This account's API lists no public links: if there is one already, this is one more.")
	}
	if p.dryRun {
		return nil
	}
	if err := p.confirm(ctx, "Make the link"); err != nil {
		return err
	}
	url, made, err := client.Publish(ctx, s)
	if err != nil {
		return err
	}
	if !made {
		fmt.Fprintln(p.out, "It has one:")
	}
	fmt.Fprintln(p.out, url)
	return nil
}

func (p program) unshare(ctx context.Context, client *provision.Client) error {
	var links []provision.Share
	if strings.Contains(p.argument, "://") {
		l, err := provision.ParseShare(p.argument)
		if err != nil {
			return usageError{fmt.Errorf("unshare: %w", err)}
		}
		links = append(links, l)
	} else {
		s, err := client.Shared(ctx, p.argument, p.values)
		switch {
		case err != nil:
			return err
		case s.Unlisted:
			return errors.New("this account's API lists no public links; give unshare the link itself")
		case len(s.Links) == 0:
			fmt.Fprintf(p.out, "%q has no public link.\n", s.Title)
		}
		links = s.Links
	}
	for _, l := range links {
		if p.dryRun {
			fmt.Fprintf(p.out, "would revoke %s\n", l.URL)
			continue
		}
		if err := client.Revoke(ctx, l); err != nil {
			return err
		}
		fmt.Fprintf(p.out, "revoked %s\n", l.URL)
	}
	return nil
}
