package checks

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/shirou/gopsutil/v4/common"

	"apmapp/internal/local/wire"
)

// proc writes the files of a machine. The context makes the check read them.
func proc(t *testing.T, dir, times string) context.Context {
	t.Helper()
	for name, content := range map[string]string{
		"loadavg": "1.25 0.50 0.10 2/345 6789\n",
		"meminfo": "MemTotal:        8000 kB\nMemFree:         1000 kB\nMemAvailable:    3000 kB\n",
		"stat":    "cpu  " + times + "\ncpu0 1 1 1 1 1 1 1 1 1 1\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return context.WithValue(t.Context(), common.EnvKey, common.EnvMap{common.HostProcEnvKey: dir})
}

func TestSystemIsOneOfTheChecks(t *testing.T) {
	for is, want := range map[bool]string{true: "system every 15 s", false: ""} {
		c, err := Start(Config{Files: fstest.MapFS{"conf.d/none.yaml": {}}, System: is, Add: func(wire.Datagram) {}, Warn: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		if c.Close(); c.String() != want {
			t.Errorf("System %t: %q, want %q", is, c, want)
		}
	}
}

func TestSystem(t *testing.T) {
	if _, err := os.Stat("/proc/stat"); err != nil {
		t.Skip("only Linux has /proc")
	}
	dir, of := t.TempDir(), newSystem()
	if of.name != "system" || of.interval != defaultInterval {
		t.Errorf("%s every %s, want system every %s", of.name, of.interval, defaultInterval)
	}
	for _, step := range []struct{ times, want string }{
		// user nice system idle iowait irq softirq steal guest guest_nice
		{"100 10 50 1000 20 1 2 3 40 4", ""},
		// 100 ticks: user 20+5, system 8+1+1, iowait 4, steal 1, idle 60. Those of guests are part of user.
		{"120 15 58 1060 24 2 3 4 60 6", "system.cpu.user=25 system.cpu.system=10 system.cpu.iowait=4"},
		{"120 15 58 1060 24 2 3 4 60 6", ""},
		// 100 ticks, but iowait fell by 2.
		{"130 15 58 1152 22 2 3 4 60 6", "system.cpu.user=10 system.cpu.system=0 system.cpu.iowait=0"},
	} {
		got, err := of.run(proc(t, dir, step.times))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, s := range got.samples {
			if s.Type != wire.Gauge || s.Weight != 1 || len(s.Values) != 1 {
				t.Errorf("%+v is no gauge", s)
			}
			all = append(all, fmt.Sprintf("%s=%.7g", s.Name, math.Round(s.Values[0]*1e9)/1e9))
		}
		want := strings.TrimSpace("system.load.1=1.25 system.mem.usable=3072000 system.mem.total=8192000 " + step.want)
		if got := strings.Join(all, " "); got != want {
			t.Errorf("%s: %s, want %s", step.times, got, want)
		}
	}
	for _, name := range []string{"stat", "meminfo"} { // the load can be read without its file
		ctx := proc(t, dir, "1 2 3 4 5 6 7 8 9 10")
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := of.run(ctx); err == nil || name != "stat" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without %s: error %v", name, err)
		}
	}
}
