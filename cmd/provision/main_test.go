package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"apmapp/internal/command"
)

// runWith runs the program with environment variables, such as "A=1 B=2", and
// without an account.
func runWith(t *testing.T, env string, args ...string) result {
	t.Helper()
	values := map[string]string{}
	for _, pair := range strings.Fields(env) {
		name, value, _ := strings.Cut(pair, "=")
		values[name] = value
	}
	var out, errOut bytes.Buffer
	status := run(t.Context(), command.Process{Args: args, Getenv: func(name string) string { return values[name] },
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errOut})
	return result{status, out.String(), errOut.String()}
}

func TestUsageErrors(t *testing.T) {
	const keys = "DD_API_KEY=x DD_APP_KEY=y"
	for _, c := range []struct{ args, env, want string }{
		{"", "", "no command given; the commands are plan, apply, destroy, export, share, unshare, test"},
		{"aply", "", `unknown command "aply"; did you mean apply?`},
		{"frobnicate", "", `unknown command "frobnicate"; the commands are plan, apply,`},
		{"plan now", "", `plan: unexpected argument "now"`},
		{"share a b", "", `share: unexpected argument "b"`},
		{"export", "", "export needs an argument: ID"},
		{"export nonsense", "", `export: "nonsense" is not an ID`},
		{"share", "", "share needs an argument: NAME"},
		{"unshare", "", "unshare needs an argument: NAME"},
		{"unshare https://example.com/", keys, `unshare: "https://example.com/" is not a public link`},
		{"plan -ofline", "", "unknown flag -ofline; did you mean -offline?"},
		{"apply -offline", "", "-offline is a flag of plan, not of apply"},
		{"apply -detailed-exitcode", "", "-detailed-exitcode is a flag of plan, not of apply"},
		{"apply -full", "", "-full is a flag of plan, not of apply"},
		{"plan -o x.json", "", "-o is a flag of export, not of plan"},
		{"plan", "APMAPP_NOTIFY=@a", "DD_API_KEY is not set\nDD_APP_KEY is not set\nRun "},
		{"plan", "APMAPP_NOTIFY=@a DD_API_KEY=x", "DD_APP_KEY is not set\nRun "},
		{"plan -dry-run", "APMAPP_NOTIFY=@a DD_API_KEY=x", "DD_APP_KEY is not set\nRun "},
		{"plan -dry-run", "APMAPP_NOTIFY=@a DD_APP_KEY=x", "DD_API_KEY is not set\nRun "},
		// Everything that is missing or wrong, in one run.
		{"plan -timezone Mars -dir /no/such -env Prod", "DD_API_KEY='x' DD_SITE=app.datadoghq.eu", "DD_API_KEY is in quotes: remove them; a file of variables keeps quotes\nDD_APP_KEY is not set\n" +
			"DD_SITE \"app.datadoghq.eu\" is not the name of a site; set DD_SITE=datadoghq.eu\n-timezone \"Mars\" is not the name of a time zone, such as Europe/Berlin\n" +
			"set -notify or APMAPP_NOTIFY to the handles to notify, such as @team@example.com or @slack-ops\nenv \"Prod\" is not a valid tag value: start with a–z, then use a–z, 0–9, _ . -; at most 100 characters\n" +
			"-dir /no/such is not a folder\n"},
		{"destroy", "", "DD_API_KEY is not set\nDD_APP_KEY is not set\nRun "}, // it notifies nobody
		{"plan -replace", keys, "-replace is a flag of apply, not of plan"},
		{"apply -copies", keys, "-copies is a flag of destroy, not of apply"},
		{"plan", keys, "set -notify or APMAPP_NOTIFY"},
		{"apply", keys, "set -notify or APMAPP_NOTIFY"},
		{"apply -notify @you@example.com", keys, "set -notify or APMAPP_NOTIFY"},
		{"plan -offline", "DD_SITE=datadog.com", `DD_SITE "datadog.com" is not a site of Datadog; the sites are datadoghq.com, us3.`},
		{"plan -offline -timezone Mars", "", `-timezone "Mars" is not the name of a time zone`},
		{"plan -offline -timezone Local", "", `-timezone "Local" is not the name of a time zone`},
		{"plan -offline -notify ops", "", `notify: "ops" is not a handle`},
		{"plan -offline -env Prod", "", `env "Prod" is not a valid tag value`},
		{"plan -offline -dir /no/such", "", "-dir /no/such is not a folder"},
		{"plan -offline -dir main.go", "", "-dir main.go is not a folder"},
		{"plan -offline -timeout 0s", "", "-timeout must be positive, got 0s"},
		{"plan -notify @a -api http://example.com", keys, "-api http://example.com must begin with https://"},
	} {
		t.Run(c.args+" "+c.env, func(t *testing.T) {
			r := runWith(t, c.env, strings.Fields(c.args)...)
			if r.status != command.Usage || r.out != "" || !strings.Contains(r.err, "provision: "+c.want) {
				t.Errorf("got %s; want status 2 and %q", r, c.want)
			}
		})
	}
}

func TestHelpAndVersion(t *testing.T) {
	if r := runWith(t, "", "-help"); r.status != 0 || !strings.HasPrefix(r.out, "Examples:\n  provision plan -offline ") || !strings.Contains(r.out, "DD_API_KEY and DD_APP_KEY") {
		t.Errorf("-help: %s", r)
	}
	if r := runWith(t, "", "-version"); r.status != 0 || !strings.HasPrefix(r.out, "provision ") {
		t.Errorf("-version: %s", r)
	}
}

// Each flag and each variable changes the value in the definitions.
func TestFlagsFillDefinitions(t *testing.T) {
	for _, c := range []struct{ flag, variable, value, want string }{
		{"-env", "DD_ENV", "staging", "my_metric{env:staging,"},
		{"-service", "DD_SERVICE", "checkout", `"service:checkout"`},
		{"-host", "APMAPP_HOST", "web-1", "my_metric{host:web-1}"},
		{"-notify", "APMAPP_NOTIFY", "@slack-ops", `my-metric.md\n@slack-ops"`},
		{"-runbooks", "APMAPP_RUNBOOKS", "https://wiki.example.com/run/", "Runbook: https://wiki.example.com/run/my-metric.md"},
		{"-timezone", "APMAPP_TIMEZONE", "Europe/Berlin", `"timezone": "Europe/Berlin"`},
	} {
		plan := []string{"plan", "-offline", "-full", "-dir", "testdata/small"}
		if r := runWith(t, "", append(plan, c.flag, c.value)...); r.status != 0 || !strings.Contains(r.out, c.want) {
			t.Errorf("%s %s does not result in %s: %s", c.flag, c.value, c.want, r)
		}
		if r := runWith(t, c.variable+"="+c.value, plan...); r.status != 0 || !strings.Contains(r.out, c.want) {
			t.Errorf("%s=%s does not result in %s: %s", c.variable, c.value, c.want, r)
		}
		if r := runWith(t, "", plan...); strings.Contains(r.out, c.want) {
			t.Errorf("without %s, the plan contains %s", c.flag, c.want)
		}
	}
}

// Without keys, plan prints everything and sends no request.
func TestOffline(t *testing.T) {
	t.Parallel()
	r := runWith(t, "", "plan", "-offline")
	if r.status != 0 || strings.Count("\n"+r.out, "\ncreate ") != 20 || !strings.HasSuffix(r.out, "\n20 to create, 0 to change, 0 the same\n") {
		t.Errorf("built-in definitions: %s", r)
	}
	if !strings.Contains(r.err, "-notify is not set; messages are shown with @you@example.com") {
		t.Errorf("no warning: %s", r)
	}
	if r := runWith(t, "APMAPP_NOTIFY=@a", "plan", "-offline", "-dir", "testdata/small"); r.err != "" {
		t.Errorf("warning although -notify is set: %s", r)
	}
	for _, args := range [][]string{{"plan", "-dry-run"}, {"apply", "-dry-run"}} {
		r := runWith(t, "", append(args, "-dir", "testdata/small")...)
		if r.status != 0 || !strings.HasSuffix(r.out, "\n5 to create, 0 to change, 0 the same\n") {
			t.Errorf("%v: %s", args, r)
		}
	}
	for _, args := range [][]string{{"destroy"}, {"export", "7"}, {"share", "timeboard"}, {"unshare", "timeboard"}} {
		r := runWith(t, "", append(args, "-dry-run")...)
		if want := fmt.Sprintf("%s did nothing: without DD_API_KEY and DD_APP_KEY it cannot read the account.\n", args[0]); r.status != 0 || r.out != want {
			t.Errorf("%v: %s; want %s", args, r, want)
		}
	}
}

// Only plan -full prints whole resources.
func TestFull(t *testing.T) {
	brief := runWith(t, "", "plan", "-offline", "-dir", "testdata/small")
	full := runWith(t, "", "plan", "-offline", "-dir", "testdata/small", "-full")
	const field = `"no_data_timeframe": 10`
	if strings.Contains(brief.out, field) || !strings.Contains(full.out, field) {
		t.Errorf("brief: %s\nfull: %s", brief, full)
	}
}

func TestServiceDoesNotLinkTheClient(t *testing.T) {
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

// docs/adr/0009-provision-without-the-client.md has the reasons.
func TestDoesNotLinkTheClient(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil || !strings.Contains(string(out), "\napmapp/internal/provision\n") {
		t.Fatalf("go list does not list the dependencies: %v", err)
	}
	for dep := range strings.Lines(string(out)) {
		// The tests of monitors read percentiles as Datadog does.
		if strings.Contains(dep, "DataDog/") && !strings.HasPrefix(dep, "github.com/DataDog/sketches-go/ddsketch") {
			t.Errorf("provision links %s", dep)
		}
	}
}
