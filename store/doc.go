// Package store keeps visits in MySQL.
//
// It uses database/sql with go-sql-driver and runs unchanged on MySQL 8.0 and
// newer, MariaDB 10.6 and newer, TiDB and go-mysql-server. It does not know
// about tracing: the caller may pass an OpenDB that instruments the pool.
//
// A Store is usable at once. Until MySQL has answered and the schema is in
// place, and whenever MySQL is away, its methods return an error that is
// ErrUnavailable.
package store
