package store

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"apmapp/internal/local/span"
)

// Query selects traces in Datadog's syntax, such as
//
//	service:apmapp-mysql @db.name:apmapp duration:>100ms error:true -resource:SELECT* timeout
//
// A trace matches if one of its spans has everything that is before a colon, and if each
// other word is in one of its spans, or is the ID of the trace. A minus or NOT excludes.
// Values may have stars, or be in quotes. AND changes nothing; OR, parentheses and ranges
// are errors.
// https://docs.datadoghq.com/tracing/trace_explorer/query_syntax/
type Query struct {
	terms []term
	words []word
}

type term struct {
	field string // of a span, or ""
	tag   string
	not   bool
	test  func(string) bool
	// number tests durations in nanoseconds and numeric tags; nil tests text.
	number func(float64) bool
}

type word struct {
	text string // in lower case
	not  bool
	// halves are the lower halves of trace IDs that the word may be.
	halves []string
}

func newWord(text string, not bool) word {
	text = strings.ToLower(text)
	return word{text, not, span.LowerHalves(text)}
}

// QueryFields are the fields of a span that a query names, sorted. Every other name is
// the name of a tag.
var QueryFields = []string{"duration", "error", "kind", "operation", "resource", "service", "span_id", "status", "trace_id", "type"}

// aliases are other names of fields: Datadog's own.
var aliases = map[string]string{
	"resource_name": "resource", "operation_name": "operation", "span.kind": "kind", "span_kind": "kind",
}

// statusTag has the status of HTTP. status:5xx is short for it.
const statusTag = "http.status_code"

// ParseQuery parses a query. An error names what is wrong.
func ParseQuery(text string) (Query, error) { return parseQuery(text, newTerm) }

func parseQuery(text string, newTerm func(name, value string, literal bool) (term, error)) (Query, error) {
	var q Query
	excluded := false // by NOT before
	for _, w := range split(text) {
		if !w.quoted {
			switch w.text {
			case "AND":
				continue
			case "NOT":
				excluded = true
				continue
			}
			if err := w.unsupported(); err != nil {
				return q, err
			}
		}
		not := strings.HasPrefix(w.text, "-") && len(w.text) > 1
		if not {
			w.text, w.colon = w.text[1:], w.colon-1
		}
		not, excluded = not != excluded, false
		if w.colon <= 0 {
			q.words = append(q.words, newWord(w.text, not))
			continue
		}
		t, err := newTerm(w.text[:w.colon], w.text[w.colon+1:], w.literal)
		if err != nil {
			return q, err
		}
		t.not = not
		q.terms = append(q.terms, t)
	}
	return q, nil
}

// TagQuery returns the query for the spans that have a tag with a value.
func TagQuery(name, value string) string {
	if strings.ContainsAny(name, "\"\\: \t\n") {
		name = quote(name)
	}
	return "@" + name + ":" + quote(value)
}

// FieldQuery returns the query for the spans whose field has a value.
func FieldQuery(field, value string) string { return field + ":" + quote(value) }

// Quoted returns a value for a query, in quotes if it needs them.
func Quoted(value string) string {
	if value == "" || strings.ContainsAny(value, "\"\\: \t\n*?<>=([") {
		return quote(value)
	}
	return value
}

// quote puts a text in quotes as split reads them.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// piece is a word of a query without quotes. Colon is the index of its first colon outside
// quotes, or -1. What is after the colon of a literal one was in quotes; a quoted one had
// quotes anywhere.
type piece struct {
	text            string
	colon           int
	literal, quoted bool
}

// unsupported returns an error for what Datadog understands and a Query does not: it would
// find nothing.
func (p piece) unsupported() error {
	switch {
	case p.text == "OR":
		return errors.New(`OR is not supported; to find the word, write "OR"`)
	case p.colon > 0 && (p.text[0] == '(' || strings.HasPrefix(p.text, "-(")):
		return fmt.Errorf("parentheses are not supported, got %q; a text with them must be in quotes", p.text)
	case p.colon > 0 && strings.HasPrefix(p.text[p.colon+1:], "["):
		name := p.text[:p.colon]
		return fmt.Errorf("ranges are not supported, got %q; write %s:>=1 %s:<=2, or put the text in quotes", p.text, name, name)
	}
	return nil
}

func split(text string) (pieces []piece) {
	var one strings.Builder
	colon, quoted, any, literal, quotes := -1, false, false, false, false
	end := func() {
		if any {
			pieces = append(pieces, piece{one.String(), colon, literal, quotes})
		}
		one.Reset()
		colon, any, literal, quotes = -1, false, false, false
	}
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '\\' && quoted && i+1 < len(text):
			i++
			one.WriteByte(text[i])
		case c == '"' && (quoted || strings.Contains(text[i+1:], `"`)): // else a part of the text
			literal = literal || colon >= 0 && one.Len() == colon+1
			quoted, any, quotes = !quoted, true, true
		case !quoted && (c == ' ' || c == '\t' || c == '\n'):
			end()
		default:
			if c == ':' && !quoted && colon < 0 {
				colon = one.Len()
			}
			one.WriteByte(c)
			any = true
		}
	}
	end()
	return pieces
}

func newTerm(name, value string, literal bool) (term, error) {
	field := strings.TrimPrefix(name, "@")
	field = cmp.Or(aliases[field], field)
	t := term{tag: field}
	if slices.Contains(QueryFields, field) && (field == name || field != "status") {
		t = term{field: field}
	}
	if value == "" && !literal {
		return t, fmt.Errorf("%s: has no value", name)
	}
	if literal && field != name && t.field != "" { // a tag may have the name of a field
		t.tag = field
		if field == "error" || field == "duration" {
			t.field = ""
		}
	}
	switch t.field {
	case "status":
		switch value {
		case "error", "ok":
			return newTerm("error", strconv.FormatBool(value == "error"), false)
		}
		t = term{tag: statusTag}
	case "error":
		want, err := strconv.ParseBool(value)
		if err != nil {
			return t, fmt.Errorf("error must be true or false, got %q", value)
		}
		t.test = func(has string) bool { return has == strconv.FormatBool(want) }
		return t, nil
	}
	if literal && t.field != "duration" {
		t.test = func(has string) bool { return has == value }
		return t, nil
	}
	if op := value[:len(value)-len(strings.TrimLeft(value, "<>="))]; op != "" {
		if op != ">" && op != ">=" && op != "<" && op != "<=" {
			return t, fmt.Errorf("%s: comparison must be >, >=, < or <=, got %q", name, op)
		}
		limit, err := number(value[len(op):], t.field == "duration")
		if err != nil {
			return t, fmt.Errorf("%s: %w", name, err)
		}
		t.number = func(has float64) bool {
			c := cmp.Compare(has, limit)
			return c < 0 && op[0] == '<' || c > 0 && op[0] == '>' || c == 0 && len(op) == 2
		}
		return t, nil
	}
	if halves := span.LowerHalves(strings.ToLower(value)); t.field == "trace_id" && len(halves) > 0 {
		t.test = func(id string) bool { return slices.Contains(halves, span.LowerHalf(id)) }
		return t, nil
	}
	if t.field == "duration" {
		return t, fmt.Errorf(`duration must have a limit such as duration:>100ms, got %q`, value)
	}
	if t.tag == statusTag { // 5xx
		value = strings.NewReplacer("x", "?", "X", "?").Replace(value)
	}
	if !strings.ContainsAny(value, "*?") {
		t.test = func(has string) bool { return has == value }
		return t, nil
	}
	t.test = func(has string) bool { return glob(value, has) }
	return t, nil
}

// glob reports whether a pattern matches a text: a star stands for any text, a question
// mark for one character.
func glob(pattern, text string) bool {
	star, begin := -1, 0 // the last star, and the text that it has not taken
	p, t := 0, 0
	for t < len(text) {
		_, size := utf8.DecodeRuneInString(text[t:])
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, begin = p, t
			p++
		case p < len(pattern) && pattern[p] == '?':
			p, t = p+1, t+size
		case p < len(pattern) && pattern[p] == text[t]:
			p, t = p+1, t+1
		case star >= 0:
			_, size := utf8.DecodeRuneInString(text[begin:])
			begin += size
			p, t = star+1, begin
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// number parses a number, or a duration such as 10ms in nanoseconds.
func number(text string, duration bool) (float64, error) {
	if !duration {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0, fmt.Errorf("limit must be a number, got %q", text)
		}
		return n, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("limit must be a duration such as 10ms, got %q", text)
	}
	return float64(d), nil
}

// matches reports whether a trace matches.
func (q *Query) matches(id string, spans []span.Span) bool {
	if !q.matchesOne(id, spans) {
		return false
	}
	for _, w := range q.words {
		if w.in(id, spans) == w.not {
			return false
		}
	}
	return true
}

// MatchesSpan reports whether a span alone matches. The ID of its trace is unknown.
func (q *Query) MatchesSpan(s *span.Span) bool { return q.matches("", []span.Span{*s}) }

// matchesOne reports whether one of the spans has all terms.
func (q *Query) matchesOne(id string, spans []span.Span) bool {
	if len(q.terms) == 0 {
		return true
	}
next:
	for i := range spans {
		for n := range q.terms {
			if t := &q.terms[n]; t.matches(id, &spans[i]) == t.not {
				continue next
			}
		}
		return true
	}
	return false
}

func (t *term) matches(id string, s *span.Span) bool {
	return t.matchesField(id, s) || t.field != "" && t.tag != "" && t.matchesTag(s)
}

func (t *term) matchesField(id string, s *span.Span) bool {
	switch t.field {
	case "duration":
		return t.number(float64(s.Duration))
	case "error":
		return t.test(strconv.FormatBool(s.Error))
	case "":
		return t.matchesTag(s)
	case "service":
		return t.text(s.Service)
	case "operation":
		return t.text(s.Operation)
	case "resource":
		return t.text(s.Resource)
	case "type":
		return t.text(s.Type)
	case "kind":
		return t.text(s.Kind())
	case "span_id":
		return t.text(strconv.FormatUint(s.SpanID, 10))
	default: // trace_id
		return t.text(id)
	}
}

func (t *term) text(has string) bool { return t.test != nil && t.test(has) }

func (t *term) matchesTag(s *span.Span) bool {
	if n, is := s.Metrics[t.tag]; is {
		if t.number != nil {
			return t.number(n)
		}
		return t.test(strconv.FormatFloat(n, 'f', -1, 64))
	}
	has, is := s.Tags[t.tag]
	if !is {
		return false
	}
	if t.number == nil {
		return t.test(has)
	}
	n, err := strconv.ParseFloat(has, 64)
	return err == nil && t.number(n)
}

// in reports whether a text of a span, or the ID of the trace, contains the word.
func (w *word) in(id string, spans []span.Span) bool {
	if strings.Contains(id, w.text) || slices.Contains(w.halves, span.LowerHalf(id)) {
		return true
	}
	for i := range spans {
		s := &spans[i]
		if w.partOf(s.Service) || w.partOf(s.Resource) || w.partOf(s.Operation) {
			return true
		}
		for _, value := range s.Tags {
			if w.partOf(value) {
				return true
			}
		}
	}
	return false
}

// partOf reports whether a text contains the word, in any case. It makes a copy only of
// texts with other characters than ASCII.
func (w *word) partOf(text string) bool {
	n := len(w.text)
	for i := range len(text) {
		c := text[i]
		if c >= utf8.RuneSelf {
			return strings.Contains(strings.ToLower(text), w.text)
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if i+n <= len(text) && (n == 0 || c == w.text[0] && strings.EqualFold(text[i:i+n], w.text)) {
			return true
		}
	}
	return n == 0
}
