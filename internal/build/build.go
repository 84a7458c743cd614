// Package build tells which build of the program this is.
package build

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// version and revision may be set by the linker
// (-ldflags "-X apmapp/internal/build.version=…"), as an image build does that
// has no .git beside the sources.
var version, revision string

// Version is the release, else the revision, else "dev".
func Version() string {
	switch {
	case version != "":
		return version
	case Revision() != "":
		return Revision()
	}
	return "dev"
}

// Revision is the commit the program was built from, with "-dirty" behind it
// when the tree had changes; "" when it is not known.
func Revision() string {
	if revision != "" {
		return revision
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if settings["vcs.modified"] == "true" {
		return settings["vcs.revision"] + "-dirty"
	}
	return settings["vcs.revision"]
}

// Summary is what -version prints: the program, its version and revision, and
// the versions of Go and of the modules that are named.
func Summary(program string, modules ...string) string {
	var b strings.Builder
	rev := Revision()
	if rev == "" {
		rev = "unknown"
	}
	fmt.Fprintf(&b, "%s %s\nrevision %s\n", program, Version(), rev)
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b.String()
	}
	fmt.Fprintf(&b, "go %s\n", strings.TrimPrefix(info.GoVersion, "go"))
	for _, want := range modules {
		for _, dep := range info.Deps {
			if dep.Path == want {
				fmt.Fprintf(&b, "%s %s\n", dep.Path, dep.Version)
			}
		}
	}
	return b.String()
}
