//go:build unix

package main

import (
	"syscall"
	"testing"

	"apmapp/internal/testing/poll"
	"apmapp/loadgen/metrics"
)

// The last packets are sent before the program ends, also when it is interrupted.
func TestStatsdOfAnInterruptedRun(t *testing.T) {
	t.Parallel()
	url, requests := serve(t, 0)
	d := listenDogStatsD(t)
	p := startProcess(t, nil, "-url", url, "-rps", "500", "-paths", "/", "-statsd", d.addr)
	poll.True(t, "20 requests", func() bool { return requests.Load() >= 20 })
	p.signal(syscall.SIGINT)
	p.exits(0)
	n := float64(requests.Load())
	d.want(t, map[string]float64{metrics.Requests + " / 2xx": n, metrics.ResponseTime + " / 2xx": n, metrics.Errors: 0})
}
