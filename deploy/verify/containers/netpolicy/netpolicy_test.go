package netpolicy_test

import (
	"fmt"
	"slices"
	"testing"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"

	"apmapp/deploy/verify/containers/netpolicy"
)

// The pods of the tests. All policies are in the namespace shop, except where a test
// says otherwise.
var (
	web = netpolicy.Pod{Namespace: "shop", Labels: map[string]string{"app": "web", "tier": "front"}}
	db  = netpolicy.Pod{Namespace: "shop", Labels: map[string]string{"app": "db"}, Ports: []core.ContainerPort{
		{Name: "sql", ContainerPort: 5432},
		{Name: "stats", ContainerPort: 8125, Protocol: core.ProtocolUDP},
	}}
	// The same labels as web, in another namespace.
	stranger = netpolicy.Pod{Namespace: "elsewhere", Labels: web.Labels}
)

// policy decodes the spec of a policy in the namespace shop.
func policy(t *testing.T, spec string) *networking.NetworkPolicy {
	t.Helper()
	p := &networking.NetworkPolicy{}
	p.Name, p.Namespace = "test", "shop"
	if err := yaml.UnmarshalStrict([]byte(spec), &p.Spec); err != nil {
		t.Fatalf("%v in\n%s", err, spec)
	}
	return p
}

func policies(t *testing.T, specs []string) (all []*networking.NetworkPolicy) {
	t.Helper()
	for _, spec := range specs {
		all = append(all, policy(t, spec))
	}
	return all
}

// Policies that several tests use.
const (
	denyIngress = "{podSelector: {}, policyTypes: [Ingress]}"
	denyEgress  = "{podSelector: {}, policyTypes: [Egress]}"
	webToAny    = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{}]}"
	anyToDB     = "{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [{}]}"
)

// ingress is the spec of a policy for db with one ingress rule.
func ingress(rule string) []string {
	return []string{"{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [" + rule + "]}"}
}

// egress is the spec of a policy for web with one egress rule.
func egress(rule string) []string {
	return []string{"{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [" + rule + "]}"}
}

func TestWhichPoliciesApply(t *testing.T) {
	for _, tc := range []struct {
		name     string
		policies []string
		want     bool
	}{
		{"without policies everything is allowed", nil, true},
		{"a policy without rules denies ingress", []string{denyIngress}, false},
		{"a policy without rules denies egress", []string{denyEgress}, false},
		{"a policy for other pods does not apply", []string{"{podSelector: {matchLabels: {app: mail}}, policyTypes: [Ingress, Egress]}"}, true},
		{"a policy for ingress does not restrict the pod that connects", []string{"{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}"}, true},
		{"a policy for egress does not restrict the pod that is called", []string{"{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress]}"}, true},
		{"an empty rule allows all ingress", []string{anyToDB}, true},
		{"an empty rule allows all egress", []string{webToAny}, true},
		{"rules add up", []string{denyIngress, anyToDB}, true},
		{"the order of policies does not matter", []string{anyToDB, denyIngress}, true},
		{"the other end must allow it too: ingress", []string{webToAny, denyIngress}, false},
		{"the other end must allow it too: egress", []string{anyToDB, denyEgress}, false},
		{"both ends allow it", []string{denyIngress, denyEgress, webToAny, anyToDB}, true},
		{"without policyTypes a policy restricts ingress", []string{"{podSelector: {matchLabels: {app: db}}}"}, false},
		{"without policyTypes and egress rules, it leaves egress open", []string{"{podSelector: {matchLabels: {app: web}}}"}, true},
		{"without policyTypes, egress rules restrict egress", []string{"{podSelector: {matchLabels: {app: web}}, egress: [{ports: [{port: 1}]}]}"}, false},
		{"without policyTypes, egress rules do not open ingress", []string{"{podSelector: {matchLabels: {app: db}}, egress: [{}]}"}, false},
		{"rules of a direction that policyTypes does not name are ignored", []string{"{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], ingress: [{ports: [{port: 1}]}]}"}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want(t, tc.want, policies(t, tc.policies), netpolicy.Connection{From: web, To: db, Port: 5432})
		})
	}
}

func TestPolicyOfAnotherNamespaceDoesNotApply(t *testing.T) {
	p := policy(t, "{podSelector: {}, policyTypes: [Ingress, Egress]}")
	p.Namespace = "elsewhere"
	want(t, true, []*networking.NetworkPolicy{p}, netpolicy.Connection{From: web, To: db, Port: 5432})
	want(t, false, []*networking.NetworkPolicy{p}, netpolicy.Connection{From: stranger, To: db, Port: 5432})
}

func TestPeers(t *testing.T) {
	for _, tc := range []struct {
		name, peers string
		// web is in the namespace of the policy, stranger in another.
		web, stranger bool
	}{
		{"no peers mean all pods of all namespaces", "[]", true, true},
		{"a podSelector means pods of the policy's namespace", "[{podSelector: {matchLabels: {app: web}}}]", true, false},
		{"an empty podSelector means all pods of the policy's namespace", "[{podSelector: {}}]", true, false},
		{"a podSelector with other labels means other pods", "[{podSelector: {matchLabels: {app: mail}}}]", false, false},
		{"an empty namespaceSelector means all namespaces", "[{namespaceSelector: {}}]", true, true},
		{"a namespaceSelector means all pods of that namespace", "[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: elsewhere}}}]", false, true},
		{"both selectors in one peer must match", "[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: elsewhere}}, podSelector: {matchLabels: {app: mail}}}]", false, false},
		{"both selectors in one peer match", "[{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: elsewhere}}, podSelector: {matchLabels: {app: web}}}]", false, true},
		{"one of two peers must match", "[{podSelector: {matchLabels: {app: web}}}, {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: elsewhere}}}]", true, true},
		{"all labels of a selector must match", "[{podSelector: {matchLabels: {app: web, tier: back}}}]", false, false},
		{"a selector may have expressions", "[{podSelector: {matchExpressions: [{key: app, operator: In, values: [web, mail]}]}}]", true, false},
	} {
		t.Run("from: "+tc.name, func(t *testing.T) {
			p := policies(t, ingress("{from: "+tc.peers+"}"))
			want(t, tc.web, p, netpolicy.Connection{From: web, To: db, Port: 5432})
			want(t, tc.stranger, p, netpolicy.Connection{From: stranger, To: db, Port: 5432})
		})
		// The same peers as destinations: the labels of web and stranger, now called.
		t.Run("to: "+tc.name, func(t *testing.T) {
			p := policies(t, []string{"{podSelector: {matchLabels: {app: db}}, policyTypes: [Egress], egress: [{to: " + tc.peers + "}]}"})
			want(t, tc.web, p, netpolicy.Connection{From: db, To: web, Port: 80})
			want(t, tc.stranger, p, netpolicy.Connection{From: db, To: stranger, Port: 80})
		})
	}
}

func TestPorts(t *testing.T) {
	for _, tc := range []struct {
		name, ports string
		port        int32
		protocol    core.Protocol
		want        bool
	}{
		{"no ports mean all ports", "[]", 9, "", true},
		{"the port", "[{port: 5432}]", 5432, "", true},
		{"another port", "[{port: 5432}]", 5433, "", false},
		{"one of two ports", "[{port: 1}, {port: 5432}]", 5432, "", true},
		{"a connection is TCP if it does not say otherwise", "[{port: 5432, protocol: TCP}]", 5432, "", true},
		{"a rule is for TCP if it does not say otherwise", "[{port: 5432}]", 5432, "TCP", true},
		{"a rule for TCP does not allow UDP", "[{port: 5432}]", 5432, "UDP", false},
		{"a rule for UDP does not allow TCP", "[{port: 5432, protocol: UDP}]", 5432, "TCP", false},
		{"a rule for UDP allows UDP", "[{port: 5432, protocol: UDP}]", 5432, "UDP", true},
		{"a protocol alone means all its ports", "[{protocol: UDP}]", 9, "UDP", true},
		{"a protocol alone does not mean another's ports", "[{protocol: UDP}]", 9, "TCP", false},
		{"below a range", "[{port: 100, endPort: 200}]", 99, "", false},
		{"first of a range", "[{port: 100, endPort: 200}]", 100, "", true},
		{"last of a range", "[{port: 100, endPort: 200}]", 200, "", true},
		{"above a range", "[{port: 100, endPort: 200}]", 201, "", false},
		{"a named port of the pod that is called", "[{port: sql}]", 5432, "", true},
		{"a named port is one number", "[{port: sql}]", 5433, "", false},
		{"a name that the pod does not have", "[{port: http}]", 5432, "", false},
		{"a named port of another protocol", "[{port: sql, protocol: UDP}]", 5432, "UDP", false},
		{"a named UDP port", "[{port: stats, protocol: UDP}]", 8125, "UDP", true},
		{"a named UDP port is not a TCP port", "[{port: stats}]", 8125, "", false},
	} {
		c := netpolicy.Connection{From: web, To: db, Port: tc.port, Protocol: tc.protocol}
		t.Run("ingress: "+tc.name, func(t *testing.T) {
			want(t, tc.want, policies(t, ingress("{ports: "+tc.ports+"}")), c)
		})
		t.Run("egress: "+tc.name, func(t *testing.T) {
			want(t, tc.want, policies(t, egress("{ports: "+tc.ports+"}")), c)
		})
	}
}

func TestPeerAndPortMustMatchInOneRule(t *testing.T) {
	p := policies(t, []string{"{podSelector: {matchLabels: {app: db}}, policyTypes: [Ingress], ingress: [" +
		"{from: [{podSelector: {matchLabels: {app: web}}}], ports: [{port: 1}]}," +
		"{from: [{podSelector: {matchLabels: {app: mail}}}], ports: [{port: 5432}]}]}"})
	want(t, false, p, netpolicy.Connection{From: web, To: db, Port: 5432})
	want(t, true, p, netpolicy.Connection{From: web, To: db, Port: 1})
}

func TestErrors(t *testing.T) {
	const (
		invalid     = "{matchExpressions: [{key: app, operator: Is, values: [web]}]}"
		badSelector = `policy shop/test: "Is" is not a valid label selector operator`
		badBlock    = "policy shop/test: ipBlock is not supported: pods have no fixed address, use a podSelector"
	)
	for _, tc := range []struct {
		name, want string
		policies   []string
	}{
		{"ipBlock of ingress", badBlock, ingress("{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}")},
		{"ipBlock of egress", badBlock, egress("{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}")},
		{"invalid selector of sources", badSelector, ingress("{from: [{podSelector: " + invalid + "}]}")},
		{"invalid selector of namespaces", badSelector, ingress("{from: [{namespaceSelector: " + invalid + "}]}")},
		{"invalid selector of destinations", badSelector, egress("{to: [{podSelector: " + invalid + "}]}")},
		{"invalid selector of a policy for egress", badSelector, []string{"{podSelector: " + invalid + ", policyTypes: [Egress]}"}},
		{"invalid selector of a policy for ingress", badSelector, []string{"{podSelector: " + invalid + ", policyTypes: [Ingress]}"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			all := policies(t, tc.policies)
			// Rules that allow the connection do not hide the error.
			open := policies(t, []string{webToAny, anyToDB})
			for _, p := range [][]*networking.NetworkPolicy{slices.Concat(all, open), slices.Concat(open, all)} {
				got, err := netpolicy.Allowed(p, netpolicy.Connection{From: web, To: db, Port: 5432})
				if got || err == nil || err.Error() != tc.want {
					t.Errorf("allowed is %t, error %v, want the error %q", got, err, tc.want)
				}
			}
		})
	}
}

func want(t *testing.T, want bool, policies []*networking.NetworkPolicy, c netpolicy.Connection) {
	t.Helper()
	got, err := netpolicy.Allowed(policies, c)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("from %s to %s, port %d %s: allowed is %t, want %t", name(c.From), name(c.To), c.Port, c.Protocol, got, want)
	}
}

func name(p netpolicy.Pod) string { return fmt.Sprintf("%s/%s", p.Namespace, p.Labels["app"]) }
