package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"apmapp/internal/build"
	"apmapp/internal/command"
	"apmapp/loadgen/report"
)

// Reports name what was run, and no secret of the command line: header values, the
// body, user and password, queries.
func TestReportsNameTheRun(t *testing.T) {
	url, _ := serve(t, 0)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	page := filepath.Join(dir, "run.html")
	args := []string{"-url", strings.Replace(url, "//", "//user-secret:secret@", 1), "-rps", "100", "-duration", "100ms", "-arrivals", "poisson", "-seed", "3", "-shard", "1/2",
		"-header", "Authorization: secret", "-body", "secret", "-method", "PUT", "-paths", "/a,/b", "-o", page, "-insecure"}
	status, text, stderr := execute(t.Context(), args...)
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, json, _ := execute(t.Context(), append(args, "-json")...)
	r, err := report.ReadJSON(strings.NewReader(json))
	if err != nil {
		t.Fatal(err)
	}
	const shown = "loadgen -arrivals poisson -body … -duration 100ms -header … -insecure=true"
	for name, got := range map[string]string{"text": text, "page": string(html), "JSON": json} {
		for _, want := range []string{url, "PUT", "100/s for 100ms", "poisson", build.Version(), host, shown, "-paths /a,/b -rps 100 -seed 3 -shard 1/2 -url " + url} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in\n%.2000s", name, want, got)
			}
		}
		if strings.Contains(got, "secret") {
			t.Errorf("%s: a secret is in\n%.2000s", name, got)
		}
	}
	if run := r.Runs[0]; len(r.Runs) != 1 || run.Shard != 1 || run.Shards != 2 || run.Seed != 3 || run.Target != url || run.Method != "PUT" || run.ID == "" {
		t.Errorf("%+v", r.Runs)
	}
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "loadgen"},
		{[]string{"-rps", "7", "-json"}, "loadgen -json=true -rps 7"},
		{[]string{"-json=false"}, "loadgen -json=false"},
		{[]string{"-paths", "/a=2,/b?token=secret,secret,/c"}, "loadgen -paths '/a=2,/b?…'"},
		{[]string{"-url", "http://secret@h:1/x"}, "loadgen -url http://h:1/x"},
		{[]string{"-header", "A: secret", "-header", "B: secret"}, "loadgen -header …"},
		{[]string{"-o", "it's a file.txt"}, `loadgen -o 'it'\''s a file.txt'`},
		{[]string{"-body", "secret"}, "loadgen -body …"},
	} {
		r := newRaw()
		got := ""
		c := command.Command{Name: "loadgen", Flags: r.flags, Check: func([]string) error { got = commandLine(r.set); return nil },
			Run: func(context.Context) error { return nil }}
		if status := c.Execute(t.Context(), command.Process{Args: test.args, Getenv: func(string) string { return "" }, Stdout: io.Discard, Stderr: io.Discard}); status != 0 || got != test.want {
			t.Errorf("%q: status %d, %s, want %s", test.args, status, got, test.want)
		}
	}
}

// The same run counts once, and runs of two targets are not one test.
func TestMergeRefusesTheSameRunAndOtherTargets(t *testing.T) {
	dir := t.TempDir()
	one, again, other := filepath.Join(dir, "1.json"), filepath.Join(dir, "2.json"), filepath.Join(dir, "other.json")
	url, _ := serve(t, 0)
	elsewhere, _ := serve(t, 0)
	for file, target := range map[string]string{one: url, again: url, other: elsewhere} {
		if status, _, stderr := execute(t.Context(), "-url", target, "-rps", "100", "-duration", "20ms", "-o", file); status != 0 {
			t.Fatal(stderr)
		}
	}
	if status, stdout, stderr := execute(t.Context(), "merge", one, again); status != 0 || !strings.Contains(stdout, "requests  4 due") {
		t.Errorf("a repeated run: status %d: %s%s", status, stdout, stderr)
	}
	for want, files := range map[string][]string{
		"is in both reports: merge each run once": {one, again, one},
		"targets differ: " + url:                  {one, other},
	} {
		if status, _, stderr := execute(t.Context(), append([]string{"merge"}, files...)...); status != 1 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d: %s", want, status, stderr)
		}
	}
}
