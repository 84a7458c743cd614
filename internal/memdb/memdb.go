// Package memdb runs an in-memory database with MySQL's protocol, for demos on
// machines without MySQL. It is go-mysql-server on a TCP socket. It has its own error
// numbers, and of locks only LOCK TABLES and those of schema changes: sessions overwrite
// each other's rows, so that rows of INSERTs at the same moment are lost. It can replace
// MySQL in a demo, but not in tests of the store. Each table keeps its newest MaxRows rows.
package memdb

import (
	"fmt"
	"io"
	"net"
	"sync"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/dolthub/go-mysql-server/sql/expression"
	vitess "github.com/dolthub/vitess/go/mysql"
	"github.com/go-sql-driver/mysql"
	"github.com/sirupsen/logrus"
)

// Name is the name of the database.
const Name = "apmapp"

// Server is a running database. It accepts any user without a password, so it
// listens only on the loopback address.
type Server struct {
	server *server.Server
	addr   *net.TCPAddr
	ended  chan error
}

// Start starts an empty database on a free port. It writes its log to logs; that
// setting is global to the process.
func Start(logs io.Writer) (*Server, error) {
	logrus.SetOutput(logs)
	logrus.SetFormatter(&logrus.JSONFormatter{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start database: %w", err)
	}
	database := memory.NewDatabase(Name)
	// Without this a primary key is only a constraint, not an index.
	database.EnablePrimaryKeyIndexes()
	// Sessions commit only to go-mysql-server's own type of database.
	s, err := server.NewServerWithHandler(server.Config{Listener: &limited{Listener: listener}, Protocol: "tcp"},
		sqle.NewDefault(memory.NewDBProvider(tables{database, new(locks)})), sql.NewContext,
		memory.NewSessionBuilder(memory.NewDBProvider(database)), nil,
		func(h vitess.Handler) (vitess.Handler, error) { return orderly{h, new(sync.RWMutex)}, nil })
	if err != nil {
		return nil, fmt.Errorf("start database: %w", err)
	}
	out := &Server{server: s, addr: listener.Addr().(*net.TCPAddr), ended: make(chan error, 1)}
	go func() { out.ended <- s.Start() }()
	return out, nil
}

// tables is a database of bounded tables.
type tables struct {
	*memory.Database
	locks *locks
}

// GetTableInsensitive implements sql.Database.
func (d tables) GetTableInsensitive(ctx *sql.Context, name string) (sql.Table, bool, error) {
	table, found, err := d.Database.GetTableInsensitive(ctx, name)
	if t, ok := table.(*memory.Table); ok {
		table = bounded{t, d.locks}
	}
	return table, found, err
}

// RenameTable implements sql.TableRenamer. It corrects the indexes of the renamed
// table: go-mysql-server numbers their columns as if they were the first of the
// table, so that every INSERT after RENAME TABLE panics.
func (d tables) RenameTable(ctx *sql.Context, from, to string) error {
	if err := d.Database.RenameTable(ctx, from, to); err != nil {
		return err
	}
	table, found, err := d.GetTableInsensitive(ctx, to)
	if err != nil || !found {
		return err
	}
	indexes, err := table.(sql.IndexAddressable).GetIndexes(ctx)
	if err != nil {
		return err
	}
	schema := table.Schema()
	for _, index := range indexes {
		index, ok := index.(*memory.Index)
		if !ok {
			continue
		}
		for i, expr := range index.Exprs {
			field := expr.(*expression.GetField)
			position := schema.IndexOfColName(field.Name())
			index.Exprs[i] = expression.NewGetFieldWithTable(position, 0, field.Type(), d.Name(), to, field.Name(), field.IsNullable())
		}
	}
	return nil
}

// Port returns the port of the database.
func (s *Server) Port() int { return s.addr.Port }

// DSN returns the data source name to connect with.
func (s *Server) DSN() string {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr, cfg.DBName = "root", "tcp", s.addr.String(), Name
	return cfg.FormatDSN()
}

// Close stops the database and drops its data.
func (s *Server) Close() error {
	err := s.server.Close()
	<-s.ended
	// Connections that are still closing log lines that nobody needs.
	logrus.SetOutput(io.Discard)
	return err
}
