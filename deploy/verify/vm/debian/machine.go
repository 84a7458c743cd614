package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"apmapp/internal/testing/poll"
)

// bootTimeout is generous: systemd is up within two seconds on an idle machine.
const bootTimeout = 2 * time.Minute

// Machine is a running Debian with its own file system, processes, network and host
// name. It can reach only the package mirrors, through a proxy of the test.
type Machine struct {
	pid int
	// root is the path of its file system on this machine.
	root string
}

// boot makes the working directory the root of the process's mount namespace, and starts
// systemd. The root is $LOWER, whose changes go to $DIR/upper. If /tmp does not support
// this (for example, because it is an overlay itself), the root is a copy.
const boot = `
set -eu
mount --make-rprivate /
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$DIR/upper,workdir=$DIR/work" . ||
  { cp -a --reflink=auto "$LOWER/." . && mount --bind . .; }
cd "$PWD"
echo machine >etc/hostname
echo 127.0.0.1 localhost machine >etc/hosts
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
  touch dev/$device
  mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mount -t tmpfs -o mode=1777 tmpfs dev/shm
for share in $SHARES; do
  IFS=: read -r from to mode <<<"$share"
  mkdir -p ".$to"
  mount --bind "$from" ".$to"
  mount -o "remount,bind,$mode" ".$to"
done
pivot_root . mnt
umount -l /mnt
# systemd needs shared mounts to pass credentials and other mounts to its services.
mount --make-rshared /
exec env -i container=apmapp PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal
`

// Share is a directory of this machine that the Debian machine also has.
type Share struct {
	From, To string
	Writable bool
}

// Boot boots a machine from a root, which it does not change. The machine ends with the
// test.
func Boot(t testing.TB, root string, shares ...Share) *Machine {
	t.Helper()
	m := &Machine{}
	m.start(t, root, shares)
	addr := m.serveProxy(t)
	ctx, cancel := context.WithTimeout(t.Context(), bootTimeout)
	defer cancel()
	poll.Within(t, bootTimeout, func() error {
		// Fails until systemd listens, then waits for the end of the boot.
		if out, err := m.Command(ctx, "systemctl", "is-system-running", "--wait").CombinedOutput(); err != nil {
			return fmt.Errorf("the machine is not running: systemctl: %w: %s", err, out)
		}
		return nil
	})
	// Not earlier: until boot has changed it, the root is the one of this machine.
	m.root = fmt.Sprintf("/proc/%d/root", m.pid)
	m.Write(t, "/etc/apt/apt.conf.d/proxy", fmt.Sprintf("Acquire::http::Proxy \"http://%s\";\n", addr))
	return m
}

// start starts the machine's first process.
func (m *Machine) start(t testing.TB, root string, shares []Share) {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"root", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var list []string
	for _, share := range shares {
		from, err := filepath.Abs(share.From)
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(from, ": \t\n") {
			t.Fatalf("cannot share %q: its path must not contain spaces or colons", from)
		}
		mode := "ro"
		if share.Writable {
			mode = "rw"
		}
		list = append(list, from+":"+share.To+":"+mode)
	}
	// The root of the new cgroup namespace is the cgroup of the process that creates it.
	init := exec.Command("unshare", "--cgroup", "bash", "-c", boot)
	init.Dir = filepath.Join(dir, "root")
	init.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"LOWER=" + root, "DIR=" + dir, "SHARES=" + strings.Join(list, " ")}
	var stderr bytes.Buffer
	init.Stderr = &stderr
	init.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		// Its own cgroup: in a common one, two machines would remove each other's services.
		UseCgroupFD: true,
		CgroupFD:    int(newCgroup(t).Fd()),
		// Ends the machine even if the test is killed: when the first process of a PID
		// namespace ends, the kernel kills the others.
		Pdeathsig: syscall.SIGKILL,
	}
	started, exited := make(chan error), make(chan struct{})
	go func() {
		defer close(exited)
		// The kernel sends Pdeathsig when the thread that started the process ends.
		runtime.LockOSThread()
		err := init.Start()
		started <- err
		if err == nil {
			_ = init.Wait()
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	m.pid = init.Process.Pid
	t.Cleanup(func() {
		_ = init.Process.Kill()
		<-exited
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("standard error of the machine's first process: %s", &stderr)
		}
	})
}

// newCgroup creates a cgroup and removes it at the end of the test.
func newCgroup(t testing.TB) *os.File {
	t.Helper()
	hierarchy, err := cgroups()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(fmt.Sprintf("/proc/self/fd/%d", hierarchy.Fd()), "apmapp-machine-")
	if err != nil {
		t.Fatal(err)
	}
	group, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		defer hierarchy.Close()
		defer group.Close()
		// The machine leaves empty cgroups in it, which must be removed first.
		var within []string
		err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				within = append(within, path)
			}
			return err
		})
		for _, path := range slices.Backward(within) {
			err = errors.Join(err, os.Remove(path))
		}
		if err != nil {
			t.Errorf("cannot remove the machine's cgroup: %v", err)
		}
	})
	return group
}

// cgroups mounts the cgroup hierarchy only for this process. Systems differ in where else
// they mount it, or do not mount it.
func cgroups() (*os.File, error) {
	fsfd, err := unix.Fsopen("cgroup2", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("fsopen", err)
	}
	defer unix.Close(fsfd)
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return nil, os.NewSyscallError("fsconfig", err)
	}
	mount, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fsmount", err)
	}
	return os.NewFile(uintptr(mount), "cgroup2"), nil
}

// serveProxy serves an HTTP proxy in the machine's network, which fetches packages through
// this machine's network. Otherwise the two networks are separate, so that ports and
// services of one do not disturb the other.
func (m *Machine) serveProxy(t testing.TB) (addr string) {
	t.Helper()
	type result struct {
		net.Listener
		error
	}
	listening := make(chan result)
	go func() {
		// Without unlock, so that Go ends the thread with the goroutine: the thread is in
		// another network namespace.
		runtime.LockOSThread()
		listener, err := listenIn(fmt.Sprintf("/proc/%d/ns/net", m.pid))
		listening <- result{listener, err}
	}()
	l := <-listening
	if l.error != nil {
		t.Fatal(l.error)
	}
	proxy := &http.Server{Handler: &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}}}
	go func() { _ = proxy.Serve(l.Listener) }()
	t.Cleanup(func() { _ = proxy.Close() })
	return l.Addr().String()
}

// listenIn moves the thread to a network namespace, brings up the loopback interface and
// listens on it.
func listenIn(namespace string) (net.Listener, error) {
	ns, err := os.Open(namespace)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, os.NewSyscallError("setns", err)
	}
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(socket)
	loopback, err := unix.NewIfreq("lo")
	if err != nil {
		return nil, err
	}
	loopback.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(socket, unix.SIOCSIFFLAGS, loopback); err != nil {
		return nil, os.NewSyscallError("ioctl", err)
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// Path returns the path on this machine of a file of the machine.
func (m *Machine) Path(path string) string { return filepath.Join(m.root, path) }

// Write writes a file in the machine, and creates the directories above it.
func (m *Machine) Write(t testing.TB, path, content string) {
	t.Helper()
	path = m.Path(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Read returns the content of a file of the machine.
func (m *Machine) Read(t testing.TB, path string) string {
	t.Helper()
	content, err := os.ReadFile(m.Path(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Command returns a command that runs in the machine as root.
func (m *Machine) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{
		"--target", fmt.Sprint(m.pid), "--mount", "--pid", "--net", "--cgroup", "--uts", "--ipc", "--root", "--wd",
	}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"}
	return cmd
}

// Run runs a command and returns its standard output and standard error, trimmed.
func (m *Machine) Run(args ...string) (string, error) {
	out, err := m.Command(context.Background(), args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// MustRun is Run for commands that must succeed.
func (m *Machine) MustRun(t testing.TB, args ...string) string {
	t.Helper()
	out, err := m.Run(args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}
