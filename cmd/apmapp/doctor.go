package main

import (
	"context"
	"fmt"
	"io"

	"apmapp/internal/command"
	"apmapp/internal/doctor"
)

// diagnose makes the doctor's checks and writes what they find: each as soon as it is
// known, or all at once as JSON. A failed check is exit status 1. Warnings are not: they
// may be meant.
func diagnose(ctx context.Context, cfg doctor.Config, w io.Writer, asJSON bool) error {
	var writeErr error
	var each func(doctor.Finding)
	if !asJSON {
		each = func(f doctor.Finding) {
			if _, err := fmt.Fprintln(w, f.Line()); err != nil {
				writeErr = err
			}
		}
	}
	report := doctor.Run(ctx, cfg, each)
	if asJSON {
		writeErr = report.WriteJSON(w)
	} else {
		fmt.Fprintln(w, report.Summary())
	}
	switch {
	case writeErr != nil:
		return writeErr
	case report.Count(doctor.Failed) > 0:
		return command.Status(command.Failure)
	}
	return nil
}
