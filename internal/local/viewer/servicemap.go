package viewer

import (
	"cmp"
	"fmt"
	"slices"

	"apmapp/internal/local/store"
)

// serviceMap shows which service calls which, in columns: callers are left of the
// services that they call.
type serviceMap struct {
	Width, Height int
	Nodes         []node
	Edges         []edge
}

type node struct {
	store.Service
	X, Y int
}

type edge struct {
	store.Call
	Path           string // in SVG
	LabelX, LabelY int
}

// Sizes of the layout, in pixels.
const (
	nodeWidth, nodeHeight = 200, 64
	gapX, gapY            = 140, 36
)

func newServiceMap(services []store.Service, calls []store.Call) serviceMap {
	column := columns(services, calls)
	byColumn := map[int][]store.Service{}
	widest := 0
	for _, s := range services {
		byColumn[column[s.Name]] = append(byColumn[column[s.Name]], s)
		widest = max(widest, column[s.Name])
	}
	m := serviceMap{Width: (widest+1)*(nodeWidth+gapX) - gapX + 2}
	at := map[string]node{}
	for c := 0; c <= widest; c++ {
		slices.SortFunc(byColumn[c], func(a, b store.Service) int { return cmp.Compare(a.Name, b.Name) })
		for i, s := range byColumn[c] {
			n := node{s, 1 + c*(nodeWidth+gapX), 1 + i*(nodeHeight+gapY)}
			at[s.Name] = n
			m.Nodes = append(m.Nodes, n)
			m.Height = max(m.Height, n.Y+nodeHeight+1)
		}
	}
	for _, call := range calls {
		from, ok := at[call.From]
		to, known := at[call.To]
		if !ok || !known {
			continue
		}
		x1, y1, x2, y2 := from.X+nodeWidth, from.Y+nodeHeight/2, to.X, to.Y+nodeHeight/2
		m.Edges = append(m.Edges, edge{call, fmt.Sprintf("M%d %d C%d %d %d %d %d %d", x1, y1, x1+gapX/2, y1, x2-gapX/2, y2, x2, y2), (x1 + x2) / 2, (y1+y2)/2 - 6})
	}
	return m
}

// columns returns the column of each service: one right of its rightmost caller.
// Rounds and columns are bounded by the number of services, so calls in a circle
// end.
func columns(services []store.Service, calls []store.Call) map[string]int {
	column := map[string]int{}
	for range services {
		for _, c := range calls {
			if column[c.To] <= column[c.From] && column[c.From]+1 < len(services) {
				column[c.To] = column[c.From] + 1
			}
		}
	}
	return column
}
