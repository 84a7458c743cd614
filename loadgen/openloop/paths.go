package openloop

import (
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// Path is the path and query of a request, and its share of all requests.
type Path struct {
	Path   string
	Weight float64
}

// ParsePaths reads a list of paths with weights, such as "/=1,/api/apm=2". The
// weight follows the last equals sign; without one it is 1. A comma in a query is
// written %2C.
func ParsePaths(s string) ([]Path, error) {
	var paths []Path
	seen := map[string]bool{}
	for entry := range strings.SplitSeq(s, ",") {
		entry = strings.TrimSpace(entry)
		p := Path{Path: entry, Weight: 1}
		if i := strings.LastIndexByte(entry, '='); i >= 0 {
			weight, err := strconv.ParseFloat(entry[i+1:], 64)
			if err != nil || !(weight > 0) || math.IsInf(weight, 0) {
				return nil, fmt.Errorf("%q: weight must be a number greater than 0, got %q", entry, entry[i+1:])
			}
			p = Path{Path: entry[:i], Weight: weight}
		}
		if !strings.HasPrefix(p.Path, "/") {
			return nil, fmt.Errorf("path must start with a slash, got %q", entry)
		}
		if _, err := url.ParseRequestURI(p.Path); err != nil || strings.ContainsAny(p.Path, " #") {
			return nil, fmt.Errorf("%q is not a valid URL path: percent-encode special characters", p.Path)
		}
		if seen[p.Path] {
			return nil, fmt.Errorf("path %q is listed twice", p.Path)
		}
		seen[p.Path] = true
		paths = append(paths, p)
	}
	return paths, nil
}

// mix chooses paths in proportion to their weights. It is smooth: any sequence of
// requests is close to each path's share.
type mix struct {
	paths []Path
	owed  []float64 // how much each path is below its share, in weights
	total float64
	n     int // paths chosen so far
}

func newMix(paths []Path) *mix {
	m := &mix{paths: paths, owed: make([]float64, len(paths))}
	for _, p := range paths {
		m.total += p.Weight
	}
	return m
}

// at returns the index of the n-th request's path, counted from 0. Calls must
// have increasing n, but may leave some out.
func (m *mix) at(n int) int {
	for ; m.n < n; m.n++ {
		m.next()
	}
	m.n++
	return m.next()
}

// next returns the index of the next request's path: the one that is furthest
// below its share.
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
