// Package telemetrydoc reads docs/telemetry.md for tests.
package telemetrydoc

import (
	"os"
	"strings"
	"testing"
)

// Table returns the rows of the first table after a heading of docs/telemetry.md, without
// backquotes. The test must run in a folder two levels below the repository.
func Table(t testing.TB, heading string) [][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/telemetry.md")
	if err != nil {
		t.Fatal(err)
	}
	_, below, ok := strings.Cut(strings.ReplaceAll(string(page), "`", ""), "# "+heading+"\n")
	if !ok {
		t.Fatalf("docs/telemetry.md has no heading %q", heading)
	}
	below, _, _ = strings.Cut(below, "\n#")
	var rows [][]string
	for line := range strings.Lines(below) {
		if strings.HasPrefix(line, "|") {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	if len(rows) < 3 {
		t.Fatalf("docs/telemetry.md has no table after %q", heading)
	}
	return rows[2:] // without the header and its line
}
