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

// Format is the version of the JSON that this package writes and reads. It changes
// whenever a field changes its meaning or is removed. The reports of loadgen 0.1 have
// none.
const Format = 1

// document is the JSON of a report: the result, and figures that are computed from it
// for programs that do not have openloop.
type document struct {
	Format int `json:"format"`
	*openloop.Result
	AskedRate    float64  `json:"asked_per_second"`
	AchievedRate float64  `json:"achieved_per_second"`
	ErrorRate    float64  `json:"error_rate"`
	Warnings     []string `json:"warnings"`
	// Points has the rates of the page's charts.
	Points []openloop.Point `json:"points"`
}

// JSON writes a result in the form that ReadJSON reads without loss.
func JSON(w io.Writer, r *openloop.Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(document{Format, r, r.AskedRate(), r.AchievedRate(), r.ErrorRate(), append([]string{}, r.Warnings()...), r.Points()})
}

// ReadJSON reads a result that JSON wrote.
func ReadJSON(r io.Reader) (*openloop.Result, error) {
	result, err := readJSON(r)
	if err != nil {
		return nil, fmt.Errorf("read load report: %w", err)
	}
	return result, nil
}

func readJSON(r io.Reader) (*openloop.Result, error) {
	d := json.NewDecoder(r)
	var data json.RawMessage
	if err := d.Decode(&data); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("unexpected data after the report")
	}
	// The format first: another one may have other types.
	var version struct {
		Format *int `json:"format"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, errors.New("not a report: want an object with a number as its format")
	}
	switch {
	case version.Format == nil:
		return nil, errors.New("format is missing: not a report, or loadgen 0.1 wrote it; run it again with this version")
	case *version.Format != Format:
		return nil, fmt.Errorf("format must be %d, got %d: read it with the version of loadgen that wrote it", Format, *version.Format)
	}
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	if doc.Result == nil {
		doc.Result = &openloop.Result{}
	}
	return doc.Result, doc.Result.Check()
}
