package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"apmapp/deploy/datadog"
	"apmapp/internal/provision"
)

// command is what provision can do.
type command struct {
	name, argument, what string
}

var commands = []command{
	{"plan", "", "show what apply would do; -offline asks no account"},
	{"apply", "", "make the account match, and print links"},
	{"destroy", "", "delete what apply has made, after a question"},
	{"export", "ID", "write a resource that somebody made by hand as a file"},
	{"share", "NAME", "make a public link of a dashboard, after a question"},
	{"unshare", "NAME", "revoke the public links of a dashboard, or the one given as a URL"},
}

// standIn is told where an account is not asked and nobody is named.
const standIn = "@you@example.com"

// options are the command line and the environment.
type options struct {
	command, argument         string
	apiKey, appKey, site, api string
	values                    provision.Values
	dirName                   string
	dir                       fs.FS
	output                    string
	timeout                   time.Duration
	noAccount, dryRun         bool
	yes, full, detailed       bool

	sleep func(context.Context, time.Duration) error // of tests
}

func flags(o *options, timezone *string, getenv func(string) string) *flag.FlagSet {
	or := func(name, otherwise string) string { return cmp.Or(getenv(name), otherwise) }
	fs := flag.NewFlagSet("provision", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	fs.StringVar(&o.dirName, "dir", "", "`folder` of definitions, instead of those built in (deploy/datadog)")
	fs.StringVar(&o.values.Env, "env", or("DD_ENV", "dev"), "`environment` to watch; variable DD_ENV")
	fs.StringVar(&o.values.Service, "service", or("DD_SERVICE", "apmapp"), "`service` to watch; variable DD_SERVICE")
	fs.StringVar(&o.values.Host, "host", or("APMAPP_HOST", "*"), "`host` whose metrics to watch, * for all; variable APMAPP_HOST")
	fs.StringVar(&o.values.Notify, "notify", or("APMAPP_NOTIFY", standIn), "`handles` that monitors and downtimes tell, with spaces between them; variable APMAPP_NOTIFY")
	fs.StringVar(&o.values.Runbooks, "runbooks", or("APMAPP_RUNBOOKS", "docs/runbooks"), "`URL` of the folder with the runbooks, for links in messages; variable APMAPP_RUNBOOKS")
	fs.StringVar(timezone, "timezone", or("APMAPP_TIMEZONE", "UTC"), "`name` of the time zone of nights and weekends, Europe/Berlin; variable APMAPP_TIMEZONE")
	fs.StringVar(&o.api, "api", "", "base `URL` of the API, instead of the one of DD_SITE")
	fs.DurationVar(&o.timeout, "timeout", 30*time.Second, "most `time` that one request may take")
	fs.BoolVar(&o.noAccount, "offline", false, "plan: ask no account; needs no keys")
	fs.BoolVar(&o.detailed, "detailed-exitcode", false, "plan: exit with 3 when there is something to do")
	fs.BoolVar(&o.full, "full", false, "plan: print what is to be made whole")
	fs.BoolVar(&o.dryRun, "dry-run", false, "change nothing; without keys, ask no account either")
	fs.BoolVar(&o.yes, "yes", false, "destroy, share: do not ask")
	fs.StringVar(&o.output, "o", "", "export: `file` to write, - for standard output")
	return fs
}

func parse(args []string, getenv func(string) string) (options, error) {
	var o options
	var timezone string
	fs := flags(&o, &timezone, getenv)
	var words []string
	for { // flags may stand before, between and behind
		if err := fs.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return o, err
			}
			return o, usageError{err}
		}
		if fs.NArg() == 0 {
			break
		}
		words = append(words, fs.Arg(0))
		args = fs.Args()[1:]
	}
	if err := o.words(words); err != nil {
		return o, usageError{err}
	}
	o.apiKey, o.appKey, o.site = getenv("DD_API_KEY"), getenv("DD_APP_KEY"), cmp.Or(getenv("DD_SITE"), provision.Sites[0])
	if !slices.Contains(provision.Sites, o.site) {
		return o, usageError{fmt.Errorf("DD_SITE: %q is not a site; these are %s", o.site, strings.Join(provision.Sites, ", "))}
	}
	if o.timeout <= 0 {
		return o, usageError{errors.New("-timeout: no time at all")}
	}
	var err error
	if o.values.Location, err = time.LoadLocation(timezone); err != nil || timezone == "Local" {
		return o, usageError{fmt.Errorf("-timezone: %q is not the name of a time zone, such as Europe/Berlin", timezone)}
	}
	o.values.Now = time.Now()
	o.values.App = provision.App(o.site)
	o.values.Runbooks = strings.TrimSuffix(o.values.Runbooks, "/")
	if err := o.values.Validate(); err != nil {
		return o, usageError{err}
	}
	o.dir = datadog.Definitions
	if o.dirName != "" {
		info, err := os.Stat(o.dirName)
		if err != nil || !info.IsDir() {
			return o, usageError{fmt.Errorf("-dir: %s is not a folder", o.dirName)}
		}
		o.dir = os.DirFS(o.dirName)
	}
	return o, nil
}

// words reads the command and its argument.
func (o *options) words(words []string) error {
	if len(words) == 0 {
		return errors.New("say what to do: plan, apply, destroy, export, share or unshare")
	}
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == words[0] })
	if i < 0 {
		return fmt.Errorf("%q is not a command", words[0])
	}
	c := commands[i]
	o.command = c.name
	rest := words[1:]
	switch {
	case c.argument == "" && len(rest) > 0:
		return fmt.Errorf("%s: %q is too much", c.name, rest[0])
	case c.argument != "" && len(rest) == 0:
		return fmt.Errorf("%s: %s is missing", c.name, c.argument)
	case len(rest) > 1:
		return fmt.Errorf("%s: %q is too much", c.name, rest[1])
	}
	if len(rest) == 1 {
		o.argument = rest[0]
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
	} {
		if f.given && o.command != f.of {
			return fmt.Errorf("-%s is for %s", f.name, f.of)
		}
	}
	return nil
}

func help() string {
	var b strings.Builder
	b.WriteString("provision makes a Datadog account match definitions: dashboards, monitors, SLOs\nand downtimes.\n\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  provision %-14s %s\n", c.name+" "+c.argument, c.what)
	}
	b.WriteString("\nDD_API_KEY and DD_APP_KEY are the keys, DD_SITE is the site (datadoghq.com).\nA flag goes before its variable, a variable before the default.\n\n")
	var o options
	var timezone string
	fs := flags(&o, &timezone, func(string) string { return "" })
	fs.SetOutput(&b)
	fs.PrintDefaults()
	return b.String()
}
