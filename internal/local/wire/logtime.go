package wire

import (
	"strconv"
	"strings"
	"time"
)

// plausible reports whether a time may be that of a log line. Others are numbers that
// are no times, such as durations.
func plausible(at time.Time) bool { return at.Year() >= 2000 && at.Year() < 2200 }

// parseUnix parses a time since 1970 in seconds, which may have a fraction, or in
// milliseconds, microseconds or nanoseconds, told apart by magnitude.
func parseUnix(text string) (time.Time, bool) {
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 || fraction != "" && !isNumber(fraction) {
		f, err := strconv.ParseFloat(text, 64) // such as 1.7e12
		if err != nil || !(f >= 0 && f < 1<<62) {
			return time.Time{}, false
		}
		n, fraction = int64(f), ""
	}
	unit := time.Second
	switch { // 1e11 seconds are the year 5138, 1e11 milliseconds 1973
	case n >= 1e17:
		unit = time.Nanosecond
	case n >= 1e14:
		unit = time.Microsecond
	case n >= 1e11:
		unit = time.Millisecond
	}
	perSecond := int64(time.Second / unit)
	at := time.Unix(n/perSecond, n%perSecond*int64(unit)).UTC()
	if f, err := strconv.ParseFloat("0."+fraction, 64); err == nil {
		at = at.Add(time.Duration(f*float64(unit) + 0.5))
	}
	return at, plausible(at)
}

// parseTime parses a time that is the whole text.
func parseTime(text string, zone *time.Location) (time.Time, bool) {
	at, rest, ok := cutTime(strings.TrimSpace(text), zone)
	if !ok || rest != "" {
		return time.Time{}, false
	}
	return at, true
}

// cutTime parses a time at the beginning of a text, in the form of ISO 8601 with its
// variants: a space or T between date and time, slashes in the date, a comma before
// the fraction (Python), and a zone, which may be absent. It returns the text after it.
func cutTime(text string, zone *time.Location) (at time.Time, rest string, ok bool) {
	var parts [6]int
	rest = text
	for i, digits := range []int{4, 2, 2, 2, 2, 2} {
		if len(rest) < digits || !isNumber(rest[:digits]) {
			return time.Time{}, "", false
		}
		parts[i], _ = strconv.Atoi(rest[:digits])
		if rest = rest[digits:]; i == 5 {
			break
		}
		if rest == "" || !strings.ContainsRune([]string{"-/", "-/", "T t", ":", ":"}[i], rune(rest[0])) {
			return time.Time{}, "", false
		}
		rest = rest[1:]
	}
	nanos := 0
	if rest != "" && (rest[0] == '.' || rest[0] == ',') {
		n := 1
		for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
			n++
		}
		nanos, _ = strconv.Atoi((rest[1:n] + "000000000")[:9])
		if n > 1 {
			rest = rest[n:]
		}
	}
	if after, found := cutZone(rest); found != nil {
		zone, rest = found, after
	}
	at = time.Date(parts[0], time.Month(parts[1]), parts[2], parts[3], parts[4], parts[5], nanos, zone)
	valid := parts[1] >= 1 && parts[1] <= 12 && parts[2] >= 1 && parts[2] <= 31 && parts[3] < 24 && parts[4] < 60 && parts[5] <= 60
	return at, rest, valid && plausible(at)
}

// cutZone parses Z, UTC, +hh:mm, +hhmm or +hh. It returns nil if there is no zone.
func cutZone(text string) (rest string, zone *time.Location) {
	text = strings.TrimPrefix(text, " ")
	for _, name := range []string{"Z", "z", "UTC", "GMT"} {
		if rest, ok := strings.CutPrefix(text, name); ok && (rest == "" || !isWord(rest[0])) {
			return rest, time.UTC
		}
	}
	if len(text) < 3 || text[0] != '+' && text[0] != '-' || !isNumber(text[1:3]) {
		return "", nil
	}
	hours, _ := strconv.Atoi(text[1:3])
	minutes := 0
	rest = text[3:]
	if digits := strings.TrimPrefix(rest, ":"); len(digits) >= 2 && isNumber(digits[:2]) {
		minutes, _ = strconv.Atoi(digits[:2])
		rest = digits[2:]
	}
	if rest != "" && isWord(rest[0]) || hours > 14 || minutes > 59 {
		return "", nil
	}
	offset := (hours*60 + minutes) * 60
	if text[0] == '-' {
		offset = -offset
	}
	return rest, time.FixedZone("", offset)
}
