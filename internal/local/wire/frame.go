package wire

import (
	"regexp"
	"slices"
	"strings"
)

// frames match a line of a stack as runtimes and tracers print it. Go has two lines for a
// frame.
var frames = []struct {
	line            *regexp.Regexp
	function, place int // groups of the expression
}{
	{regexp.MustCompile(`^\s*at (.+?) \(?((?:file://)?[^()\s]+?:\d+)(?::\d+)?\)?$`), 1, 2}, // JavaScript: at f (file:1:2)
	{regexp.MustCompile(`^\s*at ([\w.$<>/]+)\(([^()]+)\)`), 1, 2},                          // Java: at a.B.c(B.java:1)
	{regexp.MustCompile(`^\s*at ([^\s(]+)\(.*\)(?: in (.+?:line \d+))?$`), 1, 2},           // .NET: at A.B() in file:line 1, the file may be unknown
	{regexp.MustCompile(`^\s*File "(.+?)", line \d+, in (.+)$`), 2, 1},                     // Python
	{regexp.MustCompile("^\\s*(?:from )?(.+?:\\d+):in [`'](.+?)'(?:: .*)?$"), 2, 1},        // Ruby: the first line ends with the message
	{regexp.MustCompile(`^#\d+ (.+?)\(\d+\): (.+)$`), 2, 1},                                // PHP
	{regexp.MustCompile(`^\s*at ((?:file://)?[^()\s]+?:\d+)(?::\d+)?$`), 1, 1},             // JavaScript: at file:1:2
}

// foreign are parts of places that are not of the program itself.
var foreign = []string{
	"@v", "/go/pkg/mod/", "/usr/local/go/", "/usr/lib/go", "/vendor/", // Go
	"node_modules/", "node:", "<anonymous>", // Node
	"site-packages/", "dist-packages/", "/lib/python", "<frozen ", // Python
	"/gems/", "/lib/ruby/", "<internal:", // Ruby
}

// foreignPlaces are beginnings of such places: of Go built with -trimpath, and of old Node.
// A program may have folders of these names.
var foreignPlaces = []string{"runtime/", "net/http/", "database/sql/", "internal/"}

// foreignFunctions are beginnings of functions that are not of the program itself.
var foreignFunctions = []string{
	"java.", "javax.", "jdk.", "sun.", "com.sun.", "org.springframework.", "org.apache.", "datadog.", "System.", "Microsoft.", "runtime.", "net/http.", "database/sql.", "internal/",
}

// TopFrame returns the function of a stack in which an error began, in the program itself
// and not in a library. If all are of libraries it is the first one, and "" without a
// stack. In stacks
// of Python the last line is the innermost.
func TopFrame(stack string) string {
	first, own := "", ""
	lines := strings.Split(stack, "\n")
	for i, line := range lines {
		function, place := frame(line)
		if function == "" && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "\t") { // Go
			function, place = goFunction(line), strings.TrimSpace(lines[i+1])
		}
		if function == "" {
			continue
		}
		inner := strings.Contains(line, `File "`) // the innermost is last
		if first == "" || inner {
			first = function
		}
		if isOwn(function, place) && (own == "" || inner) {
			own = function
		}
	}
	if own != "" {
		return own
	}
	return first
}

func frame(line string) (function, place string) {
	for _, f := range frames {
		m := f.line.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if m[1] == "async" { // at async file:1:2
			return m[2], m[2]
		}
		return m[f.function], m[f.place]
	}
	return "", ""
}

// goFunction returns the function of a line without its arguments; "" if the line is not one.
func goFunction(line string) string {
	line = strings.TrimPrefix(line, "created by ")
	line, _, _ = strings.Cut(line, " in goroutine ")
	if strings.HasSuffix(line, ")") {
		if at := strings.LastIndex(line, "("); at > 0 && !strings.HasSuffix(line[:at], ".") {
			line = line[:at]
		}
	}
	if !strings.Contains(line, ".") || strings.ContainsAny(line, " \t") {
		return ""
	}
	return line
}

func isOwn(function, place string) bool {
	for _, part := range foreign {
		if strings.Contains(place, part) {
			return false
		}
	}
	begins := func(text string, with []string) bool {
		return slices.ContainsFunc(with, func(begin string) bool { return strings.HasPrefix(text, begin) })
	}
	return !begins(place, foreignPlaces) && !begins(function, foreignFunctions)
}
