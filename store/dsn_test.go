package store_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

func TestParseDSNForcesRequiredSettings(t *testing.T) {
	cfg, err := store.ParseDSN("app@tcp(db)/apmapp?interpolateParams=false&parseTime=false&loc=Local")
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.InterpolateParams || !cfg.ParseTime || cfg.Loc != time.UTC {
		t.Errorf("the DSN turned off a setting that the store needs: %s", cfg.FormatDSN())
	}
}

func TestParseDSNErrors(t *testing.T) {
	const (
		secret = "hunter2"
		forms  = "invalid DSN, want user:pass@tcp(host:port)/db or mysql://user:pass@host:port/db: "
		hidden = forms + "the details contain credentials and are hidden"
	)
	for _, tc := range []struct{ dsn, want string }{
		{"", "DSN has no database name: end it with /name"},
		{"nowhere", forms + "invalid DSN: missing the slash separating the database name"},
		{"app:" + secret + "@tcp(db:3306)", forms + "invalid DSN: missing the slash separating the database name"},
		{"app:" + secret + "@tcp(db:3306)/", "DSN has no database name: end it with /name"},
		{"mysql://app:" + secret + "@db", "mysql:// URL has no database name: end it with /name"},
		{"mysql://app:" + secret + "@db/", "mysql:// URL has no database name: end it with /name"},
		{"mysql://app:" + secret + "%zz@db/apmapp", "the user or password in the mysql:// URL is not percent-encoded: write % as %25"},
		{"mysql://%zz:" + secret + "@db/apmapp", "the user or password in the mysql:// URL is not percent-encoded: write % as %25"},
		{"app:" + secret + "@tcp(db)/a?tls=nowhere-" + secret, hidden},
		{"app:" + secret + "@tcp(db)/a?timeout=" + secret, hidden},
		{"app:" + secret + "@tcp(db)/apmapp?interpolateParams=" + secret, hidden},
		{"app:" + secret + "@sctp(db)/apmapp", `DSN network "sctp" is not supported: use tcp(host:port) or unix(/path)`},
		{"postgres://app:" + secret + "@db/apmapp", forms + "default addr for network 'db' unknown"},
	} {
		_, err := store.ParseDSN(tc.dsn)
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s\n got %v\nwant %s", tc.dsn, err, tc.want)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the password: %v", tc.dsn, err)
		}
	}
}

func TestMasked(t *testing.T) {
	for _, tc := range []struct{ dsn, want string }{
		{"app:hunter2@tcp(db:3306)/apmapp", "app:***@tcp(db:3306)/apmapp"},
		{"app@tcp(db:3306)/apmapp", "app@tcp(db:3306)/apmapp"},
	} {
		cfg, err := store.ParseDSN(tc.dsn)
		if err != nil {
			t.Fatal(err)
		}
		password := cfg.Passwd
		if got := store.Masked(cfg); !strings.HasPrefix(got, tc.want) {
			t.Errorf("got %s, want %s…", got, tc.want)
		}
		if cfg.Passwd != password {
			t.Error("Masked changed its argument")
		}
	}
}

func TestReadDSNFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dsn")
	if _, err := store.ReadDSNFile(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("missing file: %v", err)
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
// can be formatted and parsed again.
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
			t.Skip("the driver's own formatting does not preserve all values")
		}
		if again.DBName != cfg.DBName {
			t.Errorf("database %q became %q", cfg.DBName, again.DBName)
		}
	})
}
