package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrationTimeout bounds one statement of a migration. It is far longer than
// ioTimeout, because altering a large table takes minutes.
const migrationTimeout = 10 * time.Minute

// migrate brings the schema up to date. Replicas that start together migrate
// one after another. It uses a pool of its own without instrumentation, because
// migrations are not traffic of the service.
func migrate(ctx context.Context, cfg *mysql.Config, logger *slog.Logger) (err error) {
	connector, err := newConnector(forMigration(cfg), migrationState, logger)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	// The lock belongs to a session, so everything uses the same one. Goose's own
	// locks do not cover its table of versions.
	db.SetMaxOpenConns(1)

	pingCtx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	if err := db.PingContext(pingCtx); err != nil {
		return err
	}
	lock := newSchemaLock(cfg.DBName)
	if err := lock.take(ctx, db); err != nil {
		return err
	}
	applied, err := migrateUp(ctx, db)
	if err != nil {
		return err // the lock ends with its session
	}
	for _, m := range applied {
		logger.InfoContext(ctx, "migrated", "migration", m.Source.Path, "duration", m.Duration)
	}
	return lock.release(ctx, db)
}

// migrateUp applies the migrations that the schema does not have yet.
func migrateUp(ctx context.Context, db *sql.DB) ([]*goose.MigrationResult, error) {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectMySQL, db, sub)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	applied, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	return applied, nil
}

// forMigration returns cfg with a timeout for migrations.
func forMigration(cfg *mysql.Config) *mysql.Config {
	cfg = cfg.Clone()
	cfg.ReadTimeout = migrationTimeout
	return cfg
}

// schemaLock lets one process at a time migrate a schema. It is a named lock of
// MySQL, which ends with its session: a process that dies does not keep it.
// https://dev.mysql.com/doc/refman/8.4/en/locking-functions.html
type schemaLock struct {
	name    string
	seconds int // that a process waits for the lock
}

// lockSeconds: migrations of other replicas usually take seconds. After a minute
// the wait is reported, and Run tries again.
const lockSeconds = 60

// newSchemaLock returns the lock of a schema. Lock names are global to the
// server, so the schema is part of the name. Both names may have 64 characters,
// so the lock's name has a hash. It is computed here because not every server has
// a function for it (MySQL 9.7 has no SHA1).
func newSchemaLock(schema string) schemaLock {
	return schemaLock{name: fmt.Sprintf("apmapp.%x", sha256.Sum224([]byte(schema))), seconds: lockSeconds}
}

// errLocked reports that another process has the lock for longer than lockSeconds.
var errLocked = errors.New("another process has held the lock")

func (l schemaLock) take(ctx context.Context, db querier) error {
	var got sql.NullBool
	if err := db.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", l.name, l.seconds).Scan(&got); err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	if !got.Bool {
		return fmt.Errorf("lock the schema: %w for %d s", errLocked, l.seconds)
	}
	return nil
}

// release releases the lock. It is an error if the session does not hold it: it
// broke, and another process may have migrated at the same time.
func (l schemaLock) release(ctx context.Context, db querier) error {
	var released sql.NullBool
	if err := db.QueryRowContext(ctx, "SELECT RELEASE_LOCK(?)", l.name).Scan(&released); err != nil {
		return fmt.Errorf("unlock the schema: %w", err)
	}
	if !released.Bool {
		return errors.New("unlock the schema: the connection that held the lock is lost")
	}
	return nil
}

// querier is a pool or a connection.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}
