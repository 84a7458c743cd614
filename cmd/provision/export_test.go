package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"apmapp/internal/provision"
)

func TestExport(t *testing.T) {
	t.Parallel()
	a := newAccount(t)
	a.must(a.run("apply"))
	hand, err := a.Add(provision.Monitor, map[string]any{"name": "CPU of ${whatever} / day", "type": "query alert", "query": "avg(last_5m):avg:system.cpu.user{*} > 90",
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
		name, _, _ := strings.Cut(r.out, "\n")
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "apmapp-provision") && !strings.Contains(string(b), "manage_status") {
			t.Errorf("%s has a marker: %s", name, b)
		}
		if r := a.run("export", id, "-dir", dir); r.status != 1 || !strings.Contains(r.err, "file exists") {
			t.Errorf("a second export writes over the first: %s", r)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "monitor.cpu-of-whatever-day.json")); err != nil {
		t.Error(err)
	}
	// What was exported can be applied, and is then what was exported.
	b := newAccount(t)
	args := []string{"-dir", dir}
	// The exported monitors and downtimes name IDs of the other account; take those out.
	for _, pattern := range []string{"downtime.*", "monitor.*budget*"} {
		names, _ := filepath.Glob(filepath.Join(dir, pattern))
		if len(names) == 0 {
			t.Errorf("no file is named %s", pattern)
		}
		for _, name := range names {
			os.Remove(name)
		}
	}
	b.must(b.run(append([]string{"apply"}, args...)...))
	if r := b.run(append([]string{"plan", "-detailed-exitcode"}, args...)...); r.status != 0 {
		t.Errorf("what was exported is not what is there then: %s", r)
	}
	if r := a.run("export", "999999"); r.status != 1 || !strings.Contains(r.err, "404") {
		t.Errorf("no such monitor: %s", r)
	}
	if r := a.must(a.run("export", hand, "-o", "-")); !strings.HasPrefix(r.out, "{\n") {
		t.Errorf("-o - writes %s", r.out)
	}
}
