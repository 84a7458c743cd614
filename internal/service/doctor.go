package service

import (
	"os"
	"strings"

	"apmapp/internal/ddenv"
	"apmapp/internal/doctor"
)

// Doctor returns what package doctor needs to check a service with this configuration.
// getenv must be the environment before the tracer started, which changes it.
func (c Config) Doctor(getenv func(string) string) doctor.Config {
	return doctor.Config{
		Telemetry: c.Telemetry, Store: c.Store, LogFile: c.LogFile, LogOTLP: c.LogOTLP,
		Resources: []string{"GET /", "GET /api/trace", "GET /api/apm"},
		Getenv:    getenv, Problems: ddenv.Problems(), Unknown: ddenv.Unknown(),
	}
}

// environment returns the present environment, which later changes do not touch.
func environment() func(string) string {
	values := map[string]string{}
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}
