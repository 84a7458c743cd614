// Package localagent stands where the Datadog Agent does, on one machine and for
// one person: it takes traces, logs, profiles and DogStatsD metrics, keeps the
// latest of them in memory, and sends nothing anywhere.
//
// Traces go through the Agent's own code, in internal/traceagent. The rest is
// small enough to be here.
package localagent
