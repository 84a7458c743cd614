package containers

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// script runs a script of the repository with stand-ins as the only programs besides the
// system's. They write their arguments to the returned calls.
func script(t *testing.T, programs map[string]string, args ...string) (calls string, err error) {
	t.Helper()
	dir := t.TempDir()
	log := filepath.Join(dir, "calls")
	for name, body := range programs {
		content := "#!/bin/bash\necho " + name + ` "$@" >>` + log + "\n" + body + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"bash", "env", "head", "grep", "sort", "sed", "rm", "cat", "cut", "mktemp", "sha256sum"} {
		need(t, name)
		path, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(root, "scripts", args[0]), args[1:]...)
	cmd.Env = []string{"PATH=" + dir, "SOURCE_DATE_EPOCH=1700000000"}
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	content, _ := os.ReadFile(log)
	return string(content), err
}

func TestImageScript(t *testing.T) {
	const epoch = "--build-arg SOURCE_DATE_EPOCH=1700000000 -t apmapp:1 .\n"
	info := func(store string) string { return `[[ $1 != info ]] || echo '[[driver-type ` + store + `]]'` }
	for _, c := range []struct {
		name     string
		programs map[string]string
		want     string // the last call
	}{
		{"docker that keeps attestations", map[string]string{"docker": info("io.containerd.snapshotter.v1"), "podman": ""},
			"docker buildx build --load --provenance=mode=max --sbom=true " + epoch},
		{"docker that does not", map[string]string{"docker": info("overlay2")},
			"docker buildx build --load --provenance=false " + epoch},
		{"podman with the name docker", map[string]string{"docker": "echo podman version 4", "podman": ""}, "podman build --format oci --timestamp 1700000000 " + epoch},
		{"podman", map[string]string{"podman": "", "buildah": ""}, "podman build --format oci --timestamp 1700000000 " + epoch},
		{"buildah", map[string]string{"buildah": ""}, "buildah build --format oci --timestamp 1700000000 " + epoch},
	} {
		calls, err := script(t, c.programs, "image", "-t", "apmapp:1", ".")
		if err != nil || !strings.HasSuffix("\n"+calls, "\n"+c.want) {
			t.Errorf("%s: %v, calls\n%swant\n%s", c.name, err, calls, c.want)
		}
	}
	if calls, err := script(t, nil, "image", "."); err == nil || calls != "" {
		t.Errorf("without a builder: %v, calls %s", err, calls)
	}
}

func TestBaseImagesScript(t *testing.T) {
	old, current := strings.Repeat("0", 64), fmt.Sprintf("%x", sha256.Sum256([]byte("an index\n")))
	const form = "FROM --platform=x docker.io/library/golang:1.26-alpine@sha256:%[1]s AS source\nFROM source AS build\nFROM gcr.io/static:nonroot@sha256:%[1]s AS runtime\n"
	for _, c := range []struct {
		name     string
		programs map[string]string
		want     string // digest; "" for an error and no change
	}{
		{"skopeo", map[string]string{"skopeo": "echo an index"}, current},
		{"docker", map[string]string{"docker": "echo sha256:" + current}, current},
		{"a registry that does not answer", map[string]string{"skopeo": "exit 1"}, ""},
		{"docker without buildx", map[string]string{"docker": "exit 1"}, ""},
	} {
		file := filepath.Join(t.TempDir(), "Dockerfile")
		if err := os.WriteFile(file, fmt.Appendf(nil, form, old), 0o600); err != nil {
			t.Fatal(err)
		}
		calls, err := script(t, c.programs, "base-images", file)
		want := fmt.Sprintf(form, c.want)
		if c.want == "" {
			want = fmt.Sprintf(form, old)
		}
		if got := read(t, file); got != want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %v, got\n%swant\n%s", c.name, err, got, want)
		}
		if c.want != "" && (!strings.Contains(calls, "gcr.io/static:nonroot") || !strings.Contains(calls, "docker.io/library/golang:1.26-alpine")) {
			t.Errorf("%s: calls %s", c.name, calls)
		}
	}
}
