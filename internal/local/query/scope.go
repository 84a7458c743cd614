package query

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// filter selects series by their tags.
type filter interface{ match(Tags) bool }

type (
	everything struct{}
	// tagIs matches a tag. The pattern may contain *.
	tagIs  struct{ pattern string }
	allOf  []filter
	anyOf  []filter
	except struct{ of filter }
)

func (everything) match(Tags) bool { return true }

func (f tagIs) match(tags Tags) bool {
	return slices.ContainsFunc(tags, func(tag string) bool { return glob(f.pattern, tag) })
}

func (f allOf) match(tags Tags) bool {
	return !slices.ContainsFunc(f, func(of filter) bool { return !of.match(tags) })
}

func (f anyOf) match(tags Tags) bool {
	return slices.ContainsFunc(f, func(of filter) bool { return of.match(tags) })
}

func (f except) match(tags Tags) bool { return !f.of.match(tags) }

// glob reports whether a text matches a pattern in which * stands for any text.
func glob(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == text
	}
	rest, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		_, after, found := strings.Cut(rest, part)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[last])
}

// maxDepth bounds the nesting of expressions.
const maxDepth = 100

// parseScope parses the part of a query between { and }: tags with , and !, or with the
// words AND, OR, NOT and IN, but not with both.
// https://docs.datadoghq.com/metrics/advanced-filtering/
func parseScope(text string, v Variables) (filter, error) {
	p := scopeParser{words: scopeWords(text), variables: v}
	if len(p.words) == 0 {
		return nil, errors.New("empty scope; use * for everything")
	}
	for _, w := range p.words {
		p.functional = p.functional || keyword(w) != ""
	}
	f, err := p.or(0)
	if err != nil {
		return nil, err
	}
	if p.at < len(p.words) {
		return nil, fmt.Errorf("unexpected %q", p.words[p.at])
	}
	return f, nil
}

// scopeWords splits a scope into tags, keywords and the characters , ! ( ).
func scopeWords(text string) []string {
	var words []string
	begin := -1
	end := func(i int) {
		if begin >= 0 {
			words = append(words, text[begin:i])
			begin = -1
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			end(i)
		case strings.IndexByte(",()", c) >= 0, c == '!' && begin < 0:
			end(i)
			words = append(words, text[i:i+1])
		case begin < 0:
			begin = i
		}
	}
	end(len(text))
	return words
}

func keyword(word string) string {
	switch word {
	case "AND", "and", "OR", "or", "NOT", "not", "IN", "in":
		return strings.ToUpper(word)
	}
	return ""
}

type scopeParser struct {
	words      []string
	at         int
	functional bool
	variables  Variables
}

func (p *scopeParser) peek() string {
	if p.at < len(p.words) {
		return p.words[p.at]
	}
	return ""
}

func (p *scopeParser) take(word string) bool {
	if w := p.peek(); w != "" && (w == word || keyword(w) == word) {
		p.at++
		return true
	}
	return false
}

func (p *scopeParser) or(depth int) (filter, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	var any anyOf
	for {
		f, err := p.and(depth)
		if err != nil {
			return nil, err
		}
		any = append(any, f)
		if !p.take("OR") {
			return single(any), nil
		}
	}
}

func single(any anyOf) filter {
	if len(any) == 1 {
		return any[0]
	}
	return any
}

func (p *scopeParser) and(depth int) (filter, error) {
	var all allOf
	for {
		f, err := p.not(depth)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
		if p.peek() == "," && p.functional {
			return nil, errors.New("a comma and the words AND, OR, NOT, IN cannot be in one scope")
		}
		if !p.take(",") && !p.take("AND") {
			if len(all) == 1 {
				return all[0], nil
			}
			return all, nil
		}
	}
}

func (p *scopeParser) not(depth int) (filter, error) {
	negated := false
	for {
		if p.peek() == "!" && p.functional {
			return nil, errors.New("! and the words AND, OR, NOT, IN cannot be in one scope")
		}
		if !p.take("!") && !p.take("NOT") {
			break
		}
		negated = !negated
	}
	f, err := p.primary(depth)
	if err == nil && negated {
		f = except{f}
	}
	return f, err
}

func (p *scopeParser) primary(depth int) (filter, error) {
	if p.take("(") {
		f, err := p.or(depth + 1)
		if err == nil && !p.take(")") {
			err = errors.New("( lacks its )")
		}
		return f, err
	}
	word := p.peek()
	if word == "" || word == ")" || word == "," || keyword(word) != "" {
		return nil, fmt.Errorf("a tag is missing before %q", word)
	}
	p.at++
	negated := p.take("NOT")
	if p.take("IN") {
		f, err := p.in(word)
		if err == nil && negated {
			f = except{f}
		}
		return f, err
	}
	if negated {
		return nil, errors.New("NOT after a tag key needs IN")
	}
	return p.tag(word)
}

// in parses the list of key IN (a, b).
func (p *scopeParser) in(key string) (filter, error) {
	if !p.take("(") {
		return nil, errors.New("IN needs a list in parentheses")
	}
	any := anyOf{}
	for {
		word := p.peek()
		if word == "" || len(word) == 1 && strings.Contains("(),!", word) {
			return nil, errors.New("IN needs a list of values")
		}
		p.at++
		f, err := p.tag(key + ":" + word)
		if err != nil {
			return nil, err
		}
		any = append(any, f)
		if p.take(")") {
			return any, nil
		}
		if !p.take(",") {
			return nil, errors.New("values of IN are separated by commas")
		}
	}
}

// tag returns the filter for a word: a tag, a pattern or a template variable.
func (p *scopeParser) tag(word string) (filter, error) {
	if word == "*" {
		return everything{}, nil
	}
	if name, ok := strings.CutPrefix(word, "$"); ok {
		if name, ok := strings.CutSuffix(name, ".value"); ok {
			return p.variable(name, "")
		}
		v, ok := p.variables[name]
		if !ok {
			return nil, fmt.Errorf("unknown template variable $%s", name)
		}
		return p.variable(name, v.Prefix)
	}
	key, value, _ := strings.Cut(word, ":")
	if name, whole := p.variables.whole(value); whole {
		return p.variable(name, key)
	}
	words, err := p.variables.texts(word)
	if err != nil {
		return nil, err
	}
	any := anyOf{}
	for _, w := range words {
		any = append(any, tagIs{w})
	}
	return single(any), nil
}

// whole returns the name of the template variable that a value consists of, such as $service
// or $service.value; false for other values.
func (v Variables) whole(value string) (name string, is bool) {
	name, is = strings.CutPrefix(value, "$")
	name = strings.TrimSuffix(name, ".value")
	_, known := v[name]
	return name, is && (known || !strings.Contains(name, ".value"))
}

// maxTexts bounds the number of combinations of values in one word.
const maxTexts = 1000

// texts returns a word with the values of the template variables in it, such as
// env:staging-$service.value, one text for each combination of their values.
// https://docs.datadoghq.com/dashboards/template_variables/
func (v Variables) texts(word string) ([]string, error) {
	before, after, found := strings.Cut(word, "$")
	if !found {
		return []string{word}, nil
	}
	name := ""
	for n := range v {
		if strings.HasPrefix(after, n+".value") && len(n) > len(name) {
			name = n
		}
	}
	if name == "" {
		return nil, fmt.Errorf("unknown template variable in %s; within a word, write $NAME.value", word)
	}
	rest, err := v.texts(after[len(name+".value"):])
	if err != nil {
		return nil, err
	}
	values := v[name].Values
	if len(values) == 0 {
		values = []string{"*"}
	}
	if len(values)*len(rest) > maxTexts {
		return nil, fmt.Errorf("%s has more than %d combinations of values", word, maxTexts)
	}
	var all []string
	for _, value := range values {
		for _, end := range rest {
			all = append(all, before+value+end)
		}
	}
	return all, nil
}

// variable returns the filter of a template variable's values for a tag key.
func (p *scopeParser) variable(name, key string) (filter, error) {
	v, ok := p.variables[name]
	if !ok {
		return nil, fmt.Errorf("unknown template variable $%s", name)
	}
	any := anyOf{}
	for _, value := range v.Values {
		if value == "*" {
			return everything{}, nil
		}
		if key != "" {
			value = key + ":" + value
		}
		any = append(any, tagIs{value})
	}
	if len(any) == 0 {
		return everything{}, nil
	}
	return any, nil
}
