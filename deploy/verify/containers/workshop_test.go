package containers

import (
	"archive/zip"
	"cmp"
	"debug/elf"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The base images of the Dockerfile.
const (
	golangImage = "docker.io/library/golang:1.26-alpine"
	staticImage = "gcr.io/distroless/static-debian12:nonroot"
)

// workshop builds and runs images. Its image storage is a temporary folder. The base
// images are made from files of this machine, so no registry is needed.
type workshop struct {
	t       *testing.T
	dir     string
	goroot  string
	gocache string
	proxy   string // Go's download cache, which has the layout of a module proxy
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	need(t, "buildah", "podman", "runc", "busybox")
	if os.Getuid() != 0 {
		missing(t, "building and running images needs root")
	}
	// Not t.TempDir: podman makes sockets below, and its path is too long for them.
	dir, err := os.MkdirTemp("", "images")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	variables := strings.Fields(output(t, exec.Command("go", "env", "GOROOT", "GOCACHE", "GOMODCACHE")))
	w := &workshop{t: t, dir: dir, goroot: variables[0], gocache: variables[1], proxy: filepath.Join(variables[2], "cache/download")}
	for _, sub := range []string{filepath.Join(dir, "tmp"), w.proxy} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.golang()
	return w
}

// in returns the workshop for a subtest.
func (w *workshop) in(t *testing.T) *workshop {
	sub := *w
	sub.t = t
	return &sub
}

// command returns a command of buildah or podman on the workshop's storage.
func (w *workshop) command(program string, args ...string) *exec.Cmd {
	storage := []string{"--root", filepath.Join(w.dir, "root"), "--runroot", filepath.Join(w.dir, "run"), "--storage-driver", "vfs"}
	if program == "podman" {
		storage = append(storage, "--tmpdir", filepath.Join(w.dir, "podman"), "--runtime", "runc",
			"--cgroup-manager", "cgroupfs", "--events-backend", "none")
	}
	cmd := exec.Command(program, append(storage, args...)...)
	// buildah keeps the caches of RUN --mount=type=cache in TMPDIR.
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(w.dir, "tmp"))
	return cmd
}

// do runs a command and returns its trimmed output.
func (w *workshop) do(program string, args ...string) string {
	w.t.Helper()
	return strings.TrimSpace(output(w.t, w.command(program, args...)))
}

// image makes a base image from a folder.
func (w *workshop) image(name, arch, tree string, config ...string) {
	w.t.Helper()
	container := w.do("buildah", "from", "--arch", arch, "scratch")
	w.do("buildah", "copy", "--quiet", container, tree, "/")
	w.do("buildah", append(append([]string{"config", "--arch", arch}, config...), container)...)
	w.do("buildah", "commit", "--quiet", "--rm", container, name)
}

// golang makes a stand-in for golang:alpine: busybox and CA certificates. A build
// mounts the Go of this machine into it.
func (w *workshop) golang() {
	w.t.Helper()
	tree := w.t.TempDir()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		w.t.Fatal(err)
	}
	w.file(tree, "bin/busybox", []byte(read(w.t, busybox)), 0o755)
	if err := os.Symlink("busybox", filepath.Join(tree, "bin/sh")); err != nil {
		w.t.Fatal(err)
	}
	w.tmp(tree)
	w.file(tree, "etc/ssl/certs/ca-certificates.crt", []byte(read(w.t, "/etc/ssl/certs/ca-certificates.crt")), 0o644)
	proxy := strings.TrimSpace(output(w.t, exec.Command("go", "env", "GOPROXY")))
	w.image(golangImage, runtime.GOARCH, tree,
		"--env", "PATH=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"--env", "GOPATH=/go", "--env", "GOTOOLCHAIN=local",
		// Builds take modules and compiled packages from this machine's caches. The
		// Dockerfile sets neither variable, so the image's values apply.
		"--env", "GOPROXY=file:///proxy,"+proxy, "--env", "GOCACHE=/gocache")
}

// static makes a stand-in for distroless/static: CA certificates, time zones, and no
// program.
func (w *workshop) static(arch string) {
	w.t.Helper()
	tree := w.t.TempDir()
	w.file(tree, "etc/ssl/certs/ca-certificates.crt", []byte(read(w.t, "/etc/ssl/certs/ca-certificates.crt")), 0o644)
	w.file(tree, "etc/passwd", []byte("root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n"), 0o644)
	w.tmp(tree)
	zones, err := zip.OpenReader(filepath.Join(w.goroot, "lib/time/zoneinfo.zip"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer zones.Close()
	for _, zone := range zones.File {
		if zone.FileInfo().IsDir() {
			continue
		}
		r, err := zone.Open()
		if err != nil {
			w.t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			w.t.Fatal(err)
		}
		w.file(tree, filepath.Join("usr/share/zoneinfo", zone.Name), content, 0o644)
	}
	w.image(staticImage, arch, tree, "--user", "65532",
		"--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"--env", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt")
}

func (w *workshop) tmp(tree string) {
	w.t.Helper()
	if err := os.Mkdir(filepath.Join(tree, "tmp"), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(tree, "tmp"), 0o777|os.ModeSticky); err != nil {
		w.t.Fatal(err)
	}
}

// file writes a file below tree, and the folders above it.
func (w *workshop) file(tree, name string, content []byte, mode os.FileMode) {
	w.t.Helper()
	name = filepath.Join(tree, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, content, mode); err != nil {
		w.t.Fatal(err)
	}
}

// revision is the commit that the images are built with.
const revision = "0123456789abcdef0123456789abcdef01234567"

// build builds a target of the Dockerfile, or its default if target is empty, from the
// source code in a folder. More arguments are buildah's.
func (w *workshop) build(target, arch, source string, more ...string) (image string) {
	w.t.Helper()
	image = "localhost/" + cmp.Or(target, "default") + ":" + arch
	if source != root {
		image += "-other-source"
	}
	args := []string{"bud", "--isolation", "chroot", "--pull-never", "--format", "docker",
		"--platform", "linux/" + arch,
		// Docker and newer releases of buildah set it themselves.
		"--build-arg", "BUILDPLATFORM=linux/" + runtime.GOARCH,
		"--build-arg", "VERSION=v1.2.3", "--build-arg", "REVISION=" + revision, "--build-arg", "SOURCE=https://example.com/apmapp",
		"--volume", w.goroot + ":/usr/local/go:ro", "--volume", w.gocache + ":/gocache", "--volume", w.proxy + ":/proxy:ro",
		"--tag", image}
	if target != "" {
		args = append(args, "--target", target)
	}
	// The stand-ins for the base images have other digests.
	dockerfile := filepath.Join(w.t.TempDir(), "Dockerfile")
	w.file("/", dockerfile, []byte(pinnedDigest.ReplaceAllString(read(w.t, filepath.Join(root, "Dockerfile")), "")), 0o644)
	if arch != runtime.GOARCH {
		// The buildah of Debian 12 uses the platform of one stage for the next, too.
		replace(w.t, dockerfile, "\nFROM "+staticImage, "\nFROM --platform=linux/"+arch+" "+staticImage)
	}
	start := time.Now()
	w.do("buildah", append(append(args, more...), "--file", dockerfile, source)...)
	w.t.Logf("%s: built in %.1fs", image, time.Since(start).Seconds())
	return image
}

var pinnedDigest = regexp.MustCompile(`@sha256:[0-9a-f]{64}`)

// inspected is the part of podman image inspect that the tests read.
type inspected struct {
	ID, Digest   string
	Architecture string
	Size         int64
	User         string
	Config       struct {
		Env        []string
		Entrypoint []string
		Labels     map[string]string
	}
	Healthcheck struct{ Test []string }
}

func (w *workshop) inspect(image string) inspected {
	w.t.Helper()
	var images []inspected
	if err := json.Unmarshal([]byte(w.do("podman", "image", "inspect", image)), &images); err != nil || len(images) != 1 {
		w.t.Fatalf("podman image inspect %s: %d images, want 1: %v", image, len(images), err)
	}
	return images[0]
}

// program returns the path on this machine of the program that an image starts.
func (w *workshop) program(image string) string {
	w.t.Helper()
	entrypoint := w.inspect(image).Config.Entrypoint
	if len(entrypoint) != 1 {
		w.t.Fatalf("%s has the entrypoint %q, want one program", image, entrypoint)
	}
	mounted := w.do("podman", "image", "mount", image)
	w.t.Cleanup(func() { w.do("podman", "image", "unmount", image) })
	return filepath.Join(mounted, entrypoint[0])
}

// executable opens a program.
func (w *workshop) executable(program string) *elf.File {
	w.t.Helper()
	f, err := elf.Open(program)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { f.Close() })
	return f
}
