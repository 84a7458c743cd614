package telemetry

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"regexp"
	"slices"
	"testing"

	"github.com/go-sql-driver/mysql"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/mocktracer"
	"gopkg.in/DataDog/dd-trace-go.v1/ddtrace/tracer"
)

// statements is a driver that records statements. Each fails with err.
type statements struct {
	sent []string
	err  error
}

func (d *statements) Connect(context.Context) (driver.Conn, error) { return d, nil }
func (d *statements) Driver() driver.Driver                        { return &mysql.MySQLDriver{} }
func (d *statements) Prepare(string) (driver.Stmt, error)          { return nil, errors.New("not used") }
func (d *statements) Begin() (driver.Tx, error)                    { return d, nil }
func (d *statements) Commit() error                                { return nil }
func (d *statements) Rollback() error                              { return nil }
func (d *statements) Close() error                                 { return nil }
func (d *statements) Ping(context.Context) error                   { return nil }
func (d *statements) Columns() []string                            { return nil }
func (d *statements) Next([]driver.Value) error                    { return io.EOF }

func (d *statements) QueryContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Rows, error) {
	d.sent = append(d.sent, query)
	return d, d.err
}

func (d *statements) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	d.sent = append(d.sent, query)
	return driver.RowsAffected(1), d.err
}

func openDB(t *testing.T, d *statements) *sql.DB {
	t.Helper()
	dsn, err := mysql.ParseDSN("app:hunter2@tcp(db.example:3307)/shop")
	if err != nil {
		t.Fatal(err)
	}
	db := OpenDB(Config{Service: "shop"}, dsn, d)
	t.Cleanup(func() { db.Close() })
	return db
}

func TestStatementsAreSpans(t *testing.T) {
	spans := mocktracer.Start()
	defer spans.Stop()
	d := &statements{}
	db := openDB(t, d)
	request, ctx := tracer.StartSpanFromContext(context.Background(), "http.request")
	if err := db.PingContext(ctx); err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM visits"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if tx, err = db.BeginTx(ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(ctx, "SELECT 1")
	if err != nil {
		t.Fatal(err)
	}
	rows.Close()
	// A statement outside of a trace, such as one at the start, is no trace.
	if _, err := db.Exec("SET @a = 1"); err != nil {
		t.Fatal(err)
	}
	request.Finish()

	var resources []string
	for _, s := range spans.FinishedSpans() {
		if s.SpanID() == request.Context().SpanID() {
			continue
		}
		resources = append(resources, s.Tag("resource.name").(string))
		if s.OperationName() != "mysql.query" || s.ParentID() != request.Context().SpanID() {
			t.Errorf("span %v, want mysql.query as a child of the request", s)
		}
		for tag, want := range map[string]any{
			"service.name": "shop-mysql", "span.type": "sql", "db.system": "mysql", "db.user": "app",
			"db.name": "shop", "out.host": "db.example", "out.port": "3307",
			"peer.service": "shop-mysql",
		} {
			if got := s.Tag(tag); got != want {
				t.Errorf("%s: %v, want %v", tag, got, want)
			}
		}
	}
	if want := []string{"DELETE FROM visits", "SELECT 1"}; !slices.Equal(resources, want) {
		t.Errorf("spans of %q, want only %q", resources, want)
	}
}

func TestFailedStatements(t *testing.T) {
	for _, c := range []struct {
		err  error
		want any
	}{
		{errors.New("deadlock"), "deadlock"},
		{context.Canceled, nil}, // the client left
	} {
		spans := mocktracer.Start()
		db := openDB(t, &statements{err: c.err})
		request, ctx := tracer.StartSpanFromContext(context.Background(), "http.request")
		_, err := db.ExecContext(ctx, "DELETE FROM visits")
		request.Finish()
		if !errors.Is(err, c.err) {
			t.Errorf("got %v, want %v", err, c.err)
		}
		if got := spans.FinishedSpans()[0].Tag("error.message"); got != c.want {
			t.Errorf("%v: the span's error is %v, want %v", c.err, got, c.want)
		}
		spans.Stop()
	}
}

// Database Monitoring reads the trace from the statement's comment.
func TestStatementsCarryTheirTrace(t *testing.T) {
	for _, c := range []struct {
		variable, value string
		want            string
	}{
		{"", "", `^/\*dddbs='shop-mysql',ddps='shop',traceparent='00-0{16}[0-9a-f]{16}-[0-9a-f]{16}-01',.*\*/ SELECT 1$`},
		{"DD_DBM_PROPAGATION_MODE", "full", `^/\*dddbs='shop-mysql',.*traceparent='.*\*/ SELECT 1$`},
		{"DD_DBM_PROPAGATION_MODE", "service", `^/\*dd[^t]*\*/ SELECT 1$`},
		{"DD_DBM_PROPAGATION_MODE", "disabled", `^SELECT 1$`},
		{"DD_TRACE_SQL_COMMENT_INJECTION_MODE", "disabled", `^SELECT 1$`},
	} {
		t.Run(c.variable+"="+c.value, func(t *testing.T) {
			if c.variable != "" {
				t.Setenv("DD_DBM_PROPAGATION_MODE", "") // which ddenv has set to full
				t.Setenv(c.variable, c.value)
			}
			startTracer(t)
			d := &statements{}
			db := openDB(t, d)
			request, ctx := tracer.StartSpanFromContext(context.Background(), "http.request")
			defer request.Finish()
			rows, err := db.QueryContext(ctx, "SELECT 1")
			if err != nil {
				t.Fatal(err)
			}
			rows.Close()
			if len(d.sent) != 1 || !regexp.MustCompile(c.want).MatchString(d.sent[0]) {
				t.Errorf("sent %q, want %s", d.sent, c.want)
			}
		})
	}
}
