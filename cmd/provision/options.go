package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"apmapp/deploy/datadog"
	"apmapp/internal/command"
	"apmapp/internal/nearest"
	"apmapp/internal/provision"
	"apmapp/internal/site"
)

// arguments are the commands and the name of their argument, if they have one.
var arguments = []struct{ command, argument string }{
	{"plan", ""}, {"apply", ""}, {"destroy", ""}, {"export", "ID"}, {"share", "NAME"}, {"unshare", "NAME"}, {"test", ""},
}

// options are the command line and the environment.
type options struct {
	command, argument         string
	files                     []string // of test
	apiKey, appKey, site, api string
	values                    provision.Values
	timezone, dirName         string
	dir                       fs.FS
	output                    string
	timeout                   time.Duration
	noAccount, dryRun         bool
	yes, full, detailed       bool
	replace, copies           bool
}

func (o *options) flags(fs *command.Flags) {
	fs.Group("Definitions", func() {
		fs.StringVar(&o.dirName, "dir", "", "`folder` of definitions, instead of the built-in ones (deploy/datadog)")
		fs.StringVar(&o.values.Env, "env", "dev", "`environment` to watch")
		fs.Variable("env", "DD_ENV")
		fs.StringVar(&o.values.Service, "service", "apmapp", "`service` to watch")
		fs.Variable("service", "DD_SERVICE")
		fs.StringVar(&o.values.Host, "host", "*", "`host` whose metrics to watch, * for all")
		fs.Variable("host", "APMAPP_HOST")
		fs.StringVar(&o.values.Notify, "notify", "", "`handles` to notify, separated by spaces; required for an account by plan and apply")
		fs.Variable("notify", "APMAPP_NOTIFY")
		fs.StringVar(&o.values.Runbooks, "runbooks", "docs/runbooks", "`URL` of the folder with the runbooks, for links in messages")
		fs.Variable("runbooks", "APMAPP_RUNBOOKS")
		fs.BoolVar(&o.values.AllowUnknown, "allow-unknown", false, "send fields and values that the API's specification lacked when provision was built")
		fs.StringVar(&o.timezone, "timezone", "UTC", "`name` of the time zone of nights and weekends, such as Europe/Berlin")
		fs.Variable("timezone", "APMAPP_TIMEZONE")
	})
	fs.Group("Requests", func() {
		fs.StringVar(&o.api, "api", "", "base `URL` of the API, instead of that of DD_SITE: of a gateway that passes requests on")
		fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "longest `time` to wait for an answer")
		fs.BoolVar(&o.dryRun, "dry-run", false, "change nothing; without keys, send no requests either")
		fs.BoolVar(&o.yes, "yes", false, "destroy, share: do not ask for confirmation")
	})
	fs.Group("apply", func() {
		fs.BoolVar(&o.replace, "replace", false, "delete a monitor whose type changes, and create a new one; without this flag it fails")
	})
	fs.Group("destroy", func() {
		fs.BoolVar(&o.copies, "copies", false, "delete only younger resources with the marker of another one; asks first")
	})
	fs.Group("plan", func() {
		fs.BoolVar(&o.noAccount, "offline", false, "send no requests; needs no keys")
		fs.BoolVar(&o.detailed, "detailed-exitcode", false, "exit with 3 if apply would change something")
		fs.BoolVar(&o.full, "full", false, "print resources to create in full")
	})
	fs.Group("export", func() {
		fs.StringVar(&o.output, "o", "", "`file` to write instead of a new definition, - for standard output")
	})
}

// check reads the command and validates the flags' values. Its error names everything
// that is missing or wrong, in the order of the help: the account, then the definitions. It also reads the keys,
// which have no flags, because others can see the command lines of processes.
func (o *options) check(words []string, getenv func(string) string) error {
	if err := o.words(words); err != nil {
		return err
	}
	o.apiKey, o.appKey, o.site = getenv("DD_API_KEY"), getenv("DD_APP_KEY"), cmp.Or(getenv("DD_SITE"), site.Sites[0])
	var errs []error
	if o.offline() {
		errs = append(errs, site.Check(o.site))
	} else if _, err := provision.NewClient((&program{options: *o}).config()); err != nil {
		errs = append(errs, err)
	}
	if o.timeout <= 0 {
		errs = append(errs, fmt.Errorf("-timeout must be positive, got %s", o.timeout))
	}
	var err error
	if o.values.Location, err = time.LoadLocation(o.timezone); err != nil || o.timezone == "Local" || o.timezone == "" {
		errs = append(errs, fmt.Errorf("-timezone %q is not the name of a time zone, such as Europe/Berlin", o.timezone))
	}
	o.values.Now = time.Now()
	o.values.App = provision.App(o.site)
	o.values.Runbooks = strings.TrimSuffix(o.values.Runbooks, "/")
	if n := strings.TrimSpace(o.values.Notify); n == "" || n == exampleHandle {
		o.values.Notify = exampleHandle
		if !o.offline() && (o.command == "plan" || o.command == "apply") {
			errs = append(errs, errors.New("set -notify or APMAPP_NOTIFY to the handles to notify, such as @team@example.com or @slack-ops"))
		}
	}
	errs = append(errs, o.values.Validate())
	o.dir = datadog.Definitions
	if o.dirName != "" {
		info, err := os.Stat(o.dirName)
		if err != nil || !info.IsDir() {
			errs = append(errs, fmt.Errorf("-dir %s is not a folder", o.dirName))
		}
		o.dir = os.DirFS(o.dirName)
	}
	return errors.Join(errs...)
}

// offline reports whether the command sends no requests.
func (o *options) offline() bool {
	return o.command == "test" || o.noAccount || o.dryRun && o.apiKey == "" && o.appKey == ""
}

// words reads the command and its argument.
func (o *options) words(words []string) error {
	var names []string
	for _, a := range arguments {
		names = append(names, a.command)
	}
	if len(words) == 0 {
		return fmt.Errorf("no command given; the commands are %s", strings.Join(names, ", "))
	}
	i := slices.Index(names, words[0])
	if i < 0 {
		if near := nearest.Name(words[0], names); near != "" {
			return fmt.Errorf("unknown command %q; did you mean %s?", words[0], near)
		}
		return fmt.Errorf("unknown command %q; the commands are %s", words[0], strings.Join(names, ", "))
	}
	o.command = words[0]
	rest := words[1:]
	if o.command == "test" {
		o.files, rest = rest, nil
	}
	if argument := arguments[i].argument; argument != "" {
		if len(rest) == 0 {
			return fmt.Errorf("%s needs an argument: %s", o.command, argument)
		}
		o.argument, rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		return fmt.Errorf("%s: unexpected argument %q", o.command, rest[0])
	}
	if o.command == "export" {
		if _, err := provision.KindOf(o.argument); err != nil {
			return fmt.Errorf("export: %w", err)
		}
	}
	for _, f := range []struct {
		name  string
		given bool
		of    string
	}{
		{"offline", o.noAccount, "plan"},
		{"detailed-exitcode", o.detailed, "plan"},
		{"full", o.full, "plan"},
		{"o", o.output != "", "export"},
		{"replace", o.replace, "apply"},
		{"copies", o.copies, "destroy"},
	} {
		if f.given && o.command != f.of {
			return fmt.Errorf("-%s is a flag of %s, not of %s", f.name, f.of, o.command)
		}
	}
	return nil
}
