// Package memdb runs a database in memory that speaks MySQL's protocol, for
// demos on machines without MySQL: go-mysql-server on a real socket. It has no
// row locks and its own error numbers, so it stands in for MySQL in a demo, not
// in tests of the store.
package memdb

import (
	"fmt"
	"io"
	"net"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/go-sql-driver/mysql"
	"github.com/sirupsen/logrus"
)

// Name is the name of the database.
const Name = "apmapp"

// Server is a running database. It takes any user without a password, so it
// listens on the loopback address alone.
type Server struct {
	server *server.Server
	addr   *net.TCPAddr
	ended  chan error
}

// Start starts an empty database on a free port. What it has to say goes to
// logs, for the whole process.
func Start(logs io.Writer) (*Server, error) {
	logrus.SetOutput(logs)
	logrus.SetFormatter(&logrus.JSONFormatter{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start database: %w", err)
	}
	database := memory.NewDatabase(Name)
	// Without it a primary key is a constraint and no index.
	database.EnablePrimaryKeyIndexes()
	provider := memory.NewDBProvider(database)
	s, err := server.NewServer(server.Config{Listener: listener, Protocol: "tcp"},
		sqle.NewDefault(provider), sql.NewContext, memory.NewSessionBuilder(provider), nil)
	if err != nil {
		return nil, fmt.Errorf("start database: %w", err)
	}
	out := &Server{server: s, addr: listener.Addr().(*net.TCPAddr), ended: make(chan error, 1)}
	go func() { out.ended <- s.Start() }()
	return out, nil
}

// Port is the port that the database listens on.
func (s *Server) Port() int { return s.addr.Port }

// DSN is how to connect to it.
func (s *Server) DSN() string {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr, cfg.DBName = "root", "tcp", s.addr.String(), Name
	return cfg.FormatDSN()
}

// Close ends the database; what it held is gone.
func (s *Server) Close() error {
	err := s.server.Close()
	<-s.ended
	// Connections that are still ending have more to say than anyone reads.
	logrus.SetOutput(io.Discard)
	return err
}
