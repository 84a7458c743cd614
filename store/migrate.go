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

// migrationTimeout bounds one statement of a migration. Altering a large table
// takes its time, so it is far above ioTimeout.
const migrationTimeout = 10 * time.Minute

// migrate brings the schema up to date. Replicas that start together take
// turns. It uses a connection of its own, uninstrumented: migrations are not
// the service's traffic.
func migrate(ctx context.Context, cfg *mysql.Config, logger *slog.Logger) (err error) {
	cfg = cfg.Clone()
	cfg.ReadTimeout = migrationTimeout
	connector, err := mysql.NewConnector(cfg)
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

// schemaLock lets one process at a time migrate a schema. It is MySQL's named
// lock, which goes with its session: a process that dies keeps nobody waiting.
// https://dev.mysql.com/doc/refman/8.4/en/locking-functions.html
type schemaLock struct{ name string }

const lockSeconds = 60

// newSchemaLock names the lock after the schema, since lock names are the
// server's. They are 64 characters at most, as a schema's name is, hence the
// hash; not every server has a function for one (MySQL 9.7 has no SHA1).
func newSchemaLock(schema string) schemaLock {
	return schemaLock{name: fmt.Sprintf("apmapp.%x", sha256.Sum224([]byte(schema)))}
}

func (l schemaLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	var got sql.NullBool
	if err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, ?)", l.name, lockSeconds).Scan(&got); err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	if !got.Bool {
		return fmt.Errorf("lock the schema: another process has held it for %d s", lockSeconds)
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
