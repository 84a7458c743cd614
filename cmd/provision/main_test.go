package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		args, env string
		status    int
		says      string
	}{
		{"", "", 2, "say what to do"},
		{"aply", "", 2, `"aply" is not a command`},
		{"plan now", "", 2, `"now" is too much`},
		{"export", "", 2, "ID is missing"},
		{"export nonsense", "", 2, `"nonsense" is no ID`},
		{"share", "", 2, "NAME is missing"},
		{"plan -ofline", "", 2, "-ofline"},
		{"apply -offline", "", 2, "-offline is for plan"},
		{"plan -o x.json", "", 2, "-o is for export"},
		{"plan", "APMAPP_NOTIFY=@a", 2, "DD_API_KEY and DD_APP_KEY not set"},
		{"plan", "APMAPP_NOTIFY=@a DD_API_KEY=x", 2, "DD_APP_KEY not set"},
		{"plan", "DD_API_KEY=x DD_APP_KEY=y", 2, "-notify or APMAPP_NOTIFY"},
		{"plan -offline", "DD_SITE=datadog.com", 2, "DD_SITE"},
		{"plan -offline -timezone Mars", "", 2, "-timezone"},
		{"plan -offline -notify ops", "", 2, `"ops" is not a handle`},
		{"plan -offline -notify @a{{value}}", "", 2, "is not a handle"},
		{"plan -offline -env Prod", "", 2, `env "Prod"`},
		{"plan -offline -env p}", "", 2, `env "p}"`},
		{"plan -offline -host a,b", "", 2, `host "a,b"`},
		{"plan -offline -dir /no/such", "", 2, "-dir"},
		{"plan -notify @a -api http://example.com", "DD_API_KEY=x DD_APP_KEY=y", 2, "keys go over https"},
		{"plan -offline -timeout 0s", "", 2, "-timeout"},
		{"plan -notify @a -api nonsense", "DD_API_KEY=x DD_APP_KEY=y", 2, "-api"},
		{"-help", "", 0, "provision plan"},
	} {
		t.Run(c.args+" "+c.env, func(t *testing.T) {
			env := map[string]string{}
			for _, pair := range strings.Fields(c.env) {
				name, value, _ := strings.Cut(pair, "=")
				env[name] = value
			}
			var out, errOut bytes.Buffer
			status := run(t.Context(), strings.Fields(c.args), func(name string) string { return env[name] }, strings.NewReader(""), &out, &errOut)
			if got := out.String() + errOut.String(); status != c.status || !strings.Contains(got, c.says) {
				t.Errorf("status %d, want %d and %q: %s", status, c.status, c.says, got)
			}
		})
	}
}

// The service links none of this.
func TestServiceLinksNoClient(t *testing.T) {
	deps, err := exec.Command("go", "list", "-deps", "apmapp/cmd/apmapp").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(deps)) {
		if strings.Contains(dep, "datadog-api-client-go") || strings.Contains(dep, "apmapp/internal/provision") || strings.Contains(dep, "apmapp/deploy") {
			t.Errorf("the service links %s", dep)
		}
	}
}
