package wire

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// Log is a log line.
type Log struct {
	// ID is the number of the line, set by the store.
	ID   int64     `json:"id"`
	Time time.Time `json:"time"`
	// Level is DEBUG, INFO, WARN, ERROR or CRITICAL, or a level of the program's own
	// in upper case.
	Level   string `json:"level"`
	Service string `json:"service"`
	Message string `json:"message"`
	// TraceID is in hex or in decimal, as in the line; SpanID is in decimal.
	TraceID string `json:"trace_id,omitempty"`
	SpanID  string `json:"span_id,omitempty"`
	// Raw is the line as received.
	Raw string `json:"raw"`
}

const (
	// MaxLine bounds a line, in bytes.
	MaxLine = 64 << 10
	// LineEnd is how much of the end of a longer line is kept: loggers add trace IDs
	// at the end. The middle is left out.
	LineEnd = 4 << 10
	cut     = " … "
)

// Shorten returns a line of at most MaxLine bytes: it leaves out the middle of a
// longer one. JSON with one long text stays JSON.
func Shorten(line []byte) []byte {
	if len(line) <= MaxLine {
		return line
	}
	short := make([]byte, 0, MaxLine)
	short = append(short, line[:MaxLine-LineEnd-len(cut)]...)
	short = append(short, cut...)
	return append(short, line[len(line)-LineEnd:]...)
}

// The names of attributes, in the order in which they are tried: first those of
// Datadog, then those of common loggers. A name with dots is also a path of nested
// objects.
var (
	messageNames = []string{"msg", "message", "@m", "event", "body", "@mt", "log", "Message", "RenderedMessage", "MessageTemplate"}
	timeNames    = []string{"timestamp", "time", "date", "@timestamp", "_timestamp", "Timestamp", "eventTime", "published_date", "syslog.timestamp", "ts", "@t", "datetime", "timeMillis", "asctime", "instant.epochSecond"}
	serviceNames = []string{"dd.service", "service", "service.name", "dd_service", "syslog.appname", "resource.service.name"}
	// Of the names of IDs, those after the first two are not Datadog's: 16 digits
	// after them are hex.
	traceNames = []string{"dd.trace_id", "dd_trace_id", "trace_id", "traceId", "TraceId", "traceID", "trace.id", "otelTraceID"}
	spanNames  = []string{"dd.span_id", "dd_span_id", "span_id", "spanId", "SpanId", "spanID", "span.id", "otelSpanID"}
	// inner are objects in which loggers put the attributes of a context.
	inner = []string{"contextMap", "mdc", "context", "extra", "Properties", "properties", "attributes", "fields", "Scopes"}
)

// DecodeLog decodes a line: JSON with the attribute names of Datadog's log pipelines
// and of common loggers, or text. It keeps the level and the trace ID of JSON that is
// cut off. Received is the time of a line without one. The result is in its time
// zone; so are times without a zone.
func DecodeLog(line []byte, received time.Time) Log {
	line = Shorten(bytes.TrimSpace(line))
	raw := valid(string(line))
	l := Log{Time: received, Level: "INFO", Message: raw, Raw: raw}
	if !strings.HasPrefix(raw, "{") {
		l.decodeText(raw, received)
		return l
	}
	var object object
	if json.Unmarshal(line, &object) == nil {
		l.decode(object, received)
		// Docker's files have the line of the program as an attribute.
		if text, _ := object.get("log"); text != "" && object["stream"] != nil {
			l = DecodeLog([]byte(text), l.Time)
			l.Raw = raw
			return l
		}
	} else {
		l.decode(broken(raw), received)
	}
	if l.TraceID == "" { // perhaps a text in JSON, as Docker writes it
		l.setIDs(textIDs(l.Message))
	}
	return l
}

// attributes are the attributes of a line.
type attributes interface {
	// get returns the text of an attribute, and whether it is a number. The text of
	// a missing attribute is "".
	get(name string) (text string, number bool)
	// all returns the attributes themselves, then those of a context.
	all() []attributes
}

func (l *Log) decode(a attributes, received time.Time) {
	first := func(a attributes, names []string) string {
		for _, name := range names {
			if text, _ := a.get(name); text != "" {
				return text
			}
		}
		return ""
	}
	if m := first(a, messageNames); m != "" {
		l.Message = m
	}
	l.Level = levelOf(a)
	for _, a := range a.all() {
		if l.Service == "" {
			l.Service = first(a, serviceNames)
		}
		if l.TraceID != "" {
			break
		}
		for i, name := range traceNames {
			if text, _ := a.get(name); text != "" {
				l.setIDs(text, first(a, spanNames[i:]), i < 2)
				break
			}
		}
	}
	for _, name := range timeNames {
		text, number := a.get(name)
		at, ok := parseTime(text, received.Location())
		if number || !ok && isNumber(text) {
			at, ok = parseUnix(text)
		}
		if ok {
			l.Time = at.In(received.Location())
			break
		}
	}
}

// object is a JSON object.
type object map[string]json.RawMessage

func (o object) get(name string) (text string, number bool) {
	if raw, ok := o[name]; ok {
		return scalar(raw)
	}
	first, rest, nested := strings.Cut(name, ".")
	if !nested {
		return "", false
	}
	if inside := o.object(first); inside != nil {
		return inside.get(rest)
	}
	return "", false
}

func (o object) object(name string) object {
	var inside object
	if raw := o[name]; len(raw) > 0 && raw[0] == '{' && json.Unmarshal(raw, &inside) == nil {
		return inside
	}
	return nil
}

func (o object) all() []attributes {
	all := []attributes{o}
	for _, name := range inner {
		raw := o[name]
		if len(raw) == 0 {
			continue
		}
		if inside := o.object(name); inside != nil {
			all = append(all, inside)
		}
		var list []json.RawMessage
		if raw[0] == '[' && json.Unmarshal(raw, &list) == nil {
			for _, item := range list {
				var inside object
				if json.Unmarshal(item, &inside) == nil && inside != nil {
					all = append(all, inside)
				}
			}
		}
	}
	return all
}

// scalar returns a string or number of JSON.
func scalar(raw json.RawMessage) (text string, number bool) {
	if len(raw) == 0 {
		return "", false
	}
	switch c := raw[0]; {
	case c == '"' && bytes.IndexByte(raw, '\\') < 0 && len(raw) > 1:
		return valid(string(raw[1 : len(raw)-1])), false
	case c == '"':
		if json.Unmarshal(raw, &text) != nil {
			return "", false
		}
		return text, false
	case c == '-' || c >= '0' && c <= '9':
		return string(raw), true
	}
	return "", false
}

// broken is JSON that is cut off, in which attributes are found as text.
type broken string

func (b broken) all() []attributes { return []attributes{b} }

func (b broken) get(name string) (text string, number bool) {
	if text, number = b.find(`"` + name + `"`); text != "" {
		return text, number
	}
	if inside, ok := strings.CutPrefix(name, "dd."); ok { // of an object named dd
		if i := strings.Index(string(b), `"dd":{`); i >= 0 {
			return broken(b[i+len(`"dd":`):]).find(`"` + inside + `"`)
		}
	}
	return "", false
}

// find returns the value after a quoted name. A text that is cut off ends there.
func (b broken) find(quoted string) (text string, number bool) {
	for rest := string(b); ; {
		i := strings.Index(rest, quoted)
		if i < 0 {
			return "", false
		}
		before := strings.TrimRight(rest[:i], " ")
		rest = rest[i+len(quoted):]
		value, isName := strings.CutPrefix(strings.TrimLeft(rest, " "), ":")
		if value = strings.TrimLeft(value, " "); !isName || value == "" || before != "" && before[len(before)-1] != '{' && before[len(before)-1] != ',' {
			continue
		}
		if value[0] != '"' {
			end := strings.IndexAny(value, ",}] \n")
			if end < 0 {
				end = len(value)
			}
			return scalar(json.RawMessage(value[:end]))
		}
		end := 1
		for end < len(value) && value[end] != '"' {
			if value[end] == '\\' {
				end++
			}
			end++
		}
		if end < len(value) {
			return scalar(json.RawMessage(value[:end+1]))
		}
		return value[1:], false
	}
}
