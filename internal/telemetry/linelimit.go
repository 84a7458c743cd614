package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"unicode/utf8"
)

// maxLine bounds a log line in bytes. Clients choose parts of it: method, path,
// User-Agent. A few KB are enough for every stack, and collectors split or drop
// long lines (the limit of Docker's log driver is 16 KB).
const maxLine = 8 << 10

// lineLimit is a handler that keeps each line of a JSON handler below maxLine. It
// cuts the longest values and leaves the other attributes as they are, so the line
// stays valid JSON and keeps its trace ID. A cut value ends with its full length.
type lineLimit struct {
	slog.Handler
	fixed int // bytes of the attributes that WithAttrs added
}

func (l lineLimit) WithAttrs(attrs []slog.Attr) slog.Handler {
	fixed := l.fixed
	for _, a := range attrs {
		fixed += attrSize(a)
	}
	return lineLimit{l.Handler.WithAttrs(attrs), fixed}
}

func (l lineLimit) WithGroup(name string) slog.Handler {
	return lineLimit{l.Handler.WithGroup(name), l.fixed + len(name) + len(`"":{},`)}
}

// Handle writes r. A record that can be no longer than maxLine, like nearly all,
// passes unchanged.
func (l lineLimit) Handle(ctx context.Context, r slog.Record) error {
	// The time, the level and the line's punctuation.
	const frame = 128
	room := maxLine - frame - l.fixed
	values := []string{r.Message}
	attrs := make([]slog.Attr, 0, r.NumAttrs())
	most := maxEscape * len(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		text := text(a.Value)
		attrs, values = append(attrs, a), append(values, text)
		room -= len(a.Key) + len(`"":"",`)
		most += maxEscape * len(text)
		return true
	})
	if most <= room {
		return l.Handler.Handle(ctx, r)
	}
	share := shares(values, room)
	short := slog.NewRecord(r.Time, r.Level, cut(r.Message, share), r.PC)
	for i, a := range attrs {
		if value := values[i+1]; escapedLen(value) > share {
			a.Value = slog.StringValue(cut(value, share))
		}
		short.AddAttrs(a)
	}
	return l.Handler.Handle(ctx, short)
}

// shares returns the largest length to which all values can be cut so that they
// fit into room together.
func shares(values []string, room int) int {
	lengths := make([]int, len(values))
	for i, v := range values {
		lengths[i] = escapedLen(v)
	}
	slices.Sort(lengths)
	for i, length := range lengths {
		share := room / (len(lengths) - i)
		if length > share {
			return max(share, 0)
		}
		room -= length
	}
	return maxLine
}

// text returns a value as the JSON handler writes it, without quotes.
func text(v slog.Value) string {
	v = v.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return v.String()
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			return err.Error()
		}
		b, err := json.Marshal(v.Any())
		if err != nil {
			return err.Error()
		}
		return string(b)
	case slog.KindTime:
		return "2006-01-02T15:04:05.999999999Z07:00"
	default:
		return v.String()
	}
}

func attrSize(a slog.Attr) int { return len(a.Key) + len(`"":"",`) + escapedLen(text(a.Value)) }

// maxEscape is the length of the longest escape of a byte: \u0000.
const maxEscape = 6

// escapedLen returns the length of s in a JSON string.
func escapedLen(s string) int {
	n := 0
	for len(s) > 0 {
		width, escaped := escape(s)
		n += escaped
		s = s[width:]
	}
	return n
}

// escape returns the length of the first character of s, and its length in a JSON
// string.
func escape(s string) (width, escaped int) {
	switch b := s[0]; {
	case b == '"' || b == '\\':
		return 1, 2
	case b >= ' ' && b < utf8.RuneSelf:
		return 1, 1
	case b < utf8.RuneSelf:
		return 1, maxEscape
	}
	r, width := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError || r == '\u2028' || r == '\u2029' {
		return width, maxEscape
	}
	return width, width
}

// cut returns s if it is at most n bytes long in a JSON string. Otherwise it
// returns the beginning of s and the full length.
func cut(s string, n int) string {
	if escapedLen(s) <= n {
		return s
	}
	note := fmt.Sprintf(" … (cut, %s bytes)", strconv.Itoa(len(s)))
	n -= len(note)
	end := 0
	for end < len(s) {
		width, escaped := escape(s[end:])
		if n -= escaped; n < 0 {
			break
		}
		end += width
	}
	return s[:end] + note
}
