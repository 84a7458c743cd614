package series

import (
	"fmt"
	"testing"
	"time"
)

func TestEpisodes(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	written := func(all []Episode) (text string) {
		for _, e := range all {
			text += fmt.Sprintf("%d-%d %g/%g p95 %s of %s", e.Start.Unix()-begin.Unix(), e.End.Unix()-begin.Unix(), e.Errors, e.Hits, e.P95, e.Usual)
			if e.Ongoing {
				text += " ongoing"
			}
			text += "; "
		}
		return text
	}
	for name, test := range map[string]struct {
		errors       []float64 // of 20 requests in each ten seconds; -1 is no interval
		p95          []int     // in ms
		now          int
		failed, slow string
	}{
		"nothing":             {nil, nil, 0, "", ""},
		"no errors":           {[]float64{0, 0, 0}, nil, 30, "", ""},
		"few errors":          {[]float64{0, 0.9, 0}, nil, 30, "", ""},
		"one episode, ended":  {[]float64{0, 20, 1, 0, 0}, nil, 50, "10-30 21/40 p95 0s of 0s; ", ""},
		"a gap of one":        {[]float64{2, 0, 2, -1, 3}, nil, 80, "0-50 7/60 p95 0s of 0s; ", ""},
		"two episodes":        {[]float64{2, 0, 0, 2, 0, 0}, nil, 80, "0-10 2/20 p95 0s of 0s; 30-40 2/20 p95 0s of 0s; ", ""},
		"ongoing":             {[]float64{0, 0, 2}, nil, 39, "20-30 2/20 p95 0s of 0s ongoing; ", ""},
		"just ended":          {[]float64{0, 0, 2}, nil, 40, "20-30 2/20 p95 0s of 0s; ", ""},
		"slow":                {make([]float64, 8), []int{10, 10, 10, 300, 250, 10, 10, 10}, 80, "", "30-50 0/40 p95 300ms of 10ms; "},
		"a little slower":     {make([]float64, 8), []int{10, 10, 10, 59, 29, 10, 10, 10}, 80, "", ""},
		"three times as slow": {make([]float64, 8), []int{100, 100, 100, 299, 300, 100, 100, 100}, 80, "", "40-50 0/20 p95 300ms of 100ms; "},
		"too short to know":   {make([]float64, 5), []int{10, 10, 10, 900, 10}, 50, "", ""},
	} {
		var all []Interval
		for i, n := range test.errors {
			if n < 0 {
				continue
			}
			one := Interval{Start: begin.Add(time.Duration(i) * BucketLength), Hits: 20, Errors: n}
			if test.p95 != nil {
				one.P95 = time.Duration(test.p95[i]) * time.Millisecond
			}
			all = append(all, one)
		}
		now := begin.Add(time.Duration(test.now) * time.Second)
		if got := written(FailingEpisodes(all, now)); got != test.failed {
			t.Errorf("%s: failing %s, want %s", name, got, test.failed)
		}
		if got := written(SlowEpisodes(all, now)); got != test.slow {
			t.Errorf("%s: slow %s, want %s", name, got, test.slow)
		}
	}
}

func TestSilentEpisodes(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	for name, test := range map[string]struct {
		busy string // x is an interval with requests
		now  int
		want string
	}{
		"nothing":              {"", 100, "[]"},
		"steady":               {"xxxxxx", 60, "[]"},
		"not yet":              {"xxxxxx", 79, "[]"},
		"ongoing":              {"xxxxxx", 80, "[60-80 true]"},
		"ended":                {"xxxxxx--x", 90, "[60-80 false]"},
		"one interval without": {"xxxxxx-x", 80, "[]"},
		"too few before":       {"xxxxx---x", 90, "[]"},
		"not steady before":    {"xxx-xxx---x", 110, "[]"},
		"two":                  {"xxxxxx---xxxxxxx", 200, "[60-90 false 160-200 true]"},
		"after an end":         {"xxxxxx---x---x", 140, "[60-90 false]"},
	} {
		var all []Interval
		for i, c := range test.busy {
			if c == 'x' {
				all = append(all, Interval{Start: begin.Add(time.Duration(i) * BucketLength), Hits: 1})
			}
		}
		var got []string
		for _, e := range SilentEpisodes(all, begin.Add(time.Duration(test.now)*time.Second)) {
			got = append(got, fmt.Sprintf("%d-%d %t", e.Start.Unix()-begin.Unix(), e.End.Unix()-begin.Unix(), e.Ongoing))
		}
		if fmt.Sprint(got) != test.want {
			t.Errorf("%s: %v, want %s", name, got, test.want)
		}
	}
}
