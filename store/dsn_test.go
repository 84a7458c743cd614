package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"apmapp/store"
)

func TestParseDSN(t *testing.T) {
	for _, tc := range []struct{ dsn, user, password, network, addr, db string }{
		{"app:secret@tcp(db:3307)/apmapp", "app", "secret", "tcp", "db:3307", "apmapp"},
		{"app@tcp(db)/apmapp", "app", "", "tcp", "db:3306", "apmapp"},
		{"app:p@ss:w/rd@tcp(db:3306)/apmapp", "app", "p@ss:w/rd", "tcp", "db:3306", "apmapp"},
		{"app:secret@unix(/run/mysqld/mysqld.sock)/apmapp", "app", "secret", "unix", "/run/mysqld/mysqld.sock", "apmapp"},
		{"mysql://app:secret@db:3307/apmapp", "app", "secret", "tcp", "db:3307", "apmapp"},
		{"mysql://app:p%40ss%3A%2F@db/apmapp", "app", "p@ss:/", "tcp", "db:3306", "apmapp"},
		{"mysql://app:p@ss@db/apmapp", "app", "p@ss", "tcp", "db:3306", "apmapp"},
		{"mysql://app@[::1]:3306/apmapp?tls=skip-verify", "app", "", "tcp", "[::1]:3306", "apmapp"},
		{"mysql:///apmapp", "", "", "tcp", "127.0.0.1:3306", "apmapp"},
	} {
		cfg, err := store.ParseDSN(tc.dsn)
		if err != nil {
			t.Errorf("%s: %v", tc.dsn, err)
			continue
		}
		if cfg.User != tc.user || cfg.Passwd != tc.password || cfg.Net != tc.network || cfg.Addr != tc.addr || cfg.DBName != tc.db {
			t.Errorf("%s: got %s %s %s %s %s", tc.dsn, cfg.User, cfg.Passwd, cfg.Net, cfg.Addr, cfg.DBName)
		}
		if !cfg.InterpolateParams || !cfg.ParseTime || cfg.Loc.String() != "UTC" || cfg.Timeout == 0 || cfg.ReadTimeout == 0 || cfg.WriteTimeout == 0 {
			t.Errorf("%s lacks what the store needs: %s", tc.dsn, cfg.FormatDSN())
		}
	}
}

func TestParseDSNKeepsWhatItSays(t *testing.T) {
	cfg, err := store.ParseDSN("app@tcp(db)/apmapp?timeout=7s&readTimeout=8s&writeTimeout=9s&interpolateParams=false&parseTime=false")
	if err != nil {
		t.Fatal(err)
	}
	if got := [3]string{cfg.Timeout.String(), cfg.ReadTimeout.String(), cfg.WriteTimeout.String()}; got != [3]string{"7s", "8s", "9s"} {
		t.Errorf("timeouts %v", got)
	}
	if !cfg.InterpolateParams || !cfg.ParseTime {
		t.Error("what the store cannot do without was turned off")
	}
}

func TestParseDSNRefuses(t *testing.T) {
	const secret = "hunter2"
	for dsn, want := range map[string]string{
		"":                                                              "DSN",
		"app:" + secret + "@tcp(db:3306)":                               "DSN",
		"app:" + secret + "@tcp(db:3306)/":                              "names no database",
		"mysql://app:" + secret + "@db":                                 "names no database",
		"mysql://app:" + secret + "@db/":                                "names no database",
		"mysql://app:" + secret + "%zz@db/apmapp":                       "percent-encoded",
		"app:" + secret + "@tcp(db)/a?tls=nowhere-" + secret:            "DSN",
		"app:" + secret + "@tcp(db)/a?timeout=" + secret:                "DSN",
		"app:" + secret + "@sctp(db)/apmapp":                            "sctp",
		"postgres://app:" + secret + "@db/apmapp":                       "DSN",
		"app:" + secret + "@tcp(db)/apmapp?interpolateParams=" + secret: "DSN",
	} {
		_, err := store.ParseDSN(dsn)
		if err == nil {
			t.Errorf("%s is taken", dsn)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q in it", dsn, err, want)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the password: %v", dsn, err)
		}
	}
}

func TestMasked(t *testing.T) {
	cfg, err := store.ParseDSN("app:hunter2@tcp(db:3306)/apmapp")
	if err != nil {
		t.Fatal(err)
	}
	if got := store.Masked(cfg); !strings.HasPrefix(got, "app:***@tcp(db:3306)/apmapp") {
		t.Error(got)
	}
	if cfg.Passwd != "hunter2" {
		t.Error("masking changed the configuration")
	}
}

func TestReadDSNFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dsn")
	if _, err := store.ReadDSNFile(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is missing: %v", err)
	}
	for content, want := range map[string]string{"a@tcp(b)/c\n": "a@tcp(b)/c", " \n": ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := store.ReadDSNFile(path)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", content, got, err)
		}
	}
}

// FuzzParseDSN holds that no DSN crashes the parser, and that what it takes can
// be written down and read again.
func FuzzParseDSN(f *testing.F) {
	for _, dsn := range []string{
		"app:secret@tcp(db:3306)/apmapp?tls=true", "mysql://app:secret@db/apmapp", "mysql://@/x", "@/", "unix(/x)/y", "mysql://a:%", "a:b@tcp([::1]:1)/c?x=%zz",
	} {
		f.Add(dsn)
	}
	f.Fuzz(func(t *testing.T, dsn string) {
		cfg, err := store.ParseDSN(dsn)
		if err != nil {
			return
		}
		again, err := store.ParseDSN(cfg.FormatDSN())
		if err != nil {
			t.Skip("not all values survive the driver's own formatting")
		}
		if again.DBName != cfg.DBName {
			t.Errorf("database %q became %q", cfg.DBName, again.DBName)
		}
	})
}
