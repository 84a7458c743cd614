package containers

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	podsecurity "k8s.io/pod-security-admission/api"
	securitypolicy "k8s.io/pod-security-admission/policy"
)

// reporter records a problem.
type reporter func(format string, args ...any)

// checkWorkload checks what all pods have in common.
func (c *cluster) checkWorkload(w workload) (problems []string) {
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s %s: %s", w.kind, w.name, fmt.Sprintf(format, args...)))
	}
	if c.namespaces[w.namespace] == nil {
		report("no namespace %s", w.namespace)
	}
	if w.selector != nil && !selects(w.selector, w.template.Labels) {
		report("its selector does not match its pods")
	}
	c.checkSecurity(w, report)
	c.checkMounts(w, report)
	for _, container := range w.template.Spec.Containers {
		checkContainer(w, container, report)
	}
	if w.job != nil {
		checkJob(w, report)
	}
	return problems
}

// checkSecurity evaluates a pod with the code of Kubernetes' admission controller.
func (c *cluster) checkSecurity(w workload, report reporter) {
	evaluator, err := securitypolicy.NewEvaluator(securitypolicy.DefaultChecks(), nil)
	if err != nil {
		report("%v", err)
		return
	}
	latest := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	pod := w.template
	enforced := ""
	if ns := c.namespaces[w.namespace]; ns != nil {
		enforced = ns.Labels[podsecurity.EnforceLevelLabel]
	}
	if enforced == "privileged" {
		// Only the path of the Agent's sockets needs this level. Without it, the pod
		// must pass "restricted".
		pod = *pod.DeepCopy()
		pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v core.Volume) bool {
			return v.HostPath != nil && v.HostPath.Path == "/var/run/datadog"
		})
	} else if enforced != "restricted" {
		report("the namespace %s enforces %q", w.namespace, enforced)
	}
	result := securitypolicy.AggregateCheckResults(evaluator.EvaluatePod(latest, &pod.ObjectMeta, &pod.Spec))
	if !result.Allowed {
		report("Pod Security: %s: %s", result.ForbiddenReason(), result.ForbiddenDetail())
	}
	for _, container := range pod.Spec.Containers {
		if s := container.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
			report("the container %s has a writable root", container.Name)
		}
	}
	if a := pod.Spec.AutomountServiceAccountToken; a == nil || *a {
		report("it gets a token of the cluster's API")
	}
}

// checkMounts checks that everything that is mounted exists: volumes, Secrets,
// ConfigMaps and their keys.
func (c *cluster) checkMounts(w workload, report reporter) {
	volumes := map[string]core.Volume{}
	for _, v := range w.template.Spec.Volumes {
		volumes[v.Name] = v
		if s := v.Secret; s != nil {
			if c.secrets[w.namespace+"/"+s.SecretName] == nil {
				report("no Secret %s", s.SecretName)
				continue
			}
			for _, item := range s.Items {
				if !c.hasKey(w.namespace, s.SecretName, item.Key) {
					report("the Secret %s has no %s", s.SecretName, item.Key)
				}
			}
		}
		if m := v.ConfigMap; m != nil && c.configMaps[w.namespace+"/"+m.Name] == nil {
			report("no ConfigMap %s", m.Name)
		}
	}
	for _, container := range w.template.Spec.Containers {
		for _, m := range container.VolumeMounts {
			v, ok := volumes[m.Name]
			if !ok {
				report("no volume %s", m.Name)
			}
			if v.ConfigMap != nil && m.SubPath != "" {
				if configMap := c.configMaps[w.namespace+"/"+v.ConfigMap.Name]; configMap != nil && configMap.Data[m.SubPath] == "" {
					report("the ConfigMap %s has no %s", v.ConfigMap.Name, m.SubPath)
				}
			}
		}
		for _, e := range container.Env {
			if strings.HasSuffix(e.Name, "_FILE") && !c.hasFile(w, container, e.Value) {
				report("%s: no Secret is mounted as %s", e.Name, e.Value)
			}
			if strings.HasSuffix(e.Name, "PASSWORD") || strings.HasSuffix(e.Name, "DSN") {
				report("%s holds a secret in the manifest", e.Name)
			}
		}
	}
}

// hasKey reports whether a Secret has a key with a value.
func (c *cluster) hasKey(namespace, name, key string) bool {
	secret := c.secrets[namespace+"/"+name]
	return secret != nil && len(secret.Data[key]) > 0
}

// hasFile reports whether a container has a key of a Secret mounted at a path.
func (c *cluster) hasFile(w workload, container core.Container, path string) bool {
	for _, m := range container.VolumeMounts {
		if filepath.Dir(path) != m.MountPath {
			continue
		}
		for _, v := range w.template.Spec.Volumes {
			if v.Name == m.Name && v.Secret != nil {
				return c.hasKey(w.namespace, v.Secret.SecretName, filepath.Base(path))
			}
		}
	}
	return false
}

func checkContainer(w workload, container core.Container, report reporter) {
	for _, p := range probes(container) {
		if p.probe != nil && p.probe.HTTPGet != nil && port(w, p.probe.HTTPGet.Port, core.ProtocolTCP) == 0 {
			report("the %s probe asks port %s, which the container does not have", p.name, p.probe.HTTPGet.Port.String())
		}
	}
	r := container.Resources
	if r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() || r.Limits.Memory().IsZero() {
		report("requests of CPU and memory and a memory limit are not all set")
	}
	if r.Requests.Memory().Cmp(*r.Limits.Memory()) > 0 {
		report("it requests more memory than its limit")
	}
}

type namedProbe struct {
	name  string
	probe *core.Probe
}

func probes(container core.Container) []namedProbe {
	return []namedProbe{{"startup", container.StartupProbe}, {"liveness", container.LivenessProbe}, {"readiness", container.ReadinessProbe}}
}

// checkJob checks the Indexed Job of loadgen: all pods run at once, and -shard counts
// them.
func checkJob(w workload, report reporter) {
	j := w.job
	if j.CompletionMode == nil || *j.CompletionMode != batch.IndexedCompletion || j.Completions == nil || j.Parallelism == nil || *j.Completions != *j.Parallelism {
		report("its pods do not run all at once, each with its index")
		return
	}
	want := fmt.Sprintf("-shard=$(JOB_COMPLETION_INDEX)+1/%d", *j.Completions)
	if args := w.template.Spec.Containers[0].Args; !slices.Contains(args, want) {
		report("no %s in %q", want, args)
	}
}

// selects reports whether a selector is valid and selects a set of labels.
func selects(s *meta.LabelSelector, set map[string]string) bool {
	selector, err := meta.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(set))
}

// servesAll reports whether a workload's pods have all target ports of a Service.
func servesAll(w workload, s *core.Service) bool {
	for _, p := range s.Spec.Ports {
		if port(w, p.TargetPort, p.Protocol) == 0 {
			return false
		}
	}
	return true
}

// port finds a port of a workload's containers by its number or its name. It returns
// 0 if there is none.
func port(w workload, want intstr.IntOrString, protocol core.Protocol) int32 {
	for _, c := range w.template.Spec.Containers {
		for _, p := range c.Ports {
			if cmp.Or(string(p.Protocol), "TCP") == cmp.Or(string(protocol), "TCP") &&
				(want.Type == intstr.String && p.Name == want.StrVal || want.Type == intstr.Int && p.ContainerPort == want.IntVal) {
				return p.ContainerPort
			}
		}
	}
	return 0
}
