package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"apmapp/internal/provision/standin"
)

func TestExport(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.must(a.run("apply"))
	hand, err := a.Add(standin.Monitor, map[string]any{"name": "CPU of ${whatever} / day", "type": "query alert", "query": "avg(last_5m):avg:system.cpu.user{*} > 90",
		"message": "by hand", "options": map[string]any{"thresholds": map[string]any{"critical": 90}}})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{hand}
	for _, kind := range allKinds {
		for _, body := range a.All(kind) {
			if id := fmt.Sprint(body["id"]); id != hand {
				ids = append(ids, id)
			}
		}
	}
	dir := t.TempDir()
	for _, id := range ids {
		r := a.must(a.run("export", id, "-dir", dir))
		name, rest, _ := strings.Cut(r.out, "\n")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "apmapp-provision") && !strings.Contains(string(b), "manage_status") {
			t.Errorf("%s contains a marker: %s", name, b)
		}
		kind, _, _ := strings.Cut(filepath.Base(name), ".")
		if want := fmt.Sprintf("The file is a copy: apply creates a new %s from it and does not touch %s.\n", kind, id); rest != want {
			t.Errorf("export prints %q, want %q", rest, want)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "monitor.cpu-of-whatever-day.json")); err != nil {
		t.Error(err)
	}
	// Exported definitions can be applied and exported again.
	b := newAccount(t)
	b.dir = dir
	// Some monitors and downtimes refer to IDs of the other account.
	for _, pattern := range []string{"downtime.*", "monitor.*budget*"} {
		names, _ := filepath.Glob(filepath.Join(dir, pattern))
		if len(names) == 0 {
			t.Errorf("no file is named %s", pattern)
		}
		for _, name := range names {
			os.Remove(name)
		}
	}
	b.must(b.run("apply"))
	if r := b.run("plan", "-detailed-exitcode"); r.status != 0 {
		t.Errorf("after apply of exported definitions, plan finds a difference: %s", r)
	}
}

// export writes to -o, else to -dir, else to deploy/datadog of a checkout, else to
// the current folder. It overwrites nothing.
func TestExportedFile(t *testing.T) {
	a := newAccount(t)
	id, err := a.Add(standin.Monitor, map[string]any{"name": "CPU", "type": "query alert", "query": "avg(last_5m):avg:system.cpu.user{*} > 90"})
	if err != nil {
		t.Fatal(err)
	}
	here := t.TempDir()
	t.Chdir(here)
	export := func(want string, args ...string) {
		t.Helper()
		r := a.must(a.run(append([]string{"export", id}, args...)...))
		if !strings.HasPrefix(r.out, want+"\n") {
			t.Errorf("%v: %s; want the file %s", args, r, want)
		}
		if b, err := os.ReadFile(want); err != nil || !strings.Contains(string(b), `"name": "CPU"`) {
			t.Errorf("%v: %s, %v", args, b, err)
		}
		if r := a.run(append([]string{"export", id}, args...)...); r.status != 1 || !strings.Contains(r.err, "provision: export: open "+want+": file exists") {
			t.Errorf("%v: the second export: %s", args, r)
		}
	}
	export("monitor.cpu.json")
	export("cpu.json", "-o", "cpu.json")
	if err := os.MkdirAll("deploy/datadog", 0o755); err != nil {
		t.Fatal(err)
	}
	export("deploy/datadog/monitor.cpu.json")
	dir := t.TempDir()
	export(filepath.Join(dir, "monitor.cpu.json"), "-dir", dir)

	before := files(t, here)
	for _, args := range [][]string{{"-o", "-"}, {"-dry-run", "-o", "other.json"}} {
		if r := a.must(a.run(append([]string{"export", id}, args...)...)); !strings.HasPrefix(r.out, "{\n") || !strings.HasSuffix(r.out, "}\n") {
			t.Errorf("%v prints %s", args, r)
		}
	}
	if after := files(t, here); after != before {
		t.Errorf("-o - or -dry-run wrote a file: %s, before %s", after, before)
	}
	if r := a.run("export", "999999"); r.status != 1 || !strings.Contains(r.err, "read monitor 999999: 404 Not Found") {
		t.Errorf("no such monitor: %s", r)
	}
}

// files lists the files below a folder.
func files(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}
