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

// Config says which database to use and how.
type Config struct {
	// MySQL is what ParseDSN returned.
	MySQL *mysql.Config
	// PoolSize bounds the connections, busy and idle together.
	PoolSize int
	// OpenDB makes the pool; nil means sql.OpenDB. Instrumentation goes here.
	OpenDB func(driver.Connector) *sql.DB
	// Logger hears of connecting and of migrations.
	Logger *slog.Logger
}

// Store keeps visits. Its methods may be called by many goroutines.
type Store struct {
	cfg Config
	db  *sql.DB

	// notReady is why the schema cannot be used yet, or nil.
	notReady atomic.Pointer[error]
	// lost wakes Run when the schema turned out to be gone.
	lost chan struct{}
}

// maxLifetime ends a pooled connection before a load balancer or a server's
// wait_timeout does, and lets a pool spread over new replicas: three minutes is
// go-sql-driver's advice.
const maxLifetime = 3 * time.Minute

var errConnecting = errors.New("not connected yet")

// Open prepares a Store; it does not wait for MySQL. Run connects.
func Open(cfg Config) (*Store, error) {
	cfg.MySQL = cfg.MySQL.Clone()
	cfg.MySQL.Logger = driverLog{cfg.Logger}
	connector, err := mysql.NewConnector(cfg.MySQL)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	openDB := cfg.OpenDB
	if openDB == nil {
		openDB = sql.OpenDB
	}
	db := openDB(connector)
	db.SetMaxOpenConns(cfg.PoolSize)
	// Idle = max: a smaller idle pool closes and redials connections under the
	// very load the pool is for.
	db.SetMaxIdleConns(cfg.PoolSize)
	db.SetConnMaxLifetime(maxLifetime)
	s := &Store{cfg: cfg, db: db, lost: make(chan struct{}, 1)}
	s.setNotReady(unavailable{errConnecting})
	return s, nil
}

// Close closes the pool.
func (s *Store) Close() error { return s.db.Close() }

// Run connects to MySQL and brings its schema up to date, trying again until
// that worked, and does so again should the schema vanish while it runs (a
// database recreated empty). It returns when ctx ends.
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

// connect reports whether the store became ready before ctx ended.
func (s *Store) connect(ctx context.Context) bool {
	delay := backoff.NewExponentialBackOff()
	delay.InitialInterval = 100 * time.Millisecond
	// Ten seconds is what an operator who has just repaired MySQL will wait.
	delay.MaxInterval = 10 * time.Second
	for {
		err := s.prepare(ctx)
		if ctx.Err() != nil {
			return false
		}
		if err == nil {
			s.notReady.Store(nil)
			s.cfg.Logger.InfoContext(ctx, "MySQL is ready", "mysql.addr", s.cfg.MySQL.Addr, "mysql.db", s.cfg.MySQL.DBName)
			return true
		}
		s.setNotReady(unavailable{err})
		wait := delay.NextBackOff()
		s.cfg.Logger.WarnContext(ctx, Reason(err),
			"mysql.addr", s.cfg.MySQL.Addr, "mysql.db", s.cfg.MySQL.DBName, "mysql.user", s.cfg.MySQL.User,
			"error.message", err.Error(), "retry_in", wait.Round(time.Millisecond).String())
		select {
		case <-ctx.Done():
			return false
		case <-time.After(wait):
		}
	}
}

// prepare migrates the schema and fits the pool to the server.
func (s *Store) prepare(ctx context.Context) error {
	if err := migrate(ctx, s.cfg.MySQL, s.cfg.Logger); err != nil {
		return err
	}
	// Connections from before may have a database selected that is gone.
	s.db.SetMaxIdleConns(0)
	s.db.SetMaxIdleConns(s.cfg.PoolSize)
	var waitTimeout int
	if err := s.db.QueryRowContext(ctx, "SELECT @@wait_timeout").Scan(&waitTimeout); err != nil {
		return fmt.Errorf("read wait_timeout: %w", err)
	}
	s.db.SetConnMaxLifetime(min(maxLifetime, time.Duration(waitTimeout)*time.Second/2))
	return nil
}

func (s *Store) setNotReady(err error) { s.notReady.Store(&err) }

// Ready returns nil when visits can be read and written, else why not: Reason
// tells it in a sentence. It asks the server.
func (s *Store) Ready(ctx context.Context) error {
	if err := s.usable(); err != nil {
		return err
	}
	return wrap("ping MySQL", s.db.PingContext(ctx))
}

func (s *Store) usable() error {
	if err := s.notReady.Load(); err != nil {
		return wrap("use store", *err)
	}
	return nil
}

// done wraps what an operation returned, and has Run look after the schema when
// it is gone.
func (s *Store) done(op string, err error) error {
	switch errorNumber(err) {
	case errNoSuchTable, errNoDatabase, errBadDatabase:
		s.setNotReady(unavailable{err})
		select {
		case s.lost <- struct{}{}:
		default: // Run knows already
		}
	}
	return wrap(op, err)
}

// driverLog has the driver's own remarks (a broken connection, mostly) in the
// service's log, at debug: the error itself reaches whoever used the
// connection.
type driverLog struct{ logger *slog.Logger }

func (l driverLog) Print(v ...any) { l.logger.Debug("mysql driver: " + fmt.Sprint(v...)) }
