module apmapp/deploy/verify/vm

go 1.26.0

replace apmapp => ../../..

require (
	apmapp v0.0.0
	github.com/go-sql-driver/mysql v1.10.1
	golang.org/x/sys v0.50.0
)

require filippo.io/edwards25519 v1.2.0 // indirect
