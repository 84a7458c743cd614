package main

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"apmapp/internal/local/span"
)

var update = flag.Bool("update", false, "write the golden files")

// tree returns the spans of a trace as an indented text. It leaves out the tags
// of every span and what differs between runs.
func tree(t *testing.T, spans []span.Span) string {
	t.Helper()
	everywhere := names(t, "Tags of every span")
	received := map[uint64]bool{}
	for _, s := range spans {
		received[s.SpanID] = true
	}
	var b strings.Builder
	var draw func(parent uint64, depth int)
	draw = func(parent uint64, depth int) {
		for _, s := range spans {
			isRoot := s.IsRoot(func(id uint64) bool { return received[id] })
			if (depth == 0 && !isRoot) || (depth > 0 && s.ParentID != parent) {
				continue
			}
			indent := strings.Repeat("    ", depth)
			fmt.Fprintf(&b, "%s%s %s %q %q", indent, s.Service, s.Operation, s.Type, s.Resource)
			if isRoot && s.ParentID != 0 {
				fmt.Fprintf(&b, " of %d", s.ParentID)
			}
			if s.Error {
				b.WriteString(" error")
			}
			b.WriteByte('\n')
			for _, name := range slices.Sorted(maps.Keys(s.Tags)) {
				if !internal(name) && !everywhere[name] {
					fmt.Fprintf(&b, "%s  %s: %s\n", indent, name, stable(name, s.Tags[name]))
				}
			}
			for _, name := range slices.Sorted(maps.Keys(s.Metrics)) {
				// Whether a statement waits depends on how busy the machine is.
				if !internal(name) && !everywhere[name] && name != "mysql.wait" {
					fmt.Fprintf(&b, "%s  %s: %v\n", indent, name, s.Metrics[name])
				}
			}
			draw(s.SpanID, depth+1)
		}
	}
	draw(0, 0)
	return b.String()
}

var (
	localPort = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	rest      = regexp.MustCompile(`(?s)\n.*`)
)

// stable returns the part of a tag's value that is the same in every run.
func stable(name, value string) string {
	switch {
	case name == "out.port", name == "db.name":
		return "…"
	case strings.HasSuffix(name, "stack"):
		return rest.ReplaceAllString(value, " …")
	}
	return localPort.ReplaceAllString(value, "127.0.0.1:…")
}

// internal reports whether a tag is internal to the tracer. Datadog does not show
// these.
func internal(name string) bool { return strings.HasPrefix(name, "_") }

// golden compares got with a golden file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s (-update writes it)\n--- got\n%s\n--- want\n%s", file, got, want)
	}
}
