package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"apmapp/internal/testing/lockedbuffer"
	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
	"apmapp/store"
)

const poolSize = 4

// running is a store that runs until the test ends.
type running struct {
	*store.Store
	db   *sql.DB // the store's pool
	logs lockedbuffer.Buffer

	mu    sync.Mutex
	waits [][2]time.Time // for a connection: start and end
}

func (s *running) waited(_ context.Context, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := time.Now()
	s.waits = append(s.waits, [2]time.Time{end.Add(-wait), end})
}

func open(t *testing.T, dsn string) *running {
	t.Helper()
	cfg, err := store.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return openConfig(t, cfg)
}

func openConfig(t *testing.T, cfg *mysql.Config) *running {
	t.Helper()
	s := new(running)
	var err error
	s.Store, err = store.Open(store.Config{
		MySQL:    cfg,
		PoolSize: poolSize,
		OpenDB: func(c driver.Connector) *sql.DB {
			s.db = sql.OpenDB(c)
			return s.db
		},
		Waited: s.waited,
		Logger: slog.New(slog.NewTextHandler(&s.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		run.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.db.Ping(); err == nil {
			t.Error("Close left the pool open")
		}
	})
	return s
}

func awaitReady(t *testing.T, s *running) {
	t.Helper()
	poll.Until(t, func() error { return s.Ready(t.Context()) })
}

func awaitReason(t *testing.T, s *running, want string) {
	t.Helper()
	poll.Until(t, func() error {
		err := s.Ready(t.Context())
		if err == nil {
			return errors.New("ready, want " + want)
		}
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("%v is not ErrUnavailable", err)
		}
		if got := store.Reason(err); got != want {
			return fmt.Errorf("reason %q (%w), want %q", got, err, want)
		}
		return nil
	})
}

func (s *running) awaitLine(t *testing.T, parts ...string) {
	t.Helper()
	poll.Until(t, func() error {
		for line := range strings.Lines(s.logs.String()) {
			found := true
			for _, part := range parts {
				found = found && strings.Contains(line, part)
			}
			if found {
				return nil
			}
		}
		return fmt.Errorf("no line with %q in:\n%s", parts, s.logs.String())
	})
}

func TestStore(t *testing.T) {
	t.Parallel()
	server := mysqltest.Start(t)
	for _, tc := range []struct {
		name string
		test func(*testing.T, *mysqltest.Server)
	}{
		{"visits", testVisits},
		{"deletes the oldest visits first", testDeleteOldestFirst},
		{"reads few rows of a long table", testBoundedReads},
		{"plans", testPlans},
		{"pool is bounded", testPool},
		{"connections end before the server closes them", testLifetime},
		{"session state", testSession},
		{"one statement for each connection", testOneStatementPerConnection},
		{"system variables of the DSN", testVariableErrors},
		{"read-only server", testReadOnly},
		{"failover", testFailover},
		{"connections to a read-only server", testReadOnlyKeepsConnections},
		{"server without TLS", testNoTLS},
		{"replicas that start together", testReplicas},
		{"many replicas and few connections", testManyReplicas},
		{"interrupted migration", testInterruptedMigration},
		{"replicas of the release before", testReleaseBefore},
		{"schema lock", testSchemaLock},
		{"lost schema lock", testLostLock},
		{"wrong password", testWrongPassword},
		{"unknown database", testUnknownDatabase},
		{"schema that disappears", testSchemaDisappears},
		{"missing table", testMissingTable},
		{"damaged table", testDamagedTable},
		{"privileges", testPrivileges},
		{"row that cannot be read", testUnreadableRow},
		{"diagnosis", testDiagnose},
		{"received statements", testReceived},
		{"deadlock", testDeadlock},
		{"caller that leaves", testCallerLeaves},
		{"server that hangs", testServerHangs},
		// The last one: it stops the server that the others share.
		{"server that stops and starts again", testServerRestarts},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.test(t, server) })
	}
}
