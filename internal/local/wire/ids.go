package wire

import (
	"strconv"
	"strings"
)

// setIDs sets the IDs of trace and span. After Datadog's own names, 16 digits are
// decimal; after those of OpenTelemetry, they are hex.
func (l *Log) setIDs(trace, span string, datadog bool) {
	l.TraceID, l.SpanID = traceID(trace), ""
	if l.TraceID == "" {
		return
	}
	l.SpanID = spanID(span, !datadog && len(l.TraceID) == 32)
}

// traceID returns an ID of 32 hex digits, of 16, or in decimal, in lower case. It
// returns "" if the text is not an ID, or is 0, which means no trace.
func traceID(text string) string {
	id := strings.ToLower(strings.TrimSpace(text))
	id = strings.TrimPrefix(id, "0x")
	if len(id) == 36 { // as a UUID
		id = strings.ReplaceAll(id, "-", "")
	}
	if strings.Trim(id, "0") == "" {
		return ""
	}
	if _, err := strconv.ParseUint(id, 10, 64); err == nil && isNumber(id) {
		return id
	}
	if len(id) > 32 || hexLength(id) < len(id) {
		return ""
	}
	whole := 16 // some loggers leave out zeros at the beginning
	if len(id) > whole {
		whole = 32
	}
	return strings.Repeat("0", whole-len(id)) + id
}

// spanID returns an ID in decimal, "" if the text is not an ID, or is 0.
func spanID(text string, hex bool) string {
	id := strings.ToLower(strings.TrimSpace(text))
	id = strings.TrimPrefix(id, "0x")
	base := 10
	if len(id) == 16 && hex || strings.ContainsAny(id, "abcdef") {
		base = 16
	}
	n, err := strconv.ParseUint(id, base, 64)
	if err != nil || n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

func hexLength(text string) int {
	for i := range len(text) {
		if c := text[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F') {
			return i
		}
	}
	return len(text)
}

// textIDs finds the IDs in a text, as dd.trace_id=… dd.span_id=… and its variants in
// other languages, or as a trace ID of 32 hex digits before a decimal span ID, as in
// Java's patterns.
func textIDs(text string) (trace, span string, datadog bool) {
	trace, datadog, _ = textID(text, "trace")
	if trace == "" {
		trace, span = bareIDs(text)
		return trace, span, true
	}
	span, _, _ = textID(text, "span")
	return trace, span, datadog
}

// textID returns the value of the first key such as dd.trace_id, dd_trace_id,
// trace_id, traceId, trace.id or otelTraceID that has an ID, and its place.
func textID(text, kind string) (id string, datadog bool, at int) {
	for from := 0; ; {
		i := strings.Index(text[from:], kind[1:])
		if i < 0 {
			return "", false, 0
		}
		i += from - 1
		from = i + len(kind)
		if i < 0 || text[i]|0x20 != kind[0] {
			continue
		}
		rest, found := cutID(text[from:])
		if !found {
			continue
		}
		before := text[:i]
		datadog = strings.HasSuffix(before, "dd.") || strings.HasSuffix(before, "dd_")
		if !datadog && !strings.HasSuffix(before, "otel") && before != "" && isWord(before[len(before)-1]) {
			continue // as in parent_trace_id
		}
		rest = strings.TrimLeft(rest, `"'\ `)
		if rest == "" || rest[0] != '=' && rest[0] != ':' {
			continue
		}
		rest = strings.TrimLeft(rest[1:], `"'\ `)
		rest = strings.TrimPrefix(rest, "0x")
		n := hexLength(rest)
		if n == 0 || n > 32 || n < len(rest) && isWord(rest[n]) {
			continue
		}
		return rest[:n], datadog, i
	}
}

// cutID removes the second half of a name such as trace_id.
func cutID(text string) (rest string, found bool) {
	if text != "" && (text[0] == '_' || text[0] == '.' || text[0] == '-') {
		text = text[1:]
	}
	if len(text) < 2 || text[0]|0x20 != 'i' || text[1]|0x20 != 'd' {
		return "", false
	}
	return text[2:], true
}

// isWord reports whether a byte continues a word.
func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// bareIDs finds 32 hex digits before a decimal number of at least ten digits, near the
// beginning.
func bareIDs(text string) (trace, span string) {
	const near = 512
	before := ""
	for word := range strings.FieldsFuncSeq(text[:min(len(text), near)], func(r rune) bool { return strings.ContainsRune(" \t[](),;|", r) }) {
		if len(before) == 32 && hexLength(before) == 32 && len(word) >= 10 && len(word) <= 20 && isNumber(word) {
			return before, word
		}
		before = word
	}
	return "", ""
}

func isNumber(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}
