package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-sql-driver/mysql"

	"apmapp/internal/memdb"
	"apmapp/internal/mysqld"
	"apmapp/store"
)

// The values of -database.
const (
	auto     = "auto"     // installed, or else embedded
	embedded = "embedded" // in the demo's own process
	private  = "mysqld"   // an installed MySQL or MariaDB, started by the demo
)

// database is where the service of a demo keeps its visits.
type database struct {
	mysql *mysql.Config
	// description shows people how to connect, and what it is.
	description string
	// stop and start stop the server of a private database and start it again, with its
	// data. They are nil for others.
	stop, start func(context.Context) error
	// close stops a database that the demo started, and removes its data.
	close func() error
}

// openDatabase returns the database that the options ask for. find returns the path of
// an installed server. A database that it starts has its files in dir. It returns an
// error of ctx if that ends first.
func openDatabase(ctx context.Context, o options, find func() (string, error), dir string, logs, stderr io.Writer) (database, error) {
	if cfg := o.service.Store.MySQL; cfg != nil {
		return database{mysql: cfg, description: cfg.Addr + "  (" + cfg.DBName + ")", close: func() error { return nil }}, nil
	}
	if o.database == embedded {
		return startEmbedded(logs)
	}
	program, err := find()
	if errors.Is(err, mysqld.ErrNotFound) && o.database == auto {
		return startEmbedded(logs)
	}
	if err != nil {
		return database{}, fmt.Errorf("-database %s: %w", private, err)
	}
	fmt.Fprintf(stderr, "starting a private database with %s, which takes some seconds\n", program)
	db, err := startPrivate(ctx, program, filepath.Join(dir, "mysqld"), logs, stderr)
	switch {
	case err == nil || ctx.Err() != nil:
		return db, err
	case o.database == auto:
		fmt.Fprintf(stderr, "using the embedded database, because the private one does not start: %v\n", err)
		return startEmbedded(logs)
	default:
		return database{}, fmt.Errorf("start a private database: %w", err)
	}
}

func startEmbedded(logs io.Writer) (database, error) {
	server, err := memdb.Start(logs)
	if err != nil {
		return database{}, err
	}
	cfg, err := store.ParseDSN(server.DSN())
	if err != nil {
		return database{}, errors.Join(err, server.Close())
	}
	description := fmt.Sprintf("mysql -h 127.0.0.1 -P %d -u %s %s  (embedded; keeps the newest %d visits)", server.Port(), databaseName, memdb.Name, memdb.MaxRows)
	return database{mysql: cfg, description: description, close: server.Close}, nil
}

// databaseName is the private database's name, and the name of its user.
const databaseName = memdb.Name

// setup is what the private server executes each time when it starts. The user has no password,
// so it may use only this database: a server's root reads and writes files, here those
// of the user who runs the demo. Root can log in only by the UNIX socket, which is in a
// directory that others may not enter.
const setup = `CREATE DATABASE IF NOT EXISTS ` + databaseName + `;
CREATE USER IF NOT EXISTS ` + databaseName + `@'127.0.0.1';
GRANT ALL ON ` + databaseName + `.* TO ` + databaseName + `@'127.0.0.1';
DROP USER IF EXISTS root@'127.0.0.1', root@'::1';
`

// startTimeout is long enough for a database that starts on a busy machine.
const startTimeout = time.Minute

// startPrivate installs and starts a server in dir, which it creates.
func startPrivate(ctx context.Context, program, dir string, logs, stderr io.Writer) (_ database, err error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return database{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	addr, err := freeAddr()
	if err != nil {
		return database{}, err
	}
	init := filepath.Join(dir, "setup.sql")
	if err := os.WriteFile(init, []byte(setup), 0o600); err != nil {
		return database{}, err
	}
	// The default log has 100 MB, and MySQL and MariaDB call its size by different
	// names. A server ignores an unknown option with loose.
	small := []string{"--loose-innodb-log-file-size=8M", "--loose-innodb-redo-log-capacity=8M"}
	server := &mysqld.Server{
		Program: program, Dir: dir, Addr: addr, Log: logs, InstallArgs: small,
		Args: append(small, "--skip-name-resolve", "--init-file="+init,
			"--performance-schema=OFF", "--innodb-buffer-pool-size=64M", "--innodb-log-buffer-size=4M", "--loose-aria-pagecache-buffer-size=8M"),
	}
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("it does not answer after %s", startTimeout))
	defer cancel()
	if err := server.Install(ctx); err != nil {
		return database{}, errors.Join(err, context.Cause(ctx))
	}
	if err := server.Start(); err != nil {
		return database{}, err
	}
	cfg, err := store.ParseDSN(databaseName + "@tcp(" + addr + ")/" + databaseName)
	if err == nil {
		err = server.Await(ctx, cfg)
	}
	if err != nil {
		server.Kill()
		return database{}, err
	}
	p := &privateServer{server: server, user: cfg, stderr: stderr}
	p.watch()
	_, port, _ := net.SplitHostPort(addr)
	return database{
		mysql:       cfg,
		description: fmt.Sprintf("mysql -h 127.0.0.1 -P %s -u %s %s  (private; %s)", port, databaseName, databaseName, program),
		stop:        p.stop,
		start:       p.start,
		close: func() error {
			close(p.expected)
			server.Kill() // nobody needs its data again
			return os.RemoveAll(dir)
		},
	}, nil
}

// privateServer is a running server. It reports when it ends unexpectedly.
type privateServer struct {
	server   *mysqld.Server
	user     *mysql.Config
	stderr   io.Writer
	expected chan struct{} // closed before the demo ends the server
}

func (p *privateServer) watch() {
	expected, exited := make(chan struct{}), p.server.Exited()
	p.expected = expected
	go func() {
		select {
		case <-expected:
		case <-exited:
			fmt.Fprintf(p.stderr, "the private database ended (%s); until the demo ends, requests get a 503\n", p.server.State())
		}
	}()
}

func (p *privateServer) stop(ctx context.Context) error {
	close(p.expected)
	return p.server.Stop(ctx)
}

func (p *privateServer) start(ctx context.Context) error {
	if err := p.server.Start(); err != nil {
		return err
	}
	if err := p.server.Await(ctx, p.user); err != nil {
		p.server.Kill()
		return err
	}
	p.watch()
	return nil
}

// freeAddr returns a loopback address on which nothing listens. If another process
// takes it before the server does, the server does not start.
func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
