package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"apmapp/internal/testing/telemetrydoc"
)

// names returns the names in the first column of a table. A row may have several.
func names(t *testing.T, heading string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for _, row := range telemetrydoc.Table(t, heading) {
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
