package service

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// logPost sends log lines to a receiver of OTLP over HTTP, such as the local agent in
// another container. Only one goroutine may write.
//
// Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp, JSON encoding.
type logPost struct {
	url    string
	client http.Client
	failed time.Time // the last failure
	err    error
}

const (
	// postTimeout is enough for a receiver that works. Longer ones would let lines wait.
	postTimeout = stalled / 2
	// postPause is the time after a failure in which lines are dropped at once.
	postPause = time.Second
)

func newLogPost(endpoint string) *logPost {
	// Without the proxy of the environment: the receiver is near.
	return &logPost{url: strings.TrimSuffix(endpoint, "/") + "/v1/logs", client: http.Client{Timeout: postTimeout, Transport: &http.Transport{}}}
}

// checkEndpoint returns an error if the URL is not one of OTLP over HTTP.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("log-otlp must be a URL such as http://localhost:4318, got %q", endpoint)
	}
	if u.User != nil {
		return fmt.Errorf("log-otlp must have no user and password, got %s", u.Redacted())
	}
	return nil
}

// Write sends complete lines in one request. After a failure it sends nothing for a
// second.
func (p *logPost) Write(lines []byte) (int, error) {
	if p.err != nil && time.Since(p.failed) < postPause {
		return 0, p.err
	}
	if p.err = p.post(lines); p.err != nil {
		p.failed = time.Now()
		return 0, p.err
	}
	return len(lines), nil
}

func (p *logPost) post(lines []byte) error {
	resp, err := p.client.Post(p.url, "application/json", bytes.NewReader(otlpLogs(lines)))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16)) // so that the connection is used again
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s", p.url, resp.Status)
	}
	return nil
}

type (
	otlpValue map[string]any // of one type: stringValue, doubleValue, boolValue
	otlpField struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpRecord struct {
		Time       string      `json:"timeUnixNano,omitempty"`
		Level      string      `json:"severityText,omitempty"`
		Body       otlpValue   `json:"body"`
		Attributes []otlpField `json:"attributes,omitempty"`
		TraceID    string      `json:"traceId,omitempty"`
		SpanID     string      `json:"spanId,omitempty"`
	}
)

// otlpLogs encodes lines of the service's log, all of one service.
func otlpLogs(lines []byte) []byte {
	var records []otlpRecord
	var service string
	for line := range bytes.Lines(lines) {
		record, of := otlpLog(line)
		records = append(records, record)
		service = cmp.Or(service, of)
	}
	resource := map[string]any{"attributes": []otlpField{{"service.name", otlpValue{"stringValue": service}}}}
	body, _ := json.Marshal(map[string]any{"resourceLogs": []any{map[string]any{ // strings, numbers and booleans only
		"resource": resource, "scopeLogs": []any{map[string]any{"logRecords": records}},
	}}})
	return body
}

// otlpLog decodes a line that telemetry's handler wrote. It returns the name of the
// service, too.
func otlpLog(line []byte) (record otlpRecord, service string) {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.UseNumber()
	fields := map[string]any{}
	if err := decoder.Decode(&fields); err != nil {
		return otlpRecord{Body: otlpValue{"stringValue": string(bytes.TrimSpace(line))}}, ""
	}
	text := func(key string) string {
		s, _ := fields[key].(string)
		delete(fields, key)
		return s
	}
	if at, err := time.Parse(time.RFC3339Nano, text("timestamp")); err == nil {
		record.Time = strconv.FormatInt(at.UnixNano(), 10)
	}
	record.Level, record.Body = text(slog.LevelKey), otlpValue{"stringValue": text(slog.MessageKey)}
	trace, _ := fields["dd.trace_id"].(string)
	span, err := strconv.ParseUint(fmt.Sprint(fields["dd.span_id"]), 10, 64)
	if id, notHex := hex.DecodeString(trace); err == nil && notHex == nil && len(id) == 16 {
		record.TraceID, record.SpanID = trace, fmt.Sprintf("%016x", span)
		delete(fields, "dd.trace_id")
		delete(fields, "dd.span_id")
	}
	service = text("dd.service")
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		record.Attributes = append(record.Attributes, otlpField{key, otlpAttribute(fields[key])})
	}
	return record, service
}

func otlpAttribute(v any) otlpValue {
	switch v := v.(type) {
	case string:
		return otlpValue{"stringValue": v}
	case bool:
		return otlpValue{"boolValue": v}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return otlpValue{"intValue": strconv.FormatInt(n, 10)}
		}
		if f, err := v.Float64(); err == nil {
			return otlpValue{"doubleValue": f}
		}
	}
	text, _ := json.Marshal(v) // it was decoded from JSON
	return otlpValue{"stringValue": string(text)}
}
