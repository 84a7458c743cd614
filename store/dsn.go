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

// Bounds on one conversation with the server. A DSN that names its own keeps
// it.
const (
	// dialTimeout: a LAN connect takes milliseconds; two seconds leave room for
	// one lost SYN (retransmitted after one second).
	dialTimeout = 2 * time.Second
	// ioTimeout ends a connection whose server hangs. Every request has a
	// deadline of its own, so this is for what has none; it is longer than any
	// default deadline here.
	ioTimeout = 15 * time.Second
)

// ParseDSN reads a data source name in go-sql-driver's form
// (user:pass@tcp(host:port)/db) or as a URL (mysql://user:pass@host:port/db),
// and adds what this package needs: arguments interpolated by the client (one
// round trip a statement, and the whole trace in its comment), times parsed as
// UTC, and timeouts. Its errors never contain the DSN.
func ParseDSN(dsn string) (*mysql.Config, error) {
	if rest, ok := strings.CutPrefix(dsn, "mysql://"); ok {
		var err error
		if dsn, err = fromURL(rest); err != nil {
			return nil, err
		}
	}
	cfg, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, errors.New("not a MySQL DSN (user:pass@tcp(host:port)/db or mysql://user:pass@host:port/db): " + withoutSecrets(err, dsn))
	}
	if cfg.Net != "tcp" && cfg.Net != "unix" {
		return nil, fmt.Errorf("the DSN's network is %q: use tcp(host:port) or unix(/path)", cfg.Net)
	}
	if cfg.DBName == "" {
		return nil, errors.New("the DSN names no database: end it with /name")
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

// fromURL turns what follows mysql:// into go-sql-driver's form. The driver's
// own form is not percent-encoded, the URL is.
func fromURL(rest string) (string, error) {
	rest, params, hasParams := strings.Cut(rest, "?")
	// The last @ ends the credentials: a password may hold others.
	at := strings.LastIndexByte(rest, '@')
	var credentials string
	if at >= 0 {
		user, password, hasPassword := strings.Cut(rest[:at], ":")
		user, errUser := url.PathUnescape(user)
		password, errPassword := url.PathUnescape(password)
		if errUser != nil || errPassword != nil {
			return "", errors.New("the user or password in the mysql:// URL is not percent-encoded (write % as %25)")
		}
		credentials = user
		if hasPassword {
			credentials += ":" + password
		}
		credentials += "@"
	}
	host, db, ok := strings.Cut(rest[at+1:], "/")
	if !ok || db == "" {
		return "", errors.New("the mysql:// URL names no database: end it with /name")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	out := credentials + "tcp(" + host + ")/" + db
	if hasParams {
		out += "?" + params
	}
	return out, nil
}

// withoutSecrets is err's text, or nothing of it where it repeats a part of
// the DSN's credentials.
func withoutSecrets(err error, dsn string) string {
	text := err.Error()
	at := strings.LastIndexByte(dsn, '@')
	if at < 0 {
		return text
	}
	for _, part := range strings.FieldsFunc(dsn[:at], func(r rune) bool { return r == ':' || r == '@' }) {
		if strings.Contains(text, part) {
			return "it cannot be parsed"
		}
	}
	return text
}

// Masked is cfg's DSN with its password replaced, fit for a log.
func Masked(cfg *mysql.Config) string {
	masked := cfg.Clone()
	if masked.Passwd != "" {
		masked.Passwd = "***"
	}
	return masked.FormatDSN()
}

// ReadDSNFile returns the DSN that a file holds, without the white space around
// it (a secret mounted as a file often ends in a newline).
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
