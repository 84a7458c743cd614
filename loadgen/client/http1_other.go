//go:build !linux

package client

import "apmapp/loadgen/openloop"

// HTTP1 returns a sender for a target without TLS. Outside Linux that is Go's own
// client.
func HTTP1(o Options) (openloop.Sender, error) { return NetHTTP(o) }
