package viewer

import (
	"cmp"
	"slices"
	"time"

	"apmapp/internal/format"
	"apmapp/internal/local/span"
	"apmapp/internal/local/store"
)

// odd counts what is odd in a trace.
type odd struct{ roots, missing, outside, partial int }

func oddities(t store.Trace) (o odd) {
	at := map[uint64]*span.Span{}
	for i := range t.Spans {
		at[t.Spans[i].SpanID] = &t.Spans[i]
	}
	missing := map[uint64]bool{}
	for i := range t.Spans {
		s := &t.Spans[i]
		parent := at[s.ParentID]
		if s.IsPartial() {
			o.partial++
		}
		switch {
		case s.ParentID == 0 || s.ParentID == s.SpanID:
			o.roots++
		case parent == nil:
			missing[s.ParentID] = true
		case s.Start.Before(parent.Start) || s.Start.After(parent.End()) && parent.Duration > 0:
			o.outside++
		}
	}
	o.missing = len(missing)
	return o
}

// notes returns sentences about what is odd.
func (o odd) notes() []string {
	var all []string
	add := func(n int, what, why string) {
		all = append(all, what+": "+format.Count(int64(n))+". "+why)
	}
	if o.missing > 0 {
		add(o.missing, "Missing spans", "Others name them as their parents. Their programs may not have sent them yet, do not send here, or sampled them out.")
	}
	if o.roots > 1 {
		add(o.roots, "Roots", "Several requests share this trace ID, or a program has lost the parent.")
	}
	if o.outside > 0 {
		add(o.outside, "Spans that start outside the time of their parent", "The clocks of their machines differ, or the work was done later.")
	}
	if o.partial > 0 {
		add(o.partial, "Spans that have not ended", "Their tracer sends them again.")
	}
	return all
}

// serviceColor is a service with its color in the waterfall.
type serviceColor struct {
	Name  string
	Color int
}

func colorsOf(rows []row) []serviceColor {
	var all []serviceColor
	for _, r := range rows {
		one := serviceColor{r.Service, r.Color}
		if !slices.Contains(all, one) && len(all) < 2*colors {
			all = append(all, one)
		}
	}
	return all
}

// tick is a time below the head of the waterfall.
type tick struct {
	Percent int
	Text    string
}

func ticksOf(rows []row) []tick {
	first, last := extent(rows)
	var all []tick
	for percent := 0; percent <= 100; percent += 25 {
		all = append(all, tick{percent, format.Duration(last.Sub(first) * time.Duration(percent) / 100)})
	}
	return all
}

// group is the spans of one service and resource in a trace.
type group struct {
	Service, Resource string
	Spans, Errors     int
	Total, Self       time.Duration
}

// Query returns the query for the spans of the group.
func (g group) Query() string {
	return store.FieldQuery("service", g.Service) + " " + store.FieldQuery("resource", g.Resource)
}

// groupsOf returns the groups of a trace with several spans, the longest self time first.
func groupsOf(rows []row) []group {
	const most = 50
	if len(rows) < 4 {
		return nil
	}
	type key struct{ service, resource string }
	of := map[key]*group{}
	for _, r := range rows {
		k := key{r.Service, r.Resource}
		if of[k] == nil {
			of[k] = &group{Service: r.Service, Resource: r.Resource}
		}
		g := of[k]
		g.Spans++
		g.Total += r.Duration
		g.Self += r.Self
		if r.Error {
			g.Errors++
		}
	}
	var all []group
	for _, g := range of {
		all = append(all, *g)
	}
	slices.SortFunc(all, func(a, b group) int {
		return cmp.Or(cmp.Compare(b.Self, a.Self), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Resource, b.Resource))
	})
	return all[:min(len(all), most)]
}
