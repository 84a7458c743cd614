package localagent

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"mime/multipart"
	"net/http/httptest"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"
)

// form returns an upload like a profiler's.
func form(t *testing.T, files map[string][]byte) (contentType string, body *bytes.Buffer) {
	t.Helper()
	body = new(bytes.Buffer)
	w := multipart.NewWriter(body)
	for name, data := range files {
		field := strings.TrimSuffix(name, filepath.Ext(name))
		part, err := w.CreateFormFile(field, name)
		if err != nil {
			t.Fatal(err)
		}
		part.Write(data)
	}
	w.Close()
	return w.FormDataContentType(), body
}

func TestUpload(t *testing.T) {
	var heap bytes.Buffer
	if err := pprof.Lookup("heap").WriteTo(&heap, 0); err != nil {
		t.Fatal(err)
	}
	event := []byte(`{"start":"2026-01-02T03:04:05Z","end":"2026-01-02T03:05:05Z","tags_profiler":"env:dev,service:web"}`)
	s := NewStore(0)
	upload := func(files map[string][]byte) error {
		contentType, body := form(t, files)
		r := httptest.NewRequest("POST", "/profiling/v1/input", body)
		r.Header.Set("Content-Type", contentType)
		return s.Upload(r)
	}
	if err := upload(map[string][]byte{"event.json": event, "delta-heap.pprof": heap.Bytes(), "main.jfr": []byte("jfr")}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(s.LeftOut()); got != "map[.jfr:1]" {
		t.Errorf("left out: %s", got)
	}
	all := s.Profiles("web", "heap")
	if len(all) != 1 || all[0].Start.IsZero() || all[0].End.Sub(all[0].Start) != time.Minute {
		t.Fatalf("%+v", all)
	}
	if _, p, ok := s.Profile(all[0].ID); !ok || len(p.SampleType) != 4 {
		t.Error("the profile is not found, or has not 4 values")
	}
	if _, _, ok := s.Profile(all[0].ID + 1); ok {
		t.Error("a profile that was not uploaded is found")
	}
	for name, files := range map[string]map[string][]byte{
		"malformed profile":  {"event.json": event, "cpu.pprof": []byte("nonsense")},
		"malformed event":    {"event.json": []byte("{"), "cpu.pprof": heap.Bytes()},
		"no values":          {"event.json": event, "cpu.pprof": []byte("\x0a\x04\x08\x01\x10\x02\x12\x00\x32\x00\x32\x03cpu\x32\x0bnanoseconds")},
		"decompression bomb": {"event.json": event, "cpu.pprof": gzipped(t, maxProfile+1)},
		"truncated":          {"event.json": event, "cpu.pprof": heap.Bytes()[:heap.Len()/2]},
	} {
		if err := upload(files); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	r := httptest.NewRequest("POST", "/", strings.NewReader("x"))
	if err := s.Upload(r); err == nil {
		t.Error("a body that is not a form is accepted")
	}
	if n := len(s.Profiles("", "")); n != 1 {
		t.Errorf("%d profiles, want 1", n)
	}
}

// gzipped returns n zeros, compressed.
func gzipped(t *testing.T, n int64) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.CopyN(w, zeros{}, n); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func FuzzUpload(f *testing.F) {
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "cpu", Unit: "nanoseconds"}},
		Sample:     []*profile.Sample{{Value: []int64{1}, Label: map[string][]string{spanLabel: {"7"}, endpointLabel: {"GET /"}}}},
	}
	var plain bytes.Buffer
	if err := p.WriteUncompressed(&plain); err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"start":"2026-01-02T03:04:05Z","tags_profiler":"service:web"}`), plain.Bytes(), "cpu.pprof")
	f.Add([]byte(`{}`), []byte{0x1f, 0x8b}, "heap.pprof")
	f.Add([]byte(`[`), []byte{0x28, 0xb5, 0x2f, 0xfd}, "main.jfr")
	f.Fuzz(func(t *testing.T, event, data []byte, name string) {
		var body bytes.Buffer
		w := multipart.NewWriter(&body)
		for field, content := range map[string][]byte{"event": event, name: data} {
			part, err := w.CreateFormFile(field, field)
			if err != nil {
				t.Skip(err)
			}
			part.Write(content)
		}
		w.Close()
		r := httptest.NewRequest("POST", "/profiling/v1/input", &body)
		r.Header.Set("Content-Type", w.FormDataContentType())
		s := NewStore(0)
		err := s.Upload(r)
		for _, stored := range s.Profiles("", "") {
			if _, read, ok := s.Profile(stored.ID); err != nil || !ok {
				t.Errorf("an invalid profile is stored: %v", err)
			} else {
				OnlyFor(read, "GET /", 7)
			}
		}
	})
}

func TestOnlyFor(t *testing.T) {
	sample := func(endpoint, span, root string) *profile.Sample {
		return &profile.Sample{Value: []int64{1, 10}, Label: map[string][]string{endpointLabel: {endpoint}, spanLabel: {span}, rootLabel: {root}}}
	}
	samples := func() *profile.Profile {
		return &profile.Profile{
			SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
			Sample: []*profile.Sample{sample("GET /", "1", "1"), sample("GET /", "2", "1"), sample("GET /x", "3", "3"), {Value: []int64{1, 10}},
				{Value: []int64{1, 10}, NumLabel: map[string][]int64{spanLabel: {-1}}}}, // half of all IDs are negative as int64
		}
	}
	if got := fmt.Sprint(Endpoints(samples())); got != "map[GET /:2 GET /x:1]" {
		t.Error(got)
	}
	if got := fmt.Sprint(spans(samples())); got != "map[1:20ns 2:10ns 3:10ns 18446744073709551615:10ns]" {
		t.Error(got)
	}
	if got := spans(&profile.Profile{SampleType: []*profile.ValueType{{Type: "delay", Unit: "nanoseconds"}}}); got != nil {
		t.Error(got)
	}
	for _, test := range []struct {
		endpoint string
		span     uint64
		want     int
	}{{"", 0, 5}, {"GET /", 0, 2}, {"", 2, 1}, {"", 1, 2}, {"GET /x", 1, 0}, {"", math.MaxUint64, 1}} {
		p := samples()
		if OnlyFor(p, test.endpoint, test.span); len(p.Sample) != test.want {
			t.Errorf("%q, %d: %d samples, want %d", test.endpoint, test.span, len(p.Sample), test.want)
		}
	}
}
