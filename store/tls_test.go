package store_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"apmapp/internal/testing/mysqltest"
	"apmapp/store"
)

// TestTLSModes lists the ways to ask for TLS. Clients of all languages have their
// own names for it.
func TestTLSModes(t *testing.T) {
	ca := newAuthority(t, "authority")
	ca.issue(t, "client", nil)
	for _, tc := range []struct{ params, mode string }{
		{"ssl-mode=DISABLED", "DISABLED"},
		{"ssl-mode=PREFERRED", "PREFERRED"},
		{"ssl-mode=REQUIRED", "REQUIRED"},
		{"ssl-mode=VERIFY_CA", "VERIFY_CA"},
		{"ssl-mode=VERIFY_IDENTITY", "VERIFY_IDENTITY"},
		{"sslmode=required", "REQUIRED"},
		{"ssl_mode=verify-full", "VERIFY_IDENTITY"},
		{"sslMode=trust", "REQUIRED"},
		{"sslmode=disable", "DISABLED"},
		{"sslmode=prefer", "PREFERRED"},
		{"sslmode=require", "REQUIRED"},
		{"sslmode=verify-ca", "VERIFY_CA"},
		// go-sql-driver's.
		{"tls=true", "VERIFY_IDENTITY"},
		{"tls=1", "VERIFY_IDENTITY"},
		{"tls=skip-verify", "REQUIRED"},
		{"tls=preferred", "PREFERRED"},
		{"tls=false", "DISABLED"},
		{"tls=0", "DISABLED"},
		// Connector/J's.
		{"useSSL=true", "REQUIRED"},
		{"useSSL=false", "DISABLED"},
		{"useSSL=true&requireSSL=true&verifyServerCertificate=false", "REQUIRED"},
		{"useSSL=true&requireSSL=false", "REQUIRED"},
		{"useSSL=true&verifyServerCertificate=true", "VERIFY_CA"},
		{"requireSSL=true", "REQUIRED"},
		{"sslMode=VERIFY_CA&useSSL=true", "VERIFY_CA"},
		{"useSsl=true&trustServerCertificate=true", "REQUIRED"},
		// Node's, Prisma's and Python's.
		{`ssl={"rejectUnauthorized":true}`, "VERIFY_IDENTITY"},
		{`ssl=%7B%22rejectUnauthorized%22:false%7D`, "REQUIRED"},
		{"ssl={}", "VERIFY_IDENTITY"},
		{"ssl=true", "REQUIRED"},
		{"ssl=false", "DISABLED"},
		{"ssl=1", "REQUIRED"},
		{"sslaccept=strict", "VERIFY_IDENTITY"},
		{"sslaccept=accept_invalid_certs", "REQUIRED"},
		{"ssl_disabled=True", "DISABLED"},
		{"ssl_disabled=False", "DISABLED"}, // as if it were absent
		{"ssl_verify_cert=true", "VERIFY_CA"},
		{"ssl_verify_identity=true", "VERIFY_IDENTITY"},
		{"ssl_check_hostname=true", "VERIFY_IDENTITY"},
		// Files.
		{"ssl-ca=" + ca.file("ca"), "VERIFY_CA"},
		{"ssl-mode=REQUIRED&ssl-ca=" + ca.file("ca"), "VERIFY_CA"},
		{"ssl-mode=VERIFY_IDENTITY&ssl_ca=" + ca.file("ca"), "VERIFY_IDENTITY"},
		{"tls-ca=" + ca.file("ca"), "VERIFY_CA"},
		{"sslrootcert=" + ca.file("ca"), "VERIFY_CA"},
		{"serverSslCert=" + ca.file("ca"), "VERIFY_CA"},
		{"sslcert=" + ca.file("client") + "&sslkey=" + ca.file("client.key"), "REQUIRED"},
	} {
		for _, dsn := range []string{"app@tcp(db)/apmapp?", "mysql://app@db/apmapp?"} {
			cfg, err := store.ParseDSN(dsn + tc.params)
			if err != nil {
				t.Errorf("%s: %v", tc.params, err)
			} else if got := store.Attrs(cfg)[3].Value.String(); got != tc.mode {
				t.Errorf("%s: mode %s, want %s", tc.params, got, tc.mode)
			}
		}
	}
}

func TestTLSErrors(t *testing.T) {
	ca := newAuthority(t, "authority")
	ca.issue(t, "client", nil)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const (
		modes         = "has an unknown value, want DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY with ssl-mode"
		contradiction = "contradicts another parameter about TLS"
		noTLS         = "the DSN names files for TLS, but its mode may use no TLS: want ssl-mode=VERIFY_CA or VERIFY_IDENTITY"
		pair          = "the DSN's ssl-cert and ssl-key need each other"
	)
	for _, tc := range []struct{ params, want string }{
		{"ssl-mode=hunter2", "DSN parameter ssl-mode " + modes},
		{"ssl-mode=", "DSN parameter ssl-mode " + modes},
		{"ssl-mode=true", "DSN parameter ssl-mode " + modes},
		{"tls=hunter2", "DSN parameter tls " + modes},
		{"ssl=Amazon%20RDS", "DSN parameter ssl " + modes},
		{"sslaccept=maybe", "DSN parameter sslaccept " + modes},
		{`ssl={"ca":"hunter2"}`, `DSN parameter ssl supports no other JSON than {"rejectUnauthorized":true}, or false`},
		{`ssl={}{}`, `DSN parameter ssl supports no other JSON than {"rejectUnauthorized":true}, or false`},
		{"useSSL=maybe", "DSN parameter useSSL must be true or false"},
		{"useSSL=false&requireSSL=true", "DSN parameter requireSSL " + contradiction},
		{`ssl-mode=DISABLED&ssl={"rejectUnauthorized":false}`, "DSN parameter ssl " + contradiction},
		{"ssl-mode=DISABLED&ssl={}", "DSN parameter ssl " + contradiction},
		{"ssl-mode=DISABLED&tls=true", "DSN parameter tls " + contradiction},
		{"tls=true&ssl-mode=DISABLED", "DSN parameter ssl-mode " + contradiction},
		{"ssl-mode=DISABLED&ssl-ca=" + ca.file("ca"), noTLS},
		{"ssl-mode=PREFERRED&ssl-ca=" + ca.file("ca"), noTLS},
		{"ssl-ca=", "DSN parameter ssl-ca must name a file"},
		{"ssl-ca=/hunter2", "read the DSN's ssl-ca: no such file or directory"},
		{"ssl-ca=" + empty, "the DSN's ssl-ca has no certificate in PEM"},
		{"ssl-cert=" + ca.file("client"), pair},
		{"ssl-key=" + ca.file("client.key"), pair},
		{"ssl-cert=/hunter2&ssl-key=/hunter2", "read the DSN's ssl-cert and ssl-key: no such file or directory"},
		{"ssl-capath=/etc/ssl", "DSN parameter ssl-capath is not supported: remove it"},
		{"socket=/s&ssl-mode=VERIFY_IDENTITY", "the DSN's unix socket has no host name to verify: want ssl-mode=VERIFY_CA"},
	} {
		if _, err := store.ParseDSN("app@tcp(db)/apmapp?" + tc.params); err == nil || err.Error() != tc.want {
			t.Errorf("%s\n got %v\nwant %s", tc.params, err, tc.want)
		}
	}
}

// TestTLS connects to a real server whose certificate a private authority signed.
func TestTLS(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t, "authority"), newAuthority(t, "other")
	valid := &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	ca.issue(t, "server", valid)
	ca.issue(t, "client", nil)
	server := mysqltest.Start(t, "--ssl-ca="+ca.file("ca"), "--ssl-cert="+ca.file("server"), "--ssl-key="+ca.file("server.key"))
	dsn := server.Database(t)
	byName := strings.Replace(dsn, "127.0.0.1", "localhost", 1)
	server.Exec(t, "CREATE USER certified@'%' REQUIRE X509")
	server.Exec(t, "GRANT ALL ON *.* TO certified@'%'")

	const unknown = "MySQL's TLS certificate is signed by an unknown authority: give the authority's certificate as ssl-ca in the DSN"
	check := func(name, dsn, params, reason string, encrypted bool) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			s := open(t, dsn+"&"+params)
			if reason != "" {
				awaitReason(t, s, reason)
				return
			}
			awaitReady(t, s)
			var variable, cipher string
			if err := s.db.QueryRow("SHOW SESSION STATUS LIKE 'Ssl_cipher'").Scan(&variable, &cipher); err != nil || (cipher != "") != encrypted {
				t.Errorf("cipher %q, %v; want one: %v", cipher, err, encrypted)
			}
		})
	}
	check("plain", dsn, "", "", false)
	check("preferred", dsn, "ssl-mode=PREFERRED", "", true)
	check("required", dsn, "ssl-mode=REQUIRED", "", true)
	check("a known authority", dsn, "ssl-mode=VERIFY_CA&ssl-ca="+ca.file("ca"), "", true)
	check("a known authority and name", dsn, "ssl-mode=VERIFY_IDENTITY&ssl-ca="+ca.file("ca"), "", true)
	check("another name", byName, "ssl-mode=VERIFY_IDENTITY&ssl-ca="+ca.file("ca"), "MySQL's TLS certificate is for another host name: use the name in the DSN, or ssl-mode=VERIFY_CA", true)
	check("another name, not verified", byName, "ssl-mode=VERIFY_CA&ssl-ca="+ca.file("ca"), "", true)
	check("another authority", dsn, "ssl-mode=VERIFY_CA&ssl-ca="+other.file("ca"), unknown, true)
	check("another authority and name", dsn, "ssl-mode=VERIFY_IDENTITY&ssl-ca="+other.file("ca"), unknown, true)
	check("no authority", dsn, "ssl-mode=VERIFY_CA", unknown, true)
	certified := mysqltest.WithUser(t, dsn, "certified", "")
	check("a certificate for the client", certified, "ssl-cert="+ca.file("client")+"&ssl-key="+ca.file("client.key"), "", true)
	check("no certificate for the client", certified, "ssl-mode=REQUIRED", "MySQL refuses the user or password", true)

	admin := open(t, dsn+"&ssl-mode=REQUIRED")
	set := func(statement string) {
		t.Helper()
		if _, err := admin.db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	set("SET GLOBAL require_secure_transport = 1")
	refused := "MySQL accepts only connections with TLS: add ssl-mode=VERIFY_IDENTITY, or another mode, to the DSN"
	if server.IsMariaDB() {
		refused = "MySQL refuses the user or password, or demands TLS: see ssl-mode"
	}
	check("plain is refused", dsn, "", refused, false)
	set("SET GLOBAL require_secure_transport = 0")

	if !server.IsMariaDB() {
		return // MySQL does not load a certificate that has expired
	}
	expired := *valid
	expired.NotAfter = time.Now().Add(-time.Hour)
	ca.issue(t, "server", &expired)
	set("FLUSH SSL")
	check("expired", dsn, "ssl-mode=VERIFY_CA&ssl-ca="+ca.file("ca"), "MySQL's TLS certificate has expired or is not valid yet", true)
	check("expired, not verified", dsn, "ssl-mode=REQUIRED", "", true)
}

// A server without TLS, which MariaDB is by default.
func testNoTLS(t *testing.T, server *mysqltest.Server) {
	if !server.IsMariaDB() {
		t.Skip("MySQL makes itself a certificate")
	}
	dsn := server.Database(t)
	s := open(t, dsn+"&ssl-mode=REQUIRED")
	awaitReason(t, s, "MySQL does not support TLS, which the DSN demands")
	s.awaitLine(t, "level=WARN", `msg="MySQL does not support TLS, which the DSN demands"`)
	s = open(t, dsn+"&ssl-mode=PREFERRED")
	awaitReady(t, s)
	s.awaitLine(t, "MySQL is ready", "mysql.tls=PREFERRED")
}

// authority signs certificates and keeps them in files.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	a.cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	a.key = a.write(t, "ca", a.cert, nil)
	return a
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// issue writes a certificate and its key. The template has what differs from a
// certificate that is valid today.
func (a *authority) issue(t *testing.T, name string, template *x509.Certificate) {
	t.Helper()
	cert := x509.Certificate{}
	if template != nil {
		cert = *template
	}
	cert.Subject, cert.SerialNumber, cert.NotBefore = pkix.Name{CommonName: name}, big.NewInt(2), a.cert.NotBefore
	if cert.NotAfter.IsZero() {
		cert.NotAfter = a.cert.NotAfter
	}
	a.write(t, name, &cert, a.key)
}

// write signs a certificate with a key, or with its own.
func (a *authority) write(t *testing.T, name string, cert *x509.Certificate, signer *ecdsa.PrivateKey) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if signer == nil {
		signer = key
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, a.cert, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	var certPEM, keyPEM bytes.Buffer
	if err := errors.Join(
		pem.Encode(&certPEM, &pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.Encode(&keyPEM, &pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		os.WriteFile(a.file(name), certPEM.Bytes(), 0o600),
		os.WriteFile(a.file(name+".key"), keyPEM.Bytes(), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return key
}
