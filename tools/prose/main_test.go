package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The real list is not used here: this file would then be a finding itself.
const list = `
# a comment
red brick -> stone
is/are blue -> is green
lone" -> not alone
don't mind -> accept
`

func TestFind(t *testing.T) {
	tests := map[string]struct {
		text string
		want string // line: text, …
	}{
		"a phrase":                    {"A red brick.", "1: red brick"},
		"capitals":                    {"Red BRICK", "1: Red BRICK"},
		"two in one line":             {"red brick, red brick", "1: red brick, 1: red brick"},
		"alternatives":                {"It is blue.\nThey are blue.\nIt was blue.", "1: is blue, 2: are blue"},
		"spaces":                      {"red  \t brick", "1: red brick"},
		"a typographic apostrophe":    {"don’t mind", "1: don’t mind"},
		"parts of words":              {"a hatred brick, a red bricklayer, red_brick, redbrick", ""},
		"punctuation between":         {"red, brick. Red: brick (red) brick", ""},
		"a Go comment over two lines": {"\n\t// this is red\n\t// brick", "2: red brick"},
		"a block comment":             {"/*\n * red\n * brick\n */", "2: red brick"},
		"a comment of YAML":           {"  # red\n  # brick", "1: red brick"},
		"a comment of SQL":            {"-- red\n-- brick", "1: red brick"},
		"a quotation in Markdown":     {"> red\n> brick", "1: red brick"},
		"a text over two lines":       {"red\r\nbrick", "1: red brick"},
		"a shell's long line":         {"echo red \\\n  brick", "1: red brick"},
		"a string":                    {`fmt.Errorf("red brick %d", n)`, "1: red brick"},
		"a string over two lines":     {"\"a red \" +\n\t\t\"brick\"", "1: red brick"},
		"two paragraphs":              {"red\n\nbrick", ""},
		"two comments":                {"// red\n//\n// brick", ""},
		"two strings":                 {`"red", "brick"`, ""},
		"code before a comment":       {"red := 1 // brick", ""},
		"at the end of a string":      {`errors.New("it is lone")`, "1: lone"},
		"at the end of a raw string":  {"errors.New(`it is lone`)", "1: lone"},
		"within a string":             {`errors.New("a lone wolf")`, ""},
		"at the end of the text":      {"red", ""},
	}
	phrases, err := parse(list)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, f := range phrases.find(test.text) {
				got = append(got, string(rune('0'+f.line))+": "+f.text)
			}
			if got := strings.Join(got, ", "); got != test.want {
				t.Errorf("%q: found %q, want %q", test.text, got, test.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{"red brick", "red brick ->", "-> stone", "red brick -> "} {
		if _, err := parse("good -> better\n" + line); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%q: got %v, want an error that names line 2", line, err)
		}
	}
}

// TestWords holds the list that lint uses to its format.
func TestWords(t *testing.T) {
	phrases, err := parse(words)
	if err != nil {
		t.Fatal(err)
	}
	if len(phrases) < 20 {
		t.Errorf("the list has %d first words, want at least 20", len(phrases))
	}
}

// repository makes a repository with files. Git tracks them, except those in
// untracked.
func repository(t *testing.T, files map[string]string, untracked ...string) string {
	t.Helper()
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		c := exec.Command("git", args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	git("init", "-q")
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(untracked, name) {
			git("add", name)
		}
	}
	return dir
}

func TestCheck(t *testing.T) {
	dir := repository(t, map[string]string{
		"a.go":           "package a\n// red brick",
		"docs/b.md":      "A wall.\nAll are blue.",
		"Makefile":       "# red brick",
		"scripts/c":      "#!/usr/bin/env bash\n# red brick",
		"good.go":        "package a",
		"untracked.go":   "// red brick",
		"gone.go":        "// red brick",
		"lib/x.min.js":   "// red brick",
		"testdata/x.txt": "red brick",
		"LICENSE":        "red brick",
	}, "untracked.go")
	if err := os.Remove(filepath.Join(dir, "gone.go")); err != nil {
		t.Fatal(err)
	}
	got, err := check(dir, list)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`Makefile:1: "red brick": write stone`,
		`a.go:2: "red brick": write stone`,
		`docs/b.md:2: "are blue": write is green`,
		`scripts/c:2: "red brick": write stone`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRun(t *testing.T) {
	// A phrase of the real list, in two parts.
	bad := repository(t, map[string]string{"a.md": "all " + "but" + " for one"})
	tests := map[string]struct {
		args           []string
		status         int
		stdout, stderr string
	}{
		"findings":      {[]string{bad}, 1, `a.md:1: "but` + ` for": write except`, ""},
		"none":          {[]string{repository(t, map[string]string{"a.md": "all except one"})}, 0, "", ""},
		"no repository": {[]string{t.TempDir()}, 2, "", "git ls-files"},
		"two arguments": {[]string{bad, bad}, 2, "", "usage: prose [directory]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr strings.Builder
			if got := run(test.args, &stdout, &stderr); got != test.status {
				t.Errorf("exit status %d, want %d", got, test.status)
			}
			if got := strings.TrimSpace(stdout.String()); got != test.stdout {
				t.Errorf("printed %q, want %q", got, test.stdout)
			}
			if got := stderr.String(); !strings.Contains(got, test.stderr) || (test.stderr == "") != (got == "") {
				t.Errorf("complained %q, want %q", got, test.stderr)
			}
		})
	}
}
