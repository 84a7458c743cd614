package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"apmapp/internal/command"
)

// Every monitor of the product has tests, and they pass.
func TestMonitors(t *testing.T) {
	t.Parallel()
	r := runWith(t, "", "test")
	if r.status != 0 || strings.Contains(r.out, "has no test") || strings.Contains(r.out, "FAIL") || r.err != "" {
		t.Errorf("provision test: %s", r)
	}
	if got := strings.Count(r.out, "(monitor "); got != 11 {
		t.Errorf("tests of %d monitors, want 11: %s", got, r)
	}
	for _, want := range []string{"tests/error-rate.yaml (monitor error-rate)\n  ok    alerts above 5 %", "\n  note: the band is made from", " passed, 0 failed\n"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the output lacks %q: %s", want, r)
		}
	}
}

// Tests run with the values of the command line.
func TestMonitorsOfAnotherService(t *testing.T) {
	t.Parallel()
	r := runWith(t, "APMAPP_RUNBOOKS=https://wiki.example.com/", "test", "-env", "staging", "-service", "checkout", "-notify", "@slack-ops", "../../deploy/datadog/tests/overload.yaml")
	if r.status != 0 || !strings.HasPrefix(r.out, "../../deploy/datadog/tests/overload.yaml (monitor overload)\n") || !strings.HasSuffix(r.out, "\n3 passed, 0 failed\n") {
		t.Errorf("provision test of one file: %s", r)
	}
}

func TestMonitorTestsThatFail(t *testing.T) {
	const series = `
    series:
      - {metric: my_metric, tags: ["env:dev", "host:a"], values: 900 for 10m}
`
	for _, c := range []struct{ name, text, want string }{
		{"a notification is missing", "monitor: my-metric\ntests:\n  - name: quiet" + series + "    notifications: [{at: 2m, to: Alert}, {at: 3m, to: OK}]\n",
			"my-metric)\n  FAIL  quiet\n        notification 2: got none, want OK at 3m\n0 passed, 1 failed\n"},
		{"a notification is not expected", "monitor: my-metric\ntests:\n  - name: quiet" + series + "    notifications: []\n",
			"  FAIL  quiet\n        notification 1: got Alert at 2m host:a\n            my_metric on a () is 900: its average over five minutes is above 800.\n"},
		{"a state", "monitor: my-metric\ntests:\n  - name: quiet" + series + "    states: [{at: 1m, state: OK}]\n",
			"        at 1m: got the state waiting for first data, want OK\n"},
	} {
		file := filepath.Join(t.TempDir(), "test.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := runWith(t, "", "test", file)
		if r.status != 1 || !strings.Contains(r.out, c.want) || r.err != "provision: 1 of 1 tests failed\n" {
			t.Errorf("%s: %s; want status 1 and %q", c.name, r, c.want)
		}
	}
	for text, want := range map[string]string{
		"monitor: nonsense\ntests:\n  - name: quiet" + series + "    notifications: []\n": "there is no monitor nonsense",
		"nonsense: 1": "field nonsense not found",
		"":            "the file is empty",
	} {
		file := filepath.Join(t.TempDir(), "test.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r := runWith(t, "", "test", file)
		if r.status != 1 || !strings.Contains(r.err, "provision: "+file+": ") || !strings.Contains(r.err, want) {
			t.Errorf("%q: %s; want status 1 and %q", text, r, want)
		}
	}
	if r := runWith(t, "", "test", "no-such.yaml"); r.status != command.Usage || !strings.Contains(r.err, "no-such.yaml") {
		t.Errorf("no such file: %s", r)
	}
	if r := runWith(t, "", "test", "-dir", "testdata/small"); r.status != 1 || !strings.Contains(r.err, "has no tests/*.yaml") {
		t.Errorf("a folder without tests: %s", r)
	}
	if r := runWith(t, "", "test", "-offline"); r.status != command.Usage || !strings.Contains(r.err, "-offline is a flag of plan, not of test") {
		t.Errorf("test -offline: %s", r)
	}
}

// A monitor without a test is named, and makes no failure.
func TestMonitorWithoutTest(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata/small")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "tests"), 0o700); err != nil {
		t.Fatal(err)
	}
	text := "monitor: my-metric\ntests:\n  - name: waits\n    for: 1m\n    notifications: []\n"
	if err := os.WriteFile(filepath.Join(dir, "tests", "a.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r := runWith(t, "", "test", "-dir", dir)
	if r.status != 0 || !strings.Contains(r.out, "  ok    waits\nmonitor availability-burn-fast has no test\n1 passed, 0 failed\n") {
		t.Errorf("got %s", r)
	}
}
