package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"apmapp/store"
)

// A program opens the store at its start and does not wait for MySQL. Here no
// MySQL listens on port 1, so the first call fails at once.
func Example() {
	cfg, err := store.ParseDSN("mysql://app:secret@127.0.0.1:1/apmapp")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("database", cfg.Addr, cfg.DBName)
	visits, err := store.Open(store.Config{MySQL: cfg, PoolSize: 16, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}

	// Run connects and migrates in the background until the program stops it.
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { visits.Run(ctx) })

	_, err = visits.Record(ctx, store.Visit{Route: "/api/trace", At: time.Now()})
	switch {
	case errors.Is(err, store.ErrUnavailable):
		fmt.Println("MySQL is away: answer 503")
	case err != nil:
		fmt.Println("a defect: answer 500:", err)
	}

	cancel()
	running.Wait()
	fmt.Println("closed:", visits.Close() == nil)
	// Output:
	// database 127.0.0.1:1 apmapp
	// MySQL is away: answer 503
	// closed: true
}

// ParseDSN accepts go-sql-driver's form and URLs. Attrs are safe to log.
func ExampleParseDSN() {
	for _, dsn := range []string{
		"app:secret@tcp(db:3306)/shop?timeout=1s",
		"mysql://app:p%40ss@db/shop?ssl-mode=VERIFY_IDENTITY",
		"mysql://app:secret@db",
	} {
		cfg, err := store.ParseDSN(dsn)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(store.Attrs(cfg), cfg.Timeout)
	}
	// Output:
	// [mysql.addr=db:3306 mysql.db=shop mysql.user=app mysql.tls=DISABLED] 1s
	// [mysql.addr=db:3306 mysql.db=shop mysql.user=app mysql.tls=VERIFY_IDENTITY] 2s
	// the DSN names no database, want user:pass@tcp(host:port)/db or mysql://user:pass@host:port/db
}

// Reason explains to users of a health page why MySQL cannot serve.
func ExampleReason() {
	cfg, err := store.ParseDSN("mysql://app:secret@db/shop")
	if err != nil {
		fmt.Println(err)
		return
	}
	visits, err := store.Open(store.Config{MySQL: cfg, PoolSize: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer visits.Close()
	if err := visits.Ready(context.Background()); err != nil {
		fmt.Println(store.Reason(err))
	}
	// Output: waiting for MySQL: not connected yet
}
