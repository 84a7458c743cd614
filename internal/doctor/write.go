package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Line returns a finding as a line of text, without a newline.
func (f Finding) Line() string {
	line := fmt.Sprintf("%-8s %-17s %s", f.State, f.Check, f.Found)
	if f.Do != "" {
		line += " → " + f.Do
	}
	return line
}

// Summary returns the last lines of the text, without a newline at the end.
func (r Report) Summary() string {
	var b strings.Builder
	if len(r.NotChecked) > 0 {
		fmt.Fprintf(&b, "not checked, because of the failures above: %s\n", strings.Join(r.NotChecked, ", "))
	}
	fmt.Fprintf(&b, "%d ok, %d warnings, %d failed", r.Count(OK), r.Count(Warning), r.Count(Failed))
	return b.String()
}

// WriteJSON writes a report as JSON.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Report
		OK       int `json:"ok"`
		Warnings int `json:"warnings"`
		Failed   int `json:"failed"`
	}{r, r.Count(OK), r.Count(Warning), r.Count(Failed)})
}
