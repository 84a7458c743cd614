// Package mysqld runs a private MySQL or MariaDB server: the installed program with
// its own data directory, for a demo or for tests. The server listens on the
// loopback address only.
package mysqld

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// ErrNotFound reports that no server program is installed.
var ErrNotFound = errors.New("mysqld and mariadbd are not installed")

// places are the server programs that Find looks for. Those with a path are not in
// everybody's PATH: on Debian and Fedora.
var places = []string{"mysqld", "mariadbd", "/usr/sbin/mysqld", "/usr/sbin/mariadbd", "/usr/libexec/mysqld", "/usr/libexec/mariadbd"}

// Find returns the path of an installed server program, or ErrNotFound.
func Find() (string, error) {
	for _, name := range places {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNotFound
}

// Server is a server whose files are in one directory. Set the fields, then call
// Install once, and Start.
type Server struct {
	// Program is the path of mysqld or mariadbd.
	Program string
	// Dir is an existing directory for all files of the server, its alone: a MariaDB
	// that starts removes temporary tables from the directory for temporary files,
	// also those of other servers. A user of the machine who may enter the directory
	// can log in as root.
	Dir string
	// Addr is the loopback address (host:port) to listen on.
	Addr string
	// Log receives what the server prints.
	Log io.Writer
	// InstallArgs and Args are more options of the server, for Install and for Start.
	InstallArgs, Args []string

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
}

// IsMariaDB reports whether the server is MariaDB rather than MySQL.
func (s *Server) IsMariaDB() bool {
	out, _ := exec.Command(s.Program, "--version").CombinedOutput()
	return bytes.Contains(out, []byte("MariaDB"))
}

// Socket returns the path of the server's UNIX socket.
func (s *Server) Socket() string { return filepath.Join(s.Dir, "s") }

func (s *Server) data() string { return filepath.Join(s.Dir, "data") }

// Install creates an empty data directory, which takes seconds. User root has no
// password.
func (s *Server) Install(ctx context.Context) error {
	program, args := s.Program, []string{"--no-defaults", "--initialize-insecure", "--datadir=" + s.data()}
	if s.IsMariaDB() {
		program, args = installer(s.Program), []string{
			"--no-defaults", "--datadir=" + s.data(),
			"--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
		}
	}
	cmd := s.command(ctx, program, append(args, s.InstallArgs...)...)
	runtime.LockOSThread() // see Start
	defer runtime.UnlockOSThread()
	if out, err := cmd.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("%s: %w%s", program, err, lastLine(out))
	}
	return nil
}

// installer returns the program that creates MariaDB's data directory. It is in the
// PATH, or near the server.
func installer(server string) string {
	const name = "mariadb-install-db"
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	for _, dir := range []string{".", "../bin", "../scripts"} {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(server), dir, name)); err == nil {
			return path
		}
	}
	return name
}

// lastLine returns ": " and the last line of out that is not empty. Servers print the
// error last, MariaDB's installer prints advice after it.
func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	for _, line := range lines {
		if strings.Contains(line, "[ERROR]") {
			last = line
		}
	}
	if last == "" {
		return ""
	}
	return ": " + last
}

// command returns a command of the server. Canceling ctx kills it and its children.
func (s *Server) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	if os.Getuid() == 0 {
		args = append(args, "--user=root") // a server refuses to run as root without this
	}
	cmd := exec.CommandContext(ctx, program, args...)
	// MySQL on Windows reads TMP.
	cmd.Env = append(os.Environ(), "TMPDIR="+s.Dir, "TMP="+s.Dir)
	isolate(cmd)
	return cmd
}

// Start starts the process. The server answers some time later: connect to see when.
func (s *Server) Start() error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	args := []string{
		"--no-defaults", "--datadir=" + s.data(),
		"--bind-address=" + host, "--port=" + port,
		"--socket=" + s.Socket(), "--pid-file=" + filepath.Join(s.Dir, "pid"),
		// Durability costs an fsync per commit. The data does not outlive its
		// directory.
		"--innodb-flush-log-at-trx-commit=0", "--skip-log-bin",
	}
	if !s.IsMariaDB() {
		// The default directory belongs to another server.
		args = append(args, "--mysqlx=OFF", "--secure-file-priv=NULL")
	}
	cmd := s.command(context.Background(), s.Program, append(args, s.Args...)...)
	cmd.Stdout, cmd.Stderr = s.Log, s.Log
	exited, started := make(chan struct{}), make(chan error, 1)
	go func() {
		// On Linux the server ends when the thread that started it ends: see isolate.
		// The lock keeps the thread until the server has ended.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
		close(exited)
	}()
	if err := <-started; err != nil {
		return err
	}
	s.cmd, s.exited = cmd, exited
	return nil
}

// Await returns nil when a user can log in to the server that was started, or an error
// when the server has ended or ctx ends.
func (s *Server) Await(ctx context.Context, user *mysql.Config) error {
	connector, err := mysql.NewConnector(user)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s ended at start: %s", s.Program, s.State())
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)
		case <-poll.C:
		}
	}
}

// Process returns the process of a server that was started.
func (s *Server) Process() *os.Process { return s.cmd.Process }

// Exited returns a channel that is closed when the process has ended.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// State describes how the process ended. Call it after Exited is closed.
func (s *Server) State() string { return s.cmd.ProcessState.String() }

// Stop stops the process as an operator does, and returns when it has ended. When ctx
// ends first, Stop kills the process and returns the reason.
func (s *Server) Stop(ctx context.Context) error {
	terminate(s.cmd.Process)
	select {
	case <-s.exited:
		return nil
	case <-ctx.Done():
		s.Kill()
		return fmt.Errorf("%s did not stop: %w", s.Program, context.Cause(ctx))
	}
}

// Kill ends the process at once and returns when it has ended.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}
