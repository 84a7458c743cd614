// Package build returns the version and revision of the program.
package build

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// The linker may set version and revision
// (-ldflags "-X apmapp/internal/build.version=…"). Builds of images do, because
// they have the sources without .git.
var version, revision string

// Version returns the release. If it is unknown it returns the revision, and if
// that is unknown too, "dev".
func Version() string {
	switch {
	case version != "":
		return version
	case Revision() != "":
		return Revision()
	}
	return "dev"
}

// Revision returns the commit of the sources, with the suffix "-dirty" if they had
// uncommitted changes, or "" if the commit is unknown.
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
	return fromSettings(settings)
}

// fromSettings returns the revision from the settings that Go records in a binary.
func fromSettings(settings map[string]string) string {
	if settings["vcs.modified"] == "true" {
		return settings["vcs.revision"] + "-dirty"
	}
	return settings["vcs.revision"]
}

// Summary returns the text of -version: the program, its version and revision,
// and the versions of Go and of the given modules.
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
