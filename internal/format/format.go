// Package format writes durations, rates, shares, counts and sizes for people,
// in one form for text and pages.
//
// A value has three significant digits; digits before the decimal point are
// never dropped. The unit follows without a space, for two reasons: a value is
// one word to whatever splits text at spaces, and a duration can be pasted where
// Go parses one, such as a flag or the filter of a page. What is undefined (NaN,
// as 0/0) or infinite is a dash.
package format

import (
	"math"
	"strconv"
	"strings"
	"time"
)

const undefined = "–"

// Duration writes d in its largest unit, from "1ns" to "999s", and longer ones
// to the second: "16m40s".
func Duration(d time.Duration) string {
	if d == 0 {
		return "0s"
	}
	size := float64(d)
	for _, unit := range []string{"ns", "µs", "ms", "s"} {
		if unit == "ns" && math.Abs(size) < 1000 {
			return strconv.FormatInt(int64(d), 10) + unit
		}
		if belowThousand(size) {
			return digits(size) + unit
		}
		size /= 1000
	}
	return d.Round(time.Second).Truncate(time.Second).String() // Round may return the very largest
}

// Length writes a length of time that people choose, to the second: "45s", "5m", "1h30m",
// "7d".
func Length(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Bytes writes a size in powers of 1000: "999B", "1.00kB", "12.3MB".
func Bytes(n int64) string {
	if -1000 < n && n < 1000 {
		return strconv.FormatInt(n, 10) + "B"
	}
	size := float64(n)
	for _, unit := range []string{"kB", "MB", "GB", "TB", "PB"} {
		size /= 1000
		if belowThousand(size) {
			return digits(size) + unit
		}
	}
	return digits(size/1000) + "EB"
}

// Rate writes how often something happens in a second: "0.500/s", "1,234/s".
func Rate(perSecond float64) string {
	if unknown(perSecond) {
		return undefined
	}
	return digits(perSecond) + "/s"
}

// Percent writes a share, where 1 is all: "0%", "1.23%", "100%". Only a share of
// exactly 1 is "100%": less is at most ">99.9%".
func Percent(share float64) string {
	if unknown(share) {
		return undefined
	}
	percent := 100 * share
	if share < 1 && percent >= 99.95 {
		return ">99.9%"
	}
	return digits(percent) + "%"
}

// Count writes a whole number with a comma between thousands: "1,234,567".
func Count(n int64) string { return grouped(strconv.FormatInt(n, 10)) }

// Number writes a value of no known unit. Whole numbers have no decimals.
func Number(v float64) string {
	switch {
	case unknown(v):
		return undefined
	case v == math.Trunc(v) && math.Abs(v) < largest:
		return grouped(strconv.FormatFloat(v, 'f', 0, 64))
	}
	return digits(v)
}

func unknown(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }

// Numbers that are smaller or larger are written with an exponent: they would be
// rows of zeros.
const smallest, largest = 1e-6, 1e15

// belowThousand reports whether v is less than 1000 when rounded to three
// digits: 999.96 is not.
func belowThousand(v float64) bool { return math.Abs(v) < 999.5 }

// digits writes v with three significant digits, and all those before the
// decimal point.
func digits(v float64) string {
	size := math.Abs(v)
	switch {
	case v == 0:
		return "0"
	case size < smallest || size >= largest:
		return strconv.FormatFloat(v, 'e', 2, 64)
	}
	// The exponent after rounding: 9.996 is 1.00e+01, which has one decimal.
	rounded := strconv.FormatFloat(v, 'e', 2, 64)
	exponent, _ := strconv.Atoi(rounded[strings.IndexByte(rounded, 'e')+1:]) // as just written
	return grouped(strconv.FormatFloat(v, 'f', max(0, 2-exponent), 64))
}

// grouped puts commas between the thousands of a decimal number.
func grouped(number string) string {
	whole, fraction, _ := strings.Cut(number, ".")
	start := strings.IndexByte(whole, '-') + 1 // 0 without a sign
	for i := len(whole) - 3; i > start; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		return whole + "." + fraction
	}
	return whole
}
