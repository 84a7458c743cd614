package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
	"apmapp/store"
)

// Ten callers share four connections: six wait, and one more leaves. No connection is
// closed when the load ends. Each wait for a connection is reported once.
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
	leaving, leave := context.WithCancel(t.Context())
	left := make(chan error)
	go func() {
		_, err := s.Record(leaving, store.Visit{Route: "/", At: time.Now()})
		left <- err
	}()
	poll.Until(t, func() error {
		if n := s.db.Stats().WaitCount; n != 7 {
			return fmt.Errorf("%d callers waited, want 7", n)
		}
		return nil
	})
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller that left got %v", err)
	}
	if n := len(s.waits); n != poolSize+1 {
		t.Errorf("%d waits are reported, want those of the %d connections in use and of the caller that left", n, poolSize)
	}
	unlocked := time.Now()
	unlock()
	callers.Wait()
	long := slices.DeleteFunc(slices.Clone(s.waits), func(w [2]time.Time) bool { return !w[0].Before(unlocked) || !w[1].After(unlocked) })
	if len(long) != 6 || len(s.waits) != poolSize+7 {
		t.Errorf("%d waits until the lock ended, of %d; want 6 of %d", len(long), len(s.waits), poolSize+7)
	}
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
