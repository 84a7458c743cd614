package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"

	"apmapp/loadgen/openloop"
)

// NetHTTP returns a sender for any target that uses Go's own client: HTTP/1.1,
// HTTP/2 and TLS, through the proxy of the environment.
func NetHTTP(o Options) (openloop.Sender, error) {
	o, err := o.checked()
	if err != nil {
		return nil, err
	}
	return openloop.Workers(newNetHTTP(o), o.MaxInFlight, nil), nil
}

type netHTTP struct {
	o      Options
	client *http.Client
}

func newNetHTTP(o Options) *netHTTP {
	var transport http.RoundTripper = &http.Transport{
		Proxy:               o.proxy,
		DialContext:         o.dial,
		TLSClientConfig:     o.TLS,
		ForceAttemptHTTP2:   true,
		DisableKeepAlives:   o.NoKeepAlive,
		MaxIdleConnsPerHost: o.MaxInFlight,
		// Bytes are counted as sent over the network.
		DisableCompression: true,
	}
	if o.Wrap != nil {
		transport = o.Wrap(transport)
	}
	return &netHTTP{o: o, client: &http.Client{
		Transport: transport,
		Timeout:   o.Timeout,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > o.Redirects || r.URL.Scheme != "http" && r.URL.Scheme != "https" {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}}
}

// TLSConfig returns the configuration of a client. A certificate needs its key; both
// may be in one file. The authorities of ca are trusted instead of the system's.
// All files are PEM. insecure accepts any certificate.
func TLSConfig(cert, key, ca string, insecure bool) (*tls.Config, error) {
	c := &tls.Config{InsecureSkipVerify: insecure}
	if cert == "" && key != "" {
		return nil, errors.New("a key needs a certificate")
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, cmp.Or(key, cert))
		if err != nil {
			return nil, fmt.Errorf("certificate %s: %w", cert, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, fmt.Errorf("authorities: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authorities: %s has no certificate in PEM form", ca)
		}
	}
	return c, nil
}

// dial connects to the address of the options instead of that of the target. Redirects
// may lead to other hosts.
func (o Options) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := Options{Target: o.Target}.hostPort()
	if err == nil && o.Address != "" && strings.EqualFold(address, net.JoinHostPort(host, strconv.Itoa(port))) {
		address = o.Address
	}
	if path, ok := strings.CutPrefix(address, SocketPrefix); ok {
		network, address = "unix", path
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}

// ownTrace is the key of a request's own trace in its context: a *string.
type ownTrace struct{}

// SetTraceID sets the trace that the exchange of a request has, instead of the one
// that the answer reports. A transport of Options.Wrap calls it with the request's
// context before the request ends.
func SetTraceID(ctx context.Context, id string) {
	if own, ok := ctx.Value(ownTrace{}).(*string); ok {
		*own = id
	}
}

// Do implements openloop.Client.
func (c *netHTTP) Do(ctx context.Context, path string) openloop.Exchange {
	var own string
	x := c.do(context.WithValue(ctx, ownTrace{}, &own), path)
	x.TraceID = cmp.Or(own, x.TraceID)
	return x
}

func (c *netHTTP) do(ctx context.Context, path string) openloop.Exchange {
	req, err := c.o.request(ctx, path)
	if err != nil {
		return failed(err)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return failed(err)
	}
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	x := openloop.Exchange{}
	if err != nil {
		x = failed(err)
	}
	x.Status, x.Bytes, x.TraceID = resp.StatusCode, n, traceID(resp.Header.Get("Traceresponse"))
	return x
}
