package report

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"apmapp/loadgen/openloop"
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
		"{}":                               "not the result of a run",
		"[]":                               "cannot unmarshal",
		`{"start":"2026-01-01T00:00:00Z"}`: "not the result of a run",
		`{"start":"2026-01-01T00:00:00Z","lateness":{"hdr":"?"}}`: "hdr",
	} {
		if _, err := ReadJSON(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
	}
}

// TestHTMLOfNothing has a run that was interrupted before its first request.
func TestHTMLOfNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		e, err := openloop.New(openloop.Config{
			Schedule:    openloop.Schedule{Profile: openloop.Constant(1), Arrivals: openloop.Regular},
			Paths:       []openloop.Path{{Path: "/", Weight: 1}},
			Sender:      openloop.Workers(nil, 1, openloop.TimerClock{}),
			MaxInFlight: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := e.Run(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var page bytes.Buffer
		if err := HTML(&page, r); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"seconds":[]`, `"response":[]`, "requests due"} {
			if !strings.Contains(page.String(), want) {
				t.Errorf("no %s", want)
			}
		}
	})
}
