package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/pressly/goose/v3"
)

// Diagnosis is what Diagnose found out about a database.
type Diagnosis struct {
	// Server is the version of the server, or "" if it refused the connection.
	Server string
	// Connect is why the service gets no connection, or nil.
	Connect error
	// Pending reports that the schema is older than this release. The service migrates
	// it when it starts.
	Pending bool
	// Problems are the reasons why the service cannot migrate the schema, or cannot
	// read, record and delete visits. Reason and Remedy explain them.
	Problems []error
}

// Diagnose connects to a database as a Store does and looks for what a Store needs. It
// changes nothing, and does not try again.
func Diagnose(ctx context.Context, cfg Config) Diagnosis {
	cfg.OpenDB, cfg.Waited = nil, nil
	cfg.PoolSize = 1
	s, err := Open(cfg)
	if err != nil {
		return Diagnosis{Connect: err}
	}
	defer s.Close()
	var d Diagnosis
	if err := s.db.QueryRowContext(ctx, "SELECT VERSION()").Scan(&d.Server); err != nil {
		return Diagnosis{Connect: err}
	}
	version, err := s.migrated(ctx)
	if err != nil {
		d.Problems = append(d.Problems, err)
		return d
	}
	latest, err := latestMigration()
	if err != nil {
		d.Problems = append(d.Problems, err)
		return d
	}
	d.Pending = version < latest
	if d.Pending {
		d.Problems = s.obstacles(ctx, canMigrate, func(err error) bool { return isDenied(err) || isReadOnly(err) })
		// Its table is not the one that the statements need.
		return d
	}
	d.Problems = s.obstacles(ctx, canUse, func(error) bool { return true })
	return d
}

// migrated returns the number of the last migration of the schema, or 0.
func (s *Store) migrated(ctx context.Context) (int64, error) {
	var version sql.NullInt64
	err := s.db.QueryRowContext(ctx, "SELECT MAX(version_id) FROM goose_db_version WHERE is_applied").Scan(&version)
	if errorNumber(err) == errNoSuchTable {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the schema: %w", err)
	}
	return version.Int64, nil
}

// latestMigration returns the number of the last migration of this release.
func latestMigration() (latest int64, err error) {
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		number, err := goose.NumericComponent(strings.TrimPrefix(file, "migrations/"))
		if err != nil {
			return 0, fmt.Errorf("read migrations: %w", err)
		}
		latest = max(latest, number)
	}
	return latest, nil
}

// obstacles returns the errors of statements that count, one per reason.
func (s *Store) obstacles(ctx context.Context, statements []statement, counts func(error) bool) (all []error) {
	seen := map[string]bool{}
	for _, st := range statements {
		_, err := s.db.ExecContext(ctx, st.text, st.args...)
		if err == nil || !counts(err) || seen[Reason(err)] {
			continue
		}
		seen[Reason(err)] = true
		all = append(all, err)
	}
	return all
}

// canMigrate are statements that fail everywhere, because they name a column twice or
// one that does not exist. The server looks at the privileges first, so another error
// than a denial shows that the user may migrate.
var canMigrate = []statement{
	{text: `CREATE TABLE apmapp_doctor (id INT, id INT)`},
	{text: `CREATE INDEX apmapp_doctor ON visits (apmapp_doctor)`},
	{text: canWrite},
}

// Received returns the statements of this user as the server received them, with the
// comment of the tracer. The one that asks is among them.
func Received(ctx context.Context, cfg Config) (statements []string, err error) {
	cfg.PoolSize = 1
	s, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	rows, err := s.db.QueryContext(ctx, "SHOW FULL PROCESSLIST")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values, info := make([]any, len(columns)), new(sql.NullString)
	for i, name := range columns {
		values[i] = new(sql.RawBytes)
		if strings.EqualFold(name, "info") {
			values[i] = info
		}
	}
	for rows.Next() {
		if err := rows.Scan(values...); err != nil {
			return nil, err
		}
		if info.Valid {
			statements = append(statements, info.String)
		}
	}
	return statements, rows.Err()
}

// Remedy returns what to do about an error that Reason explains, or "" if Reason's
// sentence is all.
func Remedy(err error, cfg Config) string {
	user, db := strconv.Quote(cfg.MySQL.User), cfg.MySQL.DBName
	number := errorNumber(err)
	reason := serverErrors[number].reason
	switch {
	case reason == refusesLogin:
		return "check the user " + user + " and the password of the DSN, and from which hosts MySQL lets the user in"
	case isDenied(err):
		return "GRANT SELECT, INSERT, DELETE, CREATE, INDEX ON " + db + ".* to the user " + user
	case isReadOnly(err):
		return "let the DSN name the primary, or end the server's read_only"
	case reason == noDatabase:
		return "run CREATE DATABASE " + db + ", or correct the name in the DSN"
	case number == errNoSuchTable:
		return "restore the table: its migration is recorded, so the service does not make it again"
	case number == errNoColumn, number == errNoIndex:
		return "undo the change of the table: this release does not know it"
	case reason == locked:
		return "ask who locked it; ALTER USER … ACCOUNT UNLOCK unlocks it"
	case reason == passwordIsOld:
		return "give the user a new password (ALTER USER … IDENTIFIED BY …), and write it into the DSN"
	case number == 1040:
		return "raise MySQL's max_connections, or lower the pools of its clients (-pool-size here)"
	case number == 1203, number == 1226:
		return "raise the limit: ALTER USER … WITH MAX_USER_CONNECTIONS … or MAX_QUERIES_PER_HOUR …"
	case number == 1130:
		return "let the user in from this host: CREATE USER " + user + "@… with the host's address or %"
	case errors.As(err, new(variableError)):
		return "correct it in the DSN, or remove it"
	case number != 0:
		return "see MySQL's error log"
	case errors.Is(err, mysql.ErrNoTLS):
		return "turn on TLS in MySQL, or remove ssl-mode and ssl-ca from the DSN"
	case errors.Is(err, errNotMySQL):
		return "correct the address " + cfg.MySQL.Addr + " in the DSN: MySQL's port is 3306 by default"
	case strings.HasPrefix(Reason(err), "waiting for MySQL:"):
		return "check that MySQL runs, and the address " + cfg.MySQL.Addr + " in the DSN"
	case tlsReason(err) != "":
		return "see the TLS parameters in the README (ssl-mode, ssl-ca, …), and MySQL's certificate"
	}
	return "see MySQL's error log"
}
