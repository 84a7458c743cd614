//go:build unix

package checks

import (
	"database/sql"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-sql-driver/mysql"

	"apmapp/deploy/agent"
	"apmapp/internal/local/wire"
	"apmapp/internal/memdb"
	"apmapp/internal/testing/loopback"
	"apmapp/internal/testing/mysqltest"
)

func openMySQL(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

// mysqlCheck returns the check of a database with the product's own configuration.
func mysqlCheck(t *testing.T, db *sql.DB) *check {
	t.Helper()
	of, err := newMySQL(agent.Files, db)
	if err != nil {
		t.Fatal(err)
	}
	return of
}

// values returns the values of metrics by name. Each is a gauge with the tags of the
// configuration.
func values(t *testing.T, samples []wire.Sample) map[string]float64 {
	t.Helper()
	all := map[string]float64{}
	for _, s := range samples {
		if want := []string{"project:apmapp", "role:database", "service:apmapp-mysql"}; s.Type != wire.Gauge || len(s.Values) != 1 || s.Weight != 1 || !slices.Equal(s.Tags, want) {
			t.Errorf("%+v, want a gauge with the tags %q", s, want)
		}
		all[s.Name] = s.Values[0]
	}
	return all
}

// statements is the number of statements that a client executes between two runs.
const statements = 50

// readsTwice runs a check, statements, and the check again. It returns what the second
// run collected as counts rather than rates.
func readsTwice(t *testing.T, db *sql.DB) map[string]float64 {
	t.Helper()
	of := mysqlCheck(t, db)
	if of.name != "mysql" || of.interval != 15*time.Second {
		t.Errorf("%s every %s, want mysql every 15 s", of.name, of.interval)
	}
	first, err := of.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	before := time.Now()
	if got := values(t, first.samples); len(got) != 2 || got["mysql.performance.threads_connected"] < 1 || got["mysql.performance.threads_running"] < 1 {
		t.Errorf("the first run collects %v, want at least one connection that is open and one that runs, and no rates", got)
	}
	if got := fmt.Sprintf("%+v", first.checks); got != "[{Name:mysql.can_connect Status:ok Time:0 Host: Message: Tags:[project:apmapp role:database service:apmapp-mysql]}]" {
		t.Errorf("service checks %s", got)
	}
	for range statements {
		if _, err := db.Exec("SELECT 1"); err != nil {
			t.Fatal(err)
		}
	}
	second, err := of.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	seconds := time.Since(before).Seconds() // a little longer than the check's
	all := values(t, second.samples)
	for _, rate := range []string{"mysql.performance.queries", "mysql.performance.slow_queries", "mysql.innodb.row_lock_waits"} {
		if _, has := all[rate]; !has {
			t.Errorf("the second run has no %s: %v", rate, all)
		}
		all[rate] *= seconds
	}
	return all
}

func TestMySQL(t *testing.T) {
	server := mysqltest.Start(t)
	db := openMySQL(t, server.Database(t))
	if got := readsTwice(t, db)["mysql.performance.queries"]; got < statements {
		t.Errorf("%v queries, want at least %d", got, statements)
	}
	of := mysqlCheck(t, db)
	server.Down(t)
	got, err := of.run(t.Context())
	if err == nil || len(got.samples) != 0 || len(got.checks) != 1 || got.checks[0].Status != "critical" || got.checks[0].Message != err.Error() || !slices.Contains(got.checks[0].Tags, "service:apmapp-mysql") {
		t.Errorf("while the server is down: %+v, %v, want a critical service check", got, err)
	}
	server.Up(t)
	got, err = of.run(t.Context())
	if err != nil || got.checks[0].Status != "ok" || len(got.samples) != 2 {
		t.Errorf("when the server is up again: %+v, %v", got, err)
	}
}

// The embedded database counts statements of clients.
func TestMySQLOnTheEmbeddedDatabase(t *testing.T) {
	server, err := memdb.Start(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	if got := readsTwice(t, openMySQL(t, server.DSN()))["mysql.performance.queries"]; got < statements {
		t.Errorf("%v queries, want at least %d", got, statements)
	}
}

func TestRates(t *testing.T) {
	var s server
	begin := time.Now()
	for i, step := range []struct {
		after  time.Duration
		status map[string]float64
		want   string
	}{
		{0, map[string]float64{"Queries": 100, "Threads_running": 3}, "threads_running=3"},
		{10 * time.Second, map[string]float64{"Queries": 150, "Threads_running": 2}, "queries=5 threads_running=2"},
		{20 * time.Second, map[string]float64{"Queries": 150}, "queries=0"},
		{30 * time.Second, map[string]float64{"Queries": 20}, ""}, // restarted
		{34 * time.Second, map[string]float64{"Queries": 28, "Slow_queries": 4}, "queries=2"},
		{34 * time.Second, map[string]float64{"Queries": 29}, ""},
		{36 * time.Second, map[string]float64{"Queries": 31, "Slow_queries": 6}, "queries=1"},
		{38 * time.Second, map[string]float64{"Innodb_row_lock_waits": 6, "Slow_queries": 7, "Threads_connected": 9}, "slow_queries=0.5 threads_connected=9"},
		{40 * time.Second, map[string]float64{"Innodb_row_lock_waits": 7}, "row_lock_waits=0.5"},
	} {
		var got []string
		for _, sample := range s.samples(step.status, begin.Add(step.after)) {
			got = append(got, fmt.Sprintf("%s=%g", sample.Name[strings.LastIndex(sample.Name, ".")+1:], sample.Values[0]))
		}
		slices.Sort(got)
		if strings.Join(got, " ") != step.want {
			t.Errorf("step %d: %q, want %s", i, got, step.want)
		}
	}
}

// A server that cannot be reached is found by Start's checks, with a warning that names
// the check.
func TestMySQLAway(t *testing.T) {
	db := openMySQL(t, "nobody@tcp("+loopback.FreeAddr(t)+")/")
	c, b := start(t, Config{Files: fstest.MapFS{"conf.d/mysql.yaml": {Data: []byte("instances: [{service: shop-db, min_collection_interval: 3}]")}}, Env: "test", MySQL: db})
	if got := c.String(); got != "mysql every 3 s" {
		t.Errorf("checks %q", got)
	}
	d := b.datagram(t, 0)
	if len(d.Checks) != 2 || d.Checks[0].Name != "mysql.can_connect" || d.Checks[0].Status != "critical" || !slices.Equal(d.Checks[0].Tags, []string{"env:test", "service:shop-db"}) {
		t.Errorf("added %+v", d)
	}
	if d.Checks[1].Name != "datadog.agent.check_status" || d.Checks[1].Status != "critical" {
		t.Errorf("added %+v", d)
	}
	if got := b.warnings(); len(got) != 1 || !strings.HasPrefix(got[0], "check mysql: dial tcp ") {
		t.Errorf("warnings %q", got)
	}
}
