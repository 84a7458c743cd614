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
	connector, err := mysql.NewConnector(forMigration(cfg))
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()

	pingCtx, cancel := context.WithTimeout(ctx, ioTimeout)
	defer cancel()
	if err := db.PingContext(pingCtx); err != nil {
		return err
	}
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectMySQL, db, sub, goose.WithSessionLocker(newSchemaLock(cfg.DBName)))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	applied, err := provider.Up(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for _, m := range applied {
		logger.InfoContext(ctx, "migrated", "migration", m.Source.Path, "duration", m.Duration)
	}
	return nil
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

func (l schemaLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	var got sql.NullBool
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", l.name, l.seconds).Scan(&got); err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	if !got.Bool {
		return fmt.Errorf("lock the schema: another process has held the lock for %d s", l.seconds)
	}
	return nil
}

func (l schemaLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	var released sql.NullBool
	if err := conn.QueryRowContext(ctx, "SELECT RELEASE_LOCK(?)", l.name).Scan(&released); err != nil {
		return fmt.Errorf("unlock the schema: %w", err)
	}
	return nil
}
