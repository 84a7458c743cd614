package containers

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/internal/testing/mysqltest"
)

// The names that the Dockerfile builds on.
const (
	golangImage = "docker.io/library/golang:1.26-alpine"
	staticImage = "gcr.io/distroless/static-debian12:nonroot"
)

// largest is how many bytes the image of the service may have.
const largest = 35e6

// patience is generous: a busy machine starts a container in seconds.
const patience = time.Minute

// workshop builds images and runs them, in a storage of its own.
type workshop struct {
	t       *testing.T
	dir     string
	goroot  string
	gocache string
	proxy   string // what go has downloaded, as a proxy serves it
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	need(t, "buildah", "podman", "runc", "busybox")
	if os.Getuid() != 0 {
		missing(t, "images are built and run by root here")
	}
	// Not t.TempDir: its path is too long for the sockets that podman makes.
	dir, err := os.MkdirTemp("", "images")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	// Read outside of the module, whose environment the build has not.
	variables := strings.Fields(output(t, exec.Command("go", "env", "GOROOT", "GOCACHE", "GOMODCACHE")))
	w := &workshop{t: t, dir: dir, goroot: variables[0], gocache: variables[1], proxy: filepath.Join(variables[2], "cache/download")}
	for _, sub := range []string{"tmp", w.proxy} {
		if !filepath.IsAbs(sub) {
			sub = filepath.Join(dir, sub)
		}
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.golang()
	return w
}

// in is the workshop for a subtest.
func (w *workshop) in(t *testing.T) *workshop {
	sub := *w
	sub.t = t
	return &sub
}

func (w *workshop) command(program string, args ...string) *exec.Cmd {
	storage := []string{"--root", filepath.Join(w.dir, "root"), "--runroot", filepath.Join(w.dir, "run"), "--storage-driver", "vfs"}
	if program == "podman" {
		storage = append(storage, "--tmpdir", filepath.Join(w.dir, "podman"), "--runtime", "runc",
			"--cgroup-manager", "cgroupfs", "--events-backend", "none")
	}
	cmd := exec.Command(program, append(storage, args...)...)
	// Caches of the Dockerfile's mounts are made in TMPDIR.
	cmd.Env = append(os.Environ(), "TMPDIR="+filepath.Join(w.dir, "tmp"))
	return cmd
}

func (w *workshop) do(program string, args ...string) string {
	w.t.Helper()
	return strings.TrimSpace(output(w.t, w.command(program, args...)))
}

// image makes an image of a tree, under a name that the Dockerfile builds on.
func (w *workshop) image(name, arch, tree string, config ...string) {
	w.t.Helper()
	container := w.do("buildah", "from", "--arch", arch, "scratch")
	w.do("buildah", "copy", "--quiet", container, tree, "/")
	w.do("buildah", append(append([]string{"config", "--arch", arch}, config...), container)...)
	w.do("buildah", "commit", "--quiet", "--rm", container, name)
}

// golang stands for the image of Go on Alpine: a busybox, CA certificates, and the
// Go of this machine, mounted when there is something to build.
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
		// What this machine has downloaded and built is not done again. The
		// Dockerfile leaves both to the image, unless told otherwise.
		"--env", "GOPROXY=file:///proxy,"+proxy, "--env", "GOCACHE=/gocache")
}

// static stands for the image of Distroless that holds static programs: CA
// certificates, time zones, and no program at all.
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

// build builds a target of the Dockerfile; "" is what docker build does untold.
func (w *workshop) build(target, arch string) (image string) {
	w.t.Helper()
	image = "localhost/" + first(target, "default") + ":" + arch
	args := []string{"bud", "--isolation", "chroot", "--pull-never", "--format", "docker",
		"--platform", "linux/" + arch,
		// Newer releases of buildah know it by themselves, as Docker does.
		"--build-arg", "BUILDPLATFORM=linux/" + runtime.GOARCH,
		"--build-arg", "VERSION=v1.2.3", "--build-arg", "REVISION=" + revision, "--build-arg", "SOURCE=https://example.com/apmapp",
		"--volume", w.goroot + ":/usr/local/go:ro", "--volume", w.gocache + ":/gocache", "--volume", w.proxy + ":/proxy:ro",
		"--tag", image}
	if target != "" {
		args = append(args, "--target", target)
	}
	if arch != runtime.GOARCH {
		// Debian 12's buildah takes one stage's platform for the next one's too.
		dockerfile := filepath.Join(w.dir, "Dockerfile")
		w.file("/", dockerfile, []byte(read(w.t, filepath.Join(root, "Dockerfile"))), 0o644)
		replace(w.t, dockerfile, "\nFROM "+staticImage, "\nFROM --platform=linux/"+arch+" "+staticImage)
		args = append(args, "--file", dockerfile)
	}
	start := time.Now()
	w.do("buildah", append(args, root)...)
	w.t.Logf("%s: built in %.1fs", image, time.Since(start).Seconds())
	return image
}

const revision = "0123456789abcdef0123456789abcdef01234567"

// inspected is what an image says of itself.
type inspected struct {
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
		w.t.Fatalf("%s: %d images, %v", image, len(images), err)
	}
	return images[0]
}

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

// program opens the program of an image.
func (w *workshop) program(image string) *elf.File {
	w.t.Helper()
	entrypoint := w.inspect(image).Config.Entrypoint
	if len(entrypoint) != 1 {
		w.t.Fatalf("%s starts with %q", image, entrypoint)
	}
	mounted := w.do("podman", "image", "mount", image)
	w.t.Cleanup(func() { w.do("podman", "image", "unmount", image) })
	f, err := elf.Open(filepath.Join(mounted, entrypoint[0]))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { f.Close() })
	return f
}

// run starts a container as the deployments do: read-only, without capabilities, on
// this machine's loopback.
func (w *workshop) run(name, image string, options []string, args ...string) *container {
	w.t.Helper()
	all := []string{"run", "--rm", "--name", name, "--network", "host", "--log-driver", "none",
		"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
		// podman's own defaults are above what this machine may allow.
		"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"}
	all = append(append(append(all, options...), image), args...)
	c := &container{w: w, name: name, cmd: w.command("podman", all...), exited: make(chan error, 1)}
	c.cmd.Stdout, c.cmd.Stderr = &c.output, &c.output
	if err := c.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	go func() { c.exited <- c.cmd.Wait() }()
	w.t.Cleanup(func() {
		if c.cmd.ProcessState == nil {
			_ = w.command("podman", "rm", "--force", "--time", "1", name).Run()
			<-c.exited
		}
		if w.t.Failed() {
			w.t.Logf("%s said:\n%s", name, &c.output)
		}
	})
	return c
}

// container is one that runs.
type container struct {
	w      *workshop
	name   string
	cmd    *exec.Cmd
	output lines
	exited chan error
}

// lines is an output that is read while it is written.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

// until asks again and again, for as long as the container runs.
func (c *container) until(what string, true_ func() bool) {
	c.w.t.Helper()
	for start := time.Now(); !true_(); {
		select {
		case err := <-c.exited:
			c.exited <- err
			c.w.t.Fatalf("%s ended before %s: %v", c.name, what, err)
		case <-time.After(50 * time.Millisecond):
		}
		if time.Since(start) > patience {
			c.w.t.Fatalf("%s: no %s within %s", c.name, what, patience)
		}
	}
}

// wait returns the exit status.
func (c *container) wait() int {
	c.w.t.Helper()
	select {
	case <-c.exited:
		return c.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		c.w.t.Fatalf("%s has not ended within %s", c.name, patience)
		return -1
	}
}

// process is what the kernel says of the container's first process.
func (c *container) process(file string) string {
	c.w.t.Helper()
	return read(c.w.t, filepath.Join("/proc", c.w.do("podman", "inspect", "--format", "{{.State.Pid}}", c.name), file))
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

// together runs the images as compose.yaml's profile local would: the service on a
// real server, its telemetry over a socket to the local agent, and traffic.
func together(t *testing.T, w *workshop, service, generator, localAgent string) {
	w = w.in(t)
	server := mysqltest.Start(t)
	dsn := filepath.Join(t.TempDir(), "dsn")
	w.file("/", dsn, []byte(server.Database(t)), 0o644)
	sockets := t.TempDir()
	if err := os.Chmod(sockets, 0o777); err != nil {
		t.Fatal(err)
	}
	sharing := []string{"--volume", sockets + ":/var/run/datadog"}

	agent := w.run("localagent", localAgent, sharing,
		"-addr", "127.0.0.1:0", "-dogstatsd", "127.0.0.1:0", "-pages", "127.0.0.1:0", "-socket", "/var/run/datadog/apm.socket", "-dogstatsd-socket", "/var/run/datadog/dsd.socket")
	var pages string
	agent.until("line with the address of its pages", func() bool {
		m := regexp.MustCompile(`(?m)^pages +(http://\S+)`).FindStringSubmatch(agent.output.String())
		if m != nil {
			pages = m[1]
		}
		return m != nil
	})

	addr := freeAddr(t)
	_, port, _ := net.SplitHostPort(addr)
	options := append(slices.Clone(sharing), "--volume", dsn+":/run/secrets/dsn:ro", "--memory", "256m")
	for _, variable := range []string{"MYSQL_DSN_FILE=/run/secrets/dsn", "APMAPP_ADDR=127.0.0.1", "APMAPP_PORT=" + port,
		"DD_ENV=test", "DD_TRACE_AGENT_URL=unix:///var/run/datadog/apm.socket", "DD_DOGSTATSD_URL=unix:///var/run/datadog/dsd.socket", "GOMEMLIMIT=244MiB"} {
		options = append(options, "--env", variable)
	}
	// Nothing listens yet: the image's own check has to say so.
	check := w.inspect(service).Healthcheck.Test
	if len(check) < 2 {
		t.Fatalf("the health check is %q", check)
	}
	if status := w.run("early", service, options, check[2:]...).wait(); status != 1 {
		t.Errorf("without a service its health check ends with %d", status)
	}

	app := w.run("apmapp", service, options)
	app.until("readiness", func() bool { return answers("http://"+addr+"/readyz", http.StatusOK) })
	w.do("podman", append([]string{"exec", "apmapp"}, check[1:]...)...)

	status := app.process("status")
	for _, want := range []string{"Uid:\t65532\t65532\t65532\t65532", "Gid:\t65532", "CapEff:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(status, want) {
			t.Errorf("the service's process is not %q:\n%s", want, status)
		}
	}
	if !readOnlyRoot(app.process("mountinfo")) {
		t.Error("the service's root can be written to")
	}

	traffic := w.run("loadgen", generator, nil, "-rps", "20", "-duration", "2s", "-max-error-rate", "0", "-url", "http://"+addr)
	if status := traffic.wait(); status != 0 {
		t.Errorf("loadgen ended with %d", status)
	}
	agent.until("trace", func() bool { return found(t, pages+"/api/traces?service=apmapp", "GET /api/trace") })
	agent.until("metric", func() bool {
		return found(t, pages+"/api/metrics?q=gomemlimit", "runtime.go.metrics.gc_gomemlimit.bytes")
	})
	agent.until("span of the database", func() bool { return found(t, pages+"/api/services", `"apmapp-mysql"`) })

	if err := w.command("podman", "kill", "--signal", "TERM", "apmapp").Run(); err != nil {
		t.Fatal(err)
	}
	if status := app.wait(); status != 0 {
		t.Errorf("after SIGTERM the service ended with %d", status)
	}
	for _, want := range []string{`"msg":"stopped"`, `"dd.version":"v1.2.3"`, "git.commit.sha:" + revision, "git.repository_url:https://example.com/apmapp"} {
		if !strings.Contains(app.output.String(), want) {
			t.Errorf("the service's log has no %s", want)
		}
	}
	// The last profile is sent at the end.
	agent.until("profile", func() bool { return found(t, pages+"/api/profiles?service=apmapp", `"cpu"`) })
	if err := w.command("podman", "kill", "--signal", "TERM", "localagent").Run(); err != nil {
		t.Fatal(err)
	}
	if status := agent.wait(); status != 0 {
		t.Errorf("after SIGTERM the local agent ended with %d", status)
	}
	if strings.Contains(agent.output.String(), "level=ERROR") {
		t.Errorf("the local agent had errors:\n%s", &agent.output)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func get(url string) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, err
}

func answers(url string, status int) bool {
	resp, err := get(url)
	return err == nil && resp.StatusCode == status
}

// found tells whether an answer of the local agent has a text.
func found(t *testing.T, url, text string) bool {
	t.Helper()
	resp, err := get(url)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %s", url, resp.Status, body)
	}
	return bytes.Contains(body, []byte(text))
}

// readOnlyRoot reads proc_pid_mountinfo(5).
func readOnlyRoot(mountinfo string) bool {
	for scanner := bufio.NewScanner(strings.NewReader(mountinfo)); scanner.Scan(); {
		fields := strings.Fields(scanner.Text())
		if len(fields) > 5 && fields[4] == "/" {
			return slices.Contains(strings.Split(fields[5], ","), "ro")
		}
	}
	return false
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
