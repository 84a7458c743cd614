package vm

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// aptLocks are the files that apt-daily and unattended-upgrades lock after a boot.
var aptLocks = []string{
	"/var/lib/apt/lists/lock",
	"/var/lib/dpkg/lock-frontend",
	"/var/lib/dpkg/lock",
	"/var/cache/apt/archives/lock",
}

// lock locks a file like a program that uses apt.
func (m provisioned) lock(path string) (unlock func()) {
	m.t.Helper()
	f, err := os.OpenFile(m.Path(path), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		m.t.Fatal(err)
	}
	// The lock belongs to the open file, not to the process of all tests.
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
		m.t.Fatalf("lock %s: %v", path, err)
	}
	return func() { f.Close() }
}

// provisionWhileAptIsBusy is provision while another program holds all locks of apt. It
// releases each lock when provision.sh reports that it waits for it.
func (m provisioned) provisionWhileAptIsBusy(args ...string) string {
	m.t.Helper()
	unlock := map[string]func(){}
	for _, path := range aptLocks {
		unlock[path] = m.lock(path)
		defer unlock[path]()
	}
	// First with less patience.
	if out, err := m.Run(append([]string{"env", "APT_WAIT=1"}, args...)...); err == nil ||
		!strings.Contains(out, "Could not get lock "+aptLocks[0]) || !strings.HasSuffix(out, "apt-get update failed") {
		m.t.Errorf("with APT_WAIT=1: %v %s", err, out)
	}
	cmd := m.Command(m.t.Context(), append([]string{"env"}, args...)...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	var out strings.Builder
	var waited []string
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		m.t.Log(lines.Text())
		out.WriteString(lines.Text() + "\n")
		if found := regexp.MustCompile(`^waiting for .*Could not get lock (/[a-z/-]+)`).FindStringSubmatch(lines.Text()); found != nil {
			waited = append(waited, found[1])
			if release, ok := unlock[found[1]]; ok {
				release()
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		m.t.Fatal(err)
	}
	// dpkg's own lock is free in time, because the other program holds it only together
	// with the frontend's.
	for _, path := range aptLocks {
		if !slices.Contains(waited, path) {
			m.t.Errorf("provision.sh did not wait for %s, only for %q", path, waited)
		}
	}
	return strings.TrimSpace(out.String())
}

// TestCloudInitWaitsForApt runs the line with apt-get of the README's user data. There,
// apt-get fails twice.
func TestCloudInitWaitsForApt(t *testing.T) {
	readme, err := os.ReadFile(repository + "/deploy/vm/README.md")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^.*\bapt-get\b.*$`).FindAllString(string(readme), -1)
	if len(found) != 1 {
		t.Fatalf("README.md has %d lines with apt-get, want 1", len(found))
	}
	for _, c := range []struct {
		fails string
		want  string
	}{
		{"2", "sleep 10 update sleep 10 update update install git golang-go"},
		{"1000", strings.Repeat("sleep 10 update ", 60)},
	} {
		script := `
			apt-get() { case $1 in update) calls+="update "; ((++n > ` + c.fails + `));; install) shift; calls+="install ${*#-y}";; esac; }
			sleep() { calls+="sleep $1 "; }
			` + found[0] + `
			echo $calls`
		out, err := exec.Command("bash", "-c", script).CombinedOutput()
		got := strings.Fields(string(out))
		slices.Sort(got)
		want := strings.Fields(c.want)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("when apt-get fails %s times: %q, %v; want in some order %q", c.fails, out, err, c.want)
		}
	}
}
