package query

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// node is part of an expression.
type node interface {
	// eval returns the values by bucket.
	eval(*evaluator) frame
}

type (
	// number is a constant.
	number float64
	// binary is an operation of arithmetic.
	binary struct {
		op   byte // + - * /
		a, b node
	}
	// call is a function of lines.
	call struct {
		name string
		of   node
		// Numbers, texts and options are the arguments after the first one, by kind.
		numbers []float64
		texts   []string
		options map[string]string
		apply   func(*call, *evaluator) frame
	}
	// named is a query of a request, under its name.
	named struct {
		name       string
		of         node
		aggregator string // reduces it to one number
	}
	// metric is a query of one metric.
	metric struct {
		aggregator string  // of space: avg, sum, min, max, count, or percentile
		quantile   float64 // of the aggregator percentile
		name       string
		scopeText  string
		scope      filter
		by         []string
		asCount    bool
		asRate     bool
		method     string // of a rollup
		interval   int64  // of a rollup, in seconds; 0 without one
		fill       string // linear, last, zero, null; empty without .fill
		limit      int64  // of .fill, in seconds
	}
)

// Query is a parsed expression of metrics: queries, functions and arithmetic.
type Query struct {
	Text string
	root node
}

// Series evaluates the query in buckets of step, or of [DefaultStep] if it is 0.
func (q *Query) Series(src Source, from, to time.Time, step time.Duration) Result {
	r := Request{Formulas: []Formula{{Text: q.Text, root: q.root}}}
	return r.Series(src, from, to, step)
}

// Metrics returns the names of the metrics that the query reads, each once.
func (q *Query) Metrics() []string {
	n := notes{}
	for _, m := range metricsOf(q.root) {
		n.add(m.name)
	}
	return n
}

// ParseMetric parses an expression such as
//
//	100 * sum:errors{env:dev} by {host}.as_count() / sum:hits{env:dev} by {host}.as_count()
func ParseMetric(text string, v Variables) (*Query, error) {
	root, err := parseExpression(text, v, nil)
	if err != nil {
		return nil, err
	}
	return &Query{text, root}, nil
}

// parseExpression parses an expression in which names stand for queries.
func parseExpression(text string, v Variables, names map[string]node) (node, error) {
	p := &parser{text: text, variables: v, names: names}
	n, err := p.expression(0)
	if err == nil && !p.end() {
		err = fmt.Errorf("unexpected %s", p.rest())
	}
	if err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	return n, nil
}

// parser is a parser of expressions.
type parser struct {
	text      string
	at        int
	variables Variables
	names     map[string]node
}

func (p *parser) space() {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
}

func (p *parser) end() bool {
	p.space()
	return p.at == len(p.text)
}

// rest returns the text that was not read, for errors.
func (p *parser) rest() string {
	rest := p.text[p.at:]
	if rest == "" {
		return "end of the text"
	}
	return fmt.Sprintf("%.30q at character %d", rest, p.at+1)
}

// take skips spaces and a token, if it is next.
func (p *parser) take(token string) bool {
	p.space()
	if strings.HasPrefix(p.text[p.at:], token) {
		p.at += len(token)
		return true
	}
	return false
}

// expect is take for a token that must be there.
func (p *parser) expect(token string) error {
	if !p.take(token) {
		return fmt.Errorf("%q is missing before %s", token, p.rest())
	}
	return nil
}

// match skips spaces and returns the text that a pattern matches here.
func (p *parser) match(pattern *regexp.Regexp) string {
	p.space()
	s := pattern.FindString(p.text[p.at:])
	p.at += len(s)
	return s
}

func (p *parser) expression(depth int) (node, error) {
	if depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	return p.operation(depth, "+-", func() (node, error) {
		return p.operation(depth, "*/", func() (node, error) { return p.unary(depth) })
	})
}

// operation parses operands that operators of one precedence join, from the left.
func (p *parser) operation(depth int, operators string, operand func() (node, error)) (node, error) {
	a, err := operand()
	for err == nil {
		p.space()
		if p.at == len(p.text) || strings.IndexByte(operators, p.text[p.at]) < 0 {
			return a, nil
		}
		op := p.text[p.at]
		p.at++
		var b node
		if b, err = operand(); err == nil {
			a = binary{op, a, b}
		}
	}
	return nil, err
}

func (p *parser) unary(depth int) (node, error) {
	negative := false
	for p.take("-") {
		negative = !negative
	}
	n, err := p.primary(depth)
	if err == nil && negative {
		if v, ok := n.(number); ok {
			return -v, nil
		}
		n = binary{'*', number(-1), n}
	}
	return n, err
}

var (
	numeral    = regexp.MustCompile(`^[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|^\.[0-9]+([eE][+-]?[0-9]+)?`)
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)
	aggregator = regexp.MustCompile(`^(avg|sum|min|max|count|p[0-9]{1,2}(\.[0-9]{1,4})?):`)
	metricName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]*`)
	bareMetric = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.]*\{`)
	tagKey     = regexp.MustCompile(`^[A-Za-z_@][A-Za-z0-9_./@-]*`)
)

func (p *parser) number() (float64, bool) {
	text := p.match(numeral)
	v, err := strconv.ParseFloat(text, 64)
	return v, text != "" && err == nil
}

func (p *parser) primary(depth int) (node, error) {
	if p.take("(") {
		n, err := p.expression(depth + 1)
		if err == nil {
			err = p.expect(")")
		}
		return n, err
	}
	if v, ok := p.number(); ok {
		return number(v), nil
	}
	if a := p.match(aggregator); a != "" {
		return p.metric(strings.TrimSuffix(a, ":"))
	}
	if bareMetric.MatchString(p.text[p.at:]) {
		return nil, fmt.Errorf("%s has no aggregator; write avg:, sum:, min:, max: or p95: before it", p.match(metricName))
	}
	begin := p.at
	name := p.match(identifier)
	if name == "" {
		return nil, fmt.Errorf("unexpected %s", p.rest())
	}
	if p.take("(") {
		return p.call(name, depth)
	}
	if n, ok := p.names[name]; ok {
		return n, nil
	}
	p.at = begin
	if len(p.names) == 0 {
		return nil, fmt.Errorf("unexpected %s", p.rest())
	}
	return nil, fmt.Errorf("unknown query %q; the queries are %s", name, strings.Join(slices.Sorted(maps.Keys(p.names)), ", "))
}

func (p *parser) metric(aggregator string) (node, error) {
	m := &metric{aggregator: aggregator}
	if q, ok := strings.CutPrefix(aggregator, "p"); ok {
		percent, err := strconv.ParseFloat(q, 64)
		if err != nil {
			return nil, fmt.Errorf("aggregator %s: %w", aggregator, err)
		}
		m.aggregator, m.quantile = "percentile", percent/100
	}
	if m.name = p.match(metricName); m.name == "" {
		return nil, fmt.Errorf("the name of a metric is missing before %s", p.rest())
	}
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	scope, rest, closed := strings.Cut(p.text[p.at:], "}")
	if !closed {
		return nil, fmt.Errorf("{ lacks its } after %s", m.name)
	}
	var err error
	if m.scope, err = parseScope(scope, p.variables); err != nil {
		return nil, fmt.Errorf("{%s}: %w", scope, err)
	}
	m.scopeText = scope
	p.at = len(p.text) - len(rest)
	if before := p.at; p.match(identifier) != "by" {
		p.at = before
	} else if m.by, err = p.keys(); err != nil {
		return nil, err
	}
	for p.take(".") {
		if err := p.modifier(m); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// keys parses the tags of a "by".
func (p *parser) keys() ([]string, error) {
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	var keys []string
	for {
		if p.take("$") { // a template variable is its tag key here
			name := p.match(identifier)
			v, ok := p.variables[name]
			if !ok || v.Prefix == "" {
				return nil, fmt.Errorf("by {$%s}: unknown template variable", name)
			}
			keys = append(keys, v.Prefix)
		} else if key := p.match(tagKey); key != "" {
			keys = append(keys, key)
		} else {
			return nil, fmt.Errorf("a tag key is missing before %s", p.rest())
		}
		if p.take("}") {
			return keys, nil
		}
		if err := p.expect(","); err != nil {
			return nil, err
		}
	}
}

var methods = []string{"avg", "sum", "min", "max", "count"}

func (p *parser) modifier(m *metric) error {
	name := p.match(identifier)
	if err := p.expect("("); err != nil {
		return err
	}
	var words []string
	var numbers []float64
	for !p.take(")") {
		if len(words)+len(numbers) > 0 {
			if err := p.expect(","); err != nil {
				return err
			}
		}
		if v, ok := p.number(); ok {
			numbers = append(numbers, v)
		} else if w := p.match(identifier); w != "" {
			words = append(words, w)
		} else if s, ok := p.quoted(); ok {
			words = append(words, s)
		} else {
			return fmt.Errorf(".%s: unexpected %s", name, p.rest())
		}
	}
	switch name {
	case "as_count", "as_rate":
		if len(words)+len(numbers) > 0 {
			return fmt.Errorf(".%s takes no arguments", name)
		}
		m.asCount, m.asRate = name == "as_count", name == "as_rate"
	case "rollup":
		if len(words) > 1 || len(numbers) > 1 || len(words)+len(numbers) == 0 {
			return errors.New(".rollup takes a method and a number of seconds")
		}
		if len(words) == 1 {
			if m.method = words[0]; !slices.Contains(methods, m.method) {
				return fmt.Errorf(".rollup: %q is not one of %s", m.method, strings.Join(methods, ", "))
			}
		}
		if len(numbers) == 1 {
			if m.interval = int64(numbers[0]); m.interval < 1 || numbers[0] > 1e8 || numbers[0] != math.Trunc(numbers[0]) {
				return fmt.Errorf(".rollup: %g is not a whole number of seconds", numbers[0])
			}
		}
	case "fill":
		if len(words) != 1 || len(numbers) > 1 || !slices.Contains([]string{"linear", "last", "zero", "null"}, words[0]) {
			return errors.New(".fill takes linear, last, zero or null, and a limit in seconds")
		}
		m.fill, m.limit = words[0], 300
		if len(numbers) == 1 {
			if m.limit = int64(numbers[0]); numbers[0] < 1 || numbers[0] > 600 {
				return fmt.Errorf(".fill: the limit is 1 to 600 seconds, got %g", numbers[0])
			}
		}
	default:
		return fmt.Errorf(".%s is not evaluated here", name)
	}
	return nil
}

// quoted reads a text in quotation marks of either kind.
func (p *parser) quoted() (string, bool) {
	p.space()
	if p.at == len(p.text) || p.text[p.at] != '\'' && p.text[p.at] != '"' {
		return "", false
	}
	s, rest, closed := strings.Cut(p.text[p.at+1:], p.text[p.at:p.at+1])
	if !closed {
		return "", false
	}
	p.at = len(p.text) - len(rest)
	return s, true
}

// call parses the arguments of a function.
func (p *parser) call(name string, depth int) (node, error) {
	f, ok := functionOf(name)
	if !ok {
		return nil, fmt.Errorf("the function %s is not evaluated here", name)
	}
	of, err := p.expression(depth + 1)
	if err != nil {
		return nil, err
	}
	c := &call{name: name, of: of, options: map[string]string{}, apply: f.apply}
	for !p.take(")") {
		if err := p.expect(","); err != nil {
			return nil, err
		}
		if err := p.argument(c); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := f.check(c); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

func (p *parser) argument(c *call) error {
	if s, ok := p.quoted(); ok {
		c.texts = append(c.texts, s)
		return nil
	}
	negative := p.take("-")
	if v, ok := p.number(); ok {
		if negative {
			v = -v
		}
		c.numbers = append(c.numbers, v)
		return nil
	}
	key := p.match(identifier)
	if key == "" {
		return fmt.Errorf("unexpected %s", p.rest())
	}
	if !p.take("=") {
		c.texts = append(c.texts, key)
		return nil
	}
	if s, ok := p.quoted(); ok {
		c.options[key] = s
	} else if s := p.match(numeral); s != "" {
		c.options[key] = s
	} else if s := p.match(identifier); s != "" {
		c.options[key] = s
	} else {
		return fmt.Errorf("the value of %s is missing before %s", key, p.rest())
	}
	return nil
}

// metricsOf returns the metrics of an expression.
func metricsOf(n node) []*metric {
	switch n := n.(type) {
	case binary:
		return append(metricsOf(n.a), metricsOf(n.b)...)
	case *call:
		return metricsOf(n.of)
	case named:
		return metricsOf(n.of)
	case *metric:
		return []*metric{n}
	}
	return nil
}

// callOf returns the first call of a function in an expression, or nil.
func callOf(n node, name string) *call {
	switch n := n.(type) {
	case binary:
		if c := callOf(n.a, name); c != nil {
			return c
		}
		return callOf(n.b, name)
	case *call:
		if n.name == name {
			return n
		}
		return callOf(n.of, name)
	case named:
		return callOf(n.of, name)
	}
	return nil
}

// hasArithmetic reports whether an expression joins queries.
func hasArithmetic(n node) bool {
	switch n := n.(type) {
	case binary:
		return true
	case *call:
		return hasArithmetic(n.of)
	case named:
		return hasArithmetic(n.of)
	}
	return false
}
