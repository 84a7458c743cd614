// Package noreports turns off the reports about itself that the tracer sends to Datadog,
// unless the environment turns them on. With DD_API_KEY in the environment and no Datadog
// Agent, it would send them, and the key, to Datadog itself.
//
// The tracer reads the variable while its packages are initialized, so a program cannot set
// it later. Like package ddenv, this one sorts before them. A program imports it for its
// effect.
package noreports

import "os"

func init() {
	const name = "DD_INSTRUMENTATION_TELEMETRY_ENABLED"
	if os.Getenv(name) == "" {
		_ = os.Setenv(name, "false") // the name and the value are valid
	}
}
