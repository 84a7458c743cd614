package containers

import (
	"fmt"

	core "k8s.io/api/core/v1"

	"apmapp/deploy/verify/containers/netpolicy"
)

// flow is a connection between two pods that network policies must allow or deny.
type flow struct {
	from, to string
	port     int32
	protocol core.Protocol
	want     bool
}

// flows returns what an overlay's policies must allow, and examples of what they
// must deny.
func flows(overlay string) []flow {
	flows := []flow{
		{"anyone", "apmapp", 5050, "TCP", true},
		{"loadgen", "apmapp", 5050, "TCP", true},
		{"apmapp", "dns", 53, "UDP", true},
		{"loadgen", "dns", 53, "UDP", true},
		{"loadgen", "anyone", 443, "TCP", false},
		{"apmapp", "anyone", 443, "TCP", false},
		{"anyone", "apmapp", 8126, "TCP", false},
	}
	if overlay == "tidb" {
		flows = append(flows,
			flow{"apmapp", "tidb", 4000, "TCP", true},
			flow{"apmapp", "tikv", 20160, "TCP", false})
	} else {
		flows = append(flows,
			flow{"apmapp", "mysql", 3306, "TCP", true},
			flow{"loadgen", "mysql", 3306, "TCP", false},
			flow{"anyone", "mysql", 3306, "TCP", false},
			flow{"mysql", "anyone", 443, "TCP", false},
			flow{"agent", "mysql", 3306, "TCP", overlay == "datadog"})
	}
	if overlay != "datadog" {
		flows = append(flows,
			flow{"apmapp", "localagent", 8126, "TCP", true},
			flow{"apmapp", "localagent", 8125, "UDP", true},
			flow{"apmapp", "localagent", 4318, "TCP", true},
			flow{"loadgen", "localagent", 4318, "TCP", false},
			flow{"anyone", "localagent", 8127, "TCP", false},
			flow{"loadgen", "localagent", 8125, "UDP", true},
			flow{"loadgen", "localagent", 8126, "TCP", false})
	}
	return flows
}

// checkFlows compares the network policies with flows.
func (c *cluster) checkFlows(overlay string) (problems []string) {
	pods := map[string]netpolicy.Pod{
		"anyone": {Namespace: "elsewhere"},
		"agent":  {Namespace: "datadog", Labels: map[string]string{"agent.datadoghq.com/component": "agent"}},
		"dns":    {Namespace: "kube-system", Labels: map[string]string{"k8s-app": "kube-dns"}},
		"tidb":   {Namespace: "tidb", Labels: map[string]string{"app.kubernetes.io/instance": "apmapp", "app.kubernetes.io/component": "tidb"}},
		"tikv":   {Namespace: "tidb", Labels: map[string]string{"app.kubernetes.io/instance": "apmapp", "app.kubernetes.io/component": "tikv"}},
	}
	for _, w := range c.workloads {
		pod := netpolicy.Pod{Namespace: w.namespace, Labels: w.template.Labels}
		for _, container := range w.template.Spec.Containers {
			pod.Ports = append(pod.Ports, container.Ports...)
		}
		pods[w.name] = pod
	}
	for _, f := range flows(overlay) {
		from, okFrom := pods[f.from]
		to, okTo := pods[f.to]
		if !okFrom || !okTo {
			problems = append(problems, fmt.Sprintf("network policies: no pods %s or %s in the overlay", f.from, f.to))
			continue
		}
		got, err := netpolicy.Allowed(c.policies, netpolicy.Connection{From: from, To: to, Port: f.port, Protocol: f.protocol})
		if err != nil {
			problems = append(problems, fmt.Sprintf("network policies: %v", err))
		} else if got != f.want {
			problems = append(problems, fmt.Sprintf("network policies: from %s to %s, port %d: allowed is %t, want %t", f.from, f.to, f.port, got, f.want))
		}
	}
	return problems
}
