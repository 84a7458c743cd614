package store_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
	"apmapp/store"
)

// Ten callers share four connections: six wait. No connection is closed when
// the load ends.
func testPool(t *testing.T, server *mysqltest.Server) {
	dsn := server.Database(t)
	s := open(t, dsn)
	awaitReady(t, s)
	unlock := server.Lock(t, mysqltest.DatabaseName(t, dsn)+".visits")
	var callers sync.WaitGroup
	for range poolSize + 6 {
		callers.Go(func() {
			if _, err := s.Record(t.Context(), store.Visit{Route: "/", At: time.Now()}); err != nil {
				t.Error(err)
			}
		})
	}
	server.AwaitWaiting(t, poolSize)
	poll.Until(t, func() error {
		if stats := s.db.Stats(); stats.WaitCount != 6 || stats.InUse != poolSize || stats.MaxOpenConnections != poolSize {
			return fmt.Errorf("pool %+v, want 6 waiting callers and %d connections in use", stats, poolSize)
		}
		return nil
	})
	unlock()
	callers.Wait()
	if stats := s.db.Stats(); stats.Idle != poolSize || stats.MaxIdleClosed != 0 {
		t.Errorf("pool %+v, want %d idle connections and none closed", stats, poolSize)
	}
}

// A pooled connection ends after half the server's wait_timeout, here one second.
func testLifetime(t *testing.T, server *mysqltest.Server) {
	cfg, err := store.ParseDSN(server.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Params = map[string]string{"wait_timeout": "1"}
	s := openConfig(t, cfg)
	poll.Until(t, func() error {
		if err := s.Ready(t.Context()); err != nil {
			return err
		}
		if s.db.Stats().MaxLifetimeClosed == 0 {
			return fmt.Errorf("pool %+v, want a connection closed for its age", s.db.Stats())
		}
		return nil
	})
	if strings.Contains(s.logs.String(), "mysql driver") {
		t.Errorf("the server closed a connection first:\n%s", s.logs.String())
	}
}
