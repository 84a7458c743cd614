package openloop

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Path is the path and query of a request, and its share of all requests.
type Path struct {
	Path   string
	Weight float64
}

// ParsePaths reads a list of paths, each with its query and weight:
//
//	/=1,/api/apm=2    the weight follows an equals sign; without one it is 1
//	3:/info?id=7      the weight precedes a colon
//
// A path that has a query, or a weight before it, ends with its entry: every equals
// sign belongs to it. In a query, a comma ends the entry only before a slash or a
// weight with a colon; others belong to the query. Write %2C for a comma that must
// not end an entry.
func ParsePaths(s string) ([]Path, error) {
	var paths []Path
	seen := map[string]bool{}
	for _, entry := range splitPaths(s) {
		if entry = strings.TrimSpace(entry); entry == "" {
			return nil, errors.New("an entry is empty: write a path such as / between two commas")
		}
		p, err := parsePath(entry)
		if err != nil {
			return nil, err
		}
		if seen[p.Path] {
			return nil, fmt.Errorf("path %q is listed twice", p.Path)
		}
		seen[p.Path] = true
		paths = append(paths, p)
	}
	return paths, nil
}

// beginsPath matches the beginning of an entry. After a comma in a query, whatever
// does not match belongs to the query.
var beginsPath = regexp.MustCompile(`^ *([0-9.]+:)?/`)

func splitPaths(s string) []string {
	var entries []string
	start, query := 0, false
	for i := range len(s) {
		switch {
		case s[i] == '?':
			query = true
		case s[i] == ',' && (!query || beginsPath.MatchString(s[i+1:])):
			entries = append(entries, s[start:i])
			start, query = i+1, false
		}
	}
	return append(entries, s[start:])
}

func parsePath(entry string) (Path, error) {
	p := Path{Path: entry, Weight: 1}
	weight, path, before := strings.Cut(entry, ":/")
	switch i := strings.LastIndexByte(entry, '='); {
	case before && strings.Trim(weight, "+-.0123456789") == "":
		p.Path = "/" + path
	case i >= 0 && !strings.Contains(entry, "?"):
		p.Path, weight = entry[:i], entry[i+1:]
	default:
		weight = "1"
	}
	if !strings.HasPrefix(p.Path, "/") {
		return Path{}, fmt.Errorf("path must start with a slash, got %q", entry)
	}
	var err error
	if p.Weight, err = strconv.ParseFloat(weight, 64); err != nil || !(p.Weight > 0) || math.IsInf(p.Weight, 0) {
		return Path{}, fmt.Errorf("%q: weight must be a number greater than 0, got %q", entry, weight)
	}
	return p, CheckPath(p.Path)
}

// CheckPath returns an error if a path, with or without a query, cannot be
// requested.
func CheckPath(path string) error {
	if !strings.HasPrefix(path, "/") {
		return fmt.Errorf("path must start with a slash, got %q", path)
	}
	if _, err := url.ParseRequestURI(path); err != nil || strings.ContainsAny(path, " #") {
		return fmt.Errorf("%q is not a valid URL path: percent-encode special characters", path)
	}
	return nil
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
