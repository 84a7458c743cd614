package openloop

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// Path is a request's path and query, and its share of the requests.
type Path struct {
	Path   string
	Weight float64
}

// ParsePaths reads a list of paths with weights, such as "/=1,/api/apm=2". The
// weight stands behind the last equals sign and is 1 where there is none; in
// the query of a path with a weight, a comma is written %2C.
func ParsePaths(s string) ([]Path, error) {
	var paths []Path
	seen := map[string]bool{}
	for entry := range strings.SplitSeq(s, ",") {
		entry = strings.TrimSpace(entry)
		p := Path{Path: entry, Weight: 1}
		if i := strings.LastIndexByte(entry, '='); i >= 0 {
			weight, err := strconv.ParseFloat(entry[i+1:], 64)
			if err != nil || !(weight > 0) || math.IsInf(weight, 0) {
				return nil, fmt.Errorf("%q: the weight %q is not a number above 0", entry, entry[i+1:])
			}
			p = Path{Path: entry[:i], Weight: weight}
		}
		if !strings.HasPrefix(p.Path, "/") {
			return nil, fmt.Errorf("%q does not begin with a slash", entry)
		}
		if _, err := url.ParseRequestURI(p.Path); err != nil || strings.ContainsAny(p.Path, " #") {
			return nil, fmt.Errorf("%q is not the path of a URL", p.Path)
		}
		if seen[p.Path] {
			return nil, fmt.Errorf("%q is there twice", p.Path)
		}
		seen[p.Path] = true
		paths = append(paths, p)
	}
	return paths, nil
}

// mix deals out paths in proportion to their weights: smoothly, so that every
// stretch of requests has nearly each path's share.
type mix struct {
	paths []Path
	owed  []float64
	total float64
	n     int // how many have been dealt out
}

func newMix(paths []Path) *mix {
	m := &mix{paths: paths, owed: make([]float64, len(paths))}
	for _, p := range paths {
		m.total += p.Weight
	}
	return m
}

// at returns the index of the n-th request's path, from 0. Requests come in
// order, but not all may come.
func (m *mix) at(n int) int {
	for ; m.n < n; m.n++ {
		m.next()
	}
	m.n++
	return m.next()
}

// next returns the index of the next request's path: the one that is owed most.
func (m *mix) next() int {
	best := 0
	for i, p := range m.paths {
		m.owed[i] += p.Weight
		if m.owed[i] > m.owed[best] {
			best = i
		}
	}
	m.owed[best] -= m.total
	return best
}
