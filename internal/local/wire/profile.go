package wire

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/pprof/profile"
	"github.com/klauspost/compress/zstd"

	"apmapp/internal/format"
)

// Profile is one profile of one upload.
type Profile struct {
	ID int64 `json:"id"`
	// Kind is cpu, heap, goroutine, mutex or another name that the profiler uses.
	Kind    string    `json:"kind"`
	Service string    `json:"service"`
	Start   time.Time `json:"start"`
	End     time.Time `json:"end"`
	// Endpoints are the endpoints that samples are labeled with, sorted.
	Endpoints []string `json:"-"`
	// Spans has the CPU time of each span: of the samples that are labeled with it,
	// as the innermost span or as the first of its process.
	Spans map[uint64]time.Duration `json:"-"`

	data []byte // as received, compressed
}

// Size estimates the profile in memory, in bytes.
func (p *Profile) Size() int64 { return int64(len(p.data)) + 48*int64(len(p.Spans)) + 256 }

const (
	// MaxUpload bounds an upload; Datadog's own intake takes 50 MB.
	MaxUpload = 50 << 20
	// maxProfile bounds a profile after decompression: large ones have some MB, and
	// ten times as much when parsed.
	maxProfile = 64_000_000
	// maxParts bounds the files of an upload; profilers send about ten.
	maxParts = 100
)

// Upload is the files that a profiler sends at once.
type Upload struct {
	Profiles []*Profile
	// Others are the extensions of files that are not pprof profiles, such as Java's
	// JFR.
	Others []string
}

// DecodeUpload decodes a multipart form, as Datadog's profilers send it. The caller
// bounds the body by MaxUpload.
func DecodeUpload(contentType string, body io.Reader) (Upload, error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "multipart/form-data" || params["boundary"] == "" {
		return Upload{}, fmt.Errorf("content type must be multipart/form-data with a boundary, got %q", contentType)
	}
	parts := multipart.NewReader(body, params["boundary"])
	var event struct {
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
		Tags  string    `json:"tags_profiler"`
	}
	var u Upload
	for n := 0; ; n++ {
		part, err := parts.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return Upload{}, err
		}
		if n == maxParts {
			return Upload{}, fmt.Errorf("an upload must have at most %d files", maxParts)
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return Upload{}, err
		}
		kind, isPprof := strings.CutSuffix(part.FileName(), ".pprof")
		switch {
		case part.FormName() == "event":
			if err := json.Unmarshal(data, &event); err != nil {
				return Upload{}, fmt.Errorf("event: %w", err)
			}
		case isPprof:
			p, err := parseProfile(data)
			if err != nil {
				return Upload{}, fmt.Errorf("%s: %w", part.FileName(), err)
			}
			u.Profiles = append(u.Profiles, &Profile{
				Kind:      strings.TrimPrefix(kind, "delta-"),
				Endpoints: slices.Sorted(maps.Keys(Endpoints(p))),
				Spans:     spans(p),
				data:      data,
			})
		default:
			u.Others = append(u.Others, path.Ext(part.FileName()))
		}
	}
	for _, p := range u.Profiles {
		p.Start, p.End, p.Service = event.Start, event.End, tag(event.Tags, "service")
	}
	return u, nil
}

// tag returns the value of a tag in a list such as "service:web,env:dev".
func tag(tags, name string) string {
	for t := range strings.SplitSeq(tags, ",") {
		if value, ok := strings.CutPrefix(t, name+":"); ok {
			return value
		}
	}
	return ""
}

// parseProfile parses a profile that is compressed with zstd or gzip, or is not
// compressed.
func parseProfile(data []byte) (*profile.Profile, error) {
	var r io.Reader
	switch {
	case bytes.HasPrefix(data, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		d, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderMaxMemory(maxProfile), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		r = d
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		d, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		r = d
	default:
		r = bytes.NewReader(data)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxProfile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxProfile {
		return nil, fmt.Errorf("profile is larger than %s after decompression", format.Bytes(maxProfile))
	}
	p, err := profile.ParseUncompressed(data)
	if err != nil {
		return nil, err
	}
	return p, p.CheckValid()
}

// Parse returns the parsed data. Each call returns a new copy.
func (p *Profile) Parse() (*profile.Profile, error) { return parseProfile(p.data) }

// Labels that Datadog's profiler sets on CPU samples.
const (
	endpointLabel = "trace endpoint"
	spanLabel     = "span id"
	rootLabel     = "local root span id"
)

// Endpoints returns the endpoints that samples are labeled with, and the number of
// samples of each.
func Endpoints(p *profile.Profile) map[string]int {
	all := map[string]int{}
	for _, s := range p.Sample {
		for _, endpoint := range s.Label[endpointLabel] {
			all[endpoint]++
		}
	}
	return all
}

// spans returns the CPU time of the samples of each span; nil if it is not a CPU
// profile.
func spans(p *profile.Profile) map[uint64]time.Duration {
	ns := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == "cpu" && t.Unit == "nanoseconds" })
	if ns < 0 {
		return nil
	}
	all := map[uint64]time.Duration{}
	for _, s := range p.Sample {
		inner, root := labeled(s, spanLabel), labeled(s, rootLabel)
		for _, id := range inner {
			all[id] += time.Duration(s.Value[ns])
		}
		for _, id := range root {
			if !slices.Contains(inner, id) {
				all[id] += time.Duration(s.Value[ns])
			}
		}
	}
	return all
}

// labeled returns the IDs in a label. Profilers write them as numbers or as text.
func labeled(s *profile.Sample, label string) []uint64 {
	var ids []uint64
	for _, text := range s.Label[label] {
		if id, err := strconv.ParseUint(text, 10, 64); err == nil {
			ids = append(ids, id)
		}
	}
	for _, id := range s.NumLabel[label] {
		ids = append(ids, uint64(id))
	}
	return ids
}

// OnlyFor deletes the samples of other endpoints and other spans; "" and 0 match all.
// Samples of spans below a process's first span belong to that one too.
func OnlyFor(p *profile.Profile, endpoint string, span uint64) {
	p.Sample = slices.DeleteFunc(p.Sample, func(s *profile.Sample) bool {
		return endpoint != "" && !slices.Contains(s.Label[endpointLabel], endpoint) ||
			span != 0 && !slices.Contains(labeled(s, spanLabel), span) && !slices.Contains(labeled(s, rootLabel), span)
	})
}
