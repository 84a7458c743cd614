package wire

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"mime/multipart"
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
	upload := func(files map[string][]byte) (Upload, error) {
		contentType, body := form(t, files)
		return DecodeUpload(contentType, body)
	}
	u, err := upload(map[string][]byte{"event.json": event, "delta-heap.pprof": heap.Bytes(), "main.jfr": []byte("jfr")})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(u.Others); got != "[.jfr]" {
		t.Errorf("other files: %s", got)
	}
	if len(u.Profiles) != 1 {
		t.Fatalf("%d profiles, want 1", len(u.Profiles))
	}
	p := u.Profiles[0]
	if p.Service != "web" || p.Kind != "heap" || p.Start.IsZero() || p.End.Sub(p.Start) != time.Minute || p.Size() < int64(heap.Len()) {
		t.Fatalf("%+v", p)
	}
	if read, err := p.Parse(); err != nil || len(read.SampleType) != 4 {
		t.Errorf("the profile has not 4 values: %v", err)
	}
	tooMany := map[string][]byte{"event.json": event}
	for i := range maxParts {
		tooMany[fmt.Sprint(i, ".jfr")] = nil
	}
	for _, c := range []struct {
		name  string
		files map[string][]byte
		want  string
	}{
		{"malformed profile", map[string][]byte{"event.json": event, "cpu.pprof": []byte("nonsense")}, "cpu.pprof: "},
		{"malformed event", map[string][]byte{"event.json": []byte("{"), "cpu.pprof": heap.Bytes()}, "event: "},
		{"no values", map[string][]byte{"event.json": event, "cpu.pprof": []byte("\x0a\x04\x08\x01\x10\x02\x12\x00\x32\x00\x32\x03cpu\x32\x0bnanoseconds")}, "cpu.pprof: "},
		{"decompression bomb", map[string][]byte{"event.json": event, "cpu.pprof": gzipped(t, maxProfile)}, "cpu.pprof: profile is larger than 64.0MB after decompression"},
		{"truncated", map[string][]byte{"event.json": event, "cpu.pprof": heap.Bytes()[:heap.Len()/2]}, "cpu.pprof: "},
		{"too many files", tooMany, "an upload must have at most 100 files"},
	} {
		if _, err := upload(c.files); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	for _, contentType := range []string{"", "text/plain", "multipart/form-data", "multipart/mixed; boundary=x"} {
		want := fmt.Sprintf("content type must be multipart/form-data with a boundary, got %q", contentType)
		if _, err := DecodeUpload(contentType, strings.NewReader("x")); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// gzipped returns more than n zeros, compressed.
func gzipped(t *testing.T, n int64) []byte {
	t.Helper()
	var out bytes.Buffer
	// A megabyte is compressed once and repeated: gzip reads several members as one.
	w := gzip.NewWriter(&out)
	if _, err := w.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(out.Bytes(), int(n>>20)+1)
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
		u, err := DecodeUpload(w.FormDataContentType(), &body)
		if err != nil && len(u.Profiles) > 0 {
			t.Error("an upload with an error has profiles")
		}
		for _, p := range u.Profiles {
			read, err := p.Parse()
			if err != nil {
				t.Fatal(err)
			}
			OnlyFor(read, "GET /", 7)
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
