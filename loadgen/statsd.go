package main

import (
	"slices"
	"time"

	"apmapp/internal/build"
	"apmapp/loadgen/metrics"
	"apmapp/loadgen/openloop"
)

// startMetrics returns a function that sends metrics of each request, and one that
// sends the last of them. Without -statsd, observe is nil. Metrics never stop a run:
// warn receives a line if they get lost.
func startMetrics(o options, warn func(format string, args ...any)) (observe func(r openloop.Request, sent, end time.Time, x openloop.Exchange, failed bool), stop func()) {
	if o.statsd == "" {
		return nil, func() {}
	}
	lost := func(err error) {
		warn("loadgen: warning: -statsd: metrics are lost: %v; start an Agent there, for example with: go run ./cmd/localagent\n", err)
	}
	paths := slices.Clone(o.paths)
	for i, p := range paths {
		// Those of a targets file have names, such as "POST /cart (2)".
		if r, ok := o.client.Requests[p.Path]; ok {
			paths[i].Path = r.Path
		}
	}
	m, err := metrics.Dial(metrics.Config{Address: o.statsd, Paths: paths, Version: build.Version(), Warn: lost})
	if err != nil {
		lost(err)
		return nil, func() {}
	}
	return m.Observe, m.Close
}
