package memdb

import (
	"context"
	"regexp"
	"sync"

	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
)

// orderly runs a statement that changes a schema alone, as MySQL's metadata locks do. A
// session of go-mysql-server ends each statement, also a SELECT, by storing its own copy of
// the tables. So a change of a table that began meanwhile would be lost.
type orderly struct {
	mysql.Handler
	// changing is held by a statement that changes a schema. Others are its readers.
	changing *sync.RWMutex
}

var (
	changesSchema = regexp.MustCompile(`(?is)^(\s|/\*.*?\*/)*(ALTER|CREATE|DROP|RENAME|TRUNCATE)\b`)
	// unlocks is a statement for which others wait.
	unlocks = regexp.MustCompile(`(?is)^(\s|/\*.*?\*/)*UNLOCK\b`)
)

// begin waits until a statement may run. The caller calls end after it.
func (o orderly) begin(query string) (end func()) {
	switch {
	case unlocks.MatchString(query):
		return func() {}
	case changesSchema.MatchString(query):
		o.changing.Lock()
		return o.changing.Unlock
	}
	o.changing.RLock()
	return o.changing.RUnlock
}

// ComQuery implements mysql.Handler.
func (o orderly) ComQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) error {
	defer o.begin(query)()
	return o.Handler.ComQuery(ctx, c, query, callback)
}

// ComMultiQuery implements mysql.Handler. It runs the first statement of the query.
func (o orderly) ComMultiQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) (string, error) {
	defer o.begin(query)()
	return o.Handler.ComMultiQuery(ctx, c, query, callback)
}

// ComPrepare implements mysql.Handler.
func (o orderly) ComPrepare(ctx context.Context, c *mysql.Conn, query string, prepare *mysql.PrepareData) ([]*querypb.Field, error) {
	defer o.begin(query)()
	return o.Handler.ComPrepare(ctx, c, query, prepare)
}

// ComStmtExecute implements mysql.Handler.
func (o orderly) ComStmtExecute(ctx context.Context, c *mysql.Conn, prepare *mysql.PrepareData, callback func(*sqltypes.Result) error) error {
	defer o.begin(prepare.PrepareStmt)()
	return o.Handler.ComStmtExecute(ctx, c, prepare, callback)
}
