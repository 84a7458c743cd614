// Package nearest finds the name that somebody meant who mistyped it.
package nearest

// Name returns the candidate that takes the fewest edits to become name, the
// first of several. It returns "" if none is within a third of name's length: a
// suggestion from farther away only confuses.
func Name(name string, candidates []string) string {
	best, nearest := max(1, len(name)/3)+1, ""
	for _, c := range candidates {
		if d := Distance(name, c); d < best {
			best, nearest = d, c
		}
	}
	return nearest
}

// Distance returns how many bytes to insert, delete, replace or swap with their
// neighbor to get from a to b: the optimal string alignment distance
// (https://en.wikipedia.org/wiki/Damerau%E2%80%93Levenshtein_distance).
func Distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0 || j == 0:
				d[i][j] = i + j
			case a[i-1] == b[j-1]:
				d[i][j] = d[i-1][j-1]
			default:
				d[i][j] = 1 + min(d[i-1][j], d[i][j-1], d[i-1][j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
