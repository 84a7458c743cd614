package build

import (
	"runtime"
	"strings"
	"testing"
)

// set sets what the linker sets.
func set(t *testing.T, v, r string) {
	oldVersion, oldRevision := version, revision
	t.Cleanup(func() { version, revision = oldVersion, oldRevision })
	version, revision = v, r
}

func TestVersion(t *testing.T) {
	for _, c := range []struct{ version, revision, want string }{
		{"v1.2.3", "0123abc", "v1.2.3"},
		{"", "0123abc", "0123abc"},
	} {
		set(t, c.version, c.revision)
		if got := Version(); got != c.want {
			t.Errorf("version %q, revision %q: got %s, want %s", c.version, c.revision, got, c.want)
		}
	}
	// Go records no revision in the binary of a test.
	set(t, "", "")
	if got := Version(); got != "dev" || Revision() != "" {
		t.Errorf("got %s, revision %q; want dev without a revision", got, Revision())
	}
}

func TestSummary(t *testing.T) {
	set(t, "v1.2.3", "0123abc")
	want := "shop v1.2.3\nrevision 0123abc\ngo " + strings.TrimPrefix(runtime.Version(), "go") + "\n"
	if got := Summary("shop", "example.com/unknown"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	set(t, "", "")
	if got := Summary("shop"); !strings.HasPrefix(got, "shop dev\nrevision unknown\n") {
		t.Errorf("got\n%s\nwant an unknown revision", got)
	}
}

func TestFromSettings(t *testing.T) {
	for _, c := range []struct {
		settings map[string]string
		want     string
	}{
		{map[string]string{}, ""},
		{map[string]string{"vcs.revision": "0123abc", "vcs.modified": "false"}, "0123abc"},
		{map[string]string{"vcs.revision": "0123abc", "vcs.modified": "true"}, "0123abc-dirty"},
	} {
		if got := fromSettings(c.settings); got != c.want {
			t.Errorf("%v: got %q, want %q", c.settings, got, c.want)
		}
	}
}
