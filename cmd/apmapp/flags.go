package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"apmapp/internal/build"
	"apmapp/internal/service"
	"apmapp/internal/telemetry"
	"apmapp/store"
)

// options are the command line and the environment, read.
type options struct {
	version, healthcheck bool
	service              service.Config
}

// variables are the environment's names of flags.
var variables = map[string]string{
	"addr":               "APMAPP_ADDR",
	"port":               "APMAPP_PORT",
	"dsn":                "MYSQL_DSN",
	"dsn-file":           "MYSQL_DSN_FILE",
	"pool-size":          "APMAPP_POOL_SIZE",
	"max-concurrent":     "APMAPP_MAX_CONCURRENT",
	"request-timeout":    "APMAPP_REQUEST_TIMEOUT",
	"ready-timeout":      "APMAPP_READY_TIMEOUT",
	"drain-delay":        "APMAPP_DRAIN_DELAY",
	"drain-timeout":      "APMAPP_DRAIN_TIMEOUT",
	"retention":          "APMAPP_RETENTION",
	"retention-interval": "APMAPP_RETENTION_INTERVAL",
	"log-level":          "APMAPP_LOG_LEVEL",
}

const defaultPort = 5050

// values are the flags as they were given.
type values struct {
	options
	host         string
	port         uint
	dsn, dsnFile string
}

func flagSet(v *values) *flag.FlagSet {
	v.service = service.Defaults()
	cfg := &v.service
	fs := flag.NewFlagSet("apmapp", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // run prints what there is to say
	fs.StringVar(&v.host, "addr", "", "`host` or host:port to listen on; empty means all addresses")
	fs.UintVar(&v.port, "port", defaultPort, "`port` to listen on")
	fs.StringVar(&v.dsn, "dsn", "", "database: user:pass@tcp(host:port)/db or mysql://user:pass@host:port/db")
	fs.StringVar(&v.dsnFile, "dsn-file", "", "`file` that holds the database's DSN")
	fs.IntVar(&cfg.PoolSize, "pool-size", cfg.PoolSize, "most connections to MySQL")
	fs.IntVar(&cfg.MaxConcurrent, "max-concurrent", cfg.MaxConcurrent, "most requests that run at once; beyond it they get a 503")
	fs.DurationVar(&cfg.RequestTimeout, "request-timeout", cfg.RequestTimeout, "most time that a request may take")
	fs.DurationVar(&cfg.ReadyTimeout, "ready-timeout", cfg.ReadyTimeout, "most time that MySQL may take to answer /readyz")
	fs.DurationVar(&cfg.DrainDelay, "drain-delay", cfg.DrainDelay, "time between /readyz saying no and the listener closing")
	fs.DurationVar(&cfg.DrainTimeout, "drain-timeout", cfg.DrainTimeout, "time that requests in flight have to end")
	fs.DurationVar(&cfg.Retention, "retention", cfg.Retention, "age at which visits are deleted")
	fs.DurationVar(&cfg.RetentionInterval, "retention-interval", cfg.RetentionInterval, "time between two deletions")
	fs.TextVar(&cfg.Telemetry.LogLevel, "log-level", cfg.Telemetry.LogLevel, "least severe `level` to log: debug, info, warn, error")
	fs.BoolVar(&v.version, "version", false, "print the version and exit")
	fs.BoolVar(&v.healthcheck, "healthcheck", false, "ask the running service whether it lives; exit with 0 or 1")
	return fs
}

// parse reads flags over environment over defaults. Its errors name the flag or
// the variable, and never contain a password.
func parse(args []string, getenv func(string) string) (options, error) {
	var v values
	fs := flagSet(&v)
	if err := fs.Parse(args); err != nil {
		return options{}, err
	}
	if fs.NArg() > 0 {
		return options{}, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	given := map[string]bool{}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var invalid error
	fs.VisitAll(func(f *flag.Flag) {
		variable := variables[f.Name]
		value := getenv(variable)
		if value == "" || given[f.Name] {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			invalid = errors.Join(invalid, fmt.Errorf("%s: invalid value %q: %w", variable, value, err))
		}
	})
	if invalid != nil {
		return options{}, invalid
	}
	if v.version {
		return v.options, nil
	}
	var err error
	if v.service.Addr, err = address(v.host, v.port, given["port"]); err != nil || v.healthcheck {
		return v.options, err
	}
	if err := v.database(given); err != nil {
		return options{}, err
	}
	level := v.service.Telemetry.LogLevel
	if v.service.Telemetry, err = telemetry.ConfigFromEnv(getenv, "apmapp", build.Version()); err != nil {
		return options{}, err
	}
	v.service.Telemetry.LogLevel = level
	return v.options, v.service.Validate()
}

// address joins host and port. A host that has a port of its own keeps it.
func address(host string, port uint, portGiven bool) (string, error) {
	if _, own, err := net.SplitHostPort(host); err == nil {
		if portGiven && own != strconv.FormatUint(uint64(port), 10) {
			return "", fmt.Errorf("-addr %s and -port %d name two ports", host, port)
		}
		if _, err := strconv.ParseUint(own, 10, 16); err != nil {
			return "", fmt.Errorf("-addr %s: %q is not a port (0 to 65535)", host, own)
		}
		return host, nil
	}
	if port > 65535 {
		return "", fmt.Errorf("-port %d: ports end at 65535", port)
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10)), nil
}

const noDSN = `no database given. Say which one by -dsn, MYSQL_DSN, or a file with -dsn-file:
    MYSQL_DSN='user:password@tcp(127.0.0.1:3306)/apmapp' apmapp
To look around without MySQL there is "make demo", which brings its own database`

// database finds the DSN. One given as a flag goes before one from the
// environment, in whichever form.
func (v *values) database(given map[string]bool) error {
	switch {
	case given["dsn"] && given["dsn-file"]:
		return errors.New("-dsn and -dsn-file are two databases: give one")
	case given["dsn"]:
		v.dsnFile = ""
	case given["dsn-file"]:
		v.dsn = ""
	case v.dsn != "" && v.dsnFile != "":
		return errors.New("MYSQL_DSN and MYSQL_DSN_FILE are two databases: give one")
	}
	source := "-dsn (MYSQL_DSN)"
	if v.dsnFile != "" {
		source = "-dsn-file (MYSQL_DSN_FILE) " + v.dsnFile
		var err error
		if v.dsn, err = store.ReadDSNFile(v.dsnFile); err != nil {
			return fmt.Errorf("-dsn-file (MYSQL_DSN_FILE): %w", err)
		}
	}
	if v.dsn == "" {
		return errors.New(noDSN)
	}
	var err error
	if v.service.MySQL, err = store.ParseDSN(v.dsn); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	return nil
}

// usage is what -help prints.
func usage() string {
	var out strings.Builder
	out.WriteString("Usage: apmapp [flags]\n\nA flag goes before its variable, a variable before the default.\n\n")
	fs := flagSet(&values{})
	fs.VisitAll(func(f *flag.Flag) {
		name, text := flag.UnquoteUsage(f)
		line := strings.TrimSpace("-" + f.Name + " " + name)
		if variable := variables[f.Name]; variable != "" {
			line += "  (" + variable + ")"
		}
		if f.DefValue != "" && f.DefValue != "false" {
			text += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(&out, "  %s\n        %s\n", line, text)
	})
	out.WriteString("\nDatadog's own variables (DD_SERVICE, DD_ENV, DD_VERSION, DD_TRACE_AGENT_URL, ...)\nkeep the meaning that Datadog documents; see docs/telemetry.md.\n")
	return out.String()
}
