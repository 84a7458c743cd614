package provision

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"apmapp/deploy/datadog"
)

// values returns the values of the tests.
func values() Values {
	return Values{Env: "dev", Service: "apmapp", Host: "*", Notify: "@ops@example.com", Runbooks: "docs/runbooks",
		App: "https://app.datadoghq.com", Location: time.UTC, Now: time.Date(2026, 11, 25, 3, 0, 0, 0, time.UTC)}
}

// definitions returns the product's definitions.
func definitions(t *testing.T) Definitions {
	t.Helper()
	all, err := Load(datadog.Definitions)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// compact returns JSON without white space.
func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b))
}

func TestDefinitionsFitTheModels(t *testing.T) {
	if err := definitions(t).Validate(values()); err != nil {
		t.Error(err)
	}
}
