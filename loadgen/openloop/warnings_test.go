package openloop

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestWarnsWhenTheGeneratorIsLate(t *testing.T) {
	for _, test := range []struct {
		name           string
		late, response time.Duration
		warns          bool
	}{
		{"much too late", 50 * time.Millisecond, 60 * time.Millisecond, true},
		{"above a tenth", 11 * time.Millisecond, 100 * time.Millisecond, true},
		{"a tenth", 10 * time.Millisecond, 100 * time.Millisecond, false},
		{"above the floor", 1100 * time.Microsecond, 1200 * time.Microsecond, true},
		{"answers of microseconds", time.Millisecond, 1010 * time.Microsecond, false},
	} {
		r := emptyResult(1, time.Second)
		r.Lateness.Record(test.late)
		r.Total.Response.Record(test.response)
		if got := r.Warnings(); (len(got) == 1) != test.warns {
			t.Errorf("%s: %q", test.name, got)
		}
	}
	// The 99th percentiles count, not the longest.
	r := emptyResult(1, time.Second)
	for i := range 200 {
		d := time.Duration(0)
		if i < 2 {
			d = time.Second
		}
		r.Lateness.Record(d)
		r.Total.Response.Record(time.Second)
	}
	if got := r.Warnings(); got != nil {
		t.Errorf("two of 200 are late: %q", got)
	}
	r.Lateness.Record(time.Second)
	const want = "the generator itself was late: p99 of sent late, 1.00s, is more than a tenth of p99 of the response time, 1.00s; use an idle machine, or several generators with -shard"
	if got := r.Warnings(); !slices.Equal(got, []string{want}) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := emptyResult(1, time.Second).Warnings(); got != nil {
		t.Errorf("without requests: %q", got)
	}
}

func TestWarnsWhenMostAnswersAre4xx(t *testing.T) {
	for _, test := range []struct {
		statuses map[int]int64
		expect   string
		want     string
	}{
		{map[int]int64{200: 10, 404: 10}, "", ""},
		{map[int]int64{200: 10, 404: 1010, 401: 1, 500: 9}, "", "most answers are 4xx, and count as served: 401 (1), 404 (1,010); check the paths and headers, or set -expect 2xx,3xx"},
		{map[int]int64{404: 1}, "", "most answers are 4xx, and count as served: 404 (1); check the paths and headers, or set -expect 2xx,3xx"},
		{map[int]int64{404: 1}, "404", ""}, // as wished
		{map[int]int64{500: 10, 399: 5}, "", ""},
	} {
		r := emptyResult(1, time.Second)
		r.Total.Statuses = test.statuses
		r.Runs = []Run{{Expect: test.expect}}
		if got := strings.Join(r.Warnings(), "|"); got != test.want {
			t.Errorf("%v, expected %q: got %q, want %q", test.statuses, test.expect, got, test.want)
		}
	}
}
