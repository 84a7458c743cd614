package service

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"apmapp/internal/command"
	"apmapp/internal/telemetry"
	"apmapp/store"
)

// setting is one value that an operator can set: by its flag, else by its
// environment variable, else its default. Parsing, -help, validation, the log
// and README's table all follow it.
type setting struct {
	flag, variable string
	usage          string // with the `placeholder` of the value
	value          any    // points to the value: *string, *uint, *int, *time.Duration or *slog.Level
	least          any    // the smallest valid value: int or time.Duration; nil if any is valid
	logged         any    // what the log shows; nil for nothing
}

// Settings are the flags of a service. Add puts them into a flag set; Resolve
// reads them after parsing.
type Settings struct {
	// Config is complete after Resolve.
	Config
	host         string
	port         uint
	dsn, dsnFile string
	flags        *command.Flags
}

// settings returns the table of all settings, in README's order.
func (s *Settings) settings() []setting {
	c := &s.Config
	return []setting{
		{"addr", "APMAPP_ADDR", "`host`, or host:port, to listen on; empty means all addresses", &s.host, nil, c.Addr},
		{"port", "APMAPP_PORT", "`port` to listen on", &s.port, nil, nil},
		{"dsn", "MYSQL_DSN", "database: user:pass@tcp(host:port)/db or mysql://user:pass@host:port/db", &s.dsn, nil, nil},
		{"dsn-file", "MYSQL_DSN_FILE", "`file` that holds the DSN, so that no process list shows it", &s.dsnFile, nil, nil},
		{"pool-size", "APMAPP_POOL_SIZE", "maximum number of connections to MySQL", &c.Store.PoolSize, 1, c.Store.PoolSize},
		{"max-connections", "APMAPP_MAX_CONNECTIONS", "maximum number of clients' connections; at the limit, a new one replaces the one idle for longest, or waits if none is idle", &c.MaxConnections, 1, c.MaxConnections},
		{"max-concurrent", "APMAPP_MAX_CONCURRENT", "maximum number of requests at once; a further request waits up to a second for a place, then gets a 503", &c.HTTP.MaxConcurrent, 1, c.HTTP.MaxConcurrent},
		{"request-timeout", "APMAPP_REQUEST_TIMEOUT", "maximum duration of a request", &c.HTTP.RequestTimeout, time.Nanosecond, c.HTTP.RequestTimeout},
		{"ready-timeout", "APMAPP_READY_TIMEOUT", "how long /readyz waits for MySQL", &c.HTTP.ReadyTimeout, time.Nanosecond, c.HTTP.ReadyTimeout},
		{"drain-delay", "APMAPP_DRAIN_DELAY", "time from the first 503 of /readyz until the listener closes", &c.DrainDelay, time.Duration(0), c.DrainDelay},
		{"drain-timeout", "APMAPP_DRAIN_TIMEOUT", "how long requests in flight may take when the service stops", &c.DrainTimeout, time.Nanosecond, c.DrainTimeout},
		{"retention", "APMAPP_RETENTION", "age at which visits are deleted", &c.Retention, time.Nanosecond, c.Retention},
		{"retention-interval", "APMAPP_RETENTION_INTERVAL", "time between two deletions", &c.RetentionInterval, time.Nanosecond, c.RetentionInterval},
		{"log-level", "APMAPP_LOG_LEVEL", "lowest `level` to log: debug, info, warn or error", &c.Telemetry.LogLevel, nil, c.Telemetry.LogLevel},
		{"log-file", "APMAPP_LOG_FILE", "`file` that also receives the log, besides standard output", &c.LogFile, nil, c.LogFile},
		{"log-file-size", "APMAPP_LOG_FILE_SIZE", "size in `MB` at which the log file becomes file.1; file.1 to file.5 are kept", &c.LogFileSize, 1, c.LogFileSize},
		{"log-otlp", "APMAPP_LOG_OTLP", "`URL` that also receives the log, by OTLP over HTTP, such as http://localhost:4318", &c.LogOTLP, nil, c.LogOTLP},
	}
}

// Add defines the flags, with their variables and defaults.
func (s *Settings) Add(fs *command.Flags) {
	s.Config, s.port, s.flags = Defaults(), 5050, fs
	for _, set := range s.settings() {
		switch v := set.value.(type) {
		case *string:
			fs.StringVar(v, set.flag, *v, set.usage)
		case *uint:
			fs.UintVar(v, set.flag, *v, set.usage)
		case *int:
			fs.IntVar(v, set.flag, *v, set.usage)
		case *time.Duration:
			fs.DurationVar(v, set.flag, *v, set.usage)
		case *slog.Level:
			fs.TextVar(v, set.flag, *v, set.usage)
		}
		fs.Variable(set.flag, set.variable)
	}
}

// Resolve completes the configuration after parsing. service and version are the
// defaults of DD_SERVICE and DD_VERSION. Errors name the flag or the variable and
// never contain a password.
func (s *Settings) Resolve(getenv func(string) string, service, version string) error {
	if err := s.ResolveAddr(); err != nil {
		return err
	}
	if err := s.database(); err != nil {
		return err
	}
	level := s.Telemetry.LogLevel
	s.Telemetry = telemetry.ConfigFromEnv(getenv, service, version)
	s.Telemetry.LogLevel = level
	return s.Validate()
}

// ResolveAddr sets Addr from -addr and -port. A host with a port of its own
// keeps it.
func (s *Settings) ResolveAddr() error {
	port := strconv.FormatUint(uint64(s.port), 10)
	if _, own, err := net.SplitHostPort(s.host); err == nil {
		if s.flags.Given("port") && own != port {
			return fmt.Errorf("-addr %s and -port %s name two ports: give one", s.host, port)
		}
		if _, err := strconv.ParseUint(own, 10, 16); err != nil {
			return fmt.Errorf("-addr %s: port %q is not a number from 0 to 65535", s.host, own)
		}
		s.Addr = s.host
		return nil
	}
	if s.port > 65535 {
		return fmt.Errorf("-port must be at most 65535, got %s", port)
	}
	s.Addr = net.JoinHostPort(strings.TrimSuffix(strings.TrimPrefix(s.host, "["), "]"), port)
	return nil
}

const noDSN = `no database given: set -dsn, MYSQL_DSN or, for a file, -dsn-file:
    MYSQL_DSN='user:password@tcp(127.0.0.1:3306)/apmapp' apmapp
To look around without MySQL, run "make demo", which brings its own database`

// database reads the DSN. A flag of either form wins over both variables.
func (s *Settings) database() error {
	switch dsn, file := s.flags.Given("dsn"), s.flags.Given("dsn-file"); {
	case dsn && file:
		return errors.New("-dsn and -dsn-file name two databases: give one")
	case dsn:
		s.dsnFile = ""
	case file:
		s.dsn = ""
	case s.dsn != "" && s.dsnFile != "":
		return errors.New("MYSQL_DSN and MYSQL_DSN_FILE name two databases: set one")
	}
	source := "-dsn (MYSQL_DSN)"
	if s.dsnFile != "" {
		source = "-dsn-file (MYSQL_DSN_FILE) " + s.dsnFile
		var err error
		if s.dsn, err = store.ReadDSNFile(s.dsnFile); err != nil {
			return fmt.Errorf("-dsn-file (MYSQL_DSN_FILE): %w", err)
		}
	}
	if s.dsn == "" {
		return errors.New(noDSN)
	}
	var err error
	if s.Store.MySQL, err = store.ParseDSN(s.dsn); err != nil {
		return fmt.Errorf("%s: %w", source, err)
	}
	return nil
}

// Validate returns every field that is invalid, by the name of its flag.
func (c Config) Validate() error {
	var errs []error
	if c.Store.MySQL == nil {
		errs = append(errs, errors.New("dsn is missing: it names the database"))
	}
	for _, set := range (&Settings{Config: c}).settings() {
		switch least := set.least.(type) {
		case int:
			if got := *set.value.(*int); got < least {
				errs = append(errs, fmt.Errorf("%s must be at least %d, got %d", set.flag, least, got))
			}
		case time.Duration:
			switch got := *set.value.(*time.Duration); {
			case got < least && least > 0:
				errs = append(errs, fmt.Errorf("%s must be greater than 0s, got %s", set.flag, got))
			case got < least:
				errs = append(errs, fmt.Errorf("%s must be at least %s, got %s", set.flag, least, got))
			}
		}
	}
	if c.LogOTLP != "" {
		errs = append(errs, checkEndpoint(c.LogOTLP))
	}
	return errors.Join(errs...)
}

// attrs returns the configuration for the log: only values that are not secret.
func (c Config) attrs() []slog.Attr {
	var attrs []slog.Attr
	for _, set := range (&Settings{Config: c}).settings() {
		key := strings.ReplaceAll(set.flag, "-", "_")
		switch v := set.logged.(type) {
		case nil:
		case time.Duration:
			attrs = append(attrs, slog.String(key, v.String()))
		default:
			attrs = append(attrs, slog.Any(key, v))
		}
	}
	attrs = append(attrs, store.Attrs(c.Store.MySQL)...)
	return append(attrs,
		slog.Bool("tracing", c.Telemetry.Tracing),
		slog.Bool("profiling", c.Telemetry.Profiling),
		slog.Bool("logs_injection", c.Telemetry.LogsInjection),
	)
}
