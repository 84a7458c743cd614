package definitions

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/format"
)

// The units of metrics that have one in Datadog, by the end of their names. The unit of a
// formula comes first.
var unitsOfMetrics = []struct {
	name *regexp.Regexp
	unit string
}{
	{regexp.MustCompile(`^trace\.[^{]*\.(hits|errors|apdex)$`), ""},
	{regexp.MustCompile(`^trace\.`), "second"},
	{regexp.MustCompile(`^system\.(mem|swap|disk)\.(?:[a-z_]*(?:total|used|free|usable|cached|shared|slab))$`), "byte"},
	{regexp.MustCompile(`^system\.cpu\.`), "percent"},
}

// unitOf returns the unit of a formula: its own, else that of the only metric that it
// reads.
func unitOf(formulas []map[string]any, of int, body map[string]any) string {
	if of >= len(formulas) {
		return ""
	}
	format, _ := formulas[of]["number_format"].(map[string]any)
	if unit, is := format["unit"].(map[string]any); is {
		name := text(unit["unit_name"])
		if per := text(unit["per_unit_name"]); per != "" {
			name += "/" + per
		}
		return name
	}
	for _, q := range objects(body["queries"]) {
		if text(q["name"]) != text(formulas[of]["formula"]) {
			continue
		}
		if m := metricOf.FindStringSubmatch(text(q["query"])); m != nil {
			for _, u := range unitsOfMetrics {
				if u.name.MatchString(m[1]) {
					return u.unit
				}
			}
		}
	}
	return ""
}

// withUnit writes a value with its unit. A precision below 0 is three significant digits.
func withUnit(value float64, unit string, precision int) string {
	switch unit {
	case "second":
		return format.Duration(seconds(value))
	case "nanosecond":
		return format.Duration(seconds(value / 1e9))
	case "byte":
		return format.Bytes(int64(max(min(value, math.MaxInt64/2), math.MinInt64/2)))
	}
	written := format.Number(value)
	if precision >= 0 && math.Abs(value) < 1e6 {
		if precision == 0 {
			written = format.Number(math.Round(value))
		} else if value != math.Trunc(value) {
			written = strconv.FormatFloat(value, 'f', min(precision, 6), 64)
		}
	}
	if unit == "percent" {
		return written + "%"
	}
	if name, rest, per := strings.Cut(unit, "/"); per {
		unit = plural(name, value) + "/" + short(rest)
	} else {
		unit = plural(unit, value)
	}
	return strings.TrimSpace(written + " " + unit)
}

func plural(unit string, value float64) string {
	if unit == "" || value == 1 {
		return unit
	}
	if name, is := strings.CutSuffix(unit, "y"); is { // query
		return name + "ies"
	}
	return unit + "s"
}

func short(unit string) string {
	switch unit {
	case "second":
		return "s"
	case "minute":
		return "min"
	}
	return unit
}

func seconds(v float64) time.Duration {
	return time.Duration(max(min(v*1e9, math.MaxInt64/2), math.MinInt64/2))
}
