package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"apmapp/internal/testing/mysqltest"
	"apmapp/internal/testing/poll"
	"apmapp/store"
)

// BenchmarkReads runs the two reads of the newest visits on tables of different sizes, in
// turn, so that a busy machine slows all of them down. It reports medians, and how many
// times the one of the smallest table each is: their cost must not depend on the size.
func BenchmarkReads(b *testing.B) {
	server := mysqltest.Start(b)
	b.Log(server.Strings(b, "SELECT VERSION()")[0])
	sizes := []int{1_000, 100_000, 1_000_000}
	var stores []*store.Store
	for _, size := range sizes {
		stores = append(stores, openFilled(b, server, server.Database(b), size))
	}
	for _, read := range []struct {
		name string
		run  func(context.Context, *store.Store) (visits int, err error)
		want int
	}{
		{"latest", func(ctx context.Context, s *store.Store) (int, error) {
			_, found, err := s.Latest(ctx)
			return map[bool]int{true: 1}[found], err
		}, 1},
		{"recent", func(ctx context.Context, s *store.Store) (int, error) {
			visits, err := s.Recent(ctx, 10)
			return len(visits), err
		}, 10},
	} {
		b.Run(read.name, func(b *testing.B) {
			times := make([][]time.Duration, len(sizes))
			for n := 0; b.Loop(); n++ {
				for i := range sizes {
					i = (i + n) % len(sizes)
					start := time.Now()
					visits, err := read.run(b.Context(), stores[i])
					times[i] = append(times[i], time.Since(start))
					if err != nil || visits != read.want {
						b.Fatalf("%d visits, %v", visits, err)
					}
				}
			}
			var smallest float64
			for i, size := range sizes {
				slices.Sort(times[i])
				median := float64(times[i][len(times[i])/2].Nanoseconds())
				if i == 0 {
					smallest = median
				}
				b.ReportMetric(median/1e3, fmt.Sprintf("µs/%d-rows", size))
				b.ReportMetric(median/smallest, fmt.Sprintf("times/%d-rows", size))
			}
		})
	}
}

// openFilled returns a store with a number of visits, one every second until now.
func openFilled(b *testing.B, server *mysqltest.Server, dsn string, visits int) *store.Store {
	b.Helper()
	cfg, err := store.ParseDSN(dsn)
	if err != nil {
		b.Fatal(err)
	}
	s, err := store.Open(store.Config{MySQL: cfg, PoolSize: 1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	go s.Run(b.Context())
	poll.Until(b, func() error { return s.Ready(b.Context()) })
	table := mysqltest.DatabaseName(b, dsn) + ".visits"
	server.Exec(b, "INSERT INTO "+table+" (route, trace_id, visited_at) VALUES ('/api/trace', '0123456789abcdef0123456789abcdef', UTC_TIMESTAMP(6))")
	for n := 1; n < visits; {
		more := min(n, visits-n)
		server.Exec(b, fmt.Sprintf("INSERT INTO %s (route, trace_id, visited_at) SELECT route, trace_id, visited_at - INTERVAL %d SECOND FROM %s ORDER BY visited_at DESC LIMIT %d", table, n, table, more))
		n += more
	}
	if got := server.Strings(b, "SELECT COUNT(*) FROM "+table)[0]; got != fmt.Sprint(visits) {
		b.Fatalf("%s visits, want %d", got, visits)
	}
	return s
}
