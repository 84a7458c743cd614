package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestConnectionFlags(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var hosts, peers, paths map[string]bool
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		hosts[r.Host], peers[r.RemoteAddr], paths[r.URL.Path] = true, true, true
		mu.Unlock()
		if r.URL.Path == "/old" {
			http.Redirect(w, r, "/new", http.StatusFound)
		}
	})
	plain := httptest.NewServer(handler)
	defer plain.Close()
	private := httptest.NewUnstartedServer(handler)
	private.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	private.Config.ErrorLog = silentLog
	private.StartTLS()
	defer private.Close()
	dir := t.TempDir()
	ca, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "key.pem")
	der, err := x509.MarshalPKCS8PrivateKey(private.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, ca, "CERTIFICATE", private.Certificate().Raw)
	writePEM(t, key, "PRIVATE KEY", der)
	both := filepath.Join(dir, "both.pem")
	writePEM(t, both, "CERTIFICATE", private.Certificate().Raw)
	writePEM(t, both, "PRIVATE KEY", der)
	listener, err := net.Listen("unix", filepath.Join(dir, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	socket := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	socket.Start()
	defer socket.Close()
	port := func(s *httptest.Server) string {
		u, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		return u.Port()
	}
	httpPort, httpsPort := port(plain), port(private)
	const ok = "200 (5)"
	for _, test := range []struct {
		args, want string // in the report
		check      func() bool
	}{
		{"-url http://127.0.0.1:HTTP -max-in-flight 1", "200 (", func() bool { return len(peers) == 1 }},
		{"-url http://127.0.0.1:HTTP -keepalive=false", ok, func() bool { return len(peers) == 5 }},
		{"-url http://127.0.0.1:HTTP -paths /old", "302 (5)", func() bool { return len(paths) == 1 }},
		{"-url http://127.0.0.1:HTTP -paths /old -redirects 1", ok, func() bool { return len(paths) == 2 }},
		{"-url http://shop.invalid:HTTP -resolve shop.invalid:HTTP:127.0.0.1", ok, func() bool { return hosts["shop.invalid:"+httpPort] }},
		{"-url http://shop.invalid:HTTP -resolve *:HTTP:127.0.0.1", ok, nil},
		{"-url http://shop.invalid -unix-socket DIR/socket", ok, func() bool { return hosts["shop.invalid"] }},
		{"-url https://127.0.0.1:TLS", "5 tls", nil},
		{"-url https://127.0.0.1:TLS -insecure", "5 tls", nil}, // without a client certificate
		{"-url https://127.0.0.1:TLS -cert DIR/ca.pem -key DIR/key.pem", "5 tls", nil},
		{"-url https://127.0.0.1:TLS -insecure -cert DIR/ca.pem -key DIR/key.pem", ok, nil},
		{"-url https://127.0.0.1:TLS -cacert DIR/ca.pem -cert DIR/both.pem", ok, nil},
		{"-url https://example.com:TLS -resolve EXAMPLE.com:TLS:127.0.0.1 -cacert DIR/ca.pem -cert DIR/both.pem", ok, func() bool { return hosts["example.com:"+httpsPort] }},
	} {
		mu.Lock()
		hosts, peers, paths = map[string]bool{}, map[string]bool{}, map[string]bool{}
		mu.Unlock()
		args := strings.NewReplacer("HTTP", httpPort, "TLS", httpsPort, "DIR", dir).Replace(test.args)
		_, stdout, stderr := execute(t.Context(), append([]string{"-rps", "100", "-duration", "50ms"}, strings.Fields(args)...)...)
		if !strings.Contains(stdout, test.want) {
			t.Errorf("%s: no %q in\n%s%s", args, test.want, stdout, stderr)
		}
		mu.Lock()
		if test.check != nil && !test.check() {
			t.Errorf("%s: hosts %v, connections %v, paths %v", args, hosts, peers, paths)
		}
		mu.Unlock()
	}
	for args, want := range map[string]string{
		"-resolve shop:80":                               `-resolve: "shop:80" is not of the form host:port:address`,
		"-resolve shop:80:":                              `-resolve: "shop:80:" is not of the form host:port:address`,
		"-url http://a -resolve b:80:1.2.3.4":            `-resolve: "b:80:1.2.3.4" is for b:80, but the target is a:80`,
		"-url https://a -resolve a:80:1.2.3.4":           `-resolve: "a:80:1.2.3.4" is for a:80, but the target is a:443`,
		"-url http://a -resolve a:80:[::1] -unix-socket": "-unix-socket needs a value",
		"-url http://a -resolve a:80:::1 -unix-socket x": "-resolve and -unix-socket name two addresses: give one",
		"-unix-socket " + strings.Repeat("long", 50):     "-unix-socket: path of a socket must have 1 to 107 bytes",
		"-redirects -1":                                  "-redirects: redirects must be at least 0, got -1",
		"-key " + key:                                    "-key: needs -cert",
		"-cert " + ca:                                    "-cert: certificate " + ca,
		"-cert /nonexistent":                             "-cert: certificate /nonexistent: open /nonexistent: no such file",
		"-cacert /nonexistent":                           "-cacert: authorities: open /nonexistent: no such file",
		"-cacert " + key:                                 "-cacert: authorities: " + key + " has no certificate in PEM form",
		"-keepalive=maybe":                               `-keepalive: "maybe" is neither true nor false`,
	} {
		if status, _, stderr := execute(t.Context(), strings.Fields(args)...); status != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, want 2 and %q: %s", args, status, want, stderr)
		}
	}
	for s, want := range map[string]string{"a:80:[::1]": "[::1]:80", "a:80:::1": "[::1]:80", "A:80:b": "b:80"} {
		if got, err := resolve(s, &url.URL{Scheme: "http", Host: "a"}); got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", s, got, err, want)
		}
	}
}

// silentLog receives what servers log of handshakes that fail as intended.
var silentLog = log.New(io.Discard, "", 0)

// writePEM appends a block to a file.
func writePEM(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := pem.Encode(f, &pem.Block{Type: kind, Bytes: der}); err != nil {
		t.Fatal(err)
	}
}
