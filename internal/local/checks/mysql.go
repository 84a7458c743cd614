package checks

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"time"

	"apmapp/internal/local/wire"
)

// mysqlMetrics are the metrics of docs/telemetry.md, by the server's name of the value. A
// counter is sent as its rate.
var mysqlMetrics = map[string]struct {
	name    string
	counter bool
}{
	// Queries of the server. questions replaces it if it is not counted.
	queries:                 {"mysql.performance.queries", true},
	"Slow_queries":          {"mysql.performance.slow_queries", true},
	"Threads_connected":     {"mysql.performance.threads_connected", false},
	"Threads_running":       {"mysql.performance.threads_running", false},
	"Innodb_row_lock_waits": {"mysql.innodb.row_lock_waits", true},
}

// The embedded database counts only statements of clients, questions. It has no other
// statements, and its queries stay 0.
const (
	queries   = "Queries"
	questions = "Questions"
)

// selectStatus reads the values. It needs no right.
const selectStatus = "SHOW GLOBAL STATUS WHERE Variable_name IN ('Queries', 'Questions', 'Slow_queries', 'Threads_connected', 'Threads_running', 'Innodb_row_lock_waits')"

// mysqlTimeout is the check's default timeout of a connection.
const mysqlTimeout = 10 * time.Second

// server is the check mysql.
type server struct {
	db   *sql.DB
	tags []string
	// before are the counters of the last run, at a time; nil before the first.
	before map[string]float64
	at     time.Time
}

// newMySQL returns the check of a server, with the tags, the service and the interval of
// the first instance in conf.d/mysql.d. The rest of the instance is for the Agent.
func newMySQL(files fs.FS, db *sql.DB) (*check, error) {
	instances, err := configuration(files, "mysql")
	if err != nil {
		return nil, err
	}
	s, interval := &server{db: db}, defaultInterval
	if len(instances) > 0 {
		interval = instances[0].interval
		tags, _ := instances[0].values["tags"].([]any)
		for _, tag := range tags {
			s.tags = append(s.tags, fmt.Sprint(tag))
		}
		if service, is := instances[0].values["service"].(string); is {
			s.tags = append(s.tags, "service:"+service)
		}
	}
	return &check{name: "mysql", interval: interval, run: s.run}, nil
}

func (s *server) run(ctx context.Context) (collected, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, mysqlTimeout, fmt.Errorf("no answer within %s", mysqlTimeout))
	defer cancel()
	status, err := s.status(ctx)
	now := time.Now()
	can := wire.Check{Name: "mysql.can_connect", Status: "ok", Tags: s.tags}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		can.Status, can.Message = "critical", err.Error()
		s.before = nil
		return collected{checks: []wire.Check{can}}, err
	}
	got := collected{checks: []wire.Check{can}, samples: s.samples(status, now)}
	return got, nil
}

// samples returns the metrics of a status at a time, and keeps its counters.
func (s *server) samples(status map[string]float64, now time.Time) (all []wire.Sample) {
	counters := map[string]float64{}
	for variable, metric := range mysqlMetrics {
		value, has := status[variable]
		if !has {
			continue
		}
		if metric.counter {
			counters[variable] = value
			before, known := s.before[variable]
			seconds := now.Sub(s.at).Seconds()
			if !known || value < before || seconds <= 0 { // the first value, also of a server that was restarted
				continue
			}
			value = (value - before) / seconds
		}
		all = append(all, wire.Sample{Name: metric.name, Type: wire.Gauge, Values: []float64{value}, Weight: 1, Tags: s.tags})
	}
	s.before, s.at = counters, now
	return all
}

// status reads the values of mysqlMetrics that the server has.
func (s *server) status(ctx context.Context) (map[string]float64, error) {
	rows, err := s.db.QueryContext(ctx, selectStatus)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	status := map[string]float64{}
	for rows.Next() {
		var name string
		var value float64
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		status[name] = value
	}
	if status[queries] == 0 { // this was a query
		status[queries] = status[questions]
	}
	delete(status, questions)
	return status, rows.Err()
}
