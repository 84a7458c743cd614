package openloop

import (
	"fmt"
	"strconv"
	"strings"
)

// Expect holds the statuses of answers that count as served. Without a value, these
// are all below 500.
type Expect []statusRange

// statusRange is a range of statuses, both ends included.
type statusRange struct{ from, to int }

// ParseExpect reads statuses, classes and ranges of statuses, such as
// "2xx,304,400-404".
func ParseExpect(s string) (Expect, error) {
	var e Expect
	for entry := range strings.SplitSeq(s, ",") {
		entry = strings.TrimSpace(entry)
		from, to, isRange := strings.Cut(entry, "-")
		if class, ok := strings.CutSuffix(strings.ToLower(entry), "xx"); ok {
			from, to, isRange = class+"00", class+"99", true
		}
		if !isRange {
			to = from
		}
		first, err := parseStatus(from)
		last, errTo := parseStatus(to)
		if err != nil || errTo != nil || first > last {
			return nil, fmt.Errorf("%q is not a status: use 200, 2xx or 200-299", entry)
		}
		e = append(e, statusRange{first, last})
	}
	return e, nil
}

// parseStatus reads a status of RFC 9110, section 15.
func parseStatus(s string) (int, error) {
	if len(s) != 3 || s < "100" || s > "599" {
		return 0, strconv.ErrRange
	}
	return strconv.Atoi(s)
}

// Has reports whether a status counts as served.
func (e Expect) Has(status int) bool {
	if len(e) == 0 {
		return status < 500
	}
	for _, r := range e {
		if status >= r.from && status <= r.to {
			return true
		}
	}
	return false
}

// String returns the statuses in the form that ParseExpect reads, "" without a value.
func (e Expect) String() string {
	var parts []string
	for _, r := range e {
		switch {
		case r.from == r.to:
			parts = append(parts, strconv.Itoa(r.from))
		case r.from%100 == 0 && r.to == r.from+99:
			parts = append(parts, strconv.Itoa(r.from/100)+"xx")
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", r.from, r.to))
		}
	}
	return strings.Join(parts, ",")
}
