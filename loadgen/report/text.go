package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"apmapp/internal/format"
	"apmapp/loadgen/openloop"
)

// Text writes a result for people. Control characters, which could change what a
// terminal shows, are replaced: a report may come from another machine.
func Text(w io.Writer, r *openloop.Result) error {
	var b strings.Builder
	if err := text(&b, r); err != nil {
		return err
	}
	_, err := io.WriteString(w, strings.Map(func(c rune) rune {
		if unicode.IsControl(c) && c != '\n' {
			return unicode.ReplacementChar
		}
		return c
	}, b.String()))
	return err
}

func text(b io.Writer, r *openloop.Result) error {
	t := &r.Total
	for _, f := range about(r) {
		fmt.Fprintf(b, "%-9s %s\n", f.Name, f.Value)
	}
	for _, w := range r.Warnings() {
		fmt.Fprintf(b, "warning   %s\n", w)
	}
	fmt.Fprintf(b, "requests  %s due, %s sent, %s dropped, %s failed (%s not served)\n", format.Count(t.Arrivals),
		format.Count(t.Arrivals-t.Dropped), format.Count(t.Dropped), format.Count(t.Failed()), format.Percent(r.ErrorRate()))
	fmt.Fprintf(b, "rate      %s asked, %s achieved, in %s", format.Rate(r.AskedRate()), format.Rate(r.AchievedRate()), format.Duration(r.Sending))
	if r.Waiting > 0 {
		fmt.Fprintf(b, ", then waited %s for the last answers", format.Duration(r.Waiting))
	}
	fmt.Fprintln(b)
	if r.Aborted != "" {
		fmt.Fprintf(b, "aborted   %s\n", r.Aborted)
	}
	fmt.Fprintf(b, "answers   %s, %s\n", answers(t), format.Bytes(t.Bytes))
	if len(t.Statuses) > 0 {
		fmt.Fprintf(b, "statuses  %s\n", statuses(t))
	}
	if len(t.Failures) > 0 {
		fmt.Fprintf(b, "errors    %s\n", errorCounts(t.Failures))
	}
	for _, e := range examples(r) {
		fmt.Fprintf(b, "          %s: %s\n", e.Name, e.Value)
	}
	fmt.Fprintf(b, "sent late %s\n", lateness(r.Lateness))

	for _, times := range bothTimes {
		fmt.Fprintf(b, "\n%s\n", times.title)
		rows := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(rows, "\trequests\t")
		for _, q := range openloop.Quantiles {
			fmt.Fprint(rows, openloop.PercentileName(q), "\t")
		}
		fmt.Fprintln(rows, "max\t")
		for _, row := range times.rows(r) {
			fmt.Fprintf(rows, "%s\t%s\t%s\t\n", row.Path, row.Requests, strings.Join(row.Values, "\t"))
		}
		if err := rows.Flush(); err != nil {
			return err
		}
	}
	list(b, "slowest", r.Slowest)
	list(b, "failed", r.Failed)
	return nil
}

// times is one of the two durations that are kept of each request.
type times struct {
	title string
	of    func(*openloop.PathResult) *openloop.Histogram
}

var bothTimes = []times{
	{"response time, from the scheduled time", func(p *openloop.PathResult) *openloop.Histogram { return p.Response }},
	{"service time, from sending", func(p *openloop.PathResult) *openloop.Histogram { return p.Service }},
}

// row is a path's line in a table: the quantiles of its times, and the longest.
type row struct {
	Path, Requests string
	Values         []string
}

// rows returns the line of all requests, then those of the paths.
func (ts times) rows(r *openloop.Result) []row {
	rows := []row{newRow("all", ts.of(&r.Total))}
	for i := range r.Paths {
		rows = append(rows, newRow(r.Paths[i].Path, ts.of(&r.Paths[i])))
	}
	return rows
}

func newRow(path string, h *openloop.Histogram) row {
	r := row{Path: path, Requests: format.Count(h.Count())}
	value := format.Duration
	if h.Count() == 0 {
		value = func(time.Duration) string { return "–" }
	}
	for _, q := range openloop.Quantiles {
		r.Values = append(r.Values, value(h.Quantile(q)))
	}
	r.Values = append(r.Values, value(h.Max()))
	return r
}

// answers returns the number of complete answers by class of status.
func answers(p *openloop.PathResult) string {
	var parts []string
	for class, n := range p.Classes() {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%s %dxx", format.Count(n), class))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// statuses returns the number of complete answers by status.
func statuses(p *openloop.PathResult) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(p.Statuses)) {
		parts = append(parts, fmt.Sprintf("%d (%s)", status, format.Count(p.Statuses[status])))
	}
	return strings.Join(parts, ", ")
}

// examples returns the text of one failure of each kind.
func examples(r *openloop.Result) (all []figure) {
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		all = append(all, figure{Name: kind, Value: r.Errors[kind]})
	}
	return all
}

// about returns what was run. Of a result without a target, which a program other than
// loadgen made, there is nothing to say that its caller does not know.
func about(r *openloop.Result) (all []figure) {
	for i, run := range r.Runs {
		if run.Target == "" {
			continue
		}
		if i == 0 || run.Target != r.Runs[i-1].Target || run.Method != r.Runs[i-1].Method {
			all = append(all, figure{Name: "target", Value: strings.TrimSpace(run.Method + " " + run.Target)})
		}
		all = append(all, figure{Name: "run", Value: schedule(run)},
			figure{Name: "sent by", Value: fmt.Sprintf("loadgen %s on %s, started %s, run %s",
				run.Version, run.Host, run.Start.UTC().Format("2006-01-02 15:04:05 UTC"), run.ID)})
		if run.Command != "" {
			all = append(all, figure{Name: "command", Value: run.Command})
		}
	}
	return all
}

// schedule returns which requests a run sent.
func schedule(run openloop.Run) string {
	parts := []string{run.Schedule, string(run.Arrivals) + " arrivals"}
	if run.Arrivals == openloop.Poisson {
		parts = append(parts, fmt.Sprintf("seed %d", run.Seed))
	}
	if run.Shards > 0 {
		parts = append(parts, fmt.Sprintf("shard %d/%d", run.Shard, run.Shards))
	}
	if run.Warmup != "" {
		parts = append(parts, "warm-up "+run.Warmup)
	}
	if run.Expect != "" {
		parts = append(parts, "expected "+run.Expect)
	}
	return strings.Join(append(parts, fmt.Sprintf("at most %s in flight", format.Count(int64(run.MaxInFlight)))), ", ")
}

func errorCounts(failures map[string]int64) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(failures)) {
		parts = append(parts, format.Count(failures[kind])+" "+kind)
	}
	return strings.Join(parts, ", ")
}

func lateness(h *openloop.Histogram) string {
	if h.Count() == 0 {
		return "nothing was sent"
	}
	return fmt.Sprintf("p50 %s, p99 %s, max %s", format.Duration(h.Quantile(0.5)), format.Duration(h.Quantile(0.99)), format.Duration(h.Max()))
}

func list(w io.Writer, title string, samples []openloop.Sample) {
	if len(samples) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, s := range samples {
		trace := "no trace"
		if s.TraceID != "" {
			trace = "trace " + s.TraceID
		}
		fmt.Fprintf(w, "  %7s  at %-6s  %s  %s  %s\n", format.Duration(s.Response), format.Duration(s.Offset), outcome(s), s.Path, trace)
	}
}

// outcome returns how a request ended: its kind of error or its status.
func outcome(s openloop.Sample) string {
	if s.Failure != "" {
		return s.Failure
	}
	return fmt.Sprint(s.Status)
}
