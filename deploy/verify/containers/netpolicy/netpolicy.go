// Package netpolicy evaluates Kubernetes NetworkPolicies without a cluster: it
// reports whether they allow one pod to connect to another.
//
// It follows https://kubernetes.io/docs/concepts/services-networking/network-policies/
// and the defaults of the networking.k8s.io/v1 API.
package netpolicy

import (
	"errors"
	"fmt"
	"slices"

	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Pod is one end of a connection. Its namespace has a single label, the one that
// Kubernetes gives to every namespace: kubernetes.io/metadata.name.
type Pod struct {
	Namespace string
	Labels    map[string]string
	// Ports are the ports of its containers. Policies may refer to them by name.
	Ports []core.ContainerPort
}

// Connection is a connection from one pod to a port of another.
type Connection struct {
	From, To Pod
	Port     int32
	Protocol core.Protocol // TCP if empty
}

// Allowed reports whether both ends allow the connection: the policies for egress of
// c.From and those for ingress of c.To. It returns an error if a policy for one of the
// pods has an invalid selector or an ipBlock: pods have no fixed address, so it is
// unknown whether an ipBlock includes them.
func Allowed(policies []*networking.NetworkPolicy, c Connection) (bool, error) {
	egress, err := c.allowedAt(networking.PolicyTypeEgress, policies)
	if err != nil {
		return false, err
	}
	ingress, err := c.allowedAt(networking.PolicyTypeIngress, policies)
	return egress && ingress, err
}

// allowedAt evaluates one end. A pod that no policy selects for this direction allows
// everything; otherwise a rule of at least one of these policies must match.
func (c Connection) allowedAt(direction networking.PolicyType, policies []*networking.NetworkPolicy) (bool, error) {
	pod, peer := c.From, c.To
	if direction == networking.PolicyTypeIngress {
		pod, peer = c.To, c.From
	}
	selected, allowed := false, false
	for _, policy := range policies {
		if policy.Namespace != pod.Namespace || !slices.Contains(policyTypes(policy.Spec), direction) {
			continue
		}
		applies, err := matches(&policy.Spec.PodSelector, pod.Labels)
		if err != nil {
			return false, fmt.Errorf("policy %s/%s: %w", policy.Namespace, policy.Name, err)
		}
		if !applies {
			continue
		}
		selected = true
		for _, rule := range rules(policy.Spec, direction) {
			matched, err := rule.matchesPeer(policy.Namespace, peer)
			if err != nil {
				return false, fmt.Errorf("policy %s/%s: %w", policy.Namespace, policy.Name, err)
			}
			allowed = allowed || matched && rule.matchesPort(c)
		}
	}
	return allowed || !selected, nil
}

// policyTypes returns the directions that a policy restricts. If it names none,
// Kubernetes takes Ingress, and Egress too if there are egress rules.
func policyTypes(spec networking.NetworkPolicySpec) []networking.PolicyType {
	switch {
	case len(spec.PolicyTypes) > 0:
		return spec.PolicyTypes
	case len(spec.Egress) > 0:
		return []networking.PolicyType{networking.PolicyTypeIngress, networking.PolicyTypeEgress}
	default:
		return []networking.PolicyType{networking.PolicyTypeIngress}
	}
}

// rule is an ingress or an egress rule. Its peers are the sources or the
// destinations; its ports are always those of the destination.
type rule struct {
	peers []networking.NetworkPolicyPeer
	ports []networking.NetworkPolicyPort
}

func rules(spec networking.NetworkPolicySpec, direction networking.PolicyType) (rules []rule) {
	if direction == networking.PolicyTypeEgress {
		for _, r := range spec.Egress {
			rules = append(rules, rule{r.To, r.Ports})
		}
		return rules
	}
	for _, r := range spec.Ingress {
		rules = append(rules, rule{r.From, r.Ports})
	}
	return rules
}

// matchesPeer reports whether the rule includes a pod. A rule without peers includes
// every pod.
func (r rule) matchesPeer(namespace string, pod Pod) (bool, error) {
	matched := len(r.peers) == 0
	for _, peer := range r.peers {
		included, err := includes(peer, namespace, pod)
		if err != nil {
			return false, err
		}
		matched = matched || included
	}
	return matched, nil
}

// includes reports whether a peer of a policy in namespace means a pod.
func includes(peer networking.NetworkPolicyPeer, namespace string, pod Pod) (bool, error) {
	if peer.IPBlock != nil {
		return false, errors.New("ipBlock is not supported: pods have no fixed address, use a podSelector")
	}
	inNamespace := pod.Namespace == namespace
	if peer.NamespaceSelector != nil {
		var err error
		inNamespace, err = matches(peer.NamespaceSelector, map[string]string{core.LabelMetadataName: pod.Namespace})
		if err != nil {
			return false, err
		}
	}
	if peer.PodSelector == nil {
		return inNamespace, nil
	}
	selected, err := matches(peer.PodSelector, pod.Labels)
	return inNamespace && selected, err
}

// matchesPort reports whether the rule includes the connection's port. A rule
// without ports includes every port.
func (r rule) matchesPort(c Connection) bool {
	return len(r.ports) == 0 || slices.ContainsFunc(r.ports, func(p networking.NetworkPolicyPort) bool {
		protocol := core.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		switch {
		case protocol != orTCP(c.Protocol):
			return false
		case p.Port == nil:
			return true
		case p.Port.Type == intstr.String:
			return slices.ContainsFunc(c.To.Ports, func(named core.ContainerPort) bool {
				return named.Name == p.Port.StrVal && orTCP(named.Protocol) == protocol && named.ContainerPort == c.Port
			})
		case p.EndPort != nil:
			return p.Port.IntVal <= c.Port && c.Port <= *p.EndPort
		default:
			return p.Port.IntVal == c.Port
		}
	})
}

// orTCP returns the protocol, or TCP if it is empty: the API's default.
func orTCP(protocol core.Protocol) core.Protocol {
	if protocol == "" {
		return core.ProtocolTCP
	}
	return protocol
}

// matches reports whether a selector selects a set of labels.
func matches(selector *meta.LabelSelector, set map[string]string) (bool, error) {
	s, err := meta.LabelSelectorAsSelector(selector)
	if err != nil {
		return false, err
	}
	return s.Matches(labels.Set(set)), nil
}
