package viewer

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"apmapp/internal/local/store"
	"apmapp/internal/local/wire"
)

// uploadOf returns an upload of a service with a CPU profile of a time.
func uploadOf(t *testing.T, service string, start time.Time, length time.Duration, p *profile.Profile) wire.Upload {
	t.Helper()
	return cpuUpload(t, p, map[string]any{"start": start, "end": start.Add(length), "tags_profiler": "service:" + service})
}

// TestMergedProfiles: profiles of a time are summed up, and compared with another time. The
// values of the base are scaled to the same length.
func TestMergedProfiles(t *testing.T) {
	at := func(minutes int) time.Time {
		return time.Unix(1_700_000_000, 0).Add(time.Duration(minutes) * time.Minute)
	}
	s := store.New(0)
	for i, of := range []struct {
		service, function string
		minutes           int
	}{{"web", "main.old", 2}, {"web", "main.both", 1}, {"web", "main.new", 1}, {"db", "main.other", 1}} {
		start := []int{0, 2, 3, 2}[i]
		s.AddProfiles(uploadOf(t, of.service, at(start), time.Duration(of.minutes)*time.Minute, profileOf(of.function, "main.go", &profile.Mapping{ID: 1, Start: 0x1000, Limit: 0x2000, File: "web"})))
	}
	h := New(Config{Store: s})
	query := func(from, to, baseFrom, baseTo int) string {
		q := url.Values{"service": {"web"}, "kind": {"cpu"}}
		for name, minutes := range map[string]int{"from": from, "to": to, "base_from": baseFrom, "base_to": baseTo} {
			if minutes >= 0 {
				q.Set(name, fmt.Sprint(at(minutes).UnixMilli()))
			}
		}
		return "?" + q.Encode()
	}
	for _, c := range []struct {
		query     string
		want, not string // functions
	}{
		{query(-1, -1, -1, -1), "main.old main.both main.new", "main.other"},
		{query(2, -1, -1, -1), "main.both main.new", "main.old"}, // the first one ends when it begins
		{query(-1, 3, -1, -1), "main.old main.both", "main.new"},
		{query(1, 2, -1, -1), "main.old", "main.both main.new"}, // overlaps
		{query(3, -1, 2, 3), "main.both main.new", "main.old"},
		{query(3, -1, 0, 2), "main.new main.old", "main.both"},
		{query(3, -1, -1, 2), "main.new main.old", "main.both"},
		{query(-1, -1, -1, -1) + "&endpoint=" + url.QueryEscape("javascript:alert(1)"), "main.old main.both main.new", ""},
	} {
		w := fetch(t, h, "/profiles/merged/flamegraph"+c.query)
		if w.Code != http.StatusOK {
			t.Errorf("%s: status %d: %s", c.query, w.Code, w.Body)
		}
		for name := range strings.FieldsSeq(c.want) {
			if !strings.Contains(w.Body.String(), name) {
				t.Errorf("%s does not show %s", c.query, name)
			}
		}
		for name := range strings.FieldsSeq(c.not) {
			if strings.Contains(w.Body.String(), name) {
				t.Errorf("%s shows %s", c.query, name)
			}
		}
		for _, want := range []string{`<a href="/profiles?service=web">← profiles</a>`, "prefers-color-scheme: dark"} {
			if !strings.Contains(w.Body.String(), want) {
				t.Errorf("%s has no %s", c.query, want)
			}
		}
	}
	// 20 ms in the one minute, and 20 ms in two minutes, which are 10 ms in one: -10 ms of old.
	top := fetch(t, h, "/profiles/merged/top"+query(3, -1, 0, 2)+"&si=cpu").Body.String()
	for _, want := range []string{`"Name":"main.new","InlineLabel":"","Flat":20000000,"Cum":20000000`, `"Name":"main.old","InlineLabel":"","Flat":-10000000,"Cum":-10000000`} {
		if !strings.Contains(top, want) {
			t.Errorf("no %s in %s", want, top)
		}
	}
	sum, err := profile.Parse(fetch(t, h, "/profiles/merged/download"+query(2, -1, -1, -1)).Body)
	if err != nil || len(sum.Sample) != 2 {
		t.Errorf("%v, %v", sum, err)
	}
	for _, c := range []struct {
		path   string
		status int
		want   string
	}{
		{"/profiles/merged/flamegraph?service=web&kind=heap", 404, "No heap profile of web has arrived for this time"},
		{"/profiles/merged/flamegraph" + query(10, -1, -1, -1), 404, "No cpu profile of web"},
		{"/profiles/merged/flamegraph" + query(2, -1, 10, 12), 404, "No cpu profile of web"},
		{"/profiles/merged/flamegraph?service=web", 400, "service and kind must be set"},
		{"/profiles/merged/flamegraph?kind=cpu", 400, "service and kind must be set"},
		{"/profiles/merged/flamegraph?service=web&kind=cpu&from=noon", 400, `from must be a time in milliseconds since 1970, got "noon"`},
		{"/profiles/merged/flamegraph" + query(3, 2, -1, -1), 400, "a time must begin before it ends"},
		{"/profiles/merged/flamegraph" + query(3, 3, -1, -1), 400, "a time must begin before it ends"},
		{"/profiles/merged/flamegraph" + query(3, -1, 2, 1), 400, "a time must begin before it ends"},
		{"/profiles/merged/flamegraph?service=web&kind=cpu&tools=x", 400, `unknown parameter "tools"`},
		{"/profiles/merged/source?service=web&kind=cpu", 404, "There is no page"},
	} {
		if w := fetch(t, h, c.path); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: status %d, want %d and %q: %s", c.path, w.Code, c.status, c.want, w.Body)
		}
	}
	list := fetch(t, h, "/profiles").Body.String()
	for _, want := range []string{
		`<option selected>db</option><option>web</option>`, `<option selected>cpu</option>`,
		fmt.Sprintf(`<a href="/profiles/merged/flamegraph?base_from=%d&amp;base_to=%d&amp;from=%d&amp;kind=cpu&amp;service=web&amp;to=%d">changes since before</a>`,
			at(2).UnixMilli(), at(3).UnixMilli(), at(3).UnixMilli(), at(4).UnixMilli()),
	} {
		if !strings.Contains(list, want) {
			t.Errorf("no %s in %s", want, list)
		}
	}
	if n := strings.Count(list, "changes since before"); n != 2 {
		t.Errorf("%d comparisons, want 2: the first profile has none before it", n)
	}
	if list := fetch(t, h, "/profiles?service=web").Body.String(); !strings.Contains(list, fmt.Sprintf(`<option value="%d">`, at(3).UnixMilli())) || strings.Contains(list, "<td class=\"extra\">db</td>") {
		t.Error(list)
	}
}
