package store

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"strconv"
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
// README lists the other forms and the parameters.
//
// It adds what this package needs: the client interpolates arguments (one round
// trip per statement, and the comment can carry the whole trace), times are
// parsed as UTC, and timeouts are set. Its errors contain no text of the DSN except
// names of parameters, because anything else may be a part of the password.
func ParseDSN(dsn string) (*mysql.Config, error) {
	loc, err := locate(unquoted(dsn))
	if err != nil {
		return nil, err
	}
	d := draft{Config: mysql.NewConfig()}
	d.User, d.Passwd, d.DBName = loc.user, loc.password, loc.db
	d.Net, d.Addr = loc.network, loc.addr
	if err := d.setAll(loc.params); err != nil {
		return nil, err
	}
	if err := d.setTLS(); err != nil {
		return nil, err
	}
	d.InterpolateParams = true
	d.ParseTime = true
	d.Loc = time.UTC
	setDefault(&d.Timeout, dialTimeout)
	setDefault(&d.ReadTimeout, ioTimeout)
	setDefault(&d.WriteTimeout, ioTimeout)
	if d.ConnectionAttributes == "" {
		d.ConnectionAttributes = "program_name:apmapp"
	}
	return d.Config, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// unquoted returns the DSN without surrounding white space and quotes, which some
// readers of environment files keep.
func unquoted(dsn string) string {
	dsn = strings.TrimSpace(dsn)
	if n := len(dsn); n >= 2 && (dsn[0] == '"' || dsn[0] == '\'') && dsn[n-1] == dsn[0] {
		return strings.TrimSpace(dsn[1 : n-1])
	}
	return dsn
}

// location is a DSN in parts. params is the text after the question mark.
type location struct{ user, password, network, addr, db, params string }

const dsnForms = "user:pass@tcp(host:port)/db or mysql://user:pass@host:port/db"

var (
	schemePattern = regexp.MustCompile(`(?i)^([a-z][a-z0-9+.-]*|jdbc:[a-z0-9+.:-]+)://`)
	mysqlScheme   = regexp.MustCompile(`(?i)^(jdbc:)?(mysql|mysql2|mariadb)(\+[a-z0-9]+)?$`)
	// placePattern matches what follows the credentials: an address, a database and
	// parameters. A database whose name has a special character is percent-encoded.
	placePattern = regexp.MustCompile(`(?s)^(?:([a-z0-9]*)\(([^()@]*)\)|([^/?#@()]*))(?:/([^/?#@]*)/?)?(?:\?([^#]*))?(#.*)?$`)
)

// locate splits a DSN.
func locate(dsn string) (location, error) {
	scheme := schemePattern.FindStringSubmatch(dsn)
	if scheme == nil {
		return split(dsn, false)
	}
	if name := scheme[1]; !mysqlScheme.MatchString(name) || strings.HasSuffix(strings.ToLower(name), "+srv") {
		return location{}, fmt.Errorf("the DSN's scheme %s is not supported, want %s", name, dsnForms)
	}
	return split(dsn[len(scheme[0]):], true)
}

// split splits a DSN without its scheme. In a URL, user, password and host are
// percent-encoded. An @ may also be a part of the password or of a parameter: a
// split is valid if a database follows. The likeliest split wins.
func split(dsn string, isURL bool) (location, error) {
	var place []string
	var credentials string
	var ambiguous bool
	for i := len(dsn); i >= 0; i-- {
		if i > 0 && dsn[i-1] != '@' {
			continue
		}
		m := placePattern.FindStringSubmatch(dsn[i:])
		if m == nil || m[4] == "" {
			continue
		}
		if place == nil || likelihood(m) > likelihood(place) {
			place, credentials, ambiguous = m, strings.TrimSuffix(dsn[:i], "@"), false
		} else if likelihood(m) == likelihood(place) {
			ambiguous = true
		}
	}
	if place == nil {
		return location{}, fmt.Errorf("the DSN names no database, want %s", dsnForms)
	}
	if ambiguous {
		return location{}, errors.New("the DSN can be read in two ways: write @ as %40 in parameters, and in user and password of a mysql:// URL")
	}
	network, paren, host, db, params, fragment := place[1], place[2], place[3], place[4], place[5], place[6]
	if fragment != "" {
		return location{}, errors.New("the DSN has a part after #, which has no meaning: remove it, or write # as %23")
	}
	loc := location{params: params}
	var err error
	if loc.db, err = url.PathUnescape(db); err != nil {
		return location{}, errors.New("the database name in the DSN is not percent-encoded: write % as %25")
	}
	loc.user, loc.password, _ = strings.Cut(credentials, ":")
	if isURL {
		var errs [3]error
		loc.user, errs[0] = url.PathUnescape(loc.user)
		loc.password, errs[1] = url.PathUnescape(loc.password)
		host, errs[2] = url.PathUnescape(host)
		if errors.Join(errs[:]...) != nil {
			return location{}, errors.New("the user, password or host in the mysql:// URL is not percent-encoded: write % as %25")
		}
	}
	switch {
	case inParentheses(place):
		host = paren
	case !isURL && (host == "tcp" || host == "unix"):
		network, host = host, ""
	case !isURL && host != "" && credentials == "":
		// It could as well be a user and a password.
		return location{}, fmt.Errorf("the DSN names no user, want %s", dsnForms)
	}
	switch {
	case network == "unix" && host == "":
		loc.network, loc.addr = "unix", "/tmp/mysql.sock" // as the driver
	case network == "unix", strings.HasPrefix(host, "/"):
		loc.network, loc.addr = "unix", host
	case network == "tcp" || network == "":
		loc.network = "tcp"
		loc.addr, err = hostPort(host)
	default:
		err = errors.New("the DSN's network is not supported, want tcp(host:port) or unix(/path)")
	}
	return loc, err
}

// inParentheses reports whether a match of placePattern has an address such as
// tcp(host).
func inParentheses(place []string) bool { return place[1] != "" || strings.HasPrefix(place[0], "(") }

// likelihood ranks matches of placePattern: those with tcp(host) before those with
// host, and those without a # before those with one.
func likelihood(place []string) (rank int) {
	if inParentheses(place) {
		rank += 2
	}
	if place[6] == "" {
		rank++
	}
	return rank
}

// hostPort returns an address with a port, by default 127.0.0.1:3306.
func hostPort(addr string) (string, error) {
	if strings.ContainsFunc(addr, func(r rune) bool { return r <= ' ' || r == ',' || r == 0x7f }) {
		return "", errors.New("the DSN's host is not valid, want one host name or IP address")
	}
	host, port := addr, "3306"
	switch colons := strings.Count(addr, ":"); {
	case strings.HasPrefix(addr, "["):
		inner, rest, ok := strings.Cut(addr[1:], "]")
		if !ok || rest != "" && rest[0] != ':' {
			return "", errors.New("the DSN's address is not valid, want host:port or [IPv6]:port")
		}
		host = inner
		if rest != "" {
			port = rest[1:]
		}
		if _, err := netip.ParseAddr(host); err != nil {
			return "", errors.New("the DSN's address has brackets without an IPv6 address, want [IPv6]:port")
		}
	case colons == 1:
		host, port, _ = strings.Cut(addr, ":")
	case colons > 1:
		// ::1:3306 is an address of its own, but its author probably means a port.
		short, last := addr[:strings.LastIndexByte(addr, ':')], addr[strings.LastIndexByte(addr, ':')+1:]
		_, errShort := netip.ParseAddr(short)
		_, errLast := strconv.ParseUint(last, 10, 16)
		if _, err := netip.ParseAddr(addr); err != nil || errShort == nil && errLast == nil {
			return "", errors.New("the DSN's IPv6 address needs brackets, want [IPv6]:port")
		}
	}
	if port == "" {
		port = "3306"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("the DSN's port is not a number from 1 to 65535")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// Attrs returns what the log may show of a configuration.
func Attrs(cfg *mysql.Config) []slog.Attr {
	return []slog.Attr{
		slog.String("mysql.addr", cfg.Addr),
		slog.String("mysql.db", cfg.DBName),
		slog.String("mysql.user", cfg.User),
		slog.String("mysql.tls", tlsModeOf(cfg).String()),
	}
}

// ReadDSNFile returns the DSN in a file without surrounding white space: a
// secret mounted as a file often ends in a newline. Its errors do not contain what
// could be a DSN in the place of a path.
func ReadDSNFile(path string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil && strings.ContainsAny(path, "@?") {
		return "", errors.New("want the path of a file, got what looks like a DSN")
	}
	if err != nil {
		return "", err
	}
	dsn := strings.TrimSpace(string(content))
	if dsn == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return dsn, nil
}
