package viewer

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/url"
	"strings"
	"time"

	"apmapp/internal/localagent"
)

// functions are what templates call.
var functions = template.FuncMap{
	"duration": duration,
	"rate":     rate,
	"bytes":    megabytes,
	"clock":    func(t time.Time) string { return t.Format("15:04:05.000") },
	"percent":  percent,
	"spark":    spark,
	"path":     url.PathEscape,
	"indent":   func(depth int) string { return fmt.Sprintf("%.1f", 0.9*float64(min(depth, 20))) },
	"class":    statusClass,
	"lower":    strings.ToLower,
	"columns":  columnsOf,
	"json":     encode,
	"levels":   func() []string { return []string{"DEBUG", "INFO", "WARN", "ERROR"} },
}

// encode is JSON, for an attribute that a script reads.
func encode(v any) (string, error) {
	data, err := json.Marshal(v)
	return string(data), err
}

// duration has three significant digits.
func duration(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "µs"}} {
		if d >= unit.size {
			v := float64(d) / float64(unit.size)
			decimals := max(0, 2-len(fmt.Sprint(int(v)))+1)
			return fmt.Sprintf("%.*f %s", decimals, v, unit.name)
		}
	}
	return fmt.Sprintf("%d ns", d)
}

func rate(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f/s", v)
	}
	return fmt.Sprintf("%.3g/s", v)
}

func percent(part, whole int64) string {
	if whole == 0 {
		return "–"
	}
	if part == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.2g %%", 100*float64(part)/float64(whole))
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// statusClass is the class of a status, for its colour: s2, s4, s5.
func statusClass(status string) string {
	if status == "" || status[0] < '1' || status[0] > '5' {
		return ""
	}
	return "s" + status[:1]
}

// spark is the points of a line of hits, 100 wide and 24 high.
func spark(values []int64) string {
	most := int64(1)
	for _, v := range values {
		most = max(most, v)
	}
	var points strings.Builder
	for i, v := range values {
		x := 100 * float64(i) / float64(max(len(values)-1, 1))
		fmt.Fprintf(&points, "%.1f,%.1f ", x, 23-22*float64(v)/float64(most))
	}
	return points.String()
}

// column is a bar of a distribution, 100 wide and 24 high.
type column struct {
	X, Y, Height float64
	Title        string
}

func columnsOf(bars []localagent.Bar) []column {
	most := int64(1)
	for _, b := range bars {
		most = max(most, b.Hits)
	}
	all := make([]column, len(bars))
	for i, b := range bars {
		height := 23 * float64(b.Hits) / float64(most)
		all[i] = column{100 * float64(i) / float64(len(bars)), 24 - height, height,
			fmt.Sprintf("%d between %s and %s", b.Hits, duration(b.From), duration(b.To))}
	}
	return all
}
