package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const good = `version: 2
builds:
  - {id: a, main: ./cmd/a, binary: a, goos: [linux, darwin, windows], goarch: [amd64, arm64]}
  - {id: loadgen, main: ./loadgen, binary: loadgen, goos: [linux, darwin, windows], goarch: [amd64, arm64]}
`

// project makes a directory with a program in cmd/a and a configuration.
func project(t *testing.T, configuration string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "cmd", "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".goreleaser.yaml"), []byte(configuration), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCheck(t *testing.T) {
	if err := check("../.."); err != nil {
		t.Error("the repository's own:", err)
	}
	if err := check(project(t, good)); err != nil {
		t.Error(err)
	}
	for name, test := range map[string]struct{ old, new, want string }{
		"an unknown setting":            {"version: 2", "version: 2\nchecksums: {}", "field checksums not found"},
		"an unknown setting of a build": {"goos", "os", "field os not found"},
		"a missing program":             {"main: ./loadgen", "main: ./cmd/a", "no build of ./loadgen"},
		"an unknown program":            {"main: ./cmd/a", "main: ./cmd/b", `build "a": main "./cmd/b" is not a program`},
		"another name":                  {"binary: a", "binary: b", `build "a": binary must be "a", got "b"`},
		"a missing system":              {", windows]", "]", `build "a": platforms must be [linux darwin windows] on [amd64 arm64], got [linux darwin] on`},
		"a missing processor":           {", arm64]", "]", `on [amd64 arm64], got [linux darwin windows] on [amd64]`},
	} {
		t.Run(name, func(t *testing.T) {
			err := check(project(t, strings.ReplaceAll(good, test.old, test.new)))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if err := check(t.TempDir()); err == nil {
		t.Error("no error without a configuration")
	}
}
