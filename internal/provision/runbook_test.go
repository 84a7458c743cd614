package provision

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each monitor links its runbook, and each runbook belongs to a monitor.
func TestRunbooks(t *testing.T) {
	linked := map[string]bool{}
	for _, d := range ofKind(t, Monitor) {
		body := filled(t, d)
		m := regexp.MustCompile(`Runbook: docs/runbooks/([a-z0-9-]+)\.md`).FindStringSubmatch(body["message"].(string))
		if m == nil {
			t.Errorf("%s links no runbook", d.File)
			continue
		}
		linked[m[1]+".md"] = true
		if !slices.Contains(list(body["tags"]), any("runbook:"+m[1])) {
			t.Errorf("%s lacks the tag runbook:%s", d.File, m[1])
		}
		page, err := os.ReadFile("../../docs/runbooks/" + m[1] + ".md")
		if err != nil {
			t.Errorf("%s: %v", d.File, err)
		} else if !strings.Contains(string(page), d.File) {
			t.Errorf("docs/runbooks/%s.md does not name %s", m[1], d.File)
		}
	}
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		if !linked[filepath.Base(page)] {
			t.Errorf("no monitor links %s", page)
		}
	}
}
