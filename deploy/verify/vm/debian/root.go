// Package debian gives tests Debian machines: file systems made by mmdebstrap, and
// machines booted from them with systemd as their first process, in namespaces of
// their own. It needs root and Linux; no hypervisor and no container engine.
package debian

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// anyDate has apt take the lists of a mirror that lags behind: nothing made here is
// there to be safe from old versions.
const anyDate = `Acquire::Check-Valid-Until "false";`

// Root returns a directory with a minimal installation of a suite of Debian and
// some packages. It is made once and then found again, by other tests and other
// runs too: whoever changes something in it works on a copy.
func Root(t testing.TB, suite string, packages ...string) string {
	t.Helper()
	need(t)
	key := sha256.Sum256([]byte(strings.Join(append(packages, suite), "\n")))
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
	// Renamed when it is whole, so that a broken one is never found.
	unfinished := root + ".unfinished"
	if err := os.RemoveAll(unfinished); err != nil {
		t.Fatal(err)
	}
	bootstrap := exec.Command("mmdebstrap", "--quiet", "--variant=minbase",
		"--include="+strings.Join(packages, ","), "--aptopt="+anyDate, suite, unfinished)
	if out, err := bootstrap.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", bootstrap, err, out)
	}
	if err := os.Rename(unfinished, root); err != nil {
		t.Fatal(err)
	}
	return root
}

// need skips the test where no machine can be made; with CI set it fails.
func need(t testing.TB) {
	t.Helper()
	var missing string
	if os.Getuid() != 0 {
		missing = "a Debian machine takes root to make: run the tests as root"
	} else if _, err := exec.LookPath("mmdebstrap"); err != nil {
		missing = "a Debian machine takes mmdebstrap to make: apt-get install mmdebstrap"
	}
	switch {
	case missing == "":
	case os.Getenv("CI") != "":
		t.Fatal(missing)
	default:
		t.Skip(missing)
	}
}

// Program writes a script that runs a program of root here, outside of it, with the
// libraries that it has there.
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
	// MySQL keeps some libraries in a directory of its own, as its RUNPATH has it.
	paths := libraries[0] + ":" + filepath.Join(libraries[0], "private") + ":" + filepath.Join(root, "usr/lib/mysql/private")
	script := filepath.Join(t.TempDir(), filepath.Base(program))
	content := fmt.Sprintf("#!/bin/sh\nexec '%s' --library-path '%s' '%s' \"$@\"\n", loaders[0], paths, filepath.Join(root, program))
	if err := os.WriteFile(script, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	return script
}
