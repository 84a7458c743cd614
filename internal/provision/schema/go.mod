module apmapp/internal/provision/schema

go 1.26.0

require (
	github.com/DataDog/datadog-api-client-go/v2 v2.67.0
	github.com/google/uuid v1.6.0
)

require (
	github.com/DataDog/zstd v1.5.8-0.20260421145859-31a7e515a571 // indirect
	github.com/goccy/go-json v0.10.2 // indirect
	golang.org/x/oauth2 v0.36.0 // indirect
)
