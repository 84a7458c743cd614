package otlp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"apmapp/internal/local/wire"
)

// Logs decodes log records that are received at a time.
func Logs(in plog.Logs, received time.Time) []wire.Log {
	lines := make([]wire.Log, 0, in.LogRecordCount())
	for _, resource := range in.ResourceLogs().All() {
		attributes := resource.Resource().Attributes()
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				lines = append(lines, logLine(attributes, scope.Scope().Name(), record, received))
			}
		}
	}
	return lines
}

// logLine returns a record as a line of JSON, with the names that other lines have.
func logLine(resource pcommon.Map, logger string, record plog.LogRecord, received time.Time) wire.Log {
	var service string
	if name, found := resource.Get("service.name"); found {
		service = valid(name.AsString())
	}
	line := wire.Log{
		Time:    logTime(record, received),
		Level:   level(record, received),
		Service: service,
		Message: message(record),
	}
	raw := map[string]any{
		"timestamp": line.Time.Format(time.RFC3339Nano),
		"level":     line.Level,
		"message":   line.Message,
		"resource":  plainMap(resource),
	}
	if record.Attributes().Len() > 0 {
		raw["attributes"] = plainMap(record.Attributes())
	}
	if body := record.Body(); body.Type() != pcommon.ValueTypeStr && body.Type() != pcommon.ValueTypeEmpty {
		raw["body"] = plain(body)
	}
	if logger != "" {
		raw["logger"] = valid(logger)
	}
	if id := record.TraceID(); !id.IsEmpty() {
		line.TraceID = hex.EncodeToString(id[:])
		raw["trace_id"] = line.TraceID
		if id := record.SpanID(); !id.IsEmpty() {
			raw["span_id"] = hex.EncodeToString(id[:])
			n, _ := strconv.ParseUint(hex.EncodeToString(id[:]), 16, 64) // 16 hex digits
			line.SpanID = strconv.FormatUint(n, 10)
		}
	}
	text := marshal(raw)
	if line.TraceID == "" {
		// A collector that reads files has the IDs in attributes or in the text.
		found := wire.DecodeLog(text, received)
		line.TraceID, line.SpanID = found.TraceID, found.SpanID
	}
	line.Raw = string(wire.Shorten(text))
	line.Message = string(wire.Shorten([]byte(line.Message)))
	return line
}

// logTime returns the time of a record, else the time at which it was observed, else
// that of its arrival.
func logTime(record plog.LogRecord, received time.Time) time.Time {
	for _, t := range []pcommon.Timestamp{record.Timestamp(), record.ObservedTimestamp()} {
		if at, ok := timeOf(t); ok && at.Year() >= 2000 && at.Year() < 2200 {
			return at.In(received.Location())
		}
	}
	return received
}

// timeOf returns false for 0, which means an unknown time, and for times that are
// too late for a time.Time.
func timeOf(t pcommon.Timestamp) (time.Time, bool) {
	return time.Unix(0, int64(t)), t > 0 && t <= math.MaxInt64
}

// message returns the body as text; of a map its message, else the whole map as
// JSON. A record without a body has the message of its exception or the name of its
// event.
func message(record plog.LogRecord) string {
	body := record.Body()
	switch body.Type() {
	case pcommon.ValueTypeMap:
		for _, name := range []string{"message", "msg"} {
			if text, found := body.Map().Get(name); found && text.Type() == pcommon.ValueTypeStr {
				return valid(text.Str())
			}
		}
	case pcommon.ValueTypeEmpty:
		if text, found := record.Attributes().Get("exception.message"); found {
			return valid(text.AsString())
		}
		return valid(record.EventName())
	}
	return text(body)
}

// level returns the level of a record. Without a severity, it is the level of the text: a
// collector that reads files sends whole lines.
func level(record plog.LogRecord, received time.Time) string {
	if record.SeverityNumber() == 0 && record.SeverityText() == "" && record.Body().Type() == pcommon.ValueTypeStr {
		return wire.DecodeLog([]byte(record.Body().Str()), received).Level
	}
	return wire.SeverityLevel(int(record.SeverityNumber()), record.SeverityText())
}

// text returns strings as they are, other values as JSON.
func text(v pcommon.Value) string {
	p := plain(v)
	if s, ok := p.(string); ok {
		return s
	}
	return string(marshal(p))
}

// marshal encodes a plain value. Searches find < and & as they are.
func marshal(v any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // plain has only what JSON can represent
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n"))
}

// plain returns a value in a form that JSON can represent.
func plain(v pcommon.Value) any {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return valid(v.Str())
	case pcommon.ValueTypeBool:
		return v.Bool()
	case pcommon.ValueTypeInt:
		return v.Int()
	case pcommon.ValueTypeDouble:
		if f := v.Double(); !finite(f) {
			return strconv.FormatFloat(f, 'g', -1, 64)
		}
		return v.Double()
	case pcommon.ValueTypeMap:
		return plainMap(v.Map())
	case pcommon.ValueTypeSlice:
		all := make([]any, 0, v.Slice().Len())
		for _, item := range v.Slice().All() {
			all = append(all, plain(item))
		}
		return all
	case pcommon.ValueTypeBytes:
		return v.Bytes().AsRaw() // base64 in JSON
	}
	return nil
}

func plainMap(m pcommon.Map) map[string]any {
	all := make(map[string]any, m.Len())
	for key, value := range m.All() {
		all[valid(key)] = plain(value)
	}
	return all
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
