package query

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"apmapp/internal/format"
)

// Variable is the choice for a template variable of a dashboard.
type Variable struct {
	// Prefix is the tag's key. Without it, Values are whole tags.
	Prefix string
	// Values are joined with OR. None, or "*", means no filter.
	Values []string
}

// Variables are the template variables by name, without $.
type Variables map[string]Variable

// Request is one element of a widget's requests: its queries and formulas.
type Request struct {
	Formulas []Formula

	bars bool
	sort []ordering
	most int // rows; 0 for all
}

// Formula is one formula of a request.
type Formula struct {
	Text, Alias string
	// Body is the formula's JSON, with its styles and formats; nil for an old "q".
	Body map[string]any

	root node
	most int
	desc bool
}

// Name returns the alias, or the text without one.
func (f *Formula) Name() string { return cmp.Or(f.Alias, f.Text) }

// ordering is one key of a sort.
type ordering struct {
	formula int
	group   string // the tag key; empty for a formula
	desc    bool
}

// ParseRequest parses a request of a widget, as JSON: its fields queries, formulas and
// sort, or the older q. Queries may be of metrics, spans or logs.
func ParseRequest(body map[string]any, v Variables) (*Request, error) {
	var err error
	r, parseErr := parseRequest(newObject(body, &err), v)
	if err != nil { // a field of a wrong type explains the rest
		return nil, err
	}
	return r, parseErr
}

func parseRequest(o object, v Variables) (*Request, error) {
	r := &Request{bars: o.text("display_type") == "bars"}
	if o.text("q") != "" {
		return r, r.parseOld(o, v)
	}
	list := o.objects("queries")
	if old := olderQuery(o); old != "" {
		if list = olderEvents(o.object(old), old); list == nil {
			return nil, fmt.Errorf("the older form %s is not evaluated here", old)
		}
	}
	queries, order, err := parseQueries(list, v)
	if err != nil {
		return nil, err
	}
	formulas := o.objects("formulas")
	for _, f := range formulas {
		formula := Formula{Text: f.text("formula"), Alias: f.text("alias"), Body: f.fields}
		if formula.root, err = parseExpression(formula.Text, v, queries); err != nil {
			return nil, fmt.Errorf("%s: %w", f.at, err)
		}
		if limit := f.object("limit"); limit.fields != nil {
			if n := limit.number("count"); n != nil {
				formula.most = int(*n)
			}
			formula.desc = limit.text("order") != "asc"
		}
		r.Formulas = append(r.Formulas, formula)
	}
	if len(formulas) == 0 {
		for _, name := range order {
			r.Formulas = append(r.Formulas, Formula{Text: name, root: queries[name]})
		}
	}
	if len(r.Formulas) == 0 {
		return nil, errors.New("the request has no queries")
	}
	sort := o.object("sort")
	if n := sort.number("count"); n != nil {
		r.most = int(*n)
	}
	for _, by := range sort.objects("order_by") {
		one := ordering{desc: by.text("order") == "desc"}
		switch by.text("type") {
		case "formula":
			if n := by.number("index"); n != nil {
				one.formula = int(*n)
			}
			if one.formula < 0 || one.formula >= len(r.Formulas) {
				return nil, fmt.Errorf("%s: there is no formula %d", by.at, one.formula)
			}
		case "group":
			one.group = by.text("name")
		default:
			return nil, fmt.Errorf("%s: the type %q is not evaluated here", by.at, by.text("type"))
		}
		r.sort = append(r.sort, one)
	}
	return r, nil
}

// parseQueries parses the queries of a request or of an SLO. order has their names.
func parseQueries(list []object, v Variables) (queries map[string]node, order []string, err error) {
	queries = map[string]node{}
	for _, q := range list {
		name := q.text("name")
		one := named{name: name, aggregator: q.text("aggregator")}
		if !slices.Contains(aggregators, one.aggregator) {
			return nil, nil, fmt.Errorf("%s: the aggregator %q is not evaluated here", q.at, one.aggregator)
		}
		switch source := q.text("data_source"); source {
		case "metrics":
			one.of, err = parseExpression(q.text("query"), v, nil)
		case "spans", "logs":
			one.of, err = parseEvents(q, v)
		default:
			err = fmt.Errorf("the data source %q is not evaluated here", source)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", q.at, err)
		}
		if queries[name] != nil {
			return nil, nil, fmt.Errorf("%s: the name %q is repeated", q.at, name)
		}
		queries[name] = one
		order = append(order, name)
	}
	return queries, order, nil
}

// aggregators reduce a query to one number.
var aggregators = []string{"", "avg", "sum", "min", "max", "last", "percentile", "area", "l2norm", "mean"}

// olderQuery returns the name of a query in one of the forms before "queries", such as
// log_query; "" without one.
func olderQuery(o object) string {
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		if strings.HasSuffix(name, "_query") {
			return name
		}
	}
	return ""
}

// olderEvents returns queries of logs or spans in the newer form, one for each computation.
func olderEvents(o object, form string) (all []object) {
	source := map[string]string{"log_query": "logs", "apm_query": "spans"}[form]
	if source == "" {
		return nil
	}
	metric := func(of map[string]any) map[string]any { // a facet, of computations and sorts
		of = maps.Clone(of)
		if of["facet"] != nil {
			of["metric"] = of["facet"]
		}
		return of
	}
	groups := []any{}
	for _, g := range o.objects("group_by") {
		group := maps.Clone(g.fields)
		if sort := g.object("sort"); sort.fields != nil {
			group["sort"] = metric(sort.fields)
		}
		groups = append(groups, group)
	}
	computations := o.objects("multi_compute")
	if len(computations) == 0 {
		computations = []object{o.object("compute")}
	}
	for i, c := range computations {
		fields := map[string]any{"data_source": source, "name": fmt.Sprintf("query%d", i+1), "search": map[string]any(o.object("search").fields),
			"compute": metric(c.fields), "indexes": []any{o.text("index")}, "group_by": groups}
		all = append(all, object{o.at, fields, o.err})
	}
	return all
}

// parseOld parses q: expressions that are separated by commas. The request has the
// aggregator, the names and the number of lines, all of them optional.
func (r *Request) parseOld(o object, v Variables) error {
	q, aggregator := o.text("q"), o.text("aggregator")
	if !slices.Contains(aggregators, aggregator) {
		return fmt.Errorf("the aggregator %q is not evaluated here", aggregator)
	}
	names := map[string]string{}
	for _, m := range o.objects("metadata") {
		names[strings.TrimSpace(m.text("expression"))] = m.text("alias_name")
	}
	if n := o.number("limit"); n != nil {
		r.most = max(int(*n), 0)
	}
	if order := o.text("order"); order != "" {
		r.sort = []ordering{{desc: order != "asc"}}
	}
	p := &parser{text: q, variables: v}
	for {
		p.space()
		begin := p.at
		root, err := p.expression(0)
		if err != nil {
			return fmt.Errorf("%q: %w", q, err)
		}
		text := strings.TrimSpace(q[begin:p.at])
		r.Formulas = append(r.Formulas, Formula{Text: text, Alias: cmp.Or(names[text], o.text("alias")), root: named{of: root, aggregator: aggregator}})
		if p.end() {
			return nil
		}
		if !p.take(",") {
			return fmt.Errorf("%q: unexpected %s", q, p.rest())
		}
	}
}

// Series evaluates a request with the response format timeseries. A step of 0 is
// [DefaultStep].
func (r *Request) Series(src Source, from, to time.Time, step time.Duration) Result {
	if step == 0 {
		step = DefaultStep(to.Sub(from), r.bars)
	}
	var roots []node
	for _, f := range r.Formulas {
		roots = append(roots, f.root)
	}
	n := &notes{}
	e := newGrid(src, roots, from, to, int64(step/time.Second), n)
	result := Result{Start: e.start, Step: e.step, Buckets: e.buckets}
	for i, formula := range r.Formulas {
		f := formula.root.eval(e)
		if f.constant {
			f.lines = nil // a number alone is no line
		}
		if formula.most > 0 {
			f.rank(formula.most, formula.desc)
		}
		for _, l := range f.lines {
			result.Lines = append(result.Lines, Line{Formula: i, Name: formula.Name(), Group: l.group, Step: max(l.step, e.step), Values: l.values, Lower: l.lower, Upper: l.upper})
		}
	}
	for _, l := range result.Lines {
		if begin := floor(to.Unix()-1, l.Step); l.Step >= 60 && begin+l.Step > to.Unix() {
			n.add(fmt.Sprintf("the interval of %s from %s has not ended", format.Length(time.Duration(l.Step)*time.Second), time.Unix(begin, 0).UTC().Format("15:04 UTC")))
		}
	}
	result.Notes = *n
	return result
}

// newGrid returns an evaluator with the buckets of the finest query. They begin where
// the longest buckets do.
func newGrid(src Source, roots []node, from, to time.Time, step int64, n *notes) *evaluator {
	finest, longest := int64(math.MaxInt64), step
	for _, root := range roots {
		for _, m := range metricsOf(root) {
			finest, longest = min(finest, max(m.interval, step)), max(longest, m.interval)
		}
	}
	if finest == math.MaxInt64 {
		finest = step
	}
	e := newEvaluator(src, time.Unix(floor(from.Unix(), longest), 0), to, finest, n)
	if longest%finest != 0 {
		n.add(fmt.Sprintf("intervals of %d s begin within those of %d s here", longest, finest))
	}
	return e
}

// rank keeps the largest or smallest lines by their mean.
func (f *frame) rank(most int, desc bool) {
	slices.SortStableFunc(f.lines, func(a, b line) int {
		if desc {
			a, b = b, a
		}
		return cmp.Compare(reduce(a.values, "avg", 1), reduce(b.values, "avg", 1))
	})
	f.lines = f.lines[:min(len(f.lines), most)]
}

// Values evaluates a request with the response format scalar: each query is reduced to
// one number by its aggregator, then formulas are computed. Rows are in the order of the
// request's sort.
// https://docs.datadoghq.com/metrics/faq/update-to-query-value-widget/
func (r *Request) Values(src Source, from, to time.Time) Table {
	n := &notes{}
	var t Table
	rows := map[string]*Row{}
	step := int64(DefaultStep(to.Sub(from), false) / time.Second)
	for i, formula := range r.Formulas {
		t.Columns = append(t.Columns, formula.Name())
		e := newGrid(src, []node{formula.root}, from, to, step, n)
		e.from = from.Unix()
		f := scalars(formula.root, e, "", from.Unix())
		if formula.most > 0 {
			f.rank(formula.most, formula.desc)
		}
		for _, l := range f.lines {
			key := strings.Join(sortedTags(l.group), "\x00")
			if rows[key] == nil {
				rows[key] = &Row{Group: l.group, Values: missing(len(r.Formulas))}
			}
			rows[key].Values[i] = l.values[0]
		}
	}
	for _, row := range rows {
		t.Rows = append(t.Rows, *row)
	}
	slices.SortFunc(t.Rows, r.compare)
	if r.most > 0 {
		t.Rows = t.Rows[:min(len(t.Rows), r.most)]
	}
	t.Notes = *n
	return t
}

// compare orders rows: by the sort, by the first column, by the group. Rows without a
// number are last.
func (r *Request) compare(a, b Row) int {
	order := slices.Clone(r.sort)
	if len(order) == 0 {
		order = []ordering{{desc: len(r.Formulas) == 0 || r.Formulas[0].most == 0 || r.Formulas[0].desc}}
	}
	for _, by := range order {
		if by.group != "" {
			x, _ := a.Group.Get(by.group)
			y, _ := b.Group.Get(by.group)
			if by.desc {
				x, y = y, x
			}
			if c := cmp.Compare(x, y); c != 0 {
				return c
			}
			continue
		}
		x, y := a.Values[by.formula], b.Values[by.formula]
		if math.IsNaN(x) != math.IsNaN(y) {
			if math.IsNaN(x) {
				return 1
			}
			return -1
		}
		if by.desc {
			x, y = y, x
		}
		if c := cmp.Compare(x, y); c != 0 {
			return c
		}
	}
	return slices.Compare(a.Group, b.Group)
}

// scalars evaluates an expression to one number for each group: queries and functions of
// queries are reduced first, arithmetic comes after.
func scalars(n node, e *evaluator, aggregator string, from int64) frame {
	switch n := n.(type) {
	case number:
		return n.eval(e.window(from, e.to))
	case binary:
		return arithmetic(n.op, scalars(n.a, e, aggregator, from), scalars(n.b, e, aggregator, from), e.window(from, e.to))
	case named:
		return scalars(n.of, e, cmp.Or(n.aggregator, aggregator), from)
	case *events:
		return n.eval(e.window(from, e.to))
	case *metric:
		// Percentiles are read once, from all values of the time frame. A sum of counts
		// covers exactly the time frame, too.
		if n.aggregator == "percentile" && (aggregator == "" || aggregator == "percentile") || aggregator == "sum" && n.asCount && n.method == "" && n.fill == "" {
			w := *n
			w.interval = 0
			return w.eval(e.window(from, e.to))
		}
	case *call:
		if q := innermost(n); q != nil {
			aggregator = cmp.Or(q.aggregator, aggregator)
		}
	}
	f := n.eval(e)
	if aggregator == "percentile" {
		e.notes.add("the aggregator percentile is for distributions; the average is shown")
	}
	for i := range f.lines {
		f.lines[i] = line{group: f.lines[i].group, step: e.step, last: f.lines[i].last, values: []float64{reduce(f.lines[i].values, aggregator, max(f.lines[i].step, e.step))}}
	}
	return f
}

// innermost returns the query that a function is applied to.
func innermost(n node) *named {
	switch n := n.(type) {
	case named:
		return &n
	case *call:
		return innermost(n.of)
	case binary:
		return cmp.Or(innermost(n.a), innermost(n.b))
	}
	return nil
}

// DefaultStep returns the length of buckets that Datadog uses for a time frame. Below an
// hour nothing is documented but that an Agent's points are shown as they were sent; the
// finest here are 10 s.
// https://docs.datadoghq.com/dashboards/functions/rollup/
func DefaultStep(frame time.Duration, bars bool) time.Duration {
	for _, row := range []struct{ frame, line, bar time.Duration }{
		{45 * time.Minute, 10 * time.Second, 10 * time.Second},
		{time.Hour, 20 * time.Second, time.Minute},
		{4 * time.Hour, time.Minute, 2 * time.Minute},
		{24 * time.Hour, 5 * time.Minute, 20 * time.Minute},
		{48 * time.Hour, 10 * time.Minute, 30 * time.Minute},
		{7 * 24 * time.Hour, time.Hour, 2 * time.Hour},
	} {
		if frame <= row.frame {
			if bars {
				return row.bar
			}
			return row.line
		}
	}
	if bars {
		return 12 * time.Hour
	}
	return 4 * time.Hour
}
