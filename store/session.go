package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
)

// sessionState sets every system variable that the statements and migrations rely
// on. It runs after a connection is made, so it wins over the server's globals,
// over init_connect and over the DSN.
//
// It is one statement, because each one costs a new connection a round trip. MySQL
// and TiDB execute the comment /*! */, MariaDB executes /*M! */: their names for
// the transaction's variables differ.
const sessionState = "autocommit = 1" + // each statement is durable when it is acknowledged
	", completion_type = 0" + // a COMMIT of a migration starts no new transaction
	", sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'" + // no value is cut or padded
	", time_zone = '+00:00'" + // times are UTC
	", character_set_client = utf8mb4, character_set_connection = utf8mb4, character_set_results = utf8mb4" +
	", collation_connection = utf8mb4_general_ci" +
	", default_storage_engine = InnoDB" + // migrations create tables that survive a crash
	// No statement is refused or cut because it may read many rows. 2^63-1: the
	// in-memory database reads larger numbers as negative ones.
	", sql_select_limit = 9223372036854775807, sql_big_selects = 1, sql_safe_updates = 0" +
	" /*!50720 , transaction_isolation = 'REPEATABLE-READ', transaction_read_only = 0 */" +
	" /*M!100000 , tx_isolation = 'REPEATABLE-READ', tx_read_only = 0 */"

// migrationState lets a statement of a migration take as long as it needs: MariaDB
// has a limit of its own.
const migrationState = sessionState + " /*M!100000 , max_statement_time = 0 */"

// isSessionState reports whether sessionState sets the system variable, or whether
// it would contradict it.
func isSessionState(name string) bool {
	switch name {
	case "autocommit", "completion_type", "sql_mode", "time_zone", "default_storage_engine", "storage_engine",
		"sql_select_limit", "sql_big_selects", "sql_safe_updates", "max_join_size",
		"transaction_isolation", "tx_isolation", "transaction_read_only", "tx_read_only",
		"character_set_client", "character_set_connection", "character_set_results", "collation_connection":
		return true
	}
	return false
}

// connector makes connections whose session has the state that the store needs.
// Its errors are connectErrors.
type connector struct {
	cfg    *mysql.Config
	params []string // system variables that the DSN sets
	set    string
	logger *slog.Logger
	pool   *generation
	waited func(ctx context.Context, wait time.Duration)
}

func newConnector(cfg *mysql.Config, state string, logger *slog.Logger) (*connector, error) {
	c := &connector{cfg: cfg.Clone(), logger: logger, pool: new(generation)}
	var set strings.Builder
	set.WriteString("SET ")
	for name, value := range c.cfg.Params {
		if !isSessionState(name) {
			c.params = append(c.params, name)
			fmt.Fprintf(&set, "%s = %s, ", name, value)
		}
	}
	c.set = set.String() + state
	// The driver would set them in a round trip of their own.
	c.cfg.Params = nil
	// Connect makes the driver's connector, so that each connection has its own
	// copy of the configuration. Its errors appear here first.
	if _, err := mysql.NewConnector(c.cfg); err != nil {
		return nil, err
	}
	return c, nil
}

// Driver returns the driver of the connections. Tracers look it up by its type.
func (c *connector) Driver() driver.Driver { return &mysql.MySQLDriver{} }

// Connect implements driver.Connector.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	generation := c.pool.current.Load()
	cfg := c.cfg.Clone()
	log := &driverLog{logger: c.logger}
	cfg.Logger = log
	dial := cfg.DialFunc
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	var offersTLS atomic.Bool
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return newGreeted(conn, &offersTLS), nil
	}
	inner, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, connectError{error: err}
	}
	raw, err := inner.Connect(ctx)
	if err != nil {
		if cause := log.cause(); cause != nil && (errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn)) {
			err = cause
		}
		return nil, connectError{error: err, unusedTLS: cfg.TLS == nil && offersTLS.Load()}
	}
	session := raw.(session)
	if _, err := session.ExecContext(ctx, c.set, nil); err != nil {
		_ = session.Close()
		return nil, connectError{error: c.explain(err)}
	}
	connected(ctx, c.waited)
	return &conn{session: session, generation: generation, made: time.Now(), connector: c}, nil
}

// explain names the system variable of the DSN that the server refuses.
func (c *connector) explain(err error) error {
	var my *mysql.MySQLError
	if errors.As(err, &my) {
		for _, name := range c.params {
			if regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(my.Message) {
				return variableError{error: err, name: name}
			}
		}
	}
	return err
}

// connectError is an error before a connection could be used.
type connectError struct {
	error
	unusedTLS bool // the server supports TLS, but the DSN does not
}

func (e connectError) Unwrap() error { return e.error }

// variableError is the server's refusal of a system variable that the DSN sets.
type variableError struct {
	error
	name string
}

func (e variableError) Unwrap() error { return e.error }

// session is a connection of go-sql-driver.
type session interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.NamedValueChecker
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// conn is a pooled connection.
type conn struct {
	session
	connector  *connector
	generation int64
	made       time.Time
}

// ResetSession runs before the pool hands out the connection again. It discards a
// connection of an older generation.
func (c *conn) ResetSession(ctx context.Context) error {
	if c.generation != c.connector.pool.current.Load() {
		return driver.ErrBadConn
	}
	if err := c.session.ResetSession(ctx); err != nil {
		return err
	}
	connected(ctx, c.connector.waited)
	return nil
}

// failoverInterval bounds how often a read-only server costs the pool all its
// connections: as long as the address leads to that server, new ones are no better.
const failoverInterval = time.Second

// ExecContext runs a statement. After a failover, the server is read-only, but its
// address may lead to the new primary. So database/sql runs the statement again on
// a new connection, and the pool discards all others.
func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.session.ExecContext(ctx, query, args)
	if isReadOnly(err) && time.Since(c.made) >= failoverInterval {
		c.connector.pool.end(c.generation)
		return nil, driver.ErrBadConn
	}
	return result, err
}

// generation counts how often all pooled connections were discarded.
type generation struct{ current atomic.Int64 }

// end discards all connections of a generation: each one is closed before its next
// use.
func (g *generation) end(number int64) { g.current.CompareAndSwap(number, number+1) }

// driverLog writes the driver's messages (mostly about broken connections) to
// the service's log. Their level is debug, because the user of the connection
// receives the error too. It keeps the first error: the driver replaces it with
// ErrInvalidConn.
type driverLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	first  error
}

func (l *driverLog) Print(v ...any) {
	l.logger.Debug("mysql driver: " + fmt.Sprint(v...))
	if i := slices.IndexFunc(v, func(v any) bool { _, ok := v.(error); return ok }); i >= 0 {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.first == nil {
			l.first = v[i].(error)
		}
	}
}

func (l *driverLog) cause() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}
