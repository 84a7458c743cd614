package containers

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	podsecurity "k8s.io/pod-security-admission/api"
	securitypolicy "k8s.io/pod-security-admission/policy"
)

// checkSecurity asks the admission controller's own code.
func (c *cluster) checkSecurity(w workload, say sayer) {
	evaluator, err := securitypolicy.NewEvaluator(securitypolicy.DefaultChecks(), nil)
	if err != nil {
		say("%v", err)
		return
	}
	latest := podsecurity.LevelVersion{Level: podsecurity.LevelRestricted, Version: podsecurity.LatestVersion()}
	pod := w.template
	enforced := ""
	if ns := c.namespaces[w.namespace]; ns != nil {
		enforced = ns.Labels[podsecurity.EnforceLevelLabel]
	}
	if enforced == "privileged" {
		// The one thing for which the level is needed; all else is restricted.
		pod = *pod.DeepCopy()
		pod.Spec.Volumes = slices.DeleteFunc(pod.Spec.Volumes, func(v core.Volume) bool {
			return v.HostPath != nil && v.HostPath.Path == "/var/run/datadog"
		})
	} else if enforced != "restricted" {
		say("the namespace %s enforces %q", w.namespace, enforced)
	}
	result := securitypolicy.AggregateCheckResults(evaluator.EvaluatePod(latest, &pod.ObjectMeta, &pod.Spec))
	if !result.Allowed {
		say("Pod Security: %s: %s", result.ForbiddenReason(), result.ForbiddenDetail())
	}
	for _, container := range pod.Spec.Containers {
		if s := container.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem {
			say("the root of %s can be written to", container.Name)
		}
	}
	if a := pod.Spec.AutomountServiceAccountToken; a == nil || *a {
		say("it gets a token of the cluster's API")
	}
}

// checkMounts finds what is mounted: volumes, Secrets, ConfigMaps and their keys.
func (c *cluster) checkMounts(w workload, say sayer) {
	volumes := map[string]core.Volume{}
	for _, v := range w.template.Spec.Volumes {
		volumes[v.Name] = v
		if s := v.Secret; s != nil {
			secret := c.secrets[w.namespace+"/"+s.SecretName]
			if secret == nil {
				say("no Secret %s", s.SecretName)
				continue
			}
			for _, item := range s.Items {
				if len(secret.Data[item.Key]) == 0 {
					say("the Secret %s has no %s", s.SecretName, item.Key)
				}
			}
		}
		if m := v.ConfigMap; m != nil && c.configMaps[w.namespace+"/"+m.Name] == nil {
			say("no ConfigMap %s", m.Name)
		}
	}
	for _, container := range w.template.Spec.Containers {
		for _, m := range container.VolumeMounts {
			v, ok := volumes[m.Name]
			if !ok {
				say("no volume %s", m.Name)
			}
			if v.ConfigMap != nil && m.SubPath != "" {
				if configMap := c.configMaps[w.namespace+"/"+v.ConfigMap.Name]; configMap != nil && configMap.Data[m.SubPath] == "" {
					say("the ConfigMap %s has no %s", v.ConfigMap.Name, m.SubPath)
				}
			}
		}
		for _, e := range container.Env {
			if strings.HasSuffix(e.Name, "_FILE") && !c.hasFile(w, container, e.Value) {
				say("%s: no Secret is mounted as %s", e.Name, e.Value)
			}
			if strings.HasSuffix(e.Name, "PASSWORD") || strings.HasSuffix(e.Name, "DSN") {
				say("%s is in the manifest for all to see", e.Name)
			}
		}
	}
}

// hasFile tells whether a Secret's key is mounted as a file.
func (c *cluster) hasFile(w workload, container core.Container, file string) bool {
	for _, m := range container.VolumeMounts {
		if filepath.Dir(file) != m.MountPath {
			continue
		}
		for _, v := range w.template.Spec.Volumes {
			if v.Name != m.Name || v.Secret == nil {
				continue
			}
			secret := c.secrets[w.namespace+"/"+v.Secret.SecretName]
			return secret != nil && len(secret.Data[filepath.Base(file)]) > 0
		}
	}
	return false
}

func (c *cluster) checkContainer(w workload, container core.Container, say sayer) {
	for name, probe := range map[string]*core.Probe{"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe} {
		if probe != nil && probe.HTTPGet != nil && port(w, probe.HTTPGet.Port, core.ProtocolTCP) == 0 {
			say("the %s probe asks port %s, which is not the container's", name, probe.HTTPGet.Port.String())
		}
	}
	r := container.Resources
	if r.Requests.Cpu().IsZero() || r.Requests.Memory().IsZero() || r.Limits.Memory().IsZero() {
		say("requests of CPU and memory and the limit of memory are not all there")
	}
	if r.Requests.Memory().Cmp(*r.Limits.Memory()) > 0 {
		say("it requests more memory than its limit")
	}
}

// checkJob compares the numbers of an Indexed Job of loadgen.
func checkJob(w workload, say sayer) {
	j := w.job
	if j.CompletionMode == nil || *j.CompletionMode != batch.IndexedCompletion || j.Completions == nil || j.Parallelism == nil || *j.Completions != *j.Parallelism {
		say("its pods do not run all at once, each with its index")
		return
	}
	want := fmt.Sprintf("-shard=$(JOB_COMPLETION_INDEX)+1/%d", *j.Completions)
	if args := w.template.Spec.Containers[0].Args; !slices.Contains(args, want) {
		say("no %s in %q", want, args)
	}
}
