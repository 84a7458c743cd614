package openloop

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"apmapp/internal/format"
)

// lateFloor is the lateness that is never worth a warning: a thread that sleeps wakes
// up to a millisecond late on a machine with other work (docs/loadgen.md has the
// figures). Against answers of some microseconds, that is much, and normal.
const lateFloor = time.Millisecond

// Warnings returns remarks for the reader of a result: reasons to doubt its times, and
// answers that are probably not the intended ones.
func (r *Result) Warnings() []string {
	var all []string
	late, response := r.Lateness.Quantile(0.99), r.Total.Response.Quantile(0.99)
	if late > lateFloor && late > response/10 {
		all = append(all, fmt.Sprintf("the generator itself was late: p99 of sent late, %s, is more than a tenth of p99 of the response time, %s; "+
			"use an idle machine, or several generators with -shard", format.Duration(late), format.Duration(response)))
	}
	var answers, refused int64
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(r.Total.Statuses)) {
		n := r.Total.Statuses[status]
		answers += n
		if status/100 == 4 {
			refused += n
			parts = append(parts, fmt.Sprintf("%d (%s)", status, format.Count(n)))
		}
	}
	if 2*refused > answers && !slices.ContainsFunc(r.Runs, func(run Run) bool { return run.Expect != "" }) {
		all = append(all, fmt.Sprintf("most answers are 4xx, and count as served: %s; check the paths and headers, or set -expect 2xx,3xx", strings.Join(parts, ", ")))
	}
	return all
}
