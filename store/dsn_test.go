package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"apmapp/store"
)

// TestParseDSN lists the forms of a DSN that people write or paste.
func TestParseDSN(t *testing.T) {
	for _, tc := range []struct{ dsn, user, password, network, addr, db string }{
		// go-sql-driver's form: nothing is percent-encoded but the database.
		{"app:secret@tcp(db:3307)/apmapp", "app", "secret", "tcp", "db:3307", "apmapp"},
		{"app@tcp(db)/apmapp", "app", "", "tcp", "db:3306", "apmapp"},
		{"app@(db:1)/apmapp", "app", "", "tcp", "db:1", "apmapp"},
		{"app@tcp/apmapp", "app", "", "tcp", "127.0.0.1:3306", "apmapp"},
		{"app@/apmapp", "app", "", "tcp", "127.0.0.1:3306", "apmapp"},
		{"/apmapp", "", "", "tcp", "127.0.0.1:3306", "apmapp"},
		{"tcp(db)/apmapp", "", "", "tcp", "db:3306", "apmapp"},
		{"app:p@ss:w/r?d#%zz@tcp(db:3306)/apmapp", "app", "p@ss:w/r?d#%zz", "tcp", "db:3306", "apmapp"},
		{"app:secret@unix(/run/mysqld/mysqld.sock)/apmapp", "app", "secret", "unix", "/run/mysqld/mysqld.sock", "apmapp"},
		{"app:secret@unix/apmapp", "app", "secret", "unix", "/tmp/mysql.sock", "apmapp"},
		{"app@tcp(db)/a%2Fb", "app", "", "tcp", "db:3306", "a/b"},
		{"app@tcp([::1]:3307)/apmapp", "app", "", "tcp", "[::1]:3307", "apmapp"},
		{"app@tcp([::1])/apmapp", "app", "", "tcp", "[::1]:3306", "apmapp"},
		{"app@tcp(::1)/apmapp", "app", "", "tcp", "[::1]:3306", "apmapp"},
		{"app@tcp(2001:db8::ff:ab)/apmapp", "app", "", "tcp", "[2001:db8::ff:ab]:3306", "apmapp"},
		{"app@tcp(db:)/apmapp", "app", "", "tcp", "db:3306", "apmapp"},
		// Without the network.
		{"app:secret@db:3307/apmapp", "app", "secret", "tcp", "db:3307", "apmapp"},
		{"app:secret@db/apmapp", "app", "secret", "tcp", "db:3306", "apmapp"},
		{"app:p@ss@db/apmapp", "app", "p@ss", "tcp", "db:3306", "apmapp"},
		// URLs: user, password, host and database are percent-encoded.
		{"mysql://app:secret@db:3307/apmapp", "app", "secret", "tcp", "db:3307", "apmapp"},
		{"mysql://app:p%40ss%3A%2F%3F%23%25@db/apmapp", "app", "p@ss:/?#%", "tcp", "db:3306", "apmapp"},
		{"mysql://app:p/ss?w#r&d@db/apmapp", "app", "p/ss?w#r&d", "tcp", "db:3306", "apmapp"},
		{"mysql://app@[::1]:3306/apmapp", "app", "", "tcp", "[::1]:3306", "apmapp"},
		{"mysql://app@[fe80::1%25eth0]/apmapp", "app", "", "tcp", "[fe80::1%eth0]:3306", "apmapp"},
		{"mysql:///apmapp", "", "", "tcp", "127.0.0.1:3306", "apmapp"},
		{"mysql://db:3307/apmapp", "", "", "tcp", "db:3307", "apmapp"},
		{"mysql://app:secret@tcp(db:3307)/apmapp", "app", "secret", "tcp", "db:3307", "apmapp"},
		{"mysql://app@%2Frun%2Fmysqld.sock/apmapp", "app", "", "unix", "/run/mysqld.sock", "apmapp"},
		{"mysql://app@localhost/apmapp?unix_socket=/run/mysqld.sock", "app", "", "unix", "/run/mysqld.sock", "apmapp"},
		{"mysql://app:secret@db/apmapp/", "app", "secret", "tcp", "db:3306", "apmapp"},
		{"app@tcp(db)/apmapp/", "app", "", "tcp", "db:3306", "apmapp"},
		{"MySQL://app@db/apmapp", "app", "", "tcp", "db:3306", "apmapp"},
		{"mariadb://app@db/apmapp", "app", "", "tcp", "db:3306", "apmapp"},
		{"mysql2://app@db/apmapp", "app", "", "tcp", "db:3306", "apmapp"},
		{"mysql+pymysql://app@db/apmapp?charset=utf8mb4", "app", "", "tcp", "db:3306", "apmapp"},
		{"jdbc:mysql://app:secret@db:3307/apmapp", "app", "secret", "tcp", "db:3307", "apmapp"},
		{"jdbc:mariadb://db/apmapp?user=app&password=p%26w+d", "app", "p&w d", "tcp", "db:3306", "apmapp"},
		// What environment files and secrets add.
		{" \tapp@tcp(db)/apmapp\n", "app", "", "tcp", "db:3306", "apmapp"},
		{`"mysql://app@db/apmapp"`, "app", "", "tcp", "db:3306", "apmapp"},
		{"'app@tcp(db)/apmapp'", "app", "", "tcp", "db:3306", "apmapp"},
		// Parameters may have any characters.
		{"app:secret@tcp(db)/apmapp?connectionAttributes=a:/b/c", "app", "secret", "tcp", "db:3306", "apmapp"},
		{"mysql://app:secret@db/apmapp?connectionAttributes=a:b@c", "app", "secret", "tcp", "db:3306", "apmapp"},
	} {
		cfg, err := store.ParseDSN(tc.dsn)
		if err != nil {
			t.Errorf("%s: %v", tc.dsn, err)
			continue
		}
		if cfg.User != tc.user || cfg.Passwd != tc.password || cfg.Net != tc.network || cfg.Addr != tc.addr || cfg.DBName != tc.db {
			t.Errorf("%s: got %s %s %s %s %s", tc.dsn, cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName)
		}
		if !cfg.InterpolateParams || !cfg.ParseTime || cfg.Loc != time.UTC {
			t.Errorf("%s lacks settings that the store needs: %s", tc.dsn, cfg.FormatDSN())
		}
	}
}

func TestParseDSNDefaults(t *testing.T) {
	for _, tc := range []struct {
		params                     string
		dial, read, write, program string
	}{
		{"", "2s", "15s", "15s", "program_name:apmapp"},
		{"?timeout=7s&readTimeout=8s&writeTimeout=9s&connectionAttributes=program_name:other", "7s", "8s", "9s", "program_name:other"},
	} {
		for _, dsn := range []string{"app@tcp(db)/apmapp", "mysql://app@db/apmapp"} {
			cfg, err := store.ParseDSN(dsn + tc.params)
			if err != nil {
				t.Fatal(err)
			}
			got := []string{cfg.Timeout.String(), cfg.ReadTimeout.String(), cfg.WriteTimeout.String(), cfg.ConnectionAttributes}
			if want := []string{tc.dial, tc.read, tc.write, tc.program}; strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s%s: got %v, want %v", dsn, tc.params, got, want)
			}
		}
	}
}

// Parameters that the store sets itself are accepted: they are common in DSNs of
// other programs.
func TestParseDSNForcesRequiredSettings(t *testing.T) {
	want, err := store.ParseDSN("app@tcp(db)/apmapp")
	if err != nil {
		t.Fatal(err)
	}
	for _, params := range []string{
		"interpolateParams=false", "parseTime=False", "loc=Local", "timeTruncate=1s", "multiStatements=true", "clientFoundRows=true",
		"columnsWithAlias=true", "rejectReadOnly=true", "charset=latin1", "collation=latin1_bin", "charset=utf8mb4&parseTime=True&loc=Local",
		"serverTimezone=Europe/Berlin&allowPublicKeyRetrieval=true&characterEncoding=utf8&useUnicode=yes&useSSL=false",
		"serverVersion=8.0.32&charset=utf8mb4", "encoding=utf8", "reconnect=true", "autoReconnect=true&allowMultiQueries=true",
		"autocommit=0", "sql_mode=''", "SQL_MODE=ANSI", "time_zone=%27%2B09:00%27", "tx_isolation=%22READ-COMMITTED%22", "transaction_read_only=1",
		"character_set_client=latin1", "sql_select_limit=1",
		"allowAllFiles=false", "tls=false", "ssl-mode=DISABLED", "timeout=2s", "compress=false", "&",
	} {
		got, err := store.ParseDSN("app@tcp(db)/apmapp?" + params)
		if err != nil {
			t.Errorf("%s: %v", params, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %s, want %s", params, got.FormatDSN(), want.FormatDSN())
		}
	}
}

// Parameters of the driver, and system variables that the DSN may set.
func TestParseDSNParameters(t *testing.T) {
	for _, tc := range []struct{ params, want string }{
		{"compress=true", "compress=true"},
		{"checkConnLiveness=0", "checkConnLiveness=false"},
		{"allowCleartextPasswords=yes", "allowCleartextPasswords=true"},
		{"allow_fallback_to_plaintext=on", "allowFallbackToPlaintext=true"},
		{"allowNativePasswords=false", "allowNativePasswords=false"},
		{"allowOldPasswords=1", "allowOldPasswords=true"},
		{"maxAllowedPacket=0", "maxAllowedPacket=0"},
		{"maxAllowedPacket=16384", "maxAllowedPacket=16384"},
		{"readtimeout=3s", "readTimeout=3s"},
		{"wait_timeout=60", "wait_timeout=60"},
		{"Wait-Timeout=60", "wait_timeout=60"},
		{"max_execution_time=1.5", "max_execution_time=1.5"},
		{"tidb_replica_read='leader'", "tidb_replica_read=%27leader%27"},
		{"group_replication_consistency=BEFORE", "group_replication_consistency=BEFORE"},
	} {
		cfg, err := store.ParseDSN("app@tcp(db)/apmapp?" + tc.params)
		if err != nil {
			t.Errorf("%s: %v", tc.params, err)
		} else if got := cfg.FormatDSN(); !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %s, want %s", tc.params, got, tc.want)
		}
	}
}

func TestParseDSNErrors(t *testing.T) {
	const (
		forms   = ", want user:pass@tcp(host:port)/db or mysql://user:pass@host:port/db"
		noDB    = "the DSN names no database" + forms
		twoWays = "the DSN can be read in two ways: write @ as %40 in parameters, and in user and password of a mysql:// URL"
		encode  = "the user, password or host in the mysql:// URL is not percent-encoded: write % as %25"
		after   = "the DSN has a part after #, which has no meaning: remove it, or write # as %23"
		host    = "the DSN's host is not valid, want one host name or IP address"
		port    = "the DSN's port is not a number from 1 to 65535"
		ipv6    = "the DSN's IPv6 address needs brackets, want [IPv6]:port"
		pair    = "the DSN has a parameter that is not name=value: write & as %26 in values"
	)
	for _, tc := range []struct{ dsn, want string }{
		{"", noDB},
		{"nowhere", noDB},
		{"app:hunter2@tcp(db:3306)", noDB},
		{"app:hunter2@tcp(db:3306)/", noDB},
		{"app:hunter2@tcp(db:3306)/?timeout=1s", noDB},
		{"app:hunter2@tcp(db:3306/apmapp", noDB},
		{"app:hunter2@tcp(db)/a/b", noDB},
		{"mysql://app:hunter2@db", noDB},
		{"mysql://app:hunter2@db/", noDB},
		{"app:hunter2/apmapp", "the DSN names no user" + forms},
		{"db:3306/apmapp", "the DSN names no user" + forms},
		{"mysql://app:hunter2%zz@db/apmapp", encode},
		{"mysql://%zz:hunter2@db/apmapp", encode},
		{"mysql://app:hunter2@%zz/apmapp", encode},
		{"app:hunter2@tcp(db)/hunter2%zz", "the database name in the DSN is not percent-encoded: write % as %25"},
		{"mysql://app:hunter2@db/apmapp#hunter2", after},
		{"app:hunter2@tcp(db)/apmapp?timeout=1s#hunter2", after},
		{"mysql://app:hunter2@db/apmapp?connectionAttributes=/a@b/c", twoWays},
		{"app:hunter2@tcp(a)/b?x=@tcp(c)/d", twoWays},
		{"mysql://app:hunter2@ss/w?r=d@db/apmapp", twoWays},
		{"postgres://app:hunter2@db/apmapp", "the DSN's scheme postgres is not supported" + forms},
		{"mysqlx://app:hunter2@db:33060/apmapp", "the DSN's scheme mysqlx is not supported" + forms},
		{"mysql+srv://app:hunter2@db/apmapp", "the DSN's scheme mysql+srv is not supported" + forms},
		{"jdbc:mysql:replication://app:hunter2@db/apmapp", "the DSN's scheme jdbc:mysql:replication is not supported" + forms},
		{"app:hunter2@sctp(db)/apmapp", "the DSN's network is not supported, want tcp(host:port) or unix(/path)"},
		{"app:hunter2@tcp(::1:3306)/apmapp", ipv6},
		{"mysql://app:hunter2@::1:3306/apmapp", ipv6},
		{"app:hunter2@tcp(a:b:c)/apmapp", ipv6},
		{"app:hunter2@tcp([db]:3306)/apmapp", "the DSN's address has brackets without an IPv6 address, want [IPv6]:port"},
		{"app:hunter2@tcp([::1)/apmapp", "the DSN's address is not valid, want host:port or [IPv6]:port"},
		{"app:hunter2@tcp([::1]x)/apmapp", "the DSN's address is not valid, want host:port or [IPv6]:port"},
		{"mysql://app:hunter2@a:1,b:2/apmapp", host},
		{"app:hunter2@tcp(my db)/apmapp", host},
		{"app:hunter2@tcp(db:0)/apmapp", port},
		{"app:hunter2@tcp(db:65536)/apmapp", port},
		{"mysql://app:hunter2/apmapp", port},
		{"app:hunter2@tcp(db)/a?hunter2", pair},
		{"app:hunter2@tcp(db)/a?=hunter2", pair},
		{"app:hunter2@tcp(db)/a?hunter2;=1", pair},
		{"app:hunter2@tcp(db)/a?parsTime=hunter2", "DSN parameter parsTime is not supported: remove it"},
		{"app:hunter2@tcp(db)/a?strict=true", "DSN parameter strict is not supported: remove it"},
		{"app:hunter2@tcp(db)/a?serverPubKey=x", "DSN parameter serverPubKey is not supported: remove it"},
		{"app:hunter2@tcp(db)/a?max_connections=1&foo_bar=2&timeout=1s", "DSN parameters max_connections, foo_bar are not supported: remove them"},
		{"mysql://db/a?user=u&password=x&hunter2=y", "the DSN has a parameter that is not supported: remove it, or write & as %26 in the password"},
		{"mysql://app:hunter2@db/a?password=hunter2", "DSN parameter password is given twice: before the host, and as a parameter"},
		{"mysql://app:hunter2@db/a?user=app", "DSN parameter user is given twice: before the host, and as a parameter"},
		{"app:hunter2@tcp(db)/a?timeout=1s&time-out=2s", "DSN parameter time-out is given twice"},
		{"app:hunter2@tcp(db)/a?timeout=%zz", "DSN parameter timeout is not percent-encoded: write % as %25"},
		{"app:hunter2@tcp(db)/a?timeout=hunter2", "DSN parameter timeout must be a duration such as 2s"},
		{"app:hunter2@tcp(db)/a?readTimeout=10", "DSN parameter readTimeout must be a duration such as 2s"},
		{"app:hunter2@tcp(db)/a?writeTimeout=-1s", "DSN parameter writeTimeout must be a duration such as 2s"},
		{"app:hunter2@tcp(db)/a?parseTime=hunter2", "DSN parameter parseTime must be true or false"},
		{"app:hunter2@tcp(db)/a?compress=hunter2", "DSN parameter compress must be true or false"},
		{"app:hunter2@tcp(db)/a?allowAllFiles=true", "DSN parameter allowAllFiles must be false, or absent"},
		{"app:hunter2@tcp(db)/a?allowPublicKeyRetrieval=false", "DSN parameter allowPublicKeyRetrieval must be true, or absent"},
		{"app:hunter2@tcp(db)/a?maxAllowedPacket=16383", "DSN parameter maxAllowedPacket must be 0, for the server's limit, or at least 16384 bytes"},
		{"app:hunter2@tcp(db)/a?maxAllowedPacket=hunter2", "DSN parameter maxAllowedPacket must be 0, for the server's limit, or at least 16384 bytes"},
		{"app:hunter2@tcp(db)/a?socket=hunter2", "DSN parameter socket must be an absolute path"},
		{"app:hunter2@tcp(db)/a?wait_timeout=1,+hunter2%3D2", "DSN parameter wait_timeout must be a number, a word or a text in single quotes"},
		{"app:hunter2@tcp(db)/a?wait_timeout=", "DSN parameter wait_timeout must be a number, a word or a text in single quotes"},
	} {
		_, err := store.ParseDSN(tc.dsn)
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s\n got %v\nwant %s", tc.dsn, err, tc.want)
		}
	}
}

// No error shows a part of a password, wherever the password stands.
func TestParseDSNHidesPasswords(t *testing.T) {
	passwords := []string{
		"hunter2", "hunter2@x", "x@hunter2", "a/hunter2", "a?hunter2", "a?b=hunter2", "a#hunter2", "a&hunter2", "a&hunter2=b", "%zzhunter2", "hun%74er2",
		"a:hunter2", "a(hunter2", "a)hunter2", "a[hunter2]", "//hunter2", "://hunter2", "a/b?hunter2=c", "a@b/c?hunter2=d", "hunter2 ", "'hunter2'", "\x00hunter2",
	}
	for _, password := range passwords {
		for _, form := range []string{ // %s is the password
			"app:%s@tcp(db:3306)/apmapp", "app:%s@tcp(db:3306)", "app:%s@tcp(db/apmapp", "app:%s@nope(db)/apmapp", "app:%s@db:x/apmapp", "app:%s", "app:%s@", "%s",
			"app:%s@tcp(db)/apmapp?nope=1", "app:%s@tcp(db)/apmapp?timeout=x", "app:%s@tcp(::1:2)/a", "app:%s@tcp(db)/a#b",
			"mysql://app:%s@db/apmapp", "mysql://app:%s@db", "mysql://app:%s@db:x/apmapp", "mysql://app:%s@db/apmapp?nope=1", "mysql://app:%s", "mysql://app:%s@db/a#b",
			"mysql://db/apmapp?user=app&password=%s", "mysql://db/apmapp?nope=1&password=%s", "mysql://db:x/apmapp?password=%s", "mysql://app@db/a?password=%s#b",
			"jdbc:nope://app:%s@db/apmapp", "nope://app:%s@db/apmapp",
		} {
			if password == "a@b/c?hunter2=d" && strings.HasSuffix(form, "%s") {
				continue // a whole DSN: a host, a database and a parameter
			}
			dsn := strings.ReplaceAll(form, "%s", password)
			cfg, err := store.ParseDSN(dsn)
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "hun%74er2")) {
				t.Errorf("%s: %v", dsn, err)
			}
			if err != nil {
				continue
			}
			for _, attr := range store.Attrs(cfg) {
				if strings.Contains(attr.String(), "hunter2") {
					t.Errorf("%s: the log shows %s", dsn, attr)
				}
			}
		}
	}
}

func TestAttrs(t *testing.T) {
	for _, tc := range []struct{ params, tls string }{
		{"", "DISABLED"},
		{"?ssl-mode=PREFERRED", "PREFERRED"},
		{"?ssl-mode=REQUIRED", "REQUIRED"},
		{"?ssl-mode=VERIFY_CA", "VERIFY_CA"},
		{"?ssl-mode=VERIFY_IDENTITY", "VERIFY_IDENTITY"},
	} {
		cfg, err := store.ParseDSN("app:hunter2@tcp(db:3306)/apmapp" + tc.params)
		if err != nil {
			t.Fatal(err)
		}
		want := "[mysql.addr=db:3306 mysql.db=apmapp mysql.user=app mysql.tls=" + tc.tls + "]"
		if got := fmt.Sprint(store.Attrs(cfg)); got != want {
			t.Errorf("%s: got %s, want %s", tc.params, got, want)
		}
	}
}

func TestReadDSNFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dsn")
	if _, err := store.ReadDSNFile(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: %v", err)
	}
	for _, dsn := range []string{"app:hunter2@tcp(db)/apmapp", "mysql://db/a?password=hunter2"} {
		if _, err := store.ReadDSNFile(dsn); err == nil || err.Error() != "want the path of a file, got what looks like a DSN" {
			t.Errorf("a DSN instead of a path: %v", err)
		}
	}
	for _, tc := range []struct{ content, want, err string }{
		{"a@tcp(b)/c\n", "a@tcp(b)/c", ""},
		{" \n", "", path + " is empty"},
	} {
		if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := store.ReadDSNFile(path)
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && err.Error() != tc.err {
			t.Errorf("%q: got %q, %v", tc.content, got, err)
		}
	}
}

// FuzzParseDSN checks that no DSN crashes the parser, and that an accepted one
// has an address and a database.
func FuzzParseDSN(f *testing.F) {
	for _, dsn := range []string{
		"app:secret@tcp(db:3306)/apmapp?tls=true", "mysql://app:secret@db/apmapp", "mysql://@/x", "@/", "unix(/x)/y", "mysql://a:%", "a:b@tcp([::1]:1)/c?x=%zz",
		`mysql://a@b/c?ssl={"rejectUnauthorized":true}`, "jdbc:mysql://a/b?user=c&password=d",
	} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		cfg, err := store.ParseDSN(dsn)
		if err != nil {
			return
		}
		if cfg.Addr == "" || cfg.DBName == "" || cfg.Net != "tcp" && cfg.Net != "unix" {
			t.Errorf("%q became %+v", dsn, cfg)
		}
	})
}
