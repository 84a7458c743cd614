package telemetry

import (
	"fmt"
	"strings"
	"testing"
)

func env(pairs string) func(string) string {
	values := map[string]string{}
	for pair := range strings.SplitSeq(pairs, ";") {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}

func TestNames(t *testing.T) {
	for pairs, want := range map[string]string{
		"": "apmapp  dev",
		"DD_SERVICE=shop;DD_ENV=prod;DD_VERSION=7":          "shop prod 7",
		"DD_TAGS=service:shop,env:prod,version:7":           "shop prod 7",
		"DD_TAGS=service:shop env:prod":                     "shop prod dev",
		"DD_TAGS=env:staging;DD_ENV=prod":                   "apmapp prod dev",
		"DD_TAGS=url:http://x:80,env:prod,colonless, team:": "apmapp prod dev",
	} {
		cfg, err := ConfigFromEnv(env(pairs), "apmapp", "dev")
		if got := fmt.Sprint(cfg.Service, " ", cfg.Env, " ", cfg.Version); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", pairs, got, err, want)
		}
		if cfg.DatabaseService() != cfg.Service+"-mysql" || cfg.JobsService() != cfg.Service+"-jobs" {
			t.Errorf("%s: %s and %s", pairs, cfg.DatabaseService(), cfg.JobsService())
		}
	}
}

func TestSwitches(t *testing.T) {
	for value, want := range map[string]bool{
		"": true, "true": true, "1": true, "TRUE": true, "false": false, "0": false, "False": false,
	} {
		cfg, err := ConfigFromEnv(env(fmt.Sprintf("DD_TRACE_ENABLED=%[1]s;DD_PROFILING_ENABLED=%[1]s;DD_LOGS_INJECTION=%[1]s", value)), "s", "v")
		if err != nil || cfg.Tracing != want || cfg.Profiling != want || cfg.LogsInjection != want {
			t.Errorf("%q: %+v, %v", value, cfg, err)
		}
	}
	if cfg, err := ConfigFromEnv(env("DD_PROFILING_ENABLED=auto"), "s", "v"); err != nil || !cfg.Profiling {
		t.Errorf("auto: %+v, %v", cfg, err)
	}
}

func TestErrorStatuses(t *testing.T) {
	for value, want := range map[string]string{
		"":             "false false true true",
		"400-499":      "false true false false",
		"404, 500-599": "false true true true",
		"503":          "false false false true",
	} {
		cfg, err := ConfigFromEnv(env("DD_TRACE_HTTP_SERVER_ERROR_STATUSES="+value), "s", "v")
		if err != nil {
			t.Error(err)
		}
		got := fmt.Sprint(cfg.IsErrorStatus(200), " ", cfg.IsErrorStatus(404), " ", cfg.IsErrorStatus(500), " ", cfg.IsErrorStatus(503))
		if got != want {
			t.Errorf("%q: 200, 404, 500, 503 are %s, want %s", value, got, want)
		}
	}
}

func TestBadVariablesAreNamed(t *testing.T) {
	for pairs, want := range map[string]string{
		"DD_TRACE_ENABLED=maybe":                      `DD_TRACE_ENABLED: "maybe" is neither true nor false`,
		"DD_PROFILING_ENABLED=yes":                    `DD_PROFILING_ENABLED: "yes"`,
		"DD_LOGS_INJECTION=2":                         `DD_LOGS_INJECTION: "2"`,
		"DD_TRACE_HTTP_SERVER_ERROR_STATUSES=5xx":     `DD_TRACE_HTTP_SERVER_ERROR_STATUSES: "5xx"`,
		"DD_TRACE_HTTP_SERVER_ERROR_STATUSES=599-500": `"599-500" is neither`,
	} {
		if _, err := ConfigFromEnv(env(pairs), "s", "v"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", pairs, err, want)
		}
	}
}
