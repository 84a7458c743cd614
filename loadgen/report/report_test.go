package report

import (
	"strings"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                         "0s",
		999:                       "999ns",
		1234:                      "1.23µs",
		99_940:                    "99.9µs",
		99_960:                    "100µs",
		1_500_000:                 "1.50ms",
		59_600 * time.Millisecond: "59.6s",
		time.Hour:                 "3600s",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

func TestReadJSONRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "EOF",
		"{}":                               "not a result of a run",
		"[]":                               "cannot unmarshal",
		`{"start":"2026-01-01T00:00:00Z"}`: "not a result of a run",
		`{"start":"2026-01-01T00:00:00Z","lateness":{"hdr":"?"}}`: "hdr",
	} {
		if _, err := ReadJSON(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
	}
}
