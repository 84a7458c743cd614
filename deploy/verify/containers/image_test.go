package containers

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestImages builds the images, runs their programs, and lets them work together.
func TestImages(t *testing.T) {
	t.Parallel()
	w := newWorkshop(t)
	w.static(runtime.GOARCH)
	service := w.build("", runtime.GOARCH, root)
	generator := w.build("loadgen", runtime.GOARCH, root)
	localAgent := w.build("localagent", runtime.GOARCH, root)

	t.Run("properties of the service's image", func(t *testing.T) {
		w := w.in(t)
		got := w.inspect(service)
		wantNoProblems(t, imageProblems(got))
		t.Logf("%.1f MB", float64(got.Size)/1e6)
	})
	t.Run("programs are static", func(t *testing.T) {
		w := w.in(t)
		for _, image := range []string{service, generator, localAgent} {
			for _, p := range w.executable(w.program(image)).Progs {
				if p.Type == elf.PT_INTERP {
					t.Errorf("%s: its program needs shared libraries, which the image does not have", image)
				}
			}
		}
	})
	t.Run("version", func(t *testing.T) {
		version := w.in(t).run("version", service, nil, "-version")
		if status := version.wait(); status != 0 || !strings.Contains(version.output.String(), "apmapp v1.2.3\nrevision "+revision) {
			t.Errorf("-version: status %d, want 0 with v1.2.3 and the revision: %s", status, &version.output)
		}
	})
	t.Run("flags of the deployments", func(t *testing.T) {
		w := w.in(t)
		programs := map[string]string{"apmapp": w.program(service), "loadgen": w.program(generator), "localagent": w.program(localAgent)}
		for _, args := range deployedFlags(t) {
			// Flags are parsed in order, and -help ends the program.
			out, err := exec.Command(programs[args[0]], append(args[1:], "-help")...).CombinedOutput()
			if err != nil {
				t.Errorf("%q: %v: %s", args, err, out)
			}
		}
	})
	t.Run("together", func(t *testing.T) {
		t.Parallel()
		together(w.in(t), service, generator, localAgent)
	})
	// Not in parallel with the foreign architecture, whose base image has the same name.
	t.Run("reproducible", func(t *testing.T) { reproducible(w.in(t)) })
	t.Run("foreign architecture", func(t *testing.T) {
		t.Parallel()
		foreign(w.in(t))
	})
}

// reproducible builds an image twice, from copies of the source code with other times.
// Both must have the same digest.
func reproducible(w *workshop) {
	var images [2]inspected
	for i := range images {
		source := w.t.TempDir()
		if err := os.CopyFS(source, os.DirFS(filepath.Join(root, "internal/build"))); err != nil {
			w.t.Fatal(err)
		}
		w.file(source, "go.mod", []byte("module apmapp\n"), 0o644)
		w.file(source, "loadgen/main.go", []byte("package main\n\nfunc main() { println(\"loadgen\") }\n"), 0o644)
		other := time.Date(2001, 2, 3, i, 0, 0, 0, time.UTC)
		if err := os.Chtimes(filepath.Join(source, "loadgen/main.go"), other, other); err != nil {
			w.t.Fatal(err)
		}
		epoch := []string{"--format", "oci", "--timestamp", "1700000000", "--build-arg", "SOURCE_DATE_EPOCH=1700000000"}
		image := w.build("loadgen", runtime.GOARCH, source, append(epoch, "--tag", fmt.Sprintf("localhost/reproducible:%d", i))...)
		images[i] = w.inspect(image)
		info, err := os.Stat(w.program(image))
		if err != nil {
			w.t.Fatal(err)
		}
		if got := info.ModTime().Unix(); got != 1700000000 {
			w.t.Errorf("the program's file has the time %d, want SOURCE_DATE_EPOCH", got)
		}
	}
	if images[0].ID != images[1].ID || images[0].Digest != images[1].Digest || images[0].Digest == "" {
		w.t.Errorf("two builds made the images %s (%s) and %s (%s), want the same", images[0].ID, images[0].Digest, images[1].ID, images[1].Digest)
	}
}

// TestBaseImagesArePinned checks that each base image has a tag, which people read, and a
// digest, which the builder uses.
func TestBaseImagesArePinned(t *testing.T) {
	stages := map[string]bool{}
	var pinned []string
	for _, m := range regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+) AS (\S+)$`).FindAllStringSubmatch(read(t, filepath.Join(root, "Dockerfile")), -1) {
		image, name := m[1], m[2]
		if !stages[image] {
			if !regexp.MustCompile(`^[a-z0-9./-]+:[a-z0-9.-]+@sha256:[0-9a-f]{64}$`).MatchString(image) {
				t.Errorf("the base image %s is not pinned by tag and digest", image)
			}
			pinned = append(pinned, pinnedDigest.ReplaceAllString(image, ""))
		}
		stages[name] = true
	}
	if want := []string{golangImage, staticImage}; !slices.Equal(pinned, want) {
		t.Errorf("the base images are %q, want %q", pinned, want)
	}
}

// foreign builds an image for another architecture. This machine cannot run it, so the
// test reads the image's and the program's architecture. The program consists only of the
// packages with code for one system: loadgen's client and clock. With an empty cache they
// took 61 s of processor time, the whole loadgen 180 s.
func foreign(w *workshop) {
	arch, machine := "arm64", elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		arch, machine = "amd64", elf.EM_X86_64
	}
	source := w.t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		w.file(source, name, []byte(read(w.t, filepath.Join(root, name))), 0o644)
	}
	for _, dir := range []string{"loadgen/client", "loadgen/openloop", "internal/format"} {
		if err := os.CopyFS(filepath.Join(source, dir), os.DirFS(filepath.Join(root, dir))); err != nil {
			w.t.Fatal(err)
		}
	}
	w.file(source, "loadgen/main.go", []byte("package main\n\nimport _ \"apmapp/loadgen/client\"\n\nfunc main() {}\n"), 0o644)
	w.static(arch)
	image := w.build("loadgen", arch, source)
	if got := w.inspect(image).Architecture; got != arch {
		w.t.Errorf("the image is for %s, want %s", got, arch)
	}
	if got := w.executable(w.program(image)).Machine; got != machine {
		w.t.Errorf("the program is for %s, want %s", got, machine)
	}
}

// deployedFlags returns the command lines that the deployments give to our programs,
// starting with the program's name.
func deployedFlags(t *testing.T) (all [][]string) {
	t.Helper()
	for _, profile := range []string{"local", "datadog"} {
		p, err := compose(t, filepath.Join(root, "deploy/compose"), profile)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range p.ServiceNames() {
			if s := p.Services[name]; s.Build != nil && len(s.Command) > 0 {
				all = append(all, append([]string{s.Build.Target}, s.Command...))
			}
		}
	}
	for _, w := range buildOverlay(t, deployment(t), "local").workloads {
		for _, c := range w.template.Spec.Containers {
			if program, ours := strings.CutPrefix(c.Image, "apmapp-"); ours && len(c.Args) > 0 {
				program, _, _ = strings.Cut(program, ":")
				args := append([]string{program}, c.Args...)
				for i := range args {
					args[i] = strings.ReplaceAll(args[i], "$(JOB_COMPLETION_INDEX)", "0")
				}
				all = append(all, args)
			}
		}
	}
	if len(all) != 4 {
		t.Fatalf("got the command lines %q, want loadgen twice and localagent from compose, loadgen from Kubernetes", all)
	}
	return all
}

// largest is the limit for the size of the service's image, in bytes.
const largest = 35e6

// imageProblems returns what is wrong with the service's image.
func imageProblems(i inspected) (problems []string) {
	report := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if i.Size > largest {
		report("it has %.1f MB, the limit is %.0f", float64(i.Size)/1e6, largest/1e6)
	}
	// Kubernetes' runAsNonRoot accepts only a number: it cannot look up a name.
	if user, _, _ := strings.Cut(i.User, ":"); !regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(user) {
		report("its user is %q, want a number other than 0", i.User)
	}
	for _, label := range imageLabels {
		if got := i.Config.Labels[label.name]; got != label.value {
			report("the label %s is %q, want %q", label.name, got, label.value)
		}
	}
	for _, want := range imageEnv {
		if !slices.Contains(i.Config.Env, want) {
			report("its environment has no %s: %q", want, i.Config.Env)
		}
	}
	if test := i.Healthcheck.Test; len(test) < 2 || test[0] != "CMD" || !slices.Contains(i.Config.Entrypoint, test[1]) {
		report("its health check is %q, want the program itself", test)
	}
	return problems
}

// What the build arguments of workshop.build set in the service's image.
var (
	imageLabels = []struct{ name, value string }{
		{"org.opencontainers.image.title", "apmapp"},
		{"org.opencontainers.image.version", "v1.2.3"},
		{"org.opencontainers.image.revision", revision},
		{"org.opencontainers.image.source", "https://example.com/apmapp"},
	}
	imageEnv = []string{"DD_VERSION=v1.2.3", "DD_GIT_COMMIT_SHA=" + revision, "DD_GIT_REPOSITORY_URL=https://example.com/apmapp"}
)

func TestImageProblems(t *testing.T) {
	valid := func() inspected {
		i := inspected{Size: largest, User: "65532:65532"}
		i.Config.Env = slices.Clone(imageEnv)
		i.Config.Entrypoint = []string{"/apmapp"}
		i.Config.Labels = map[string]string{}
		for _, label := range imageLabels {
			i.Config.Labels[label.name] = label.value
		}
		i.Healthcheck.Test = []string{"CMD", "/apmapp", "-healthcheck"}
		return i
	}
	wantNoProblems(t, imageProblems(valid()))
	for _, tc := range []struct {
		want     string
		breakIts func(*inspected)
	}{
		{"it has 36.0 MB", func(i *inspected) { i.Size = 36e6 }},
		{`its user is ""`, func(i *inspected) { i.User = "" }},
		{`its user is "0:0"`, func(i *inspected) { i.User = "0:0" }},
		{`its user is "nonroot"`, func(i *inspected) { i.User = "nonroot" }},
		{"the label org.opencontainers.image.revision is", func(i *inspected) { delete(i.Config.Labels, "org.opencontainers.image.revision") }},
		{"has no DD_VERSION=v1.2.3", func(i *inspected) { i.Config.Env = i.Config.Env[1:] }},
		{"its health check is", func(i *inspected) {
			i.Healthcheck.Test = []string{"CMD-SHELL", "curl -f http://localhost:5050/healthz"}
		}},
	} {
		i := valid()
		tc.breakIts(&i)
		wantProblem(t, imageProblems(i), tc.want)
	}
}
