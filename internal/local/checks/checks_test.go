//go:build unix

package checks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"apmapp/deploy/agent"
	"apmapp/internal/local/wire"
	"apmapp/internal/testing/poll"
)

// files returns the files of an Agent with one check.
func files(source, conf string) fstest.MapFS {
	return fstest.MapFS{
		"datadog.yaml":             {Data: []byte("env: dev\ntags: [project:apmapp, 'team:apm']\nhostname: web-1\n")},
		"checks.d/custom.py":       {Data: []byte(source)},
		"conf.d/custom.yaml":       {Data: []byte(conf)},
		"conf.d/other.d/conf.yaml": {Data: []byte("logs: []\n")},
	}
}

// class is a check whose method check has a body.
func class(body string) string {
	return "import os, time\nfrom datadog_checks.base import AgentCheck\n\nclass Custom(AgentCheck):\n    def check(self, instance):\n        " + strings.ReplaceAll(body, "\n", "\n        ") + "\n"
}

const one = "instances: [{}]\n"

// inbox keeps what checks add, and their warnings.
type inbox struct {
	mu    sync.Mutex
	got   []wire.Datagram
	warns []string
}

func (b *inbox) add(d wire.Datagram) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, d)
}

func (b *inbox) warn(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.warns = append(b.warns, err.Error())
}

func (b *inbox) warnings() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.warns)
}

// datagram waits for a datagram, counted from 0.
func (b *inbox) datagram(t *testing.T, n int) (d wire.Datagram) {
	t.Helper()
	poll.True(t, fmt.Sprintf("datagram %d", n), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		if n < len(b.got) {
			d = b.got[n]
		}
		return n < len(b.got)
	})
	return d
}

// start starts checks until the test ends.
func start(t *testing.T, cfg Config) (*Checks, *inbox) {
	t.Helper()
	var b inbox
	cfg.Add, cfg.Warn = b.add, b.warn
	c, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, &b
}

// needsPython skips a test without python3. With CI set it fails.
func needsPython(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil && os.Getenv("CI") == "" {
		t.Skip("python3 is not installed")
	}
}

// single returns the only check of files.
func single(t *testing.T, source, conf string) *check {
	t.Helper()
	all, err := custom(files(source, conf))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d checks, want 1: %v", len(all), err)
	}
	t.Cleanup(all[0].close)
	return all[0]
}

// TestMyMetric runs the product's own check with its own configuration.
func TestMyMetric(t *testing.T) {
	t.Parallel()
	needsPython(t)
	c, b := start(t, Config{Files: agent.Files, Env: "demo"})
	if got, want := c.String(), "my_metric every 45 s"; got != want {
		t.Errorf("the checks are %q, want %q", got, want)
	}
	d := b.datagram(t, 0)
	if len(d.Samples) != 1 {
		t.Fatalf("samples %+v, want 1", d.Samples)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	s := d.Samples[0]
	if s.Name != "my_metric" || s.Type != wire.Gauge || s.Weight != 1 || len(s.Values) != 1 || s.Values[0] < 0 || s.Values[0] > 1000 {
		t.Errorf("sample %+v, want a gauge my_metric from 0 to 1000", s)
	}
	want := []string{"env:demo", "host:" + host, "project:apmapp", "role:database", "role:web", "team:apm"}
	if !slices.Equal(s.Tags, want) {
		t.Errorf("tags %q, want those of my_metric.yaml and of datadog.yaml: %q", s.Tags, want)
	}
	if got := d.Checks[0]; got.Name != "datadog.agent.check_status" || got.Status != "ok" || got.Host != host || !slices.Contains(got.Tags, "check:my_metric") {
		t.Errorf("service check %+v", got)
	}
}

func TestIntervals(t *testing.T) {
	for conf, want := range map[string]time.Duration{
		one: 15 * time.Second,
		"instances: [{min_collection_interval: 7}]":                                             7 * time.Second,
		"init_config: {min_collection_interval: 30}\ninstances: [{}]":                           30 * time.Second,
		"init_config: {min_collection_interval: 30}\ninstances: [{min_collection_interval: 1}]": time.Second,
		"instances: [{min_collection_interval: 86400}]":                                         24 * time.Hour,
	} {
		if got := single(t, "", conf).interval; got != want {
			t.Errorf("%s: %s, want %s", conf, got, want)
		}
	}
	for _, wrong := range []string{"0", "-1", "1.5", "86401", "soon", "'15'"} {
		_, err := custom(files("", "instances: [{min_collection_interval: "+wrong+"}]"))
		want := "conf.d/custom.yaml: min_collection_interval must be whole seconds from 1 to 86400, got " + strings.Trim(wrong, "'")
		if err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", wrong, err, want)
		}
	}
}

func TestFiles(t *testing.T) {
	if err := Valid(agent.Files); err != nil {
		t.Errorf("the product's own files: %v", err)
	}
	for _, tc := range []struct {
		name, file, content string
		want                string
	}{
		{"no configuration", "conf.d/custom.yaml", "", ""},
		{"malformed", "conf.d/custom.yaml", "instances: [", "conf.d/custom.yaml: yaml: "},
		{"instances are no list", "conf.d/custom.yaml", "instances: 5", "conf.d/custom.yaml: yaml: "},
		{"keys that are not text", "conf.d/custom.yaml", "instances: [{a: {1: b}}]", "conf.d/custom.yaml: json: unsupported type"},
		{"of the host", "datadog.yaml", "tags: 5", "datadog.yaml: yaml: "},
		{"of the check mysql", "conf.d/mysql.d/conf.yaml", "instances: [{min_collection_interval: 0}]", "conf.d/mysql.d/conf.yaml: min_collection_interval "},
	} {
		all := files("", one)
		all[tc.file] = &fstest.MapFile{Data: []byte(tc.content)}
		if err := Valid(all); (err == nil) != (tc.want == "") || err != nil && !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%s: error %v, want %s…", tc.name, err, tc.want)
		}
	}
	if err := Valid(fstest.MapFS{"conf.d/a.yaml": {}}); err != nil {
		t.Errorf("without datadog.yaml and checks.d: %v", err)
	}
	if err := Valid(fstest.MapFS{"a.yaml": {}}); err == nil || err.Error() != "no directory conf.d; give a directory with the Agent's files, such as deploy/agent" {
		t.Errorf("without conf.d: error %v", err)
	}
	// Both forms of configuration, and several instances.
	all := files("", "instances: [{}, {}]")
	all["conf.d/custom.d/conf.yaml"] = &fstest.MapFile{Data: []byte("instances: [{min_collection_interval: 3}]")}
	found, err := custom(all)
	if err != nil || len(found) != 3 || found[2].interval != 3*time.Second {
		t.Errorf("%d checks, want those of custom.yaml and then that of custom.d: %v", len(found), err)
	}
}

func TestHostTags(t *testing.T) {
	for _, tc := range []struct{ env, tags, want string }{
		{"", "a:b", "a:b env:dev host:web-1 project:apmapp team:apm"},
		{"demo", "a:b", "a:b env:demo host:web-1 project:apmapp team:apm"},
		{"demo", "env:own host:own team:apm", "env:own host:own project:apmapp team:apm"},
	} {
		h, err := readHost(files("", ""), "this-machine", tc.env)
		if err != nil {
			t.Fatal(err)
		}
		d := h.datagram(collected{samples: []wire.Sample{{Tags: strings.Fields(tc.tags)}}}, wire.Check{Tags: strings.Fields(tc.tags)})
		if got := strings.Join(d.Samples[0].Tags, " "); got != tc.want {
			t.Errorf("env %q, tags %s: %s, want %s", tc.env, tc.tags, got, tc.want)
		}
		if got := d.Checks[0]; got.Host != "web-1" || !wire.HasTag(got.Tags, "env") || !wire.HasTag(got.Tags, "project") {
			t.Errorf("env %q, tags %s: service check %+v", tc.env, tc.tags, got)
		}
	}
	h, err := readHost(fstest.MapFS{}, "this-machine", "")
	if got := h.datagram(collected{samples: []wire.Sample{{}}}, wire.Check{}).Samples[0].Tags; err != nil || !slices.Equal(got, []string{"host:this-machine"}) {
		t.Errorf("without datadog.yaml: %q, %v", got, err)
	}
}

func TestWhatAScriptSends(t *testing.T) {
	t.Parallel()
	needsPython(t)
	of := single(t, class(`
self.n = getattr(self, "n", 0) + 10
self.gauge("g", 1.5, tags=["a:b"])
self.gauge("of another host", 1, hostname="db-1")
self.count("c", 3)
self.histogram("h", 4)
self.distribution("d", 5)
self.rate("r", self.n)
self.monotonic_count("m", self.n)
self.monotonic_count("first", self.n, flush_first_value=True)
self.service_check("s", AgentCheck.WARNING, tags=["x:y"], message="slow")
self.service_check("unknown", 9)
self.service_check("fine", AgentCheck.OK)
self.warning("low on %s", instance["what"])
print("this goes nowhere")
os.system("echo neither does this")
instance["what"] = "a change of a copy"`), "instances: [{what: paper}]")
	text := func(c collected) (all []string) {
		for _, s := range c.samples {
			all = append(all, fmt.Sprintf("%s %s %v %q", s.Name, s.Type, s.Values[0], s.Tags))
		}
		return all
	}
	first, err := of.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`g g 1.5 ["a:b"]`, `of another host g 1 ["host:db-1"]`, `c c 3 []`, `h h 4 []`, `d d 5 []`, `first c 10 []`}
	if got := text(first); !slices.Equal(got, want) {
		t.Errorf("first run: %q, want %q", got, want)
	}
	if got, want := fmt.Sprintf("%+v", first.checks), "[{Name:s Status:warning Time:0 Host: Message:slow Tags:[x:y]} {Name:unknown Status:unknown Time:0 Host: Message: Tags:[]} {Name:fine Status:ok Time:0 Host: Message: Tags:[]}]"; got != want {
		t.Errorf("service checks %s, want %s", got, want)
	}
	second, err := of.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := text(second)
	if len(got) != 8 || !strings.HasPrefix(got[5], "r g ") || got[6] != `m c 10 []` || got[7] != `first c 10 []` {
		t.Errorf("second run: %q, want also the rate and the growth of n", got)
	}
	if want := []string{"low on paper"}; !slices.Equal(second.warnings, want) {
		t.Errorf("warnings %q, want %q", second.warnings, want)
	}
}

func TestScriptsThatFail(t *testing.T) {
	t.Parallel()
	needsPython(t)
	for name, tc := range map[string]struct{ source, want string }{
		"syntax":           {"x = (", `checks.d/custom.py:1: SyntaxError: `},
		"no class":         {"x = 1", `checks.d/custom.py: ConfigurationError: checks.d/custom.py must have one class that extends AgentCheck, got 0$`},
		"unknown module":   {"\nimport nosuchmodule", `checks.d/custom.py:2: ModuleNotFoundError: No module named 'nosuchmodule'$`},
		"exception":        {class("self.gauge('g', 1)\nraise ValueError('broken')"), `^checks.d/custom.py:7: ValueError: broken$`},
		"exits":            {class("raise SystemExit(3)"), `checks.d/custom.py:6: SystemExit: 3$`},
		"ends its process": {class("os._exit(3)"), `^checks.d/custom.py: its Python process ended: exit status 3$`},
		"not finite":       {class("self.gauge('g', float('nan'))"), `checks.d/custom.py:6: ValueError: the value of g must be finite, got nan$`},
		"no such method":   {class("self.event({})"), `checks.d/custom.py:6: AttributeError: 'Custom' object has no attribute 'event'`},
	} {
		got, err := single(t, tc.source, one).run(t.Context())
		if err == nil || !regexp.MustCompile(tc.want).MatchString(err.Error()) {
			t.Errorf("%s: error %v, want %s", name, err, tc.want)
		}
		if name == "exception" && len(got.samples) != 1 {
			t.Errorf("what was sent before the exception is lost")
		}
	}
}

// A process that ended is started again for the next run, with the state of a new one.
func TestScriptStartsAgain(t *testing.T) {
	t.Parallel()
	needsPython(t)
	of := single(t, class("self.n = getattr(self, 'n', 0) + 1\nself.gauge('n', self.n)\nif self.n == 2: os._exit(1)"), one)
	for i, want := range []float64{1, 0, 1} {
		got, err := of.run(t.Context())
		if (err != nil) != (want == 0) || want > 0 && got.samples[0].Values[0] != want {
			t.Errorf("run %d: %+v, %v, want %v", i, got.samples, err, want)
		}
	}
}

func TestWithoutPython(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, b := start(t, Config{Files: agent.Files})
	const want = "python3 is not installed: checks.d/my_metric.py needs it"
	d := b.datagram(t, 0)
	if len(d.Samples) != 0 || d.Checks[0].Status != "critical" || d.Checks[0].Message != want {
		t.Errorf("added %+v, want a critical service check with %q", d, want)
	}
	if got := b.warnings(); len(got) != 1 || got[0] != "check my_metric: "+want {
		t.Errorf("warnings %q", got)
	}
}

// The configuration and the source are UTF-8, whatever Python's encoding is.
func TestScriptInAnotherEncoding(t *testing.T) {
	needsPython(t)
	t.Setenv("PYTHONIOENCODING", "ascii")
	got, err := single(t, class(`self.gauge("größe", 1, tags=instance["tags"])`), "instances: [{tags: ['ort:Zürich']}]").run(t.Context())
	if err != nil || len(got.samples) != 1 || got.samples[0].Name != "größe" || !slices.Equal(got.samples[0].Tags, []string{"ort:Zürich"}) {
		t.Errorf("%+v, %v", got.samples, err)
	}
}

// alive reports whether a process runs.
func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// hanging is a check that starts a process and waits for it, with the files that have
// both process IDs.
func hanging(t *testing.T) (source string, pids func() []int) {
	file := filepath.Join(t.TempDir(), "pids")
	return class("import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\nopen('" + file + ".new', 'w').write('%d %d' % (os.getpid(), child.pid))\nos.rename('" + file + ".new', '" + file + "')\nchild.wait()"), func() (all []int) {
		var content []byte
		poll.Until(t, func() (err error) {
			content, err = os.ReadFile(file)
			return err
		})
		for _, field := range strings.Fields(string(content)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, pid)
		}
		return all
	}
}

func awaitEnd(t *testing.T, pids []int) {
	t.Helper()
	if len(pids) != 2 {
		t.Fatalf("processes %d, want that of the check and the one that it started", pids)
	}
	for _, pid := range pids {
		poll.True(t, fmt.Sprintf("the end of process %d", pid), func() bool { return !alive(pid) })
	}
}

func TestCloseEndsAHangingCheck(t *testing.T) {
	t.Parallel()
	needsPython(t)
	source, pids := hanging(t)
	c, b := start(t, Config{Files: files(source, one)})
	running := pids()
	c.Close()
	awaitEnd(t, running)
	if got := b.warnings(); len(got) != 0 || len(b.got) != 0 {
		t.Errorf("after Close: %v, warnings %q", b.got, got)
	}
}

func TestSlowRunIsGivenUp(t *testing.T) {
	t.Parallel()
	needsPython(t)
	source, pids := hanging(t)
	of := single(t, source, one)
	ctx, giveUp := context.WithCancel(t.Context())
	go func() {
		pids()
		giveUp()
	}()
	if _, err := of.run(ctx); err == nil {
		t.Error("the run has no error")
	}
	awaitEnd(t, pids())
}

// TestKilledProgramLeavesNoProcess runs a check in a process of its own, which is killed with SIGKILL.
func TestKilledProgramLeavesNoProcess(t *testing.T) {
	t.Parallel()
	needsPython(t)
	if source := os.Getenv("CHECKS_TEST_SOURCE"); source != "" { // in the process
		_, _ = single(t, source, one).run(t.Context())
		return
	}
	source, pids := hanging(t)
	cmd := exec.Command(os.Args[0], "-test.run", t.Name())
	cmd.Env = append(os.Environ(), "CHECKS_TEST_SOURCE="+source)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running := pids()
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	awaitEnd(t, running)
}

// TestSchedule has a check that takes 25 s every 10 s, on a fake clock.
func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var at []time.Duration
		c := &Checks{add: func(wire.Datagram) {}, warn: func(error) {}}
		of := &check{name: "slow", interval: 10 * time.Second, run: func(ctx context.Context) (collected, error) {
			at = append(at, time.Since(begin))
			if len(at) == 2 {
				time.Sleep(25 * time.Second)
			}
			return collected{}, nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		c.done.Go(func() { c.repeat(ctx, of) })
		time.Sleep(61 * time.Second)
		cancel()
		c.done.Wait()
		// One tick is kept during the slow run, the others are dropped.
		want := []time.Duration{0, 10 * time.Second, 35 * time.Second, 40 * time.Second, 50 * time.Second, 60 * time.Second}
		if !slices.Equal(at, want) {
			t.Errorf("runs at %v, want %v", at, want)
		}
	})
}

// TestStatus has runs that fail, hang, warn and work, on a fake clock.
func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b inbox
		c := &Checks{add: b.add, warn: b.warn}
		var outcome func(context.Context) (collected, error)
		of := &check{name: "x", interval: 10 * time.Second, run: func(ctx context.Context) (collected, error) { return outcome(ctx) }}
		fails := func(context.Context) (collected, error) { return collected{}, errors.New("broken") }
		hangs := func(ctx context.Context) (collected, error) { <-ctx.Done(); return collected{}, errors.New("killed") }
		works := func(context.Context) (collected, error) { return collected{}, nil }
		warns := func(context.Context) (collected, error) { return collected{warnings: []string{"a", "b"}}, nil }
		for _, step := range []struct {
			outcome         func(context.Context) (collected, error)
			status, message string
			took            time.Duration
			warnings        int
		}{
			{works, "ok", "", 0, 0},
			{fails, "critical", "broken", 0, 1},
			{fails, "critical", "broken", 0, 1},
			{warns, "warning", "a; b", 0, 1},
			{hangs, "critical", "it did not end within 60 s", time.Minute, 2},
			{works, "ok", "", 0, 2},
			{fails, "critical", "broken", 0, 3},
		} {
			outcome = step.outcome
			begin := time.Now()
			c.once(t.Context(), of)
			status := b.got[len(b.got)-1].Checks[0]
			if status.Status != step.status || status.Message != step.message || time.Since(begin) != step.took || len(b.warns) != step.warnings {
				t.Errorf("%s %q after %s, %d warnings; want %+v", status.Status, status.Message, time.Since(begin), len(b.warns), step)
			}
		}
		// A long interval is a long patience.
		of.interval = 5 * time.Minute
		outcome = hangs
		c.once(t.Context(), of)
		if got, want := b.got[len(b.got)-1].Checks[0].Message, "it did not end within 300 s"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}
