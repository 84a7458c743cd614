package faults

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// cause makes a fault happen. Undo may be called again after an error.
type cause func(ctx context.Context, d *Demo) (undo func(context.Context) error, err error)

// lockWait is the time in seconds that a statement of a fault waits for the service's
// statements. The server gives up by itself: a statement whose client has given up may
// still be executed.
const lockWait = 10

// client returns a client of the database for the statements of faults.
func (d *Demo) client() (*sql.DB, error) {
	connector, err := d.connector()
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func (d *Demo) connector() (driver.Connector, error) {
	cfg := d.Database.Clone()
	cfg.Logger = &mysql.NopLogger{}
	cfg.Params = map[string]string{"lock_wait_timeout": fmt.Sprint(lockWait)}
	return mysql.NewConnector(cfg)
}

func (d *Demo) exec(ctx context.Context, statement string) error {
	db, err := d.client()
	if err != nil {
		return err
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

// statements is the cause of a fault that one statement makes and another one ends.
func statements(do, undo string) cause {
	return func(ctx context.Context, d *Demo) (func(context.Context) error, error) {
		end := func(ctx context.Context) error { return d.exec(ctx, undo) }
		if err := d.exec(ctx, do); err != nil {
			var refused *mysql.MySQLError
			if !errors.As(err, &refused) {
				_ = end(ctx) // it may have been executed
			}
			return nil, err
		}
		return end, nil
	}
}

// lockTable locks a table as a backup does, until its session ends.
func lockTable(ctx context.Context, d *Demo) (func(context.Context) error, error) {
	db, err := d.client()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(ctx, lock); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", lock, err), db.Close())
	}
	return func(context.Context) error { return db.Close() }, nil
}

const lock = "LOCK TABLES visits READ"

// stopDatabase stops the database's server. If it belongs to others, it cuts the network.
func stopDatabase(ctx context.Context, d *Demo) (func(context.Context) error, error) {
	if d.Stop == nil {
		return func(context.Context) error { d.Network.Mend(); return nil }, d.Network.Cut()
	}
	if err := d.Stop(ctx); err != nil {
		return nil, errors.Join(err, d.Start(ctx))
	}
	return d.Start, nil
}

// mostConnections bounds what takeConnections takes from a server that others may use.
const mostConnections = 1000

// takeConnections opens connections until the server refuses more, as a program with a
// leak does. The service has its own connections only as long as they do not break, so
// the network breaks them once.
func takeConnections(ctx context.Context, d *Demo) (undo func(context.Context) error, err error) {
	connector, err := d.connector()
	if err != nil {
		return nil, err
	}
	limit, err := d.maxConnections(ctx)
	if err != nil {
		return nil, err
	}
	if limit > mostConnections {
		return nil, fmt.Errorf("the server allows %d connections: taking more than %d would take too much of it", limit, mostConnections)
	}
	if err := d.Network.Cut(); err != nil {
		return nil, err
	}
	defer d.Network.Mend()
	var taken []driver.Conn
	release := func() {
		for _, conn := range taken {
			_ = conn.Close()
		}
		taken = nil
	}
	take := func(ctx context.Context) error {
		for {
			conn, err := connector.Connect(ctx)
			if err != nil {
				return err
			}
			taken = append(taken, conn)
		}
	}
	if err := take(ctx); !isTooMany(err) {
		release()
		return nil, fmt.Errorf("open connections until the server refuses one: %w", err)
	}
	// Other clients of the server may free some.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = take(ctx)
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func(context.Context) error {
		cancel()
		<-ended
		release()
		return nil
	}, nil
}

func (d *Demo) maxConnections(ctx context.Context) (n int, err error) {
	db, err := d.client()
	if err != nil {
		return 0, err
	}
	defer db.Close()
	return n, db.QueryRowContext(ctx, "SELECT @@max_connections").Scan(&n)
}

// isTooMany reports whether a server has no more connections, for all users or for one.
func isTooMany(err error) bool {
	var refused *mysql.MySQLError
	return errors.As(err, &refused) && (refused.Number == 1040 || refused.Number == 1203 || refused.Number == 1226)
}

// spike doubles the rate of the traffic until the service refuses requests. How many it can
// serve depends on the machine.
func spike(ctx context.Context, d *Demo) (func(context.Context) error, error) {
	const first, last, step = 1000, 64_000, 2 * time.Second
	since := time.Now()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for rate := max(first, 10*d.Rate); rate <= last; rate *= 2 {
			d.SetRate(rate)
			select {
			case <-ctx.Done():
				return
			case <-time.After(step):
			}
			if refusals(d, since) > 0 {
				return
			}
		}
	}()
	return func(context.Context) error {
		cancel()
		<-ended
		d.SetRate(d.Rate)
		return nil
	}, nil
}

func stopTraffic(_ context.Context, d *Demo) (func(context.Context) error, error) {
	d.SetRate(0)
	return func(context.Context) error { d.SetRate(d.Rate); return nil }, nil
}

func leave(_ context.Context, d *Demo) (func(context.Context) error, error) {
	if err := d.Leave(); err != nil {
		return nil, errors.Join(err, d.Return())
	}
	return func(context.Context) error { return d.Return() }, nil
}

// quoted returns a text as a value of the store's queries.
func quoted(text string) string { return `"` + strings.ReplaceAll(text, `"`, `\"`) + `"` }
