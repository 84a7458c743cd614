package telemetry

import (
	"slices"
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
	long := strings.Repeat("é", 60) // 120 bytes
	for _, c := range []struct{ env, want string }{
		{"", "apmapp,,dev"},
		{"DD_SERVICE=shop;DD_ENV=prod;DD_VERSION=7", "shop,prod,7"},
		{"DD_TAGS=service:shop,env:prod,version:7", "shop,prod,7"},
		{"DD_TAGS=service:shop env:prod", "shop,prod,dev"},
		{"DD_TAGS=service:a b,env:prod", "a_b,prod,dev"},
		{"DD_TAGS=service:shop,env:staging,version:6;DD_SERVICE=cart;DD_ENV=prod;DD_VERSION=7", "cart,prod,7"},
		{"DD_TAGS=url:http://x:80, env:prod,colonless, team:", "apmapp,prod,dev"},
		{"OTEL_SERVICE_NAME=shop", "shop,,dev"},
		{"OTEL_SERVICE_NAME=shop;DD_SERVICE=cart", "cart,,dev"},
		{"OTEL_SERVICE_NAME=shop;DD_TAGS=service:cart", "shop,,dev"},
		{"OTEL_RESOURCE_ATTRIBUTES=service.name=shop,deployment.environment=prod,service.version=7", "shop,prod,7"},
		{"OTEL_RESOURCE_ATTRIBUTES=deployment.environment.name=new, deployment.environment=old", "apmapp,new,dev"},
		// As in the tracer, DD_TAGS hides the attributes.
		{"OTEL_RESOURCE_ATTRIBUTES=service.name=shop;DD_TAGS=team:web", "apmapp,,dev"},
		// Names, normalized as the Agent does.
		{"DD_SERVICE=My Shop;DD_ENV=Prod,EU;DD_VERSION=V1.0+Build/2|a", "my_shop,prod_eu,v1.0_build/2_a"},
		{"DD_SERVICE=\xff\xfeshop", "_shop,,dev"},
		{"DD_SERVICE=" + long + ";DD_ENV=" + long + long, strings.Repeat("é", 50) + "," + strings.Repeat("é", 120) + ",dev"},
		{"DD_SERVICE_MAPPING=apmapp:shop", "shop,,dev"},
		{"DD_SERVICE_MAPPING=cart:shop, apmapp : My Shop ,shop:other", "my_shop,,dev"},
	} {
		cfg := ConfigFromEnv(env(c.env), "apmapp", "dev")
		if got := cfg.Service + "," + cfg.Env + "," + cfg.Version; got != c.want || len(cfg.warnings) != 0 {
			t.Errorf("%s: %s, warnings %q; want %s", c.env, got, cfg.warnings, c.want)
		}
	}
}

func TestNamesOfWhichNothingIsLeft(t *testing.T) {
	cfg := ConfigFromEnv(env("DD_SERVICE=!!!;OTEL_SERVICE_NAME=shop;DD_TAGS=env:??,version:7;DD_VERSION=\x00"), "apmapp", "dev")
	want := []string{
		`DD_SERVICE="!!!" is not valid: want letters or digits; the default is used`,
		`DD_TAGS env="??" is not valid: want letters or digits; the default is used`,
		`DD_VERSION="\x00" is not valid: want letters or digits; the default is used`,
	}
	if cfg.Service != "shop" || cfg.Env != "" || cfg.Version != "7" || !slices.Equal(cfg.warnings, want) {
		t.Errorf("%+v, want the next name that is valid, and the warnings %q", cfg, want)
	}
}

// Each service has a name of its own.
func TestServices(t *testing.T) {
	limit := strings.Repeat("a", 100)
	for _, c := range []struct{ env, service, database, jobs string }{
		{"", "apmapp", "apmapp-mysql", "apmapp-jobs"},
		{"DD_SERVICE=shop", "shop", "shop-mysql", "shop-jobs"},
		{"DD_SERVICE=" + limit, limit, limit[:94] + "-mysql", limit[:95] + "-jobs"},
		{"DD_SERVICE_MAPPING=apmapp:shop", "shop", "apmapp-mysql", "apmapp-jobs"},
		{"DD_SERVICE_MAPPING=apmapp-mysql:mysql", "apmapp", "mysql", "apmapp-jobs"},
		{"DD_SERVICE_MAPPING=apmapp-jobs:cron,apmapp:shop", "shop", "apmapp-mysql", "cron"},
		{"DD_SERVICE=shop;DD_SERVICE_MAPPING=apmapp:x,apmapp-mysql:y", "shop", "shop-mysql", "shop-jobs"},
	} {
		cfg := ConfigFromEnv(env(c.env), "apmapp", "dev")
		if cfg.Service != c.service || cfg.DatabaseService() != c.database || cfg.JobsService() != c.jobs {
			t.Errorf("%s: %s, %s, %s; want %s, %s, %s", c.env, cfg.Service, cfg.DatabaseService(), cfg.JobsService(), c.service, c.database, c.jobs)
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
			if cfg := ConfigFromEnv(env(variable+"="+value), "s", "v"); get(cfg) != all {
				t.Errorf("%s=%s: %v, want %v", variable, value, get(cfg), all)
			}
		}
	}
	if cfg := ConfigFromEnv(env("DD_PROFILING_ENABLED=auto"), "s", "v"); !cfg.Profiling {
		t.Errorf("auto: %+v", cfg)
	}
	for variables, want := range map[string]bool{
		"OTEL_TRACES_EXPORTER=none":                        false,
		"OTEL_TRACES_EXPORTER=otlp":                        true,
		"OTEL_SDK_DISABLED=true":                           false,
		"OTEL_SDK_DISABLED=false":                          true,
		"OTEL_SDK_DISABLED=true;OTEL_TRACES_EXPORTER=otlp": false,
		"OTEL_TRACES_EXPORTER=none;DD_TRACE_ENABLED=true":  true,
		"OTEL_TRACES_EXPORTER=otlp;DD_TRACE_ENABLED=false": false,
	} {
		if cfg := ConfigFromEnv(env(variables), "s", "v"); cfg.Tracing != want {
			t.Errorf("%s: tracing is %t, want %t", variables, cfg.Tracing, want)
		}
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
		{"5xx", []int{500, 503, 599}},
		{"599-500", []int{500, 503, 599}},
	} {
		cfg := ConfigFromEnv(env("DD_TRACE_HTTP_SERVER_ERROR_STATUSES="+c.value), "s", "v")
		var got []int
		for _, status := range []int{200, 399, 400, 404, 499, 500, 503, 599, 600} {
			if cfg.IsErrorStatus(status) {
				got = append(got, status)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%q: errors are %v, want %v", c.value, got, c.want)
		}
	}
}
