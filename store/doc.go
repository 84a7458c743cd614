// Package store keeps visits in MySQL.
//
// It speaks database/sql over go-sql-driver and runs unchanged on MySQL 8.0 and
// newer, MariaDB 10.6 and newer, TiDB and go-mysql-server. It knows nothing of
// tracing: whoever opens it may hand in an OpenDB that instruments the pool.
//
// A Store can be used from the start: until MySQL has answered and the schema
// is in place, and whenever MySQL is away, its methods return an error that is
// ErrUnavailable.
package store
