package query

import (
	"fmt"
	"html"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Template is a parsed title or message of a monitor.
// https://docs.datadoghq.com/monitors/notify/variables/
type Template struct{ parts []part }

// part is one element of a template: a text, a variable, a function or a section.
type part struct {
	text string
	tag  string // the words of a variable or function
	// escaped: the value of a variable is escaped, as with two braces.
	escaped bool
	section *section
}

// section is a text under a condition.
type section struct {
	name         string
	arguments    []string
	negated      bool
	then, others []part
}

// Message is what a template is rendered with.
type Message struct {
	// Conditions that hold, such as is_alert.
	Conditions []string
	// Variables by name, such as value and host.name. A name that is absent renders as
	// nothing and is noted.
	Variables map[string]string
	Priority  string // P1 to P5
}

// conditions are the sections without arguments.
var conditions = []string{"is_alert", "is_warning", "is_no_data", "is_recovery", "is_alert_recovery", "is_warning_recovery",
	"is_no_data_recovery", "is_alert_to_warning", "is_unknown", "is_renotify"}

// ParseTemplate parses a template. Sections must be closed and known.
func ParseTemplate(text string) (*Template, error) {
	p := templateParser{rest: text}
	parts, err := p.parts(nil, 0)
	if err != nil {
		return nil, err
	}
	return &Template{parts}, nil
}

type templateParser struct{ rest string }

// parts parses until the end of a section, which it consumes, or of the text.
func (p *templateParser) parts(in *section, depth int) (all []part, err error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("{{#%s}} is nested too deeply", in.name)
	}
	for {
		text, after, found := strings.Cut(p.rest, "{{")
		if text != "" {
			all = append(all, part{text: text})
		}
		if !found {
			if in != nil {
				return nil, fmt.Errorf("{{#%s}} lacks its end", in.name)
			}
			return all, nil
		}
		if raw, ok := strings.CutPrefix(after, "{{raw}}}}"); ok {
			if text, p.rest, found = strings.Cut(raw, "{{{{/raw}}}}"); !found {
				return nil, fmt.Errorf("{{{{raw}}}} lacks its end")
			}
			all = append(all, part{text: text})
			continue
		}
		if comment, ok := strings.CutPrefix(after, "!--"); ok {
			if _, p.rest, found = strings.Cut(comment, "--}}"); !found {
				return nil, fmt.Errorf("{{!-- lacks --}}")
			}
			continue
		}
		closing, escaped := "}}", true
		if rest, ok := strings.CutPrefix(after, "{"); ok {
			after, closing, escaped = rest, "}}}", false
		}
		tag, rest, closed := strings.Cut(after, closing)
		if !closed {
			return nil, fmt.Errorf("{{%.20s lacks a closing %s", after, closing)
		}
		p.rest = rest
		tag = strings.TrimSpace(tag)
		switch {
		case strings.HasPrefix(tag, "!"): // a comment
		case strings.HasPrefix(tag, "#"), strings.HasPrefix(tag, "^"):
			s, err := newSection(tag)
			if err != nil {
				return nil, err
			}
			if s.then, err = p.parts(s, depth+1); err != nil {
				return nil, err
			}
			all = append(all, part{section: s})
		case tag == "else" && in != nil && in.others == nil:
			rest := all
			all = nil
			in.others = []part{} // there is one else at most
			others, err := p.parts(in, depth)
			if err != nil {
				return nil, err
			}
			in.others = others
			return rest, nil
		case strings.HasPrefix(tag, "/"):
			if in == nil || strings.TrimSpace(tag[1:]) != in.name {
				return nil, fmt.Errorf("{{%s}} does not end the open section", tag)
			}
			return all, nil
		default:
			all = append(all, part{tag: tag, escaped: escaped})
		}
	}
}

// words splits a tag at spaces outside of quotation marks, which it removes.
var words = regexp.MustCompile(`'([^']*)'|"([^"]*)"|[^\s'"]+`)

func split(tag string) []string {
	var all []string
	for _, m := range words.FindAllStringSubmatch(tag, -1) {
		if strings.HasPrefix(m[0], "'") || strings.HasPrefix(m[0], `"`) {
			all = append(all, m[1]+m[2])
		} else {
			all = append(all, m[0])
		}
	}
	return all
}

func newSection(tag string) (*section, error) {
	w := split(tag[1:])
	if len(w) == 0 {
		return nil, fmt.Errorf("{{%s}} names no condition", tag)
	}
	s := &section{name: w[0], arguments: w[1:], negated: tag[0] == '^'}
	switch {
	case slices.Contains(conditions, s.name):
		if len(s.arguments) > 0 {
			return nil, fmt.Errorf("{{%s}}: %s takes no arguments", tag, s.name)
		}
	case s.name == "is_match" || s.name == "is_exact_match":
		if len(s.arguments) < 2 {
			return nil, fmt.Errorf("{{%s}}: %s needs a variable and a text", tag, s.name)
		}
	case s.name == "is_priority":
		if len(s.arguments) != 1 {
			return nil, fmt.Errorf("{{%s}}: is_priority needs one of 'P1' to 'P5'", tag)
		}
	default:
		return nil, fmt.Errorf("{{%s}} is not a condition that is evaluated here", tag)
	}
	return s, nil
}

// Render returns the text. Notes are the parts that could not be rendered as Datadog does,
// with the reasons; an unknown function stays in the text as it is.
func (t *Template) Render(m Message) (text string, problems []string) {
	n := &notes{}
	var b strings.Builder
	render(&b, t.parts, m, n)
	return b.String(), *n
}

func render(b *strings.Builder, all []part, m Message, n *notes) {
	for _, p := range all {
		switch {
		case p.section != nil:
			if p.section.holds(m) {
				render(b, p.section.then, m, n)
			} else {
				render(b, p.section.others, m, n)
			}
		case p.tag != "":
			b.WriteString(p.value(m, n))
		default:
			b.WriteString(p.text)
		}
	}
}

func (s *section) holds(m Message) bool {
	var is bool
	switch s.name {
	case "is_priority":
		is = m.Priority == s.arguments[0]
	case "is_match", "is_exact_match":
		v, known := m.variable(s.arguments[0])
		for _, text := range s.arguments[1:] {
			switch {
			case text == "" && s.name == "is_match": // an empty text asks whether there is a value
				is = is || known && v != ""
			case s.name == "is_match":
				is = is || strings.Contains(v, text)
			default:
				is = is || v == text
			}
		}
	default:
		is = slices.Contains(m.Conditions, s.name)
	}
	return is != s.negated
}

// variable returns a variable. Keys with dots are in brackets, and a bare tag key means
// its name.
func (m Message) variable(name string) (string, bool) {
	if key, ok := strings.CutPrefix(name, "["); ok {
		name = strings.Replace(key, "]", "", 1)
	}
	v, ok := m.Variables[name]
	if !ok {
		v, ok = m.Variables[name+".name"]
	}
	return v, ok
}

// value renders a variable or a function.
func (p part) value(m Message, n *notes) string {
	escape := func(s string) string {
		if p.escaped {
			return html.EscapeString(s)
		}
		return s
	}
	w := split(p.tag)
	if len(w) == 1 {
		v, ok := m.variable(w[0])
		if !ok {
			n.add(fmt.Sprintf("{{%s}} is empty: this monitor has no such variable here", p.tag))
		}
		return escape(v)
	}
	switch {
	case len(w) == 2 && w[0] == "urlencode":
		v, _ := m.variable(w[1])
		return url.QueryEscape(v)
	case len(w) == 3 && w[0] == "local_time":
		v, _ := m.variable(w[1])
		at, err := time.Parse(utcTime, v)
		zone, zoneErr := time.LoadLocation(w[2])
		if err == nil && zoneErr == nil {
			return at.In(zone).Format("2006-01-02 15:04:05-07:00")
		}
	case len(w) == 2 && w[0] == "override_priority":
		n.add(fmt.Sprintf("{{%s}} changes the priority in Datadog", p.tag))
		return ""
	}
	n.add(fmt.Sprintf("{{%s}} is not evaluated here", p.tag))
	return "{{" + p.tag + "}}"
}

// utcTime is the form of the variables with times.
const utcTime = "2006-01-02 15:04:05 UTC"

// formatNumber returns a number with four significant digits, and all of a whole part.
// How many Datadog prints is not documented.
func formatNumber(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	decimals := min(max(3-int(math.Floor(math.Log10(math.Abs(v)))), 0), 12)
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// recipient matches an @-handle after a space or at the start of a line. A workflow may have
// parameters.
var recipient = regexp.MustCompile(`(?:^|\s)(@[\p{L}\p{N}][^\s(){},;]*(?:\([^()\n]*\))?)`)

// recipients returns the @-handles of a message, each once.
func recipients(message string) []string {
	n := notes{}
	for _, m := range recipient.FindAllStringSubmatch(message, -1) {
		n.add(strings.TrimRight(m[1], ".:!?"))
	}
	return n
}
