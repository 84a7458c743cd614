package service

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"apmapp/internal/testing/poll"
)

func TestLinesAsOTLP(t *testing.T) {
	lines := `{"timestamp":"2026-11-26T02:46:34.969921564Z","level":"WARN","msg":"a","dd.service":"shop","dd.trace_id":"0123456789abcdef0123456789abcdef","dd.span_id":"255","n":12345678901234567,"f":0.5,"ok":true,"list":[1]}
{"msg":"b","dd.service":"shop","dd.trace_id":"17","dd.span_id":"18"}
no JSON
`
	request := plogotlp.NewExportRequest()
	if err := request.UnmarshalJSON(otlpLogs([]byte(lines))); err != nil {
		t.Fatal(err)
	}
	resource := request.Logs().ResourceLogs().At(0)
	if got, _ := resource.Resource().Attributes().Get("service.name"); got.Str() != "shop" {
		t.Errorf("service.name is %q, want shop", got.Str())
	}
	records := resource.ScopeLogs().At(0).LogRecords()
	if records.Len() != 3 {
		t.Fatalf("%d records, want 3", records.Len())
	}
	first := records.At(0)
	if at := first.Timestamp().AsTime(); at.Format(time.RFC3339Nano) != "2026-11-26T02:46:34.969921564Z" {
		t.Errorf("the time is %s", at)
	}
	if first.SeverityText() != "WARN" || first.Body().Str() != "a" || first.TraceID().String() != "0123456789abcdef0123456789abcdef" || first.SpanID().String() != "00000000000000ff" {
		t.Errorf("got %s %q of trace %s and span %s", first.SeverityText(), first.Body().Str(), first.TraceID(), first.SpanID())
	}
	attributes := first.Attributes().AsRaw()
	for key, want := range map[string]any{"n": int64(12345678901234567), "f": 0.5, "ok": true, "list": "[1]"} {
		if attributes[key] != want {
			t.Errorf("%s is %v, want %v", key, attributes[key], want)
		}
	}
	if len(attributes) != 4 {
		t.Errorf("attributes %v, want four", attributes)
	}
	// IDs in another form stay attributes.
	if second := records.At(1); !second.TraceID().IsEmpty() || second.Attributes().AsRaw()["dd.trace_id"] != "17" {
		t.Errorf("trace %s, attributes %v; want dd.trace_id 17", second.TraceID(), second.Attributes().AsRaw())
	}
	if third := records.At(2).Body().Str(); third != "no JSON" {
		t.Errorf("the line is %q", third)
	}
}

// The receiver gets every line, up to the last one.
func TestServiceSendsItsLog(t *testing.T) {
	var received atomic.Int64
	var last atomic.Value
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		request := plogotlp.NewExportRequest()
		if err := request.UnmarshalJSON(body); err != nil || r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %v", r.URL.Path, r.Header.Get("Content-Type"), err)
		}
		received.Add(int64(request.Logs().LogRecordCount()))
		records := request.Logs().ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
		last.Store(records.At(records.Len() - 1).Body().Str())
	}))
	defer receiver.Close()
	cfg := valid(t)
	cfg.LogOTLP, cfg.RetentionInterval = receiver.URL+"/", poll.Limit
	s, logs, stop, ended := serve(t, cfg)
	if !s.logs[1].impatient {
		t.Error("requests wait for the receiver")
	}
	stop()
	if err := ended(); err != nil {
		t.Fatal(err)
	}
	if want := int64(strings.Count(logs.String(), "\n")); received.Load() != want || last.Load() != "stopped" {
		t.Errorf("the receiver got %d lines, the last is %v; want %d and stopped", received.Load(), last.Load(), want)
	}
}

// A receiver that fails or does not answer costs the lines, which are counted, and
// delays nothing.
func TestReceiverFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan int, 1)
		p := newLogPost("http://receiver")
		var requests int
		p.client.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			requests++
			select {
			case status := <-answer:
				return &http.Response{StatusCode: status, Body: http.NoBody}, nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		w := newLogWriter(p, "")
		write := func(want int) {
			t.Helper()
			start := time.Now()
			if _, err := w.Write([]byte("{}\n")); err != nil || time.Since(start) > 0 {
				t.Errorf("Write took %s, %v", time.Since(start), err)
			}
			w.flush()
			if lost, _ := w.lost(); lost != want {
				t.Errorf("%d lines were dropped, want %d", lost, want)
			}
		}
		write(1) // no answer
		write(2) // not sent, because it is too soon
		if requests != 1 {
			t.Errorf("%d requests, want 1 until a second has passed", requests)
		}
		time.Sleep(postPause)
		answer <- http.StatusServiceUnavailable
		write(3)
		time.Sleep(postPause)
		answer <- http.StatusOK
		write(3)
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestLogOTLPErrors(t *testing.T) {
	for endpoint, want := range map[string]string{
		"localhost:4318":              `log-otlp must be a URL such as http://localhost:4318, got "localhost:4318"`,
		"ftp://localhost":             `log-otlp must be a URL such as http://localhost:4318, got "ftp://localhost"`,
		"http://":                     `log-otlp must be a URL such as http://localhost:4318, got "http://"`,
		"http://:4318":                `log-otlp must be a URL such as http://localhost:4318, got "http://:4318"`,
		"http://localhost:4318?a=b":   `log-otlp must be a URL such as http://localhost:4318, got "http://localhost:4318?a=b"`,
		"http://localhost:x":          `log-otlp must be a URL such as http://localhost:4318, got "http://localhost:x"`,
		"http://me:secret@localhost/": `log-otlp must have no user and password, got http://me:xxxxx@localhost/`,
	} {
		cfg := valid(t)
		cfg.LogOTLP = endpoint
		if err := cfg.Validate(); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", endpoint, err, want)
		}
	}
	cfg := valid(t)
	cfg.LogOTLP = "https://collector.example.com:4318/prefix"
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
}
