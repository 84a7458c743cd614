package containers

import (
	"debug/elf"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// largest is how many bytes the image of the service may have.
const largest = 35e6

// imageProblems says what is wrong with the image of the service.
func imageProblems(i inspected) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if i.Size > largest {
		say("it has %.1f MB, %.0f are allowed", float64(i.Size)/1e6, largest/1e6)
	}
	// By number, since Kubernetes' runAsNonRoot cannot tell who a name is.
	if user, _, _ := strings.Cut(i.User, ":"); !regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(user) {
		say("its user is %q", i.User)
	}
	for label, want := range map[string]string{"title": "apmapp", "version": "v1.2.3", "revision": revision, "source": "https://example.com/apmapp"} {
		if got := i.Config.Labels["org.opencontainers.image."+label]; got != want {
			say("the label %s is %q, want %q", label, got, want)
		}
	}
	for _, want := range []string{"DD_VERSION=v1.2.3", "DD_GIT_COMMIT_SHA=" + revision, "DD_GIT_REPOSITORY_URL=https://example.com/apmapp"} {
		if !slices.Contains(i.Config.Env, want) {
			say("its environment has no %s: %q", want, i.Config.Env)
		}
	}
	if test := i.Healthcheck.Test; len(test) < 2 || test[0] != "CMD" || !slices.Contains(i.Config.Entrypoint, test[1]) {
		say("its health check is %q, which is not the program itself", test)
	}
	return problems
}

func TestBrokenImages(t *testing.T) {
	for want, broken := range map[string]func(*inspected){
		"":                         func(*inspected) {},
		"it has 36.0 MB":           func(i *inspected) { i.Size = 36e6 },
		`its user is ""`:           func(i *inspected) { i.User = "" },
		`its user is "0:0"`:        func(i *inspected) { i.User = "0:0" },
		`its user is "nonroot"`:    func(i *inspected) { i.User = "nonroot" },
		"the label revision is":    func(i *inspected) { delete(i.Config.Labels, "org.opencontainers.image.revision") },
		"has no DD_VERSION=v1.2.3": func(i *inspected) { i.Config.Env = i.Config.Env[1:] },
		"its health check is": func(i *inspected) {
			i.Healthcheck.Test = []string{"CMD-SHELL", "curl -f http://localhost:5050/healthz"}
		},
	} {
		i := inspected{Size: 20e6, User: "65532:65532"}
		i.Config.Env = []string{"DD_VERSION=v1.2.3", "DD_GIT_COMMIT_SHA=" + revision, "DD_GIT_REPOSITORY_URL=https://example.com/apmapp"}
		i.Config.Entrypoint = []string{"/apmapp"}
		i.Config.Labels = map[string]string{}
		for label, value := range map[string]string{"title": "apmapp", "version": "v1.2.3", "revision": revision, "source": "https://example.com/apmapp"} {
			i.Config.Labels["org.opencontainers.image."+label] = value
		}
		i.Healthcheck.Test = []string{"CMD", "/apmapp", "-healthcheck"}
		broken(&i)
		complain(t, imageProblems(i), want)
	}
}

func TestImages(t *testing.T) {
	w := newWorkshop(t)
	w.static(runtime.GOARCH)
	service := w.build("", runtime.GOARCH)
	generator := w.build("loadgen", runtime.GOARCH)
	localAgent := w.build("localagent", runtime.GOARCH)

	t.Run("what the service's image says", func(t *testing.T) {
		w := w.in(t)
		got := w.inspect(service)
		complain(t, imageProblems(got), "")
		t.Logf("%.1f MB", float64(got.Size)/1e6)
	})
	t.Run("programs", func(t *testing.T) {
		w := w.in(t)
		for _, image := range []string{service, generator, localAgent} {
			for _, p := range w.program(image).Progs {
				if p.Type == elf.PT_INTERP {
					t.Errorf("%s: its program asks for libraries that the image has not", image)
				}
			}
		}
		version := w.run("version", service, nil, "-version")
		if status := version.wait(); status != 0 || !strings.Contains(version.output.String(), "apmapp v1.2.3\nrevision "+revision) {
			t.Errorf("status %d: %s", status, &version.output)
		}
	})
	t.Run("flags of the deployments", func(t *testing.T) {
		w := w.in(t)
		images := map[string]string{"apmapp": service, "loadgen": generator, "localagent": localAgent}
		for i, args := range deployedFlags(t) {
			// Flags are read in their order, and -help ends the reading.
			c := w.run("flags-"+strconv.Itoa(i), images[args[0]], nil, append(args[1:], "-help")...)
			if status := c.wait(); status != 0 {
				t.Errorf("%q: status %d: %s", args, status, &c.output)
			}
		}
	})
	t.Run("together", func(t *testing.T) { together(t, w, service, generator, localAgent) })
	t.Run("foreign architecture", func(t *testing.T) { foreign(t, w) })
}

// foreign builds the image for the other architecture. It cannot be run here; that
// its program is for there can be seen.
func foreign(t *testing.T, w *workshop) {
	w = w.in(t)
	arch, machine := "arm64", elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		arch, machine = "amd64", elf.EM_X86_64
	}
	w.static(arch)
	image := w.build("apmapp", arch)
	if got := w.inspect(image).Architecture; got != arch {
		t.Errorf("the image is for %s", got)
	}
	if got := w.program(image).Machine; got != machine {
		t.Errorf("the program is for %s", got)
	}
}

// deployedFlags are the command lines that the deployments give to our programs,
// each with its program first.
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
	deploy := deployment(t)
	allSecrets(t, deploy)
	for _, w := range buildOverlay(t, deploy, "local").workloads {
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
		t.Fatalf("compose says loadgen twice and localagent, Kubernetes loadgen, but here are %q", all)
	}
	return all
}
