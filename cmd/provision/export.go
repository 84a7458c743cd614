package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"apmapp/internal/provision"
)

// export writes a resource of the account as a definition.
func (p *program) export(ctx context.Context, client *provision.Client) error {
	ref, text, problems, err := client.Export(ctx, p.argument)
	if err != nil {
		return err
	}
	for _, problem := range problems {
		fmt.Fprintf(p.Stderr, "provision: %s: %s; plan and apply refuse this without -allow-unknown\n", ref.File(), problem)
	}
	if p.output == "-" || p.dryRun {
		_, err = p.Stdout.Write(text)
		return err
	}
	name := p.output
	if name == "" {
		name = filepath.Join(p.folder(), ref.File())
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	fmt.Fprintf(p.Stdout, "%s\nThe file is a copy: apply creates a new %s from it and does not touch %s.\n", name, ref.Kind, p.argument)
	return nil
}

// folder returns the folder for exported files: -dir, else deploy/datadog if it
// exists, else the current folder.
func (p *program) folder() string {
	if p.dirName != "" {
		return p.dirName
	}
	const checkout = "deploy/datadog"
	if info, err := os.Stat(checkout); err == nil && info.IsDir() {
		return checkout
	}
	return "."
}
