package report

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"apmapp/loadgen/openloop"
)

// FuzzMerge merges two load reports, as they are read from files, and shows the
// result. No report may make that panic, and the result is a report again. The
// first report is any text; the second one is valid JSON with any values.
func FuzzMerge(f *testing.F) {
	valid := newResult()
	for i := range valid.Paths {
		valid.Paths[i].Statuses, valid.Paths[i].Failures = map[int]int64{200: 1}, map[string]int64{}
	}
	full, empty := reportJSON(f, valid), reportJSON(f, newEmptyResult())
	histogram := marshal(f, durations(3, time.Second))
	var summary struct{ HDR string }
	if err := json.Unmarshal([]byte(histogram), &summary); err != nil {
		f.Fatal(err)
	}
	const second, year = int64(time.Second), 365 * 24 * int64(time.Hour)
	start := valid.Start.Unix()
	f.Add(full, start+1, 5*second, 6*second, second, uint16(5), int64(7), 200, "reset", summary.HDR)
	f.Add(empty, start-9*year/second, 9*year, 9*year, 9*year, uint16(1), int64(1), 500, "", "")
	f.Add(empty, start+11*year/second, second, second, int64(1), uint16(1200), int64(1)<<50, -1, "", summary.HDR)
	f.Add(full, start, second, second, second, uint16(0), int64(-1), 99, "\x1b[2J", "?")
	f.Add("{}", start, int64(0), int64(0), int64(0), uint16(0), int64(0), 0, "", "")
	f.Fuzz(func(t *testing.T, first string, start, asked, elapsed, length int64, intervals uint16, count int64, status int, kind, hdr string) {
		a, err := ReadJSON(strings.NewReader(first))
		if err != nil {
			return
		}
		path := map[string]any{
			"path": kind, "arrivals": count, "dropped": count, "bytes": count, "unexpected": count,
			"statuses": map[int]int64{status: count}, "failures": map[string]int64{kind: count},
			"response": json.RawMessage(histogram), "service": json.RawMessage(histogram),
		}
		interval := map[string]any{
			"arrivals": count, "dropped": count, "failed": count, "served": count, "scheduled": float64(asked) / 1e9,
			"response": map[string]any{"p50_ns": length, "p99_ns": asked, "max_ns": elapsed, "hdr": hdr},
		}
		sample := map[string]any{"trace_id": hdr, "path": kind, "offset_ns": asked, "response_ns": elapsed, "failure": kind, "status": status}
		data, err := json.Marshal(map[string]any{
			"format": 1, "runs": []any{map[string]any{"id": hdr, "target": kind, "shard": count}}, "errors": map[string]string{kind: hdr},
			"start": time.Unix(start, 0).UTC(), "sending_ns": asked, "waiting_ns": elapsed, "achieved": count, "scheduled": float64(elapsed) / 1e9,
			"lateness": json.RawMessage(histogram), "total": path, "paths": []any{path, path},
			"slowest": slices.Repeat([]any{sample}, 11), "failed": []any{sample},
			"series": map[string]any{"length_ns": length, "intervals": slices.Repeat([]any{interval}, int(intervals)%1300)},
		})
		if err != nil {
			return // a year of more than four digits
		}
		b, err := ReadJSON(bytes.NewReader(data))
		if err != nil {
			return
		}
		m, err := openloop.Merge(a, b)
		if err != nil {
			return
		}
		if m.Total.Arrivals != a.Total.Arrivals+count {
			t.Errorf("%d arrivals, want %d and %d", m.Total.Arrivals, a.Total.Arrivals, count)
		}
		for _, write := range []func(io.Writer, *openloop.Result) error{Text, HTML, Percentiles} {
			if err := write(io.Discard, m); err != nil {
				t.Error(err)
			}
		}
		if _, err := ReadJSON(strings.NewReader(reportJSON(t, m))); err != nil {
			t.Error(err)
		}
	})
}

func reportJSON(t testing.TB, r *openloop.Result) string {
	t.Helper()
	var b strings.Builder
	if err := JSON(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
