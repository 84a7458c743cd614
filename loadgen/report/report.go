// Package report shows the results of load runs: to people as text, to programs
// as JSON.
package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"apmapp/loadgen/openloop"
)

// JSON writes a result that ReadJSON reads without loss.
func JSON(w io.Writer, r *openloop.Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// ReadJSON reads a result that JSON has written.
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
