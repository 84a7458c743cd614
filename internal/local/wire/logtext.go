package wire

import (
	"regexp"
	"strings"
	"time"
)

// beforeTime is what loggers write before the time: brackets, the key of slog and logrus
// (time=), or the letter of the level (Ruby).
var beforeTime = regexp.MustCompile(`^(\[+|(time|ts|timestamp|date)="?|[A-Z], \[)`)

// decodeText decodes a line of text: the time at its beginning, the level near it, and
// IDs of trace and span anywhere.
func (l *Log) decodeText(text string, received time.Time) {
	if strings.ContainsRune(text, '\x1b') {
		text = withoutColors(text)
		l.Message = text
	}
	if at, _, ok := cutTime(beforeTime.ReplaceAllString(text, ""), received.Location()); ok {
		l.Time = at.In(received.Location())
	}
	l.Level = textLevel(text)
	l.setIDs(textIDs(text))
	if l.TraceID == "" {
		return
	}
	l.Service = textService(text)
	l.Message = withoutIDs(text)
}

// withoutColors removes the escape sequences of terminals (ESC [ … letter).
func withoutColors(text string) string {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "\x1b[")
		out.WriteString(before)
		if !found {
			return out.String()
		}
		end := strings.IndexFunc(after, func(r rune) bool { return r >= '@' && r <= '~' })
		text = after[end+1:]
	}
}

// textLevel returns the level of a text: INFO if it has none. Near the beginning, a
// level is a word in capitals, a word in brackets, the first word before a colon, or
// the value of a key (level=warn).
func textLevel(text string) string {
	const near = 160 // after a time, names of logger and thread
	text = text[:min(len(text), near)]
	for i := 0; i < len(text); {
		if !isLetter(text[i]) {
			i++
			continue
		}
		end := i
		for end < len(text) && isLetter(text[end]) {
			end++
		}
		word, before, after := text[i:end], byte(' '), byte(' ')
		if i > 0 {
			before = text[i-1]
		}
		if end < len(text) {
			after = text[end]
		}
		first := i == 0
		i = end
		level := words[strings.ToLower(word)]
		if level == "" || len(word) < 3 || after == '=' || isWord(after) {
			continue
		}
		if level == Info && word[0]|0x20 != 'i' && word[0]|0x20 != 'n' {
			continue // a word such as HTTP or OK, which is not a level in a text
		}
		capitals := len(word) >= 4 && strings.ToUpper(word) == word && strings.IndexByte(" \t[(<|:.-", before) >= 0
		bracket := (before == '[' || before == '<' || before == ' ') && (after == ']' || after == '>')
		value := before == '=' || before == '"' && strings.HasSuffix(text[:end-len(word)], `="`)
		if capitals || bracket || first && after == ':' || value && isLevelKey(text[:end-len(word)]) {
			return level
		}
	}
	return Info
}

func isLevelKey(before string) bool {
	before = strings.TrimRight(before, `="`)
	for _, key := range []string{"level", "lvl", "severity"} {
		if strings.HasSuffix(before, key) {
			return true
		}
	}
	return false
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

// textService returns the value of dd.service.
func textService(text string) string {
	for _, key := range []string{"dd.service", "dd_service"} {
		_, rest, found := strings.Cut(text, key)
		if rest = strings.TrimLeft(rest, `"' `); !found || rest == "" || rest[0] != '=' && rest[0] != ':' {
			continue
		}
		rest = strings.TrimLeft(rest[1:], `"' `)
		if end := strings.IndexAny(rest, "\"' ,]}\t"); end >= 0 {
			rest = rest[:end]
		}
		return rest
	}
	return ""
}

// withoutIDs removes the brackets around dd.trace_id=… if there are only such fields
// in them.
func withoutIDs(text string) string {
	_, _, at := textID(text, "trace")
	from := strings.LastIndexByte(text[:at], '[')
	if from < 0 {
		return text
	}
	inside, after, found := strings.Cut(text[from+1:], "]")
	if !found || from+1+len(inside) < at {
		return text
	}
	for field := range strings.FieldsSeq(inside) {
		if !strings.Contains(field, "=") {
			return text
		}
	}
	return strings.TrimSpace(strings.TrimSuffix(text[:from], " ") + after)
}
