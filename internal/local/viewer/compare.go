package viewer

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
)

// comparison is what differs between two traces. Differences are of b against a.
type comparison struct {
	A comparedTrace `json:"a"`
	B comparedTrace `json:"b"`
	// Difference is the one of the durations.
	Difference time.Duration `json:"difference_ns"`
	// Summary has the main differences in sentences.
	Summary []string `json:"summary"`
	// Rows are the spans of both, in the order of a walk through the tree. Spans of one
	// service, operation and resource below the same row are one row.
	Rows []comparedRow `json:"rows"`
	// Left is the number of rows that are left out.
	Left int `json:"left_out"`
	// Statements are the ones of databases, by their text.
	Statements []comparedRow `json:"statements"`
}

// comparedTrace is one of the traces.
type comparedTrace struct {
	ID       string        `json:"trace_id"`
	Service  string        `json:"service"`
	Resource string        `json:"resource"`
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration_ns"`
	Spans    int           `json:"spans"`
	Errors   int           `json:"errors"`
}

// sums sums up spans of one trace.
type sums struct {
	Spans  int           `json:"spans"`
	Errors int           `json:"errors"`
	Total  time.Duration `json:"total_ns"`
	Self   time.Duration `json:"self_ns"`
}

func (s *sums) add(r *row) {
	s.Spans++
	s.Total += r.Duration
	s.Self += r.Self
	if r.Error {
		s.Errors++
	}
}

// comparedRow is spans of both traces.
type comparedRow struct {
	Depth     int    `json:"depth"`
	Service   string `json:"service"`
	Operation string `json:"operation"`
	Resource  string `json:"resource"`
	A         sums   `json:"a"`
	B         sums   `json:"b"`
	// Share is the difference of the self time, as a part of the largest one: -1 to 1.
	Share float64 `json:"share"`
}

// Only returns the name of the trace that alone has the row, or "".
func (r comparedRow) Only() string {
	switch {
	case r.B.Spans == 0:
		return "a"
	case r.A.Spans == 0:
		return "b"
	}
	return ""
}

// Total is the difference of the durations.
func (r comparedRow) Total() time.Duration { return r.B.Total - r.A.Total }

// Self is the difference of the time that children do not cover.
func (r comparedRow) Self() time.Duration { return r.B.Self - r.A.Self }

// Bar is the width of the difference in percent of half of a bar.
func (r comparedRow) Bar() float64 { return 50 * max(r.Share, -r.Share) }

// compared is the largest number of rows of a comparison.
const compared = 1000

// comparedNode is a row with those below it.
type comparedNode struct {
	comparedRow
	below []*comparedNode
	index map[[3]string]*comparedNode
}

func (n *comparedNode) child(service, operation, resource string) *comparedNode {
	key := [3]string{service, operation, resource}
	c := n.index[key]
	if c == nil {
		c = &comparedNode{comparedRow: comparedRow{Service: service, Operation: operation, Resource: resource}}
		if n.index == nil {
			n.index = map[[3]string]*comparedNode{}
		}
		n.index[key] = c
		n.below = append(n.below, c)
	}
	return c
}

func compare(a, b store.Trace) comparison {
	c := comparison{A: comparedTraceOf(a), B: comparedTraceOf(b), Rows: []comparedRow{}, Statements: []comparedRow{}}
	c.Difference = c.B.Duration - c.A.Duration
	top, statements := &comparedNode{}, &comparedNode{}
	for _, side := range []struct {
		trace store.Trace
		of    func(*comparedNode) *sums
	}{{a, func(n *comparedNode) *sums { return &n.A }}, {b, func(n *comparedNode) *sums { return &n.B }}} {
		above := []*comparedNode{top}
		for _, r := range waterfall(side.trace, nil) {
			n := above[r.Depth].child(r.Service, r.Operation, r.Resource)
			side.of(n).add(&r)
			above = append(above[:r.Depth+1], n)
			if isStatement(r.Span) {
				side.of(statements.child(r.Service, r.Operation, r.Resource)).add(&r)
			}
		}
	}
	c.Rows = top.rows(0, c.Rows)
	c.Statements = statements.rows(0, c.Statements)
	slices.SortStableFunc(c.Statements, func(a, b comparedRow) int { return cmp.Compare(b.Total().Abs(), a.Total().Abs()) })
	share(c.Rows)
	share(c.Statements)
	c.Summary = c.summary()
	c.Left = max(0, len(c.Rows)-compared)
	c.Rows = c.Rows[:len(c.Rows)-c.Left]
	return c
}

// rows appends the rows below a node. The depth of recursion is the one of the trees.
func (n *comparedNode) rows(depth int, all []comparedRow) []comparedRow {
	for _, c := range n.below {
		c.Depth = depth
		all = append(all, c.comparedRow)
		all = c.rows(depth+1, all)
	}
	return all
}

func share(rows []comparedRow) {
	most := time.Duration(1)
	for _, r := range rows {
		most = max(most, r.Self().Abs())
	}
	for i := range rows {
		rows[i].Share = float64(rows[i].Self()) / float64(most)
	}
}

func comparedTraceOf(t store.Trace) comparedTrace {
	root := t.Root()
	c := comparedTrace{ID: t.ID, Service: root.Service, Resource: root.Resource, Start: root.Start, Duration: root.Duration, Spans: len(t.Spans)}
	for i := range t.Spans {
		if t.Spans[i].Error {
			c.Errors++
		}
	}
	return c
}

// isStatement reports whether a span is a statement of a database.
func isStatement(s *span.Span) bool {
	return s.Type == "sql" || s.Tags["db.system"] != "" || s.Tags["db.system.name"] != ""
}

// summary returns sentences about the differences: of the durations, where most of it is, and
// of the spans that only one trace has.
func (c *comparison) summary() []string {
	var all []string
	switch {
	case c.Difference > 0:
		all = append(all, fmt.Sprintf("b took %s longer than a.", format.Duration(c.Difference)))
	case c.Difference < 0:
		all = append(all, fmt.Sprintf("b was %s faster than a.", format.Duration(-c.Difference)))
	default:
		all = append(all, "Both took the same time.")
	}
	var most comparedRow
	only := map[string]int{}
	for _, r := range c.Rows {
		if r.Self().Abs() > most.Self().Abs() {
			most = r
		}
		only[r.Only()] += r.A.Spans + r.B.Spans
	}
	if d := most.Self(); d != 0 {
		sign := map[bool]string{true: "more", false: "less"}[d > 0]
		all = append(all, fmt.Sprintf("The largest difference: %s %s in %s %s.", format.Duration(d.Abs()), sign, most.Service, shortened(cmp.Or(most.Resource, most.Operation), 80)))
	}
	for _, name := range []string{"a", "b"} {
		if n := only[name]; n > 0 {
			all = append(all, fmt.Sprintf("Only %s has %s of these spans.", name, format.Count(int64(n))))
		}
	}
	return all
}

// The traces with which one is compared: those of the same root.
const (
	usualOne    = "usual"
	fastestOne  = "fastest"
	slowestOne  = "slowest"
	comparables = 2000 // the latest ones
)

// other returns another trace of the same root: the fastest one without an error, the slowest
// one, or a usual one, which has the median duration of those without an error.
func (v *viewer) other(t store.Trace, which string) (id string, found bool) {
	root := t.Root()
	all, _ := v.Store.Traces(store.Filter{Service: root.Service, Resource: root.Resource, Limit: comparables})
	all = slices.DeleteFunc(all, func(s store.Summary) bool {
		return s.ID == t.ID || s.Service != root.Service || s.Resource != root.Resource || s.Error && which != slowestOne
	})
	if len(all) == 0 {
		return "", false
	}
	slices.SortStableFunc(all, func(a, b store.Summary) int { return cmp.Compare(a.Duration, b.Duration) })
	switch which {
	case fastestOne:
		return all[0].ID, true
	case slowestOne:
		return all[len(all)-1].ID, true
	}
	return all[len(all)/2].ID, true
}

// comparedOf returns the comparison that a request asks for. A problem is why it is missing,
// with its status; to is the query of the request to redirect to.
func (v *viewer) comparedOf(q url.Values) (c *comparison, to string, status int, problem string) {
	b, ok := v.Store.Trace(q.Get("b"))
	if !ok {
		return nil, "", http.StatusNotFound, noTrace(q.Get("b"))
	}
	which := q.Get("with")
	if which == "" {
		a, ok := v.Store.Trace(q.Get("a"))
		if !ok {
			return nil, "", http.StatusNotFound, noTrace(q.Get("a"))
		}
		all := compare(a, b)
		return &all, "", http.StatusOK, ""
	}
	if !slices.Contains([]string{usualOne, fastestOne, slowestOne}, which) {
		return nil, "", http.StatusBadRequest, fmt.Sprintf("with must be one of %s, %s, %s, got %q", usualOne, fastestOne, slowestOne, which)
	}
	id, found := v.other(b, which)
	if !found {
		root := b.Root()
		return nil, "", http.StatusOK, fmt.Sprintf("There is no other trace of %s %s to compare with.", root.Service, root.Resource)
	}
	return nil, url.Values{"a": {id}, "b": {b.ID}}.Encode(), http.StatusSeeOther, ""
}

func (v *viewer) compare(w http.ResponseWriter, r *http.Request) {
	data := struct {
		Compared *comparison
		Problem  string
		A, B     string
	}{A: r.URL.Query().Get("a"), B: r.URL.Query().Get("b")}
	status := http.StatusOK
	if data.A != "" || data.B != "" {
		to := ""
		if data.Compared, to, status, data.Problem = v.comparedOf(r.URL.Query()); to != "" {
			http.Redirect(w, r, "/compare?"+to, status)
			return
		}
	}
	v.show(w, status, "compare", page{Title: "Compare", Section: "traces", Data: data})
}

func (v *viewer) apiCompare(w http.ResponseWriter, r *http.Request) {
	c, to, status, problem := v.comparedOf(r.URL.Query())
	switch {
	case to != "":
		http.Redirect(w, r, "/compare.json?"+to, status)
	case c == nil && status == http.StatusOK:
		http.Error(w, problem, http.StatusNotFound)
	case c == nil:
		http.Error(w, problem, status)
	default:
		v.answer(w, c)
	}
}
