package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/go-sql-driver/mysql"
)

// Config is the configuration of a Store.
type Config struct {
	// MySQL is the result of ParseDSN.
	MySQL *mysql.Config
	// PoolSize is the maximum number of connections, busy and idle together.
	PoolSize int
	// OpenDB opens the pool; nil means sql.OpenDB. Pass an instrumented one to
	// trace statements.
	OpenDB func(driver.Connector) *sql.DB
	// Waited is told how long each statement of a method waited for a connection,
	// also if it got none. nil means nobody is told.
	Waited func(ctx context.Context, wait time.Duration)
	// Logger receives lines about connecting and about migrations.
	Logger *slog.Logger
}

// Store keeps visits. Its methods may be called by many goroutines.
type Store struct {
	cfg  Config
	db   *sql.DB
	pool *generation // of the connections in db

	// notReady is the reason why the schema is not usable yet, or nil.
	notReady atomic.Pointer[error]
	// lost wakes Run after a statement found that the schema is gone.
	lost chan struct{}
}

// maxLifetime ends a pooled connection before a load balancer does, and lets a
// pool spread over new replicas. go-sql-driver recommends three minutes.
const maxLifetime = 3 * time.Minute

// maxRetryDelay bounds the time between two attempts to connect: an operator
// who has just repaired MySQL does not want to wait longer.
const maxRetryDelay = 10 * time.Second

var errConnecting = errors.New("not connected yet")

// Open returns a Store without waiting for MySQL. Run connects.
func Open(cfg Config) (*Store, error) {
	connector, err := newConnector(cfg.MySQL, sessionState, cfg.Logger)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	connector.waited = cfg.Waited
	openDB := cfg.OpenDB
	if openDB == nil {
		openDB = sql.OpenDB
	}
	db := openDB(connector)
	db.SetMaxOpenConns(cfg.PoolSize)
	// As many idle connections as busy ones: with fewer, the pool closes
	// connections and dials new ones under load.
	db.SetMaxIdleConns(cfg.PoolSize)
	s := &Store{cfg: cfg, db: db, pool: connector.pool, lost: make(chan struct{}, 1)}
	s.setNotReady(unavailable{errConnecting})
	return s, nil
}

// Close closes the pool.
func (s *Store) Close() error { return s.db.Close() }

// Run connects to MySQL and brings the schema up to date. It retries until that
// succeeds, and starts over when the schema disappears (the database was
// dropped and created again). It returns when ctx ends.
func (s *Store) Run(ctx context.Context) {
	for {
		if !s.connect(ctx) {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-s.lost:
		}
	}
}

// connect retries until the store is ready. It returns false if ctx ended first.
func (s *Store) connect(ctx context.Context) bool {
	delay := backoff.NewExponentialBackOff()
	delay.InitialInterval = 100 * time.Millisecond
	// Each delay is random, up to 50 % shorter or longer.
	delay.RandomizationFactor = 0.5
	delay.MaxInterval = maxRetryDelay * 2 / 3
	for {
		err := s.prepare(ctx)
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			s.notReady.Store(nil)
			s.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "MySQL is ready", Attrs(s.cfg.MySQL)...)
			return true
		}
		s.setNotReady(unavailable{err})
		wait := delay.NextBackOff()
		s.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, Reason(err), append(Attrs(s.cfg.MySQL),
			slog.String("error.message", err.Error()),
			slog.String("retry_in", wait.Round(time.Millisecond).String()))...)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// prepare migrates the schema and adapts the pool to the server.
func (s *Store) prepare(ctx context.Context) error {
	if err := migrate(ctx, s.cfg.MySQL, s.cfg.Logger); err != nil {
		return err
	}
	// A database that was dropped may still be selected in pooled connections.
	s.pool.end(s.pool.current.Load())
	var waitTimeout int
	if err := s.db.QueryRowContext(ctx, "SELECT @@wait_timeout").Scan(&waitTimeout); err != nil {
		return fmt.Errorf("read wait_timeout: %w", err)
	}
	s.db.SetConnMaxLifetime(lifetime(time.Duration(waitTimeout) * time.Second))
	// A table may be missing although its migration is recorded. On a read-only
	// server, reads are possible: then only Ready returns an error.
	if err := s.check(ctx); err != nil && !isReadOnly(err) {
		return err
	}
	return nil
}

// lifetime returns how long the pool keeps a connection: well below the server's
// wait_timeout, after which the server closes it without notice.
func lifetime(waitTimeout time.Duration) time.Duration { return min(maxLifetime, waitTimeout/2) }

func (s *Store) setNotReady(err error) { s.notReady.Store(&err) }

// Ready returns nil if visits can be read and written. Otherwise it returns an
// error that Reason explains in a sentence.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.usable(); err != nil {
		return err
	}
	return s.done("check the table visits", s.check(ctx))
}

// The statements of check. They read and change no row and write nothing to the
// binary log. EXPLAIN needs the table, the index and the privileges of the statement
// that it explains. But a server that is read-only explains an INSERT, so canWrite
// really asks it to write.
const (
	canRead   = `EXPLAIN ` + latestVisit
	canRecord = `EXPLAIN ` + recordVisit
	canWrite  = `DELETE FROM visits WHERE FALSE`
)

// statement is SQL with its arguments.
type statement struct {
	text string
	args []any
}

var canUse = []statement{{text: canRead}, {canRecord, []any{"", "", time.Unix(0, 0)}}, {text: canWrite}}

// check returns an error if visits cannot be read, recorded or deleted.
func (s *Store) check(ctx context.Context) error {
	for _, st := range canUse {
		if _, err := s.db.ExecContext(ctx, st.text, st.args...); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) usable() error {
	if err := s.notReady.Load(); err != nil {
		return wrap("use store", *err)
	}
	return nil
}

// done wraps the error of an operation. If the schema is gone it wakes Run.
func (s *Store) done(op string, err error) error {
	if isSchemaLost(err) {
		s.setNotReady(unavailable{err})
		select {
		case s.lost <- struct{}{}:
		default: // Run is awake already
		}
	}
	return wrap(op, err)
}
