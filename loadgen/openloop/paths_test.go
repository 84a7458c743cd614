package openloop

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPathsFollowTheirWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &server{answer: after(0)}
		cfg := config(t, s, 100, 10*time.Second)
		cfg.Paths = []Path{{"/a", 1}, {"/b", 3}, {"/c", 0.5}}
		r := run(t, t.Context(), cfg)
		for i, want := range []int64{222, 667, 111} {
			if got := r.Paths[i]; got.Path != cfg.Paths[i].Path || got.Arrivals != want || got.Completed() != want {
				t.Errorf("%s: %d due, %d completed of 1,000, want %d", got.Path, got.Arrivals, got.Completed(), want)
			}
		}
		// Nine requests have each path's share.
		if got, want := strings.Join(s.paths[:9], ""), "/b/a/b/b/c/b/b/a/b"; got != want {
			t.Errorf("the first nine are %s, want %s", got, want)
		}
		if strings.Join(s.paths[:9], "") != strings.Join(s.paths[9:18], "") {
			t.Errorf("not smooth: %v", s.paths[:18])
		}
	})
}

func TestParsePaths(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"/", "[{/ 1}]"},
		{"/=1,/api/trace=2", "[{/ 1} {/api/trace 2}]"},
		{"/a=0.5, /b", "[{/a 0.5} {/b 1}]"},
		// Every equals sign after a question mark belongs to the query.
		{"/info?id=7", "[{/info?id=7 1}]"},
		{"/search?q=go", "[{/search?q=go 1}]"},
		{"/search?t=YQ==", "[{/search?t=YQ== 1}]"},
		{"/a?x=1=2", "[{/a?x=1=2 1}]"},
		{"/search?q=a%2Cb", "[{/search?q=a%2Cb 1}]"},
		{"/a?", "[{/a? 1}]"},
		// A weight with a query precedes it.
		{"3:/info?id=7", "[{/info?id=7 3}]"},
		{"0.5:/a?x=1, 2:/b?y=2 ,/c=4", "[{/a?x=1 0.5} {/b?y=2 2} {/c 4}]"},
		{"2:/m=1", "[{/m=1 2}]"},
		{"/at=12:/x", `"/at=12:/x": weight must be a number greater than 0, got "12:/x"`},
		{"/at?t=12:/x", "[{/at?t=12:/x 1}]"},
		// A comma in a query belongs to it, unless a path follows.
		{"/search?q=a,b=3", "[{/search?q=a,b=3 1}]"},
		{"/search?q=a,3", "[{/search?q=a,3 1}]"},
		{"/search?q=a,,b,", "[{/search?q=a,,b, 1}]"},
		{"/a?x=1,/b", "[{/a?x=1 1} {/b 1}]"},
		{"/a?x=1,2,3:/b?y=4,5", "[{/a?x=1,2 1} {/b?y=4,5 3}]"},
		{"/a?x=1,/b=2", "[{/a?x=1 1} {/b 2}]"},
		{"/a?x=1,http://b", "[{/a?x=1,http://b 1}]"},
		{"/a,b", `path must start with a slash, got "b"`},
		{"0:/a?x", `"0:/a?x": weight must be a number greater than 0, got "0"`},
		{"-1:/a", `"-1:/a": weight must be a number greater than 0, got "-1"`},
		{":/a", `":/a": weight must be a number greater than 0, got ""`},
		{"many:/a", `path must start with a slash, got "many:/a"`},
		{"/a?x,/a?x", `path "/a?x" is listed twice`},
		{" /a = 0.5 , /b", `"/a = 0.5": weight must be a number greater than 0, got " 0.5"`},
		{"/=0", `"/=0": weight must be a number greater than 0, got "0"`},
		{"/=-1", `"/=-1": weight must be a number greater than 0, got "-1"`},
		{"/=NaN", `"/=NaN": weight must be a number greater than 0, got "NaN"`},
		{"/=Inf", `"/=Inf": weight must be a number greater than 0, got "Inf"`},
		{"/=", `"/=": weight must be a number greater than 0, got ""`},
		{"=1", `path must start with a slash, got "=1"`},
		{"", "an entry is empty: write a path such as / between two commas"},
		{"/,", "an entry is empty: write a path such as / between two commas"},
		{"api=1", `path must start with a slash, got "api=1"`},
		{"http://127.0.0.1/=1", `path must start with a slash, got "http://127.0.0.1/=1"`},
		{"/=1,/=2", `path "/" is listed twice`},
		{"/a b", `"/a b" is not a valid URL path: percent-encode special characters`},
		{"/%zz", `"/%zz" is not a valid URL path: percent-encode special characters`},
		{"/a#top", `"/a#top" is not a valid URL path: percent-encode special characters`},
	} {
		paths, err := ParsePaths(test.in)
		got := fmt.Sprint(paths)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%q: got %s, want %s", test.in, got, test.want)
		}
	}
}

func FuzzParsePaths(f *testing.F) {
	for _, seed := range []string{"/=1,/api/trace=1", "/a?b=c=2", "3:/a?b=c,d,/e", "=", ",", "/=1e999"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		paths, err := ParsePaths(s)
		if err != nil {
			return
		}
		for _, p := range paths {
			if !strings.HasPrefix(p.Path, "/") || !(p.Weight > 0) || math.IsInf(p.Weight, 0) {
				t.Errorf("%q: %+v", s, p)
			}
		}
		m := newMix(paths)
		for range 10 {
			if i := m.next(); i < 0 || i >= len(paths) {
				t.Fatalf("%q: path %d of %d", s, i, len(paths))
			}
		}
	})
}
