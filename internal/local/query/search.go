package query

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Search selects spans or logs.
type Search struct {
	Text string
	root condition
}

// Match reports whether a search selects an event.
func (s *Search) Match(e Event) bool { return s.root.match(e) }

// condition is part of a search.
type condition interface{ match(Event) bool }

type (
	anyEvent struct{}
	// attributeIs matches an attribute's text. * stands for any text, ? for any character.
	attributeIs struct {
		name    string
		pattern *regexp.Regexp
	}
	// attributeIn matches numbers of a range. Each end is included or not.
	attributeIn struct {
		name                  string
		low, high             *float64
		lowExcluded, highExcl bool
	}
	everyOf []condition
	oneOf   []condition
	noneOf  struct{ of condition }
)

func (anyEvent) match(Event) bool { return true }

func (c attributeIs) match(e Event) bool {
	v, ok := e.Attribute(c.name)
	if many, isList := v.([]string); isList {
		return slices.ContainsFunc(many, c.pattern.MatchString)
	}
	return ok && c.pattern.MatchString(textOf(v))
}

func (c attributeIn) match(e Event) bool {
	v, ok := e.Attribute(c.name)
	n, isNumber := numberOf(v)
	if !ok || !isNumber {
		return false
	}
	if c.low != nil && (n < *c.low || c.lowExcluded && n == *c.low) {
		return false
	}
	return c.high == nil || n < *c.high || n == *c.high && !c.highExcl
}

func (c everyOf) match(e Event) bool {
	for _, of := range c {
		if !of.match(e) {
			return false
		}
	}
	return true
}

func (c oneOf) match(e Event) bool {
	for _, of := range c {
		if of.match(e) {
			return true
		}
	}
	return false
}

func (c noneOf) match(e Event) bool { return !c.of.match(e) }

// textOf returns an attribute's value as text.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

func numberOf(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case string:
		n, err := strconv.ParseFloat(v, 64)
		return n, err == nil
	}
	return 0, false
}

// ParseSearch parses a search of "spans", "logs" or "monitors". Words without a key search the
// text of logs or the titles of monitors.
// https://docs.datadoghq.com/tracing/trace_explorer/query_syntax/
func ParseSearch(source, text string, v Variables) (*Search, error) {
	p := &searchParser{text: text, source: source, variables: v}
	root, err := p.or(0)
	if err == nil && p.next() != 0 {
		err = fmt.Errorf("unexpected %.30q", text[p.at:])
	}
	if err != nil {
		return nil, fmt.Errorf("search %q: %w", text, err)
	}
	return &Search{text, root}, nil
}

type searchParser struct {
	text, source string
	at           int
	variables    Variables
}

// next skips spaces and returns the next character, 0 at the end.
func (p *searchParser) next() byte {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

// word reads an operator, if it is next.
func (p *searchParser) word(operator string) bool {
	p.next()
	rest, ok := strings.CutPrefix(p.text[p.at:], operator)
	if !ok || rest != "" && strings.IndexByte(" \t\r\n(", rest[0]) < 0 {
		return false
	}
	p.at += len(operator)
	return true
}

func (p *searchParser) or(depth int) (condition, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	var any oneOf
	for {
		c, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		any = append(any, c)
		if !p.word("OR") {
			if len(any) == 1 {
				return any[0], nil
			}
			return any, nil
		}
	}
}

func (p *searchParser) and(depth int) (condition, error) {
	var all everyOf
	for {
		before := p.at
		if c := p.next(); c == 0 || c == ')' || p.word("OR") {
			p.at = before
			break
		}
		if p.word("AND") {
			if len(all) == 0 {
				return nil, errors.New("AND needs a term before it")
			}
			continue
		}
		c, err := p.not(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	switch len(all) {
	case 0:
		if depth > 0 || p.next() != 0 || p.at > 0 && strings.TrimSpace(p.text) != "" {
			return nil, errors.New("a term is missing")
		}
		return anyEvent{}, nil
	case 1:
		return all[0], nil
	}
	return all, nil
}

func (p *searchParser) not(depth int) (condition, error) {
	if p.next() == '-' {
		p.at++
		c, err := p.not(depth)
		return noneOf{c}, err
	}
	if p.word("NOT") {
		c, err := p.not(depth)
		return noneOf{c}, err
	}
	return p.term(depth)
}

func (p *searchParser) term(depth int) (condition, error) {
	switch p.next() {
	case '(':
		p.at++
		c, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.next() != ')' {
			return nil, errors.New("( lacks its )")
		}
		p.at++
		return c, nil
	case 0, ')':
		return nil, errors.New("a term is missing")
	}
	word, quoted, err := p.token(true)
	if err != nil {
		return nil, err
	}
	if name, ok := strings.CutPrefix(word, "$"); ok && !quoted {
		return p.variable(strings.TrimSuffix(name, ".value"), "")
	}
	if p.at < len(p.text) && p.text[p.at] == ':' && !quoted {
		p.at++
		return p.value(word)
	}
	if word == "*" && !quoted {
		return anyEvent{}, nil
	}
	if p.source == "spans" {
		return nil, fmt.Errorf("%q has no key: words without one are not searched in spans here", word)
	}
	return attributeIs{"message", pattern("(?is)", wildcards(word, quoted), "")}, nil
}

// token reads a word or a quoted text. A key ends at a colon.
func (p *searchParser) token(key bool) (text string, quoted bool, err error) {
	if p.next() == '"' {
		var b strings.Builder
		for p.at++; p.at < len(p.text); p.at++ {
			switch c := p.text[p.at]; {
			case c == '"':
				p.at++
				return b.String(), true, nil
			case c == '\\' && p.at+1 < len(p.text):
				p.at++
				b.WriteByte(p.text[p.at])
			default:
				b.WriteByte(c)
			}
		}
		return "", false, errors.New(`" lacks its end`)
	}
	begin := p.at
	for p.at < len(p.text) {
		c := p.text[p.at]
		if c == '\\' && p.at+1 < len(p.text) {
			p.at += 2
			continue
		}
		if strings.IndexByte(" \t\r\n()\"", c) >= 0 || key && c == ':' {
			break
		}
		p.at++
	}
	if begin == p.at {
		return "", false, fmt.Errorf("unexpected %.10q", p.text[p.at:])
	}
	return p.text[begin:p.at], false, nil
}

// value reads what follows key: a text, a comparison, a range, or several texts in
// parentheses.
func (p *searchParser) value(key string) (condition, error) {
	if p.at == len(p.text) || strings.IndexByte(" \t\r\n)", p.text[p.at]) >= 0 {
		return nil, fmt.Errorf("%s: lacks a value", key)
	}
	if p.text[p.at] == '(' {
		p.at++
		return p.values(key)
	}
	return p.one(key)
}

// one reads a text, a comparison or a range.
func (p *searchParser) one(key string) (condition, error) {
	if rest := p.text[p.at:]; strings.HasPrefix(rest, "[") {
		inner, _, closed := strings.Cut(rest[1:], "]")
		low, high, ok := strings.Cut(inner, " TO ")
		if !closed || !ok {
			return nil, fmt.Errorf("%s: a range has the form [LOW TO HIGH]", key)
		}
		p.at += len(inner) + 2
		c := attributeIn{name: key}
		var err error
		if c.low, err = bound(low); err == nil {
			c.high, err = bound(high)
		}
		return c, err
	}
	for _, operator := range []string{">=", "<=", ">", "<"} {
		if rest, ok := strings.CutPrefix(p.text[p.at:], operator); ok {
			p.at = len(p.text) - len(rest)
			word, _, err := p.token(false)
			if err != nil {
				return nil, err
			}
			n, err := bound(word)
			if err != nil || n == nil {
				return nil, fmt.Errorf("%s:%s needs a number, got %q", key, operator, word)
			}
			if operator[0] == '>' {
				return attributeIn{name: key, low: n, lowExcluded: operator == ">"}, nil
			}
			return attributeIn{name: key, high: n, highExcl: operator == "<"}, nil
		}
	}
	word, quoted, err := p.token(false)
	if err != nil {
		return nil, err
	}
	if name, whole := p.variables.whole(word); whole && !quoted {
		return p.variable(name, key)
	}
	words := []string{word}
	if !quoted {
		if words, err = p.variables.texts(word); err != nil {
			return nil, err
		}
	}
	any := oneOf{}
	for _, w := range words {
		any = append(any, attributeIs{key, pattern("(?s)^", wildcards(w, quoted), "$")})
	}
	if len(any) == 1 {
		return any[0], nil
	}
	return any, nil
}

// values reads the rest of key:(a OR b) or key:(a AND b).
func (p *searchParser) values(key string) (condition, error) {
	var all []condition
	operator := ""
	for {
		if p.next() == ')' && len(all) > 0 {
			p.at++
			if operator == "AND" {
				return everyOf(all), nil
			}
			return oneOf(all), nil
		}
		if len(all) > 0 {
			before := operator
			switch {
			case p.word("OR"):
				operator = "OR"
			case p.word("AND"):
				operator = "AND"
			default:
				return nil, fmt.Errorf("%s:( ): AND or OR is missing between values", key)
			}
			if before != "" && before != operator {
				return nil, fmt.Errorf("%s:( ): AND and OR between values need parentheses, which are not evaluated here", key)
			}
		}
		p.next()
		c, err := p.one(key)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
}

// bound parses an end of a range; * means that it has no end.
func bound(text string) (*float64, error) {
	text = strings.TrimSpace(text)
	if text == "*" {
		return nil, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a number; only ranges of numbers are evaluated here", text)
	}
	return &n, nil
}

// pattern compiles a quoted text. Bytes that are no UTF-8 match nothing that is.
func pattern(before, text, after string) *regexp.Regexp {
	return regexp.MustCompile(before + strings.ToValidUTF8(text, "\uFFFD") + after)
}

// wildcards returns a word as a regular expression.
func wildcards(word string, quoted bool) string {
	if quoted {
		return regexp.QuoteMeta(word)
	}
	var b strings.Builder
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteByte('.')
		case c == '\\' && i+1 < len(word):
			i++
			b.WriteString(regexp.QuoteMeta(word[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(word[i : i+1]))
		}
	}
	return b.String()
}

func (p *searchParser) variable(name, key string) (condition, error) {
	v, ok := p.variables[name]
	if !ok {
		return nil, fmt.Errorf("unknown template variable $%s", name)
	}
	any := oneOf{}
	for _, value := range v.Values {
		if value == "*" {
			return anyEvent{}, nil
		}
		k := key
		if k == "" {
			k = v.Prefix
		}
		if k == "" {
			k, value, _ = strings.Cut(value, ":")
		}
		any = append(any, attributeIs{k, pattern("(?s)^", wildcards(value, false), "$")})
	}
	if len(any) == 0 {
		return anyEvent{}, nil
	}
	return any, nil
}
