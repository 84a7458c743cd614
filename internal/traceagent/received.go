package traceagent

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"apmapp/internal/local/received"
)

// Received returns what each tracer has sent, from the counters of the Agent's code.
func (a *Agent) Received() []received.Tracer {
	type key struct{ language, version, protocol string }
	all := map[key]*received.Tracer{}
	services := map[key]map[string]bool{}
	stats := a.core.Receiver.Stats
	stats.RLock()
	defer stats.RUnlock()
	for tags, counted := range stats.Stats {
		k := key{tags.Lang, tags.TracerVersion, tags.EndpointVersion}
		t := all[k]
		if t == nil {
			t = &received.Tracer{Language: k.language, Version: k.version, Protocol: k.protocol, Refused: map[string]int64{}, Repaired: map[string]int64{}}
			all[k], services[k] = t, map[string]bool{}
		}
		if tags.Service != "" {
			services[k][tags.Service] = true
		}
		t.Payloads += counted.PayloadAccepted.Load()
		t.Traces += counted.TracesReceived.Load()
		t.Spans += counted.SpansReceived.Load()
		t.Bytes += counted.TracesBytes.Load()
		t.SampledOut += counted.ClientDroppedP0Traces.Load()
		for priority, n := range counted.TracesPerSamplingPriority.TagValues() {
			if p, err := strconv.Atoi(priority); err == nil && p <= 0 {
				t.SampledOut += n
			}
		}
		addCounts(t.Refused, counted.TracesDropped.String())
		addCounts(t.Repaired, counted.SpansMalformed.String())
		for reason, n := range map[string]int64{
			"payload_while_busy": counted.PayloadRefused.Load(),
			"payload_timeout":    counted.PayloadTimeout.Load(),
		} {
			if n > 0 {
				t.Refused[reason] += n
			}
		}
	}
	list := []received.Tracer{}
	for k, t := range all {
		if t.Payloads == 0 && len(t.Refused) == 0 { // statistics only
			continue
		}
		t.Services = slices.Sorted(maps.Keys(services[k]))
		list = append(list, *t)
	}
	return list
}

// addCounts adds counts in the form of the Agent's code: "reason:1, other:2".
func addCounts(to map[string]int64, counts string) {
	for one := range strings.SplitSeq(counts, ", ") {
		reason, text, found := strings.Cut(one, ":")
		if n, err := strconv.ParseInt(text, 10, 64); found && err == nil {
			to[reason] += n
		}
	}
}
