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
		if label := text(unit["label"]); name == "" {
			return custom + label
		}
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

// custom begins units that a definition writes itself: they are no units of Datadog.
const custom = "custom:"

// nanosecondsOf and bytesOf are the units of two families.
// https://docs.datadoghq.com/metrics/units/
var (
	nanosecondsOf = map[string]float64{"nanosecond": 1, "microsecond": 1e3, "millisecond": 1e6, "second": 1e9, "minute": 60e9, "hour": 3600e9, "day": 86400e9, "week": 7 * 86400e9}
	bytesOf       = map[string]float64{"byte": 1, "kibibyte": 1 << 10, "mebibyte": 1 << 20, "gibibyte": 1 << 30, "tebibyte": 1 << 40, "pebibyte": 1 << 50,
		"kilobyte": 1e3, "megabyte": 1e6, "gigabyte": 1e9, "terabyte": 1e12, "petabyte": 1e15,
		"byte_in_binary_bytes_family": 1, "byte_in_decimal_bytes_family": 1}
)

// withUnit writes a value with its unit. A precision below 0 is three significant digits.
func withUnit(value float64, unit string, precision int) string {
	if scale := nanosecondsOf[unit]; scale != 0 {
		return format.Duration(seconds(value * scale / 1e9))
	}
	amount, per, rate := strings.Cut(unit, "/")
	if scale := bytesOf[amount]; scale != 0 {
		written := format.Bytes(int64(max(min(value*scale, math.MaxInt64/2), math.MinInt64/2)))
		if rate {
			written += "/" + short(per)
		}
		return written
	}
	written := format.Number(value)
	if precision >= 0 && math.Abs(value) < 1e6 {
		if precision == 0 {
			written = format.Number(math.Round(value))
		} else if value != math.Trunc(value) {
			written = strconv.FormatFloat(value, 'f', min(precision, 6), 64)
		}
	}
	if own, is := strings.CutPrefix(unit, custom); is {
		return strings.TrimSpace(written + " " + strings.TrimSpace(own))
	}
	switch unit {
	case "percent":
		return written + "%"
	case "fraction", "apdex":
		return written
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
