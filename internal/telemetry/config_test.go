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
	for _, c := range []struct{ env, want string }{
		{"", "apmapp  dev"},
		{"DD_SERVICE=shop;DD_ENV=prod;DD_VERSION=7", "shop prod 7"},
		{"DD_TAGS=service:shop,env:prod,version:7", "shop prod 7"},
		{"DD_TAGS=service:shop env:prod", "shop prod dev"},
		{"DD_TAGS=service:a b,env:prod", "a b prod dev"},
		{"DD_TAGS=service:shop,env:staging,version:6;DD_SERVICE=cart;DD_ENV=prod;DD_VERSION=7", "cart prod 7"},
		{"DD_TAGS=url:http://x:80, env:prod,colonless, team:", "apmapp prod dev"},
	} {
		cfg, err := ConfigFromEnv(env(c.env), "apmapp", "dev")
		if got := fmt.Sprint(cfg.Service, " ", cfg.Env, " ", cfg.Version); err != nil || got != c.want {
			t.Errorf("%s: %s, %v, want %s", c.env, got, err, c.want)
		}
		if cfg.DatabaseService() != cfg.Service+"-mysql" || cfg.JobsService() != cfg.Service+"-jobs" {
			t.Errorf("%s: %s and %s", c.env, cfg.DatabaseService(), cfg.JobsService())
		}
	}
}

// Each switch has a variable of its own.
func TestSwitches(t *testing.T) {
	get := func(c Config) [3]bool { return [3]bool{c.Tracing, c.Profiling, c.LogsInjection} }
	for _, value := range []string{"", "true", "1", "TRUE", "false", "0", "False"} {
		want := value == "" || strings.EqualFold(value, "true") || value == "1"
		for i, variable := range []string{"DD_TRACE_ENABLED", "DD_PROFILING_ENABLED", "DD_LOGS_INJECTION"} {
			all := [3]bool{true, true, true}
			all[i] = want
			if cfg, err := ConfigFromEnv(env(variable+"="+value), "s", "v"); err != nil || get(cfg) != all {
				t.Errorf("%s=%s: %v, %v, want %v", variable, value, get(cfg), err, all)
			}
		}
	}
	if cfg, err := ConfigFromEnv(env("DD_PROFILING_ENABLED=auto"), "s", "v"); err != nil || !cfg.Profiling {
		t.Errorf("auto: %+v, %v", cfg, err)
	}
}

func TestErrorStatuses(t *testing.T) {
	for _, c := range []struct {
		value string
		want  []int // of the statuses below
	}{
		{"", []int{500, 503, 599}},
		{"400-499", []int{400, 404, 499}},
		{"404, 500-599", []int{404, 500, 503, 599}},
		{"503", []int{503}},
		{"503-503", []int{503}},
	} {
		cfg, err := ConfigFromEnv(env("DD_TRACE_HTTP_SERVER_ERROR_STATUSES="+c.value), "s", "v")
		if err != nil {
			t.Error(err)
		}
		var got []int
		for _, status := range []int{200, 399, 400, 404, 499, 500, 503, 599, 600} {
			if cfg.IsErrorStatus(status) {
				got = append(got, status)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%q: errors are %v, want %v", c.value, got, c.want)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	const statuses = "DD_TRACE_HTTP_SERVER_ERROR_STATUSES"
	for _, c := range []struct{ env, want string }{
		{"DD_TRACE_ENABLED=maybe", `DD_TRACE_ENABLED: "maybe" is neither true nor false`},
		{"DD_PROFILING_ENABLED=yes", `DD_PROFILING_ENABLED: "yes" is neither true nor false`},
		{"DD_LOGS_INJECTION=2", `DD_LOGS_INJECTION: "2" is neither true nor false`},
		{statuses + "=5xx", statuses + `: "5xx" is neither a status nor a range such as 500-599`},
		{statuses + "=599-500", statuses + `: "599-500" is neither a status nor a range such as 500-599`},
		{statuses + "=500-", statuses + `: "500-" is neither a status nor a range such as 500-599`},
		{statuses + "=-500", statuses + `: "-500" is neither a status nor a range such as 500-599`},
		{statuses + "=404,", statuses + `: "" is neither a status nor a range such as 500-599`},
		// The first of several errors, in a fixed order.
		{"DD_LOGS_INJECTION=2;DD_TRACE_ENABLED=3;" + statuses + "=4x", `DD_TRACE_ENABLED: "3" is neither true nor false`},
	} {
		cfg, err := ConfigFromEnv(env(c.env), "s", "v")
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.env, err, c.want)
		}
		if cfg.Service != "" {
			t.Errorf("%s: an error with the configuration %+v", c.env, cfg)
		}
	}
}
