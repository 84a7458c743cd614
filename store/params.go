package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// draft is a configuration while its parameters are read.
type draft struct {
	*mysql.Config
	tls tlsDraft
}

// setters set the parameters of a DSN, by their lower-case names without - and _.
// Clients of other languages have their own names for the same settings.
var setters = map[string]func(d *draft, value string) error{
	"user":     func(d *draft, v string) error { return credential(&d.User, v) },
	"password": func(d *draft, v string) error { return credential(&d.Passwd, v) },

	"timeout":      func(d *draft, v string) error { return duration(&d.Timeout, v) },
	"readtimeout":  func(d *draft, v string) error { return duration(&d.ReadTimeout, v) },
	"writetimeout": func(d *draft, v string) error { return duration(&d.WriteTimeout, v) },

	"maxallowedpacket": func(d *draft, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n != 0 && n < minPacket {
			return fmt.Errorf("must be 0, for the server's limit, or at least %d bytes", minPacket)
		}
		d.MaxAllowedPacket = n
		return nil
	},
	"connectionattributes": func(d *draft, v string) error { d.ConnectionAttributes = v; return nil },
	"compress": func(d *draft, v string) error {
		on, err := boolean(v)
		if err == nil {
			err = d.Apply(mysql.EnableCompression(on))
		}
		return err
	},
	"checkconnliveness": func(d *draft, v string) error { return set(&d.CheckConnLiveness, v) },

	"allowcleartextpasswords":  func(d *draft, v string) error { return set(&d.AllowCleartextPasswords, v) },
	"allowfallbacktoplaintext": func(d *draft, v string) error { return set(&d.AllowFallbackToPlaintext, v) },
	"allownativepasswords":     func(d *draft, v string) error { return set(&d.AllowNativePasswords, v) },
	"allowoldpasswords":        func(d *draft, v string) error { return set(&d.AllowOldPasswords, v) },
	// The driver always asks the server for its key.
	"allowpublickeyretrieval": func(_ *draft, v string) error { return only(true, v) },
	// The pool always reconnects.
	"reconnect":     func(_ *draft, v string) error { return only(true, v) },
	"autoreconnect": func(_ *draft, v string) error { return only(true, v) },
	// It would let the server read files of this machine.
	"allowallfiles": func(_ *draft, v string) error { return only(false, v) },

	"unixsocket": socket,
	"socket":     socket,

	// The mode of TLS. go-sql-driver's tls=true verifies the certificate, ssl=true of
	// other drivers does not.
	"tls":                     tlsSetter(tlsByMode, tlsVerifyIdentity),
	"sslmode":                 tlsSetter(tlsByMode, tlsUnset),
	"ssl":                     (*draft).setSSL,
	"usessl":                  tlsFlag(tlsRequired, tlsDisabled),
	"requiressl":              tlsFlag(tlsRequired, tlsUnset),
	"ssldisabled":             tlsFlag(tlsDisabled, tlsUnset),
	"verifyservercertificate": tlsFlag(tlsVerifyCA, tlsUnset),
	"trustservercertificate":  tlsFlag(tlsUnset, tlsUnset),
	"sslverifycert":           tlsFlag(tlsVerifyCA, tlsUnset),
	"sslverifyidentity":       tlsFlag(tlsVerifyIdentity, tlsUnset),
	"sslcheckhostname":        tlsFlag(tlsVerifyIdentity, tlsUnset),
	"sslaccept":               tlsSetter(tlsByAccept, tlsUnset),
	// Its files.
	"sslca": caFile, "tlsca": caFile, "sslrootcert": caFile, "serversslcert": caFile,
	"sslcert": certFile, "tlscert": certFile,
	"sslkey": keyFile, "tlskey": keyFile,

	// The store sets these itself. Any valid value serves.
	"charset": fixed, "collation": fixed, "encoding": fixed,
	"characterencoding": fixed, "characterset": fixed, "charactersetresults": fixed, "connectioncollation": fixed,
	"useunicode": fixed,
	"parsetime":  fixedBoolean, "interpolateparams": fixedBoolean, "loc": fixed, "timetruncate": fixed,
	"servertimezone": fixed, "connectiontimezone": fixed,
	"rejectreadonly": fixedBoolean, "clientfoundrows": fixedBoolean, "columnswithalias": fixedBoolean,
	"multistatements": fixedBoolean, "allowmultiqueries": fixedBoolean,
	// Doctrine's, about SQL that it writes itself.
	"serverversion": fixed,
}

// minPacket is the smallest limit of a packet: the largest statement, an INSERT
// with its comment, has about 4 KB.
const minPacket = 16 << 10

// systemVariable reports whether the DSN may set the system variable of the
// session: those that limit how long a statement may take, or how it sees other
// nodes of a cluster. A misspelled parameter must not become a SET statement.
func systemVariable(name string) bool {
	switch name {
	case "wait_timeout", "interactive_timeout", "net_read_timeout", "net_write_timeout",
		"lock_wait_timeout", "innodb_lock_wait_timeout", "max_execution_time", "max_statement_time",
		"foreign_key_checks", "unique_checks", "optimizer_switch",
		"group_replication_consistency", "wsrep_sync_wait":
		return true
	}
	return strings.HasPrefix(name, "tidb_")
}

var (
	parameterName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)
	// A number, a word, or a quoted text. It becomes a part of a SET statement.
	variableValue = regexp.MustCompile(`^(-?[0-9]+(\.[0-9]+)?|[A-Za-z_][A-Za-z0-9_]*|'[^'\\]*')$`)
)

// setAll sets the parameters in params, such as a=1&b=2.
func (d *draft) setAll(params string) error {
	var unknown []string
	given := make(map[string]bool)
	for param := range strings.SplitSeq(params, "&") {
		if param == "" {
			continue
		}
		name, value, ok := strings.Cut(param, "=")
		if !ok || !parameterName.MatchString(name) {
			return errors.New("the DSN has a parameter that is not name=value: write & as %26 in values")
		}
		key := strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(name))
		if given[key] {
			return fmt.Errorf("DSN parameter %s is given twice", name)
		}
		given[key] = true
		value, err := url.QueryUnescape(value)
		if err != nil {
			return fmt.Errorf("DSN parameter %s is not percent-encoded: write %% as %%25", name)
		}
		setter, known := setters[key]
		switch variable := strings.ReplaceAll(strings.ToLower(name), "-", "_"); {
		case known:
			if err := setter(d, value); err != nil {
				return fmt.Errorf("DSN parameter %s %w", name, err)
			}
		case isSessionState(variable): // the store sets it
		case !systemVariable(variable):
			unknown = append(unknown, name)
		case !variableValue.MatchString(value):
			return fmt.Errorf("DSN parameter %s must be a number, a word or a text in single quotes", name)
		default:
			if d.Params == nil {
				d.Params = make(map[string]string)
			}
			d.Params[variable] = value
		}
	}
	switch {
	case unknown == nil:
		return nil
	case given["password"] || strings.Contains(params, "@"):
		// What looks like a parameter may be a part of the password.
		return errors.New("the DSN has a parameter that is not supported: remove it, or write & as %26 in the password")
	case len(unknown) == 1:
		return fmt.Errorf("DSN parameter %s is not supported: remove it", unknown[0])
	default:
		return fmt.Errorf("DSN parameters %s are not supported: remove them", strings.Join(unknown, ", "))
	}
}

func credential(field *string, value string) error {
	if *field != "" {
		return errors.New("is given twice: before the host, and as a parameter")
	}
	*field = value
	return nil
}

func duration(field *time.Duration, value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 {
		return errors.New("must be a duration such as 2s")
	}
	*field = d
	return nil
}

func boolean(value string) (bool, error) {
	switch strings.ToLower(value) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return false, errors.New("must be true or false")
}

func set(field *bool, value string) error {
	on, err := boolean(value)
	*field = on
	return err
}

// only accepts a value that does not change what the driver does.
func only(want bool, value string) error {
	got, err := boolean(value)
	if err == nil && got != want {
		err = fmt.Errorf("must be %t, or absent", want)
	}
	return err
}

func fixed(*draft, string) error { return nil }

func fixedBoolean(_ *draft, value string) error {
	_, err := boolean(value)
	return err
}

func socket(d *draft, path string) error {
	if !strings.HasPrefix(path, "/") {
		return errors.New("must be an absolute path")
	}
	d.Net, d.Addr = "unix", path
	return nil
}

// setSSL sets the ssl parameter: true or false, a mode, or the JSON of Node's
// drivers.
func (d *draft) setSSL(value string) error {
	if !strings.HasPrefix(value, "{") {
		return tlsSetter(tlsByMode, tlsRequired)(d, value)
	}
	options := struct {
		RejectUnauthorized bool `json:"rejectUnauthorized"`
	}{true}
	decoder := json.NewDecoder(strings.NewReader(value))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&options); err != nil || decoder.More() {
		return errors.New(`supports no other JSON than {"rejectUnauthorized":true}, or false`)
	}
	if options.RejectUnauthorized {
		return d.tls.add(tlsVerifyIdentity)
	}
	return d.tls.add(tlsRequired)
}
