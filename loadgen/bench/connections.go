package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"apmapp/loadgen/report"
)

// Connections that a generator has to open, to read more than once or to give up.
var (
	behaviors = []behavior{
		plain,
		{name: "keep-alive off", answer: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n", close: true},
		{name: "HTTP/1.0", answer: "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nok\n", close: true},
		{name: "10 ms of work", work: 10 * time.Millisecond, answer: plain.answer},
		{name: "200 KB answers", answer: "HTTP/1.1 200 OK\r\nContent-Length: 204800\r\n\r\n" + strings.Repeat("x", 200<<10)},
		closedPort,
	}
	closedPort = behavior{name: "closed port"}

	connectionRates = []float64{100, 520, 1000, 5000}
	cpuLimits       = []int{1, 2}
)

// serviceLimit is the share of the service time of the peer that is allowed.
const (
	serviceLimit = 1.2
	servicePeer  = "vegeta"
)

// service returns the name of a figure: a percentile of the service times.
func service(b behavior, rps float64, cpus int, percentile string) string {
	return fmt.Sprintf("%s, %s/s, %d CPU, %s", b.name, number(rps), cpus, percentile)
}

// connections measures the service times that loadgen and its peer report.
func (b *bench) connections(ctx context.Context) error {
	for _, behavior := range behaviors {
		server, err := listen(behavior)
		if err != nil {
			return err
		}
		defer server.listener.Close()
		if behavior.name == closedPort.name {
			server.listener.Close()
		}
		for _, rps := range connectionRates {
			for _, cpus := range cpuLimits {
				for _, t := range b.tools {
					if t.name != "loadgen" && t.name != servicePeer {
						continue
					}
					server.take()
					o, err := t.runWith(ctx, cpus, server.url(), rps, min(b.each, 2*time.Second)) // there are 96
					// Both report that nothing answers at a closed port.
					if err != nil && behavior.name != closedPort.name {
						return err
					}
					l, err := b.serviceTimes(t, o.stdout)
					if err != nil {
						return fmt.Errorf("%s at %s: %w", t.name, behavior.name, err)
					}
					b.add(service(behavior, rps, cpus, "p50"), t.name, micros(l.P50))
					b.add(service(behavior, rps, cpus, "p99"), t.name, micros(l.P99))
				}
			}
		}
	}
	return nil
}

func (b *bench) serviceTimes(t tool, stdout []byte) (latencies, error) {
	if t.name == servicePeer {
		return b.vegetaLatencies(stdout)
	}
	r, err := report.ReadJSON(bytes.NewReader(stdout))
	if err != nil {
		return latencies{}, err
	}
	h := r.Total.Service
	return latencies{P50: h.Quantile(0.50), P99: h.Quantile(0.99)}, nil
}

// printConnections writes the medians as a table: loadgen / peer.
func (b *bench) printConnections(w io.Writer) {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(out, "service time, loadgen / ", servicePeer, "\t")
	for _, cpus := range cpuLimits {
		for _, p := range []string{"p50", "p99"} {
			fmt.Fprintf(out, "%d CPU, %s\t", cpus, p)
		}
	}
	fmt.Fprintln(out)
	for _, behavior := range behaviors {
		for _, rps := range connectionRates {
			fmt.Fprintf(out, "%s, %s/s\t", behavior.name, number(rps))
			for _, cpus := range cpuLimits {
				for _, p := range []string{"p50", "p99"} {
					own, _ := b.median(service(behavior, rps, cpus, p), "loadgen")
					peer, _ := b.median(service(behavior, rps, cpus, p), servicePeer)
					fmt.Fprintf(out, "%.0f / %.0f µs\t", own, peer)
				}
			}
			fmt.Fprintln(out)
		}
	}
	out.Flush()
	fmt.Fprintln(w)
}
