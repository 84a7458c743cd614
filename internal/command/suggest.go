package command

import (
	"flag"
	"fmt"
)

// suggest returns "; did you mean -name?" for the flag that name resembles most,
// or "".
func (f *Flags) suggest(name string) string {
	var names []string
	f.VisitAll(func(g *flag.Flag) { names = append(names, g.Name) })
	if near := Nearest(name, names); near != "" {
		return fmt.Sprintf("; did you mean -%s?", near)
	}
	return ""
}

// Nearest returns the candidate that takes the fewest edits to become name, the
// first of several. It returns "" if none is within a third of name's length: a
// suggestion from farther away only confuses.
func Nearest(name string, candidates []string) string {
	best, nearest := max(1, len(name)/3)+1, ""
	for _, c := range candidates {
		if d := distance(name, c); d < best {
			best, nearest = d, c
		}
	}
	return nearest
}

// distance returns the Levenshtein distance in bytes: how many bytes to insert,
// delete or replace (https://en.wikipedia.org/wiki/Levenshtein_distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
