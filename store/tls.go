package store

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// tlsMode is how a connection uses TLS, with the names and meanings of MySQL's
// --ssl-mode.
// https://dev.mysql.com/doc/refman/8.4/en/connection-options.html#option_general_ssl-mode
type tlsMode int

const (
	tlsUnset          tlsMode = iota
	tlsDisabled               // no TLS
	tlsPreferred              // TLS if the server supports it
	tlsRequired               // TLS with any certificate
	tlsVerifyCA               // a certificate of a known authority
	tlsVerifyIdentity         // … that names the host
)

func (m tlsMode) String() string {
	return [...]string{"DISABLED", "DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"}[m]
}

// tlsModeOf returns the mode of a configuration.
func tlsModeOf(cfg *mysql.Config) tlsMode {
	switch {
	case cfg.TLS == nil:
		return tlsDisabled
	case cfg.AllowFallbackToPlaintext:
		return tlsPreferred
	case !cfg.TLS.InsecureSkipVerify:
		return tlsVerifyIdentity
	case cfg.TLS.VerifyConnection != nil:
		return tlsVerifyCA
	default:
		return tlsRequired
	}
}

// tlsDraft holds the parameters of a DSN that are about TLS.
type tlsDraft struct {
	mode          tlsMode // the strictest
	ca, cert, key string
}

var errContradiction = errors.New("contradicts another parameter about TLS")

// add adds a mode. The strictest mode wins, but nothing turns off what another
// parameter demands.
func (t *tlsDraft) add(mode tlsMode) error {
	if mode != tlsUnset && t.mode != tlsUnset && (mode == tlsDisabled) != (t.mode == tlsDisabled) {
		return errContradiction
	}
	t.mode = max(t.mode, mode)
	return nil
}

// tlsByMode are the values of ssl-mode, and of the same setting of MariaDB's,
// PostgreSQL's and other drivers, in lower case without - and _.
var tlsByMode = map[string]tlsMode{
	"disabled": tlsDisabled, "disable": tlsDisabled,
	"preferred": tlsPreferred, "prefer": tlsPreferred, "allow": tlsPreferred,
	"required": tlsRequired, "require": tlsRequired, "trust": tlsRequired, "skipverify": tlsRequired,
	"verifyca":       tlsVerifyCA,
	"verifyidentity": tlsVerifyIdentity, "verifyfull": tlsVerifyIdentity,
}

// tlsByAccept are the values of Prisma's sslaccept.
var tlsByAccept = map[string]tlsMode{"strict": tlsVerifyIdentity, "acceptinvalidcerts": tlsRequired}

// tlsSetter sets the mode that a value names, or whenTrue or no TLS for true and
// false. If whenTrue is tlsUnset, true and false are not valid.
func tlsSetter(modes map[string]tlsMode, whenTrue tlsMode) func(*draft, string) error {
	return func(d *draft, value string) error {
		mode, ok := modes[strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(value))]
		if on, err := boolean(value); err == nil && whenTrue != tlsUnset {
			mode, ok = tlsDisabled, true
			if on {
				mode = whenTrue
			}
		}
		if !ok {
			return errors.New("has an unknown value, want DISABLED, PREFERRED, REQUIRED, VERIFY_CA or VERIFY_IDENTITY with ssl-mode")
		}
		return d.tls.add(mode)
	}
}

// tlsFlag sets one of two modes.
func tlsFlag(on, off tlsMode) func(*draft, string) error {
	return func(d *draft, value string) error {
		is, err := boolean(value)
		if err != nil {
			return err
		}
		if is {
			return d.tls.add(on)
		}
		return d.tls.add(off)
	}
}

func caFile(d *draft, path string) error { d.tls.ca = path; return nonEmpty(path) }

func certFile(d *draft, path string) error { d.tls.cert = path; return nonEmpty(path) }

func keyFile(d *draft, path string) error { d.tls.key = path; return nonEmpty(path) }

func nonEmpty(path string) error {
	if path == "" {
		return errors.New("must name a file")
	}
	return nil
}

// setTLS sets the TLS configuration.
func (d *draft) setTLS() error {
	t := &d.tls
	files := t.ca != "" || t.cert != "" || t.key != ""
	if files && (t.mode == tlsDisabled || t.mode == tlsPreferred) {
		return errors.New("the DSN names files for TLS, but its mode may use no TLS: want ssl-mode=VERIFY_CA or VERIFY_IDENTITY")
	}
	if t.ca != "" {
		t.mode = max(t.mode, tlsVerifyCA)
	} else if files {
		t.mode = max(t.mode, tlsRequired)
	}
	if t.mode <= tlsDisabled {
		return nil
	}
	d.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if err := t.load(d.TLS); err != nil {
		return err
	}
	if d.Net == "tcp" {
		d.TLS.ServerName, _, _ = net.SplitHostPort(d.Addr)
	} else if t.mode == tlsVerifyIdentity {
		return errors.New("the DSN's unix socket has no host name to verify: want ssl-mode=VERIFY_CA")
	}
	switch t.mode {
	case tlsPreferred:
		d.TLS.InsecureSkipVerify = true
		d.AllowFallbackToPlaintext = true
	case tlsRequired:
		d.TLS.InsecureSkipVerify = true
	case tlsVerifyCA:
		roots := d.TLS.RootCAs
		d.TLS.InsecureSkipVerify = true // VerifyConnection verifies all but the name
		d.TLS.VerifyConnection = func(state tls.ConnectionState) error { return verifyCA(state, roots) }
	}
	return nil
}

// load reads the files.
func (t *tlsDraft) load(cfg *tls.Config) error {
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return withoutPath("read the DSN's ssl-ca", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(pem) {
			return errors.New("the DSN's ssl-ca has no certificate in PEM")
		}
	}
	if (t.cert == "") != (t.key == "") {
		return errors.New("the DSN's ssl-cert and ssl-key need each other")
	}
	if t.cert != "" {
		pair, err := tls.LoadX509KeyPair(t.cert, t.key)
		if err != nil {
			return withoutPath("read the DSN's ssl-cert and ssl-key", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// withoutPath returns the error of reading a file without the file's path: it is
// text of the DSN.
func withoutPath(op string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return errors.New(op + ": " + err.Error())
}

// verifyCA verifies the server's certificate, except its name.
func verifyCA(state tls.ConnectionState, roots *x509.CertPool) error {
	opts := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		opts.Intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(opts)
	return err
}
