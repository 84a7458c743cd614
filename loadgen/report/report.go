// Package report shows the results of load runs: as text and as a page for
// people, as JSON for programs, and as one line while a run is in progress.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"apmapp/loadgen/openloop"
)

// JSON writes a result in the form that ReadJSON reads without loss.
func JSON(w io.Writer, r *openloop.Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// ReadJSON reads a result that JSON wrote.
func ReadJSON(r io.Reader) (*openloop.Result, error) {
	d := json.NewDecoder(r)
	var result openloop.Result
	if err := d.Decode(&result); err != nil {
		return nil, fmt.Errorf("read load report: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("read load report: unexpected data after the report")
	}
	if err := result.Check(); err != nil {
		return nil, fmt.Errorf("read load report: %w", err)
	}
	return &result, nil
}
