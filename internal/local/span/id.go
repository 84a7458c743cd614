package span

import (
	"slices"
	"strconv"
	"strings"
)

// HasTraceID reports whether the chunk has a trace ID that is not 0.
func (c *Chunk) HasTraceID() bool { return strings.Trim(c.TraceID, "0") != "" }

// SameTrace reports whether the trace ID of a log line names the trace with an ID
// of 32 hex digits: the whole ID, or its lower half in hex or in decimal. The upper half
// of the trace's ID may be missing.
func SameTrace(id, logged string) bool {
	if logged == "" || len(id) != 32 {
		return false
	}
	return len(logged) == 32 && SameID(id, logged) || slices.Contains(LowerHalves(logged), id[16:])
}

// SameID reports whether two IDs of 32 hex digits are of one trace: the lower halves
// are equal, and so are the upper halves, unless one is missing.
func SameID(a, b string) bool {
	return a == b || LowerHalf(a) == LowerHalf(b) && (WithoutUpperHalf(a) || WithoutUpperHalf(b))
}

// LowerHalf returns the last 16 digits of an ID.
func LowerHalf(id string) string { return id[max(0, len(id)-16):] }

// WithoutUpperHalf reports whether the tracer did not send the upper half of an ID of 32
// hex digits.
func WithoutUpperHalf(id string) bool { return strings.HasPrefix(id, "0000000000000000") }

// LowerHalves returns the lower halves of trace IDs that a text may stand for, in 16 hex
// digits: the text may be hex or decimal.
func LowerHalves(id string) []string {
	var all []string
	if n, err := strconv.ParseUint(id, 10, 64); err == nil {
		h := strconv.FormatUint(n, 16)
		all = append(all, strings.Repeat("0", 16-len(h))+h)
	}
	if len(id) == 16 {
		all = append(all, id)
	}
	return all
}
