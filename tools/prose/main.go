// Command prose finds phrases that make a text hard to read for an engineer
// whose second language is English, and suggests what to write instead:
//
//	prose [directory]
//
// It reads the text files that git tracks below the directory (default: the
// working directory): source code with its comments and strings, documents,
// pages and configuration. It prints each finding as
//
//	file:line: "phrase": write …
//
// and exits with 0 without findings, 1 with findings and 2 after a failure. No
// file and no line can be excused.
package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// words is the list of phrases. Its first lines explain the format.
//
//go:embed words.txt
var words string

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	root := "."
	switch len(args) {
	case 0:
	case 1:
		root = args[0]
	default:
		fmt.Fprintln(stderr, "usage: prose [directory]")
		return 2
	}
	findings, err := check(root, words)
	if err != nil {
		fmt.Fprintln(stderr, "prose:", err)
		return 2
	}
	for _, f := range findings {
		fmt.Fprintln(stdout, f)
	}
	if len(findings) > 0 {
		return 1
	}
	return 0
}

// check looks for the phrases of a list in the tracked files below root. It
// returns the findings in the order of files and lines.
func check(root, list string) ([]string, error) {
	phrases, err := parse(list)
	if err != nil {
		return nil, err
	}
	names, err := tracked(root)
	if err != nil {
		return nil, err
	}
	var findings []string
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // deleted, and not yet committed
		}
		if err != nil {
			return nil, err
		}
		if !isProse(name, text) {
			continue
		}
		for _, f := range phrases.find(string(text)) {
			findings = append(findings, fmt.Sprintf("%s:%d: %q: write %s", name, f.line, f.text, f.instead))
		}
	}
	return findings, nil
}

// tracked returns the names of the files that git tracks below root.
func tracked(root string) ([]string, error) {
	git := exec.Command("git", "ls-files", "-z")
	git.Dir = root
	var stderr bytes.Buffer
	git.Stderr = &stderr
	out, err := git.Output()
	if err != nil {
		return nil, fmt.Errorf("git ls-files in %s: %w: %s", root, err, stderr.String())
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 }), nil
}

// The kinds of files that people write text in. Output that tests compare with
// (.txt) comes from these.
var (
	extensions = []string{".go", ".md", ".html", ".js", ".css", ".yaml", ".yml", ".json", ".sql", ".sh", ".py",
		".service", ".logrotate", ".cnf", ".conf", ".toml"}
	names   = []string{"Makefile", "Dockerfile", "Vagrantfile", ".gitignore", ".dockerignore"}
	shebang = regexp.MustCompile(`^#!.*\b(ba)?sh\b`)
)

// isProse reports whether a file may contain text that somebody wrote here.
func isProse(name string, text []byte) bool {
	base := path.Base(name)
	if strings.Contains(base, ".min.") {
		return false // another project's, compressed
	}
	return slices.Contains(extensions, path.Ext(base)) || slices.Contains(names, base) || shebang.Match(text)
}

// phraseList has the phrases by their first word.
type phraseList map[string][]phrase

// phrase is a sequence of words. Each word is a set of alternatives.
type phrase struct {
	words   [][]string
	closing bool // the phrase ends at a quotation mark
	instead string
}

// parse reads a list of phrases; an error names the line.
func parse(list string) (phraseList, error) {
	phrases := phraseList{}
	lines := bufio.NewScanner(strings.NewReader(list))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		text, instead, ok := strings.Cut(line, " -> ")
		text, closing := strings.CutSuffix(strings.TrimSpace(text), `"`)
		if !ok || text == "" || strings.TrimSpace(instead) == "" {
			return nil, fmt.Errorf("words, line %d: want \"phrase -> what to write instead\", got %q", n, line)
		}
		p := phrase{closing: closing, instead: strings.TrimSpace(instead)}
		for _, w := range strings.Fields(strings.ToLower(text)) {
			p.words = append(p.words, strings.Split(w, "/"))
		}
		for _, first := range p.words[0] {
			phrases[first] = append(phrases[first], p)
		}
	}
	return phrases, lines.Err()
}

// finding is one use of a phrase.
type finding struct {
	line    int
	text    string
	instead string
}

var (
	word = regexp.MustCompile(`[\p{L}\p{N}_]+(?:['’][\p{L}]+)*`)
	// gap matches what may stand between two words of a phrase: a space, or one
	// line break with the marks around it: those of a comment, and those of a
	// string in quotation marks that continues on the next line. An empty line
	// ends a phrase.
	gap = regexp.MustCompile("^(?:[ \t]+|[ \t]*[\"'`]?[ \t]*\\+?[ \t]*\\\\?\r?\n[ \t]*(?://+|#+|--+|\\*+|>+)?[ \t]*[\"'`]?[ \t]*)$")
)

// find returns where a text uses one of the phrases, in the order of the text.
func (l phraseList) find(text string) []finding {
	var found []finding
	at := word.FindAllStringIndex(text, -1)
	lower := make([]string, len(at))
	for i, w := range at {
		lower[i] = strings.ReplaceAll(strings.ToLower(text[w[0]:w[1]]), "’", "'")
	}
	line, counted := 1, 0
	for i := range at {
		for _, p := range l[lower[i]] {
			end, ok := p.match(text, at[i:], lower[i:])
			if !ok {
				continue
			}
			start := at[i][0]
			line += strings.Count(text[counted:start], "\n")
			counted = start
			found = append(found, finding{line, plain(text[start:end]), p.instead})
		}
	}
	return found
}

// match reports whether the first words of a text are the phrase, and where it
// ends.
func (p phrase) match(text string, at [][]int, words []string) (end int, ok bool) {
	if len(at) < len(p.words) {
		return 0, false
	}
	for i, alternatives := range p.words {
		if !slices.Contains(alternatives, words[i]) {
			return 0, false
		}
		if i > 0 && !gap.MatchString(text[at[i-1][1]:at[i][0]]) {
			return 0, false
		}
	}
	end = at[len(p.words)-1][1]
	if p.closing && !strings.HasPrefix(text[end:], `"`) && !strings.HasPrefix(text[end:], "`") {
		return 0, false
	}
	return end, true
}

// plain returns the words of a phrase without the marks between its lines.
func plain(text string) string {
	return strings.Join(word.FindAllString(text, -1), " ")
}
