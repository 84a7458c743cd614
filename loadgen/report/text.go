package report

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"apmapp/loadgen/openloop"
)

// Text writes a result for people to read.
func Text(w io.Writer, r *openloop.Result) error {
	b := bufio.NewWriter(w)
	t := &r.Total
	fmt.Fprintf(b, "requests  %d due, %d sent, %d dropped, %d failed (%.2f %% not served)\n",
		t.Arrivals, t.Arrivals-t.Dropped, t.Dropped, t.Failed(), 100*r.ErrorRate())
	fmt.Fprintf(b, "rate      %.2f/s asked, %.2f/s achieved, in %s\n",
		r.AskedRate(), r.AchievedRate(), r.Elapsed.Round(time.Millisecond))
	fmt.Fprintf(b, "answers   %s, %s\n", answers(t), size(t.Bytes))
	if len(t.Failures) > 0 {
		fmt.Fprintf(b, "errors    %s\n", counts(t.Failures))
	}
	fmt.Fprintf(b, "sent late %s\n", late(r.Lateness))

	for _, times := range bothTimes {
		fmt.Fprintf(b, "\n%s\n", times.title)
		rows := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(rows, "\trequests\t")
		for _, q := range openloop.Quantiles {
			fmt.Fprint(rows, openloop.PercentileName(q), "\t")
		}
		fmt.Fprintln(rows, "max\t")
		row(rows, "all", times.of(t))
		for i := range r.Paths {
			row(rows, r.Paths[i].Path, times.of(&r.Paths[i]))
		}
		if err := rows.Flush(); err != nil {
			return err
		}
	}
	listed(b, "slowest", r.Slowest)
	listed(b, "failed", r.Failed)
	return b.Flush()
}

// bothTimes are the two that are kept of each request.
var bothTimes = []struct {
	title string
	of    func(*openloop.PathResult) *openloop.Histogram
}{
	{"response time, from the scheduled instant", func(p *openloop.PathResult) *openloop.Histogram { return p.Response }},
	{"service time, from the sending", func(p *openloop.PathResult) *openloop.Histogram { return p.Service }},
}

func row(w io.Writer, name string, h *openloop.Histogram) {
	fmt.Fprintf(w, "%s\t%d\t", name, h.Count())
	if h.Count() == 0 {
		fmt.Fprintln(w)
		return
	}
	for _, q := range openloop.Quantiles {
		fmt.Fprint(w, Duration(h.Quantile(q)), "\t")
	}
	fmt.Fprint(w, Duration(h.Max()), "\t\n")
}

// answers says how many whole answers were of which class of status.
func answers(p *openloop.PathResult) string {
	var parts []string
	for class, n := range p.Classes() {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %dxx", n, class))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func counts(failures map[string]int64) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(failures)) {
		parts = append(parts, fmt.Sprintf("%d %s", failures[kind], kind))
	}
	return strings.Join(parts, ", ")
}

func late(h *openloop.Histogram) string {
	if h.Count() == 0 {
		return "nothing was sent"
	}
	return fmt.Sprintf("p50 %s, p99 %s, max %s", Duration(h.Quantile(0.5)), Duration(h.Quantile(0.99)), Duration(h.Max()))
}

func listed(w io.Writer, what string, samples []openloop.Sample) {
	if len(samples) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", what)
	for _, s := range samples {
		trace := "no trace"
		if s.TraceID != "" {
			trace = "trace " + s.TraceID
		}
		fmt.Fprintf(w, "  %7s  at %-6s  %s  %s  %s\n", Duration(s.Response), Duration(s.Offset), how(s), s.Path, trace)
	}
}

// how says how a request ended.
func how(s openloop.Sample) string {
	if s.Failure != "" {
		return s.Failure
	}
	return fmt.Sprint(s.Status)
}

// Duration is a duration with three significant digits.
func Duration(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if d >= unit.size {
			v := float64(d) / float64(unit.size)
			switch {
			case v < 9.995:
				return fmt.Sprintf("%.2f%s", v, unit.name)
			case v < 99.95:
				return fmt.Sprintf("%.1f%s", v, unit.name)
			}
			return fmt.Sprintf("%.0f%s", v, unit.name)
		}
	}
	if d == 0 {
		return "0s"
	}
	return fmt.Sprintf("%dns", d)
}

func size(bytes int64) string {
	v, unit := float64(bytes), "B"
	for _, larger := range []string{"kB", "MB", "GB", "TB"} {
		if v < 1000 {
			break
		}
		v, unit = v/1000, larger
	}
	return fmt.Sprintf("%.3g %s", v, unit)
}
