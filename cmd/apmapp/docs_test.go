package main

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// table returns the rows of the first table after a heading of
// docs/telemetry.md, without backquotes.
func table(t *testing.T, heading string) [][]string {
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

// names returns the names in the first column of a table. A row may have several.
func names(t *testing.T, heading string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, row := range table(t, heading) {
		for name := range strings.SplitSeq(row[0], ", ") {
			all[name] = true
		}
	}
	return all
}

// same fails the test if two sets of names differ.
func same(t *testing.T, what string, got, want map[string]bool) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if !want[name] {
			t.Errorf("%s: %s is not documented", what, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !got[name] {
			t.Errorf("%s: %s is documented but was not seen", what, name)
		}
	}
}
