package store

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Default timeouts of a connection. Values in the DSN win.
const (
	// dialTimeout: connecting in a LAN takes milliseconds. Two seconds allow for
	// one lost SYN, which is sent again after one second.
	dialTimeout = 2 * time.Second
	// ioTimeout ends a connection to a server that hangs. It serves statements
	// without a deadline; requests have one, and their default is shorter.
	ioTimeout = 15 * time.Second
)

// ParseDSN parses a data source name in go-sql-driver's form
// (user:pass@tcp(host:port)/db) or as a URL (mysql://user:pass@host:port/db).
// It adds what this package needs: the client interpolates arguments (one round
// trip per statement, and the comment can carry the whole trace), times are
// parsed as UTC, and timeouts are set. Its errors never contain credentials.
func ParseDSN(dsn string) (*mysql.Config, error) {
	if rest, ok := strings.CutPrefix(dsn, "mysql://"); ok {
		var err error
		if dsn, err = fromURL(rest); err != nil {
			return nil, err
		}
	}
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, fmt.Errorf("invalid DSN, want user:pass@tcp(host:port)/db or mysql://user:pass@host:port/db: %s", withoutSecrets(err, dsn))
	}
	if cfg.Net != "tcp" && cfg.Net != "unix" {
		return nil, fmt.Errorf("DSN network %q is not supported: use tcp(host:port) or unix(/path)", cfg.Net)
	}
	if cfg.DBName == "" {
		return nil, errors.New("DSN has no database name: end it with /name")
	}
	cfg.InterpolateParams = true
	cfg.ParseTime = true
	cfg.Loc = time.UTC
	setDefault(&cfg.Timeout, dialTimeout)
	setDefault(&cfg.ReadTimeout, ioTimeout)
	setDefault(&cfg.WriteTimeout, ioTimeout)
	if cfg.ConnectionAttributes == "" {
		cfg.ConnectionAttributes = "program_name:apmapp"
	}
	return cfg, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// fromURL returns the DSN in go-sql-driver's form for a URL, given without its
// mysql:// prefix. The URL is percent-encoded, the driver's form is not.
func fromURL(rest string) (string, error) {
	rest, params, hasParams := strings.Cut(rest, "?")
	// The last @ ends the credentials: a password may contain one.
	at := strings.LastIndexByte(rest, '@')
	var credentials string
	if at >= 0 {
		user, password, hasPassword := strings.Cut(rest[:at], ":")
		user, errUser := url.PathUnescape(user)
		password, errPassword := url.PathUnescape(password)
		if errUser != nil || errPassword != nil {
			return "", errors.New("the user or password in the mysql:// URL is not percent-encoded: write % as %25")
		}
		credentials = user
		if hasPassword {
			credentials += ":" + password
		}
		credentials += "@"
	}
	host, db, ok := strings.Cut(rest[at+1:], "/")
	if !ok || db == "" {
		return "", errors.New("mysql:// URL has no database name: end it with /name")
	}
	out := credentials + "tcp(" + host + ")/" + db
	if hasParams {
		out += "?" + params
	}
	return out, nil
}

// withoutSecrets returns err's text, unless it contains a part of the DSN's
// credentials.
func withoutSecrets(err error, dsn string) string {
	text := err.Error()
	at := strings.LastIndexByte(dsn, '@')
	if at < 0 {
		return text
	}
	for _, part := range strings.FieldsFunc(dsn[:at], func(r rune) bool { return r == ':' || r == '@' }) {
		if strings.Contains(text, part) {
			return "the details contain credentials and are hidden"
		}
	}
	return text
}

// Masked returns cfg's DSN for the log, with the password replaced by ***.
func Masked(cfg *mysql.Config) string {
	masked := cfg.Clone()
	if masked.Passwd != "" {
		masked.Passwd = "***"
	}
	return masked.FormatDSN()
}

// ReadDSNFile returns the DSN in a file without surrounding white space: a
// secret mounted as a file often ends in a newline.
func ReadDSNFile(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	dsn := strings.TrimSpace(string(content))
	if dsn == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return dsn, nil
}
