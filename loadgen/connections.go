package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"apmapp/loadgen/client"
)

// readConnections reads the flags of how to connect.
func (r *raw) readConnections(o *options) (err error) {
	if o.client.MaxInFlight < 1 {
		return fmt.Errorf("-max-in-flight: must be at least 1, got %d", o.client.MaxInFlight)
	}
	if o.client.Timeout <= 0 {
		return fmt.Errorf("-timeout: must be greater than 0s, got %s", o.client.Timeout)
	}
	o.client.NoKeepAlive = !r.keepalive
	if r.key != "" && r.cert == "" {
		return errors.New("-key: needs -cert")
	}
	if _, err := client.TLSConfig(r.cert, r.key, "", false); err != nil {
		return ofFlag("cert", err)
	}
	if o.client.TLS, err = client.TLSConfig(r.cert, r.key, r.cacert, r.insecure); err != nil {
		return ofFlag("cacert", err)
	}
	switch {
	case r.resolve != "" && r.unixSocket != "":
		return errors.New("-resolve and -unix-socket name two addresses: give one")
	case r.resolve != "":
		o.client.Address, err = resolve(r.resolve, o.client.Target)
	case r.unixSocket != "":
		o.client.Address = client.SocketPrefix + r.unixSocket
	}
	return ofFlag("resolve", err)
}

// addressFlag returns the flag that set an address.
func addressFlag(address string) string {
	if strings.HasPrefix(address, client.SocketPrefix) {
		return "unix-socket"
	}
	return "resolve"
}

// resolve reads host:port:address and returns the address with the port. The host
// must be that of the target: another one would have no effect.
func resolve(s string, target *url.URL) (string, error) {
	host, rest, _ := strings.Cut(s, ":")
	port, address, ok := strings.Cut(rest, ":")
	address = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	if !ok || host == "" || port == "" || address == "" {
		return "", fmt.Errorf("%q is not of the form host:port:address", s)
	}
	if dns, err := httpguts.PunycodeHostPort(host); err == nil {
		host = dns
	}
	if host != "*" && !strings.EqualFold(host, target.Hostname()) || port != client.Port(target) {
		return "", fmt.Errorf("%q is for %s:%s, but the target is %s", s, host, port, net.JoinHostPort(target.Hostname(), client.Port(target)))
	}
	return net.JoinHostPort(address, port), nil
}
