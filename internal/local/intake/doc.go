// Package intake replaces the Datadog Agent on one machine, for one person: it
// receives traces, logs, profiles and DogStatsD metrics for a store, and sends nothing
// anywhere, unless a Forwarder is among its taps.
//
// Traces go through the Agent's own code, in internal/traceagent. The decoders of
// the rest are small and are in internal/local/wire.
package intake
