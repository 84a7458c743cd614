package viewer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/pprof/profile"

	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// uploaded returns the pages of a store that has received profiles.
func uploaded(t *testing.T, profiles ...*profile.Profile) http.Handler {
	t.Helper()
	s := store.New(0)
	for _, p := range profiles {
		s.AddProfiles(cpuUpload(t, p, nil))
	}
	return New(Config{Store: s})
}

// cpuUpload returns an upload with a CPU profile, and with an event unless that is nil.
func cpuUpload(t *testing.T, p *profile.Profile, event any) wire.Upload {
	t.Helper()
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	if event != nil {
		part, err := w.CreateFormFile("event", "event.json")
		if err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(part).Encode(event); err != nil {
			t.Fatal(err)
		}
	}
	part, err := w.CreateFormFile("cpu", "cpu.pprof")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(part); err != nil {
		t.Fatal(err)
	}
	w.Close()
	upload, err := wire.DecodeUpload(w.FormDataContentType(), &form)
	if err != nil {
		t.Fatal(err)
	}
	return upload
}

// profileOf returns a profile with one sample of a function in a source file.
func profileOf(function, file string, mapping *profile.Mapping) *profile.Profile {
	f := &profile.Function{ID: 1, Name: function, SystemName: function, Filename: file, StartLine: 1}
	l := &profile.Location{ID: 1, Address: 0x1100, Mapping: mapping, Line: []profile.Line{{Function: f, Line: 1}}}
	return &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		Mapping:    []*profile.Mapping{mapping},
		Function:   []*profile.Function{f},
		Location:   []*profile.Location{l},
		Sample: []*profile.Sample{{
			Location: []*profile.Location{l}, Value: []int64{1, 20_000_000},
			Label: map[string][]string{"trace endpoint": {"javascript:alert(1)"}, "javascript:alert(2)": {"javascript:alert(3)"}},
		}},
		DocURL:   "https://evil.example/doc",
		Comments: []string{"javascript:alert(4)"},
	}
}

// TestHostileProfile requests views of a profile that names a file, a binary and
// links. pprof's other views would read the file, run programs on the binary and
// write settings.
func TestHostileProfile(t *testing.T) {
	const secret = "the content of a private file"
	dir, home, ran := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "ran")
	private := filepath.Join(dir, "private.go")
	if err := os.WriteFile(private, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tool := range []string{"dot", "objdump", "nm", "addr2line", "llvm-symbolizer", "perf_to_profile"} {
		if err := os.WriteFile(filepath.Join(dir, tool), []byte("#!/bin/sh\necho $0 >> "+ran+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", "")
	t.Setenv("PPROF_BINARY_PATH", dir)
	t.Chdir(dir)
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	h := uploaded(t, profileOf("main.hot", private, &profile.Mapping{ID: 1, Start: 0x1000, Limit: 0x2000, File: binary, BuildID: "*", HasFunctions: true}))

	for _, view := range []string{
		"source?f=.", "disasm?f=.", "weblist?f=.", "list?f=.", "graph", "dot", "svg", "web", "gv", "raw", "proto", "traces", "tags", "text",
		"saveconfig?config=x", "deleteconfig?config=x", "flamegraph2", "flamegraphold", "", "/", "Top", "top/", "private.go", "..%2fsource?f=.",
	} {
		w := fetch(t, h, "/profiles/1/"+view)
		if w.Code != http.StatusNotFound && w.Code/100 != 3 || strings.Contains(w.Body.String(), secret) {
			t.Errorf("%s: status %d, want 404: %.200s", view, w.Code, w.Body)
		}
		if to := w.Header().Get("Location"); to != "" && fetch(t, h, to).Code != http.StatusNotFound {
			t.Errorf("%s redirects to %s", view, to)
		}
	}
	for _, query := range []string{"", "?f=hot&i=x&h=x&s=.&sf=hot&p=hot", "?si=samples", "?endpoint=" + url.QueryEscape("javascript:alert(1)")} {
		for _, view := range []string{"flamegraph", "top", "peek"} {
			w := fetch(t, h, "/profiles/1/"+view+query)
			got := w.Body.String()
			if w.Code != http.StatusOK || !strings.Contains(got, "main.hot") || strings.Contains(got, secret) {
				t.Errorf("%s%s: status %d: %.300s", view, query, w.Code, got)
			}
			if m := regexp.MustCompile(`(?i)href\s*=\s*["']?\s*(javascript:|https?://evil)`).FindString(got); m != "" {
				t.Errorf("%s%s has the link %s", view, query, m)
			}
		}
	}
	for _, parameter := range []string{"source_path", "trim_path", "output", "divide_by", "config", "tools", "g", "nf", "n", "unit", "tagroot", "symbolize", "base", "x"} {
		w := fetch(t, h, "/profiles/1/top?"+parameter+"=1")
		if want := fmt.Sprintf("unknown parameter %q, must be one of endpoint, span, f, i, h, s, sf, si, p, service, kind, from, to, base_from, base_to", parameter); w.Code != http.StatusBadRequest || strings.TrimSpace(w.Body.String()) != want {
			t.Errorf("%s: status %d, want 400: %s", parameter, w.Code, w.Body)
		}
	}
	if w := fetch(t, h, "/profiles/1/top?f="+url.QueryEscape("(")); w.Code != http.StatusBadRequest {
		t.Errorf("malformed expression: status %d, want 400: %s", w.Code, w.Body)
	}
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("the home directory has %v, %v", left, err)
	}
	if programs, err := os.ReadFile(ran); err == nil {
		t.Errorf("programs ran: %s", programs)
	}
}

// TestDownload: the file is the uploaded profile, or its samples of one endpoint.
func TestDownload(t *testing.T) {
	mapping := &profile.Mapping{ID: 1, Start: 0x1000, Limit: 0x2000, File: "/app/web", BuildID: "abc", HasFunctions: true}
	h := uploaded(t, profileOf("main.hot", "main.go", mapping))
	for query, samples := range map[string]int{"": 1, "?endpoint=none": 0} {
		w := fetch(t, h, "/profiles/1/download"+query)
		p, err := profile.Parse(w.Body)
		if err != nil {
			t.Fatalf("status %d: %v", w.Code, err)
		}
		if len(p.Sample) != samples || p.Mapping[0].File != "/app/web" || p.Mapping[0].BuildID != "abc" {
			t.Errorf("%q: %d samples, want %d; mapping %+v", query, len(p.Sample), samples, p.Mapping[0])
		}
		if got := w.Header().Get("Content-Disposition"); got != `attachment; filename="profile.pb.gz"` {
			t.Errorf("disposition %q", got)
		}
	}
}

// TestPprofPagesHaveNoDeadLinks follows the links of pprof's pages that are not
// hidden.
func TestPprofPagesHaveNoDeadLinks(t *testing.T) {
	h := uploaded(t, profileOf("main.hot", "main.go", &profile.Mapping{ID: 1, HasFunctions: true}))
	link := regexp.MustCompile(`<a [^>]*href="([^"]*)"[^>]*>`)
	id := regexp.MustCompile(`id="([^"]*)"`)
	for _, view := range views {
		at := &url.URL{Path: "/profiles/1/" + view}
		got := fetch(t, h, at.Path).Body.String()
		var followed []string
		for _, m := range link.FindAllStringSubmatch(got, -1) {
			if own := id.FindStringSubmatch(m[0]); own != nil && strings.Contains(withoutDeadLinks, "#"+own[1]) {
				continue
			}
			to, err := at.Parse(html.UnescapeString(m[1]))
			if err != nil {
				t.Fatal(err)
			}
			if w := fetch(t, h, to.RequestURI()); w.Code != http.StatusOK {
				t.Errorf("%s has a link to %s: status %d", view, to, w.Code)
			}
			followed = append(followed, to.Path)
		}
		for _, want := range []string{"/profiles", "/profiles/1/flamegraph", "/profiles/1/top", "/profiles/1/peek", "/profiles/1/download"} {
			if !slices.Contains(followed, want) {
				t.Errorf("%s has no link to %s", view, want)
			}
		}
		if strings.Count(got, withoutDeadLinks) != 1 {
			t.Errorf("%s does not hide dead links", view)
		}
	}
}

// TestFlameGraphsAtTheSameTime: under -race it fails when two requests start pprof's
// driver at once.
func TestFlameGraphsAtTheSameTime(t *testing.T) {
	h := uploaded(t, profileOf("main.first", "a.go", &profile.Mapping{ID: 1}), profileOf("main.second", "b.go", &profile.Mapping{ID: 1}))
	var requests sync.WaitGroup
	for i := range 8 {
		requests.Go(func() {
			own, other := "main.first", "main.second"
			if i%2 == 1 {
				own, other = other, own
			}
			w := fetch(t, h, fmt.Sprintf("/profiles/%d/%s", 1+i%2, views[i/2%len(views)]))
			if got := w.Body.String(); w.Code != http.StatusOK || !strings.Contains(got, own) || strings.Contains(got, other) {
				t.Errorf("status %d, want %s and no %s", w.Code, own, other)
			}
		})
	}
	requests.Wait()
}
