// Package debian boots Debian machines for tests: mmdebstrap makes their file systems,
// and systemd is their first process, in separate namespaces. It needs Linux and root,
// but no hypervisor and no container engine.
package debian

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// options are options of mmdebstrap. It also writes those of apt and dpkg to the root, so
// that they apply in a machine, too.
var options = []string{
	"--quiet", "--variant=minbase",
	// Accepts expired lists of a mirror that is not up to date. Tests do not need the
	// newest security updates.
	`--aptopt=Acquire::Check-Valid-Until "false"`,
	// Translated descriptions are a large part of the lists.
	`--aptopt=Acquire::Languages "none"`,
	// Unpacks without fsync. An unfinished root is made again, and a machine is deleted.
	"--dpkgopt=force-unsafe-io",
}

// Root returns a directory with a minimal Debian of a suite and some packages. It is made
// once and then used by all tests and later runs, so callers must not change it.
func Root(t testing.TB, suite string, packages ...string) string {
	t.Helper()
	need(t)
	args := append(slices.Clone(options), "--include="+strings.Join(packages, ","), suite)
	key := sha256.Sum256([]byte(strings.Join(args, "\n")))
	root := filepath.Join(os.TempDir(), fmt.Sprintf("apmapp-debian-%s-%x", suite, key[:4]))
	lock, err := os.OpenFile(root+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); err == nil {
		return root
	}
	// Renamed when it is complete, so that no test finds an incomplete one.
	unfinished := root + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		t.Fatal(err)
	}
	bootstrap := exec.Command("mmdebstrap", append(args, unfinished)...)
	if out, err := bootstrap.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", bootstrap, err, out)
	}
	if err := os.Rename(unfinished, root); err != nil {
		t.Fatal(err)
	}
	return root
}

// need skips the test if it cannot make a machine. With CI set the test fails.
func need(t testing.TB) {
	t.Helper()
	var missing string
	if os.Getuid() != 0 {
		missing = "making a Debian machine needs root: run the tests as root"
	} else if _, err := exec.LookPath("mmdebstrap"); err != nil {
		missing = "making a Debian machine needs mmdebstrap: apt-get install mmdebstrap"
	}
	switch {
	case missing == "":
	case os.Getenv("CI") != "":
		t.Fatal(missing)
	default:
		t.Skip(missing)
	}
}

// Program writes a script that runs a program of root on this machine, with the libraries
// of root.
func Program(t testing.TB, root, program string) string {
	t.Helper()
	loaders, _ := filepath.Glob(filepath.Join(root, "lib64", "ld-linux*"))
	if len(loaders) == 0 {
		loaders, _ = filepath.Glob(filepath.Join(root, "lib", "ld-linux*"))
	}
	libraries, _ := filepath.Glob(filepath.Join(root, "usr/lib/*-linux-gnu"))
	if len(loaders) != 1 || len(libraries) != 1 {
		t.Fatalf("%s has loaders %q and libraries %q, want one of each", root, loaders, libraries)
	}
	// MySQL has some libraries in its own directory; its RUNPATH names it.
	paths := libraries[0] + ":" + filepath.Join(libraries[0], "private") + ":" + filepath.Join(root, "usr/lib/mysql/private")
	script := filepath.Join(t.TempDir(), filepath.Base(program))
	content := fmt.Sprintf("#!/bin/sh\nexec '%s' --library-path '%s' '%s' \"$@\"\n", loaders[0], paths, filepath.Join(root, program))
	if err := os.WriteFile(script, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	return script
}
