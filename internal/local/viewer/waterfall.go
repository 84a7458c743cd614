package viewer

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// row is a span in a waterfall.
type row struct {
	*span.Span
	Depth int
	// Offset and Width are in percent of the trace.
	Offset, Width float64
	// Self is the time that is not covered by a child.
	Self time.Duration
	// Critical is set if the trace would have been shorter without this span.
	Critical bool
	Color    int // of the service
	Logs     []mark
	// Below is the number of rows below in the tree, FailedBelow is set if one of them has
	// an error.
	Below       int
	FailedBelow bool
}

// mark is a log line at the time it was written.
type mark struct {
	wire.Log
	Offset float64 // as in row
}

// colors is the number of colors that the style sheet has for services.
const colors = 8

// waterfall returns the spans of a trace, each after its parent, siblings by start.
// Each root starts a tree, and so does the first span of a circle of parents.
func waterfall(t store.Trace, logs []wire.Log) []row {
	children := map[uint64][]*span.Span{}
	known := map[uint64]bool{}
	for i := range t.Spans {
		known[t.Spans[i].SpanID] = true
	}
	var roots []*span.Span
	for i := range t.Spans {
		s := &t.Spans[i]
		if s.IsRoot(func(id uint64) bool { return known[id] }) {
			roots = append(roots, s)
		} else {
			children[s.ParentID] = append(children[s.ParentID], s)
		}
	}
	for _, of := range children {
		slices.SortFunc(of, byStart)
	}
	slices.SortFunc(roots, byStart)

	w := walk{children: children, seen: map[*span.Span]bool{}, colors: map[string]int{}}
	for _, s := range roots {
		w.visit(s, 0)
	}
	for i := range t.Spans { // spans in a circle of parents
		w.visit(&t.Spans[i], 0)
	}
	w.count()
	w.place(logs)
	if len(roots) > 0 {
		w.critical(roots[0])
	}
	return w.rows
}

func byStart(a, b *span.Span) int {
	return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.SpanID, b.SpanID))
}

type walk struct {
	children map[uint64][]*span.Span
	seen     map[*span.Span]bool
	colors   map[string]int
	rows     []row
}

// visit adds a span and its descendants. It does not recurse: each span of a trace
// may be the parent of the next.
func (w *walk) visit(s *span.Span, depth int) {
	type step struct {
		span  *span.Span
		depth int
	}
	for stack := []step{{s, depth}}; len(stack) > 0; {
		at := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if w.seen[at.span] {
			continue
		}
		w.seen[at.span] = true
		if _, ok := w.colors[at.span.Service]; !ok {
			w.colors[at.span.Service] = len(w.colors) % colors
		}
		below := w.children[at.span.SpanID]
		w.rows = append(w.rows, row{Span: at.span, Depth: at.depth, Self: self(at.span, below), Color: w.colors[at.span.Service]})
		for _, c := range slices.Backward(below) {
			stack = append(stack, step{c, at.depth + 1})
		}
	}
}

// count sets what is below each row. Rows are in the order of a walk through the tree.
func (w *walk) count() {
	type below struct {
		rows   int
		failed bool
	}
	var at []below // by depth: the rows seen, without those below a row seen
	for i := len(w.rows) - 1; i >= 0; i-- {
		r := &w.rows[i]
		for len(at) < r.Depth+2 {
			at = append(at, below{})
		}
		r.Below, r.FailedBelow = at[r.Depth+1].rows, at[r.Depth+1].failed
		at[r.Depth+1] = below{}
		at[r.Depth].rows += r.Below + 1
		at[r.Depth].failed = at[r.Depth].failed || r.Error || r.FailedBelow
	}
}

// self returns the time of a span that its children do not cover. The children are
// sorted by start.
func self(s *span.Span, children []*span.Span) time.Duration {
	left := s.Duration
	covered := s.Start
	for _, c := range children {
		from, to := c.Start, c.End()
		if from.Before(covered) {
			from = covered
		}
		if to.After(s.End()) {
			to = s.End()
		}
		if to.After(from) {
			left -= to.Sub(from)
			covered = to
		}
	}
	return max(left, 0)
}

// extent returns the start of the first span and the end of the last one. There is at
// least one row.
func extent(rows []row) (first, last time.Time) {
	first, last = rows[0].Start, rows[0].End()
	for _, r := range rows {
		if r.Start.Before(first) {
			first = r.Start
		}
		if r.End().After(last) {
			last = r.End()
		}
	}
	return first, last
}

// place computes the positions of bars and log lines. A log line outside the time of
// the trace, such as one from another clock, is left out.
func (w *walk) place(logs []wire.Log) {
	if len(w.rows) == 0 {
		return
	}
	first, last := extent(w.rows)
	whole := max(last.Sub(first), 1)
	of := map[string][]wire.Log{}
	for _, l := range logs {
		of[l.SpanID] = append(of[l.SpanID], l)
	}
	for i := range w.rows {
		r := &w.rows[i]
		for _, l := range of[strconv.FormatUint(r.SpanID, 10)] {
			if at := written(l.Time, r.Span).Sub(first); at >= 0 && at <= whole {
				r.Logs = append(r.Logs, mark{l, 100 * float64(at) / float64(whole)})
			}
		}
		r.Offset = 100 * float64(r.Start.Sub(first)) / float64(whole)
		r.Width = 100 * float64(r.Duration) / float64(whole)
	}
}

// written returns when a log line of a span was written. Many loggers write times in whole
// milliseconds or seconds, so the line of a short span would be before the span, or after
// it if the logger rounds: it is then at the end of the span that is nearer.
func written(logged time.Time, s *span.Span) time.Time {
	unit := time.Nanosecond
	for _, u := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if logged.Nanosecond()%int(u) == 0 {
			unit = u
			break
		}
	}
	switch {
	case logged.Before(s.Start) && s.Start.Sub(logged) < unit:
		return s.Start
	case logged.After(s.End()) && logged.Sub(s.End()) <= unit/2:
		return s.End()
	}
	return logged
}

// critical marks the critical path: from the end of the root back, always the
// child that ended last before.
func (w *walk) critical(root *span.Span) {
	on := map[*span.Span]bool{}
	for todo := []*span.Span{root}; len(todo) > 0; {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if on[s] {
			continue
		}
		on[s] = true
		at := s.End()
		children := slices.Clone(w.children[s.SpanID])
		slices.SortFunc(children, func(a, b *span.Span) int { return b.End().Compare(a.End()) })
		for _, c := range children {
			if !c.End().After(at) && c.Duration > 0 {
				todo = append(todo, c)
				at = c.Start
			}
		}
	}
	for i := range w.rows {
		w.rows[i].Critical = on[w.rows[i].Span]
	}
}
