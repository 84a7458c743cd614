package containers

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	tidb "github.com/pingcap/tidb-operator/pkg/apis/pingcap/v1alpha1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	podsecurity "k8s.io/pod-security-admission/api"
	securitypolicy "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// cluster is what an overlay, with the traffic beside it, would put into one.
type cluster struct {
	problems []string // of objects by themselves

	namespaces   map[string]*core.Namespace
	workloads    []workload
	services     []*core.Service
	policies     []*networking.NetworkPolicy
	disruption   []*policy.PodDisruptionBudget
	autoscalers  []*autoscaling.HorizontalPodAutoscaler
	initializers []*tidb.TidbInitializer
	secrets      map[string]*core.Secret // by namespace/name
	configMaps   map[string]*core.ConfigMap
	custom       map[string]map[string]any // by kind
}

// workload is what makes pods.
type workload struct {
	kind, namespace, name string
	selector              *meta.LabelSelector
	template              core.PodTemplateSpec
	job                   *batch.JobSpec
}

// build builds what kubectl apply -k would apply.
func build(t *testing.T, dirs ...string) *cluster {
	t.Helper()
	c := &cluster{namespaces: map[string]*core.Namespace{}, secrets: map[string]*core.Secret{},
		configMaps: map[string]*core.ConfigMap{}, custom: map[string]map[string]any{}}
	for _, dir := range dirs {
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
		if err != nil {
			c.problems = append(c.problems, err.Error())
			continue
		}
		for _, r := range built.Resources() {
			text, err := r.AsYAML()
			if err == nil {
				err = c.add(t, text)
			}
			if err != nil {
				c.problems = append(c.problems, fmt.Sprintf("%s %s: %v", r.GetKind(), r.GetName(), err))
			}
		}
	}
	return c
}

// add decodes an object into its published type; a field that this has not is an
// error.
func (c *cluster) add(t *testing.T, text []byte) error {
	var kind meta.TypeMeta
	if err := yaml.Unmarshal(text, &kind); err != nil {
		return err
	}
	asJSON, err := yaml.YAMLToJSON(text)
	if err != nil {
		return err
	}
	decode := func(v any) error {
		strict, err := json.UnmarshalStrict(asJSON, v)
		return errors.Join(append(strict, err)...)
	}
	switch kind.APIVersion + " " + kind.Kind {
	case "v1 Namespace":
		o := &core.Namespace{}
		err := decode(o)
		c.namespaces[o.Name] = o
		return err
	case "v1 Secret":
		o := &core.Secret{}
		err := decode(o)
		c.secrets[o.Namespace+"/"+o.Name] = o
		return err
	case "v1 ConfigMap":
		o := &core.ConfigMap{}
		err := decode(o)
		c.configMaps[o.Namespace+"/"+o.Name] = o
		return err
	case "v1 Service":
		o := &core.Service{}
		c.services = append(c.services, o)
		return decode(o)
	case "apps/v1 Deployment":
		o := &apps.Deployment{}
		err := decode(o)
		c.workloads = append(c.workloads, workload{kind.Kind, o.Namespace, o.Name, o.Spec.Selector, o.Spec.Template, nil})
		return err
	case "apps/v1 StatefulSet":
		o := &apps.StatefulSet{}
		err := decode(o)
		for _, claim := range o.Spec.VolumeClaimTemplates {
			o.Spec.Template.Spec.Volumes = append(o.Spec.Template.Spec.Volumes, core.Volume{Name: claim.Name,
				VolumeSource: core.VolumeSource{PersistentVolumeClaim: &core.PersistentVolumeClaimVolumeSource{}}})
		}
		c.workloads = append(c.workloads, workload{kind.Kind, o.Namespace, o.Name, o.Spec.Selector, o.Spec.Template, nil})
		return err
	case "batch/v1 Job":
		o := &batch.Job{}
		err := decode(o)
		c.workloads = append(c.workloads, workload{kind.Kind, o.Namespace, o.Name, nil, o.Spec.Template, &o.Spec})
		return err
	case "networking.k8s.io/v1 NetworkPolicy":
		o := &networking.NetworkPolicy{}
		c.policies = append(c.policies, o)
		return decode(o)
	case "policy/v1 PodDisruptionBudget":
		o := &policy.PodDisruptionBudget{}
		c.disruption = append(c.disruption, o)
		return decode(o)
	case "autoscaling/v2 HorizontalPodAutoscaler":
		o := &autoscaling.HorizontalPodAutoscaler{}
		c.autoscalers = append(c.autoscalers, o)
		return decode(o)
	case "pingcap.com/v1alpha1 TidbCluster":
		return decode(&tidb.TidbCluster{})
	case "pingcap.com/v1alpha1 TidbInitializer":
		o := &tidb.TidbInitializer{}
		c.initializers = append(c.initializers, o)
		return decode(o)
	case "datadoghq.com/v2alpha1 DatadogAgent", "datadoghq.com/v1alpha1 DatadogMetric":
		var o map[string]any
		if err := yaml.Unmarshal(text, &o); err != nil {
			return err
		}
		c.custom[kind.Kind] = o
		return published(t, strings.ToLower(kind.Kind)+"s_"+filepath.Base(kind.APIVersion), asJSON)
	}
	return fmt.Errorf("%s %s is not a kind that is verified here", kind.APIVersion, kind.Kind)
}

// The Operator's release, and what its module's content is, as go.sum has it.
const (
	operator    = "github.com/DataDog/datadog-operator@v1.30.0"
	operatorSum = "h1:0EsfnraJBrMD7B6/sU268Na9uuUUNIfyWRwVwzL/Rpo="
)

// operatorSchemas is where the Operator's release has the schemas of its resources.
var operatorSchemas = sync.OnceValues(func() (string, error) {
	var stdout bytes.Buffer
	cmd := exec.Command("go", "mod", "download", "-json", operator)
	cmd.Stdout = &stdout
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s", cmd, err, &stdout)
	}
	var module struct{ Dir, Sum string }
	if err := json.UnmarshalCaseSensitivePreserveInts(stdout.Bytes(), &module); err != nil {
		return "", err
	}
	if module.Sum != operatorSum {
		return "", fmt.Errorf("%s has the sum %s, want %s", operator, module.Sum, operatorSum)
	}
	return filepath.Join(module.Dir, "config/crd/bases/v1"), nil
})

// published checks an object against the schema that Datadog publishes. It allows
// no field that it does not name.
func published(t *testing.T, name string, asJSON []byte) error {
	t.Helper()
	dir, err := operatorSchemas()
	if err != nil {
		missing(t, err.Error())
	}
	compiler := jsonschema.NewCompiler()
	schema, err := compiler.Compile(filepath.Join(dir, "datadoghq.com_"+name+".json"))
	if err != nil {
		return err
	}
	object, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return err
	}
	return schema.Validate(object)
}

func TestKubernetes(t *testing.T) {
	deploy := deployment(t)
	allSecrets(t, deploy)
	for _, overlay := range []string{"local", "datadog", "tidb"} {
		t.Run(overlay, func(t *testing.T) {
			c := buildOverlay(t, deploy, overlay)
			complain(t, append(c.problems, c.check(overlay)...), "")
		})
	}
}

func buildOverlay(t *testing.T, deploy, overlay string) *cluster {
	t.Helper()
	// A release, as kustomize edit set image would say it.
	replace(t, filepath.Join(deploy, "kubernetes/overlays", overlay, "kustomization.yaml"), "newTag: dev", "newTag: 1.2.3")
	return build(t, filepath.Join(deploy, "kubernetes/overlays", overlay), filepath.Join(deploy, "kubernetes/loadgen"))
}

// check says what is wrong with objects that are well-formed each by itself.
func (c *cluster) check(overlay string) (problems []string) {
	for _, w := range c.workloads {
		say := func(format string, args ...any) {
			problems = append(problems, fmt.Sprintf("%s %s: "+format, append([]any{w.kind, w.name}, args...)...))
		}
		if c.namespaces[w.namespace] == nil {
			say("no namespace %s", w.namespace)
		}
		if w.selector != nil && !selects(w.selector, w.template.Labels) {
			say("its selector does not match its pods")
		}
		c.checkSecurity(w, say)
		c.checkMounts(w, say)
		for _, container := range w.template.Spec.Containers {
			c.checkContainer(w, container, say)
		}
		if w.job != nil {
			checkJob(w, say)
		}
	}
	for _, s := range c.services {
		if !slices.ContainsFunc(c.workloads, func(w workload) bool {
			return w.namespace == s.Namespace && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(w.template.Labels)) && servesAll(w, s)
		}) {
			problems = append(problems, fmt.Sprintf("Service %s: no pods serve its ports", s.Name))
		}
	}
	for _, b := range c.disruption {
		if !slices.ContainsFunc(c.workloads, func(w workload) bool { return selects(b.Spec.Selector, w.template.Labels) }) {
			problems = append(problems, fmt.Sprintf("PodDisruptionBudget %s selects no pods", b.Name))
		}
	}
	for _, h := range c.autoscalers {
		problems = append(problems, c.checkAutoscaler(h)...)
	}
	for _, i := range c.initializers {
		if name := i.Spec.PasswordSecret; name == nil || c.secrets[i.Namespace+"/"+*name] == nil || len(c.secrets[i.Namespace+"/"+*name].Data["apmapp"]) == 0 {
			problems = append(problems, fmt.Sprintf("TidbInitializer %s: no password of apmapp", i.Name))
		}
	}
	problems = append(problems, c.checkService(overlay)...)
	return append(problems, c.checkFlows(overlay)...)
}

type sayer func(format string, args ...any)

func selects(s *meta.LabelSelector, set map[string]string) bool {
	selector, err := meta.LabelSelectorAsSelector(s)
	return err == nil && selector.Matches(labels.Set(set))
}

func servesAll(w workload, s *core.Service) bool {
	for _, p := range s.Spec.Ports {
		if port(w, p.TargetPort, p.Protocol) == 0 {
			return false
		}
	}
	return true
}

// port finds a container's port by its number or its name.
func port(w workload, want intstr.IntOrString, protocol core.Protocol) int32 {
	for _, c := range w.template.Spec.Containers {
		for _, p := range c.Ports {
			if first(string(p.Protocol), "TCP") == first(string(protocol), "TCP") &&
				(want.Type == intstr.String && p.Name == want.StrVal || want.Type == intstr.Int && p.ContainerPort == want.IntVal) {
				return p.ContainerPort
			}
		}
	}
	return 0
}

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

func (c *cluster) checkAutoscaler(h *autoscaling.HorizontalPodAutoscaler) (problems []string) {
	say := func(format string, args ...any) {
		problems = append(problems, fmt.Sprintf("HorizontalPodAutoscaler %s: "+format, append([]any{h.Name}, args...)...))
	}
	if !slices.ContainsFunc(c.workloads, func(w workload) bool {
		return w.kind == h.Spec.ScaleTargetRef.Kind && w.name == h.Spec.ScaleTargetRef.Name && w.namespace == h.Namespace
	}) {
		say("there is no %s %s", h.Spec.ScaleTargetRef.Kind, h.Spec.ScaleTargetRef.Name)
	}
	if h.Spec.MinReplicas == nil || *h.Spec.MinReplicas < 2 {
		say("one replica at least is no spare")
	}
	for _, m := range h.Spec.Metrics {
		if m.External == nil {
			continue
		}
		metric := c.custom["DatadogMetric"]
		if metric == nil {
			say("no DatadogMetric")
			continue
		}
		if want := fmt.Sprintf("datadogmetric@%s:%s", dig(metric, "metadata", "namespace"), dig(metric, "metadata", "name")); m.External.Metric.Name != want {
			say("its metric is %s, the DatadogMetric is %s", m.External.Metric.Name, want)
		}
		query, _ := dig(metric, "spec", "query").(string)
		if !strings.Contains(query, "default_zero(") {
			say("%s has no value without traffic, and then nothing is sized down", query)
		}
		for _, w := range c.workloads {
			tags := fmt.Sprintf("trace.http.request.hits{service:%s,env:%s}", w.template.Labels["tags.datadoghq.com/service"], w.template.Labels["tags.datadoghq.com/env"])
			if w.name == h.Spec.ScaleTargetRef.Name && !strings.Contains(query, tags) {
				say("%s does not ask for %s", query, tags)
			}
		}
	}
	return problems
}

// checkService looks at the service's own pods.
func (c *cluster) checkService(overlay string) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf("apmapp: "+format, args...)) }
	i := slices.IndexFunc(c.workloads, func(w workload) bool { return w.name == "apmapp" })
	if i < 0 {
		return []string{"there is no apmapp"}
	}
	pod := c.workloads[i].template
	container := pod.Spec.Containers[0]
	env := map[string]core.EnvVar{}
	for _, e := range container.Env {
		env[e.Name] = e
	}

	for variable, label := range map[string]string{"DD_SERVICE": "service", "DD_ENV": "env", "DD_VERSION": "version"} {
		label = "tags.datadoghq.com/" + label
		if pod.Labels[label] == "" {
			say("no label %s", label)
		}
		if v := env[variable].ValueFrom; v == nil || v.FieldRef == nil || v.FieldRef.FieldPath != "metadata.labels['"+label+"']" {
			say("%s is not the label %s", variable, label)
		}
	}
	if _, tag, _ := strings.Cut(container.Image, ":"); tag != pod.Labels["tags.datadoghq.com/version"] {
		say("the image is %s, its version is said to be %s", container.Image, pod.Labels["tags.datadoghq.com/version"])
	}
	if err := validLogs(pod.Annotations["ad.datadoghq.com/"+container.Name+".logs"], pod.Labels["tags.datadoghq.com/service"]); err != nil {
		say("logs: %v", err)
	}

	// A Service's name makes variables, of which some may be the service's own.
	if links := pod.Spec.EnableServiceLinks; links == nil || *links {
		say("enableServiceLinks makes APMAPP_PORT of the Service's address")
	}
	grace := time.Duration(0)
	if g := pod.Spec.TerminationGracePeriodSeconds; g != nil {
		grace = time.Duration(*g) * time.Second
	}
	if l := container.Lifecycle; l == nil || l.PreStop == nil || l.PreStop.Sleep == nil {
		say("it stops before others know; there is no preStop")
	} else if need := time.Duration(l.PreStop.Sleep.Seconds)*time.Second + drainTime; grace < need {
		say("terminationGracePeriodSeconds are %s, to stop takes up to %s", grace, need)
	}
	for name, want := range map[string]string{"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"} {
		probe := map[string]*core.Probe{"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe}[name]
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != want {
			say("the %s probe does not ask %s", name, want)
		}
	}
	if share := memoryShare(container); !headroom(share) {
		say("GOMEMLIMIT is %.1f %% of the limit", 100*share)
	}
	problems = append(problems, c.checkAgent(overlay, pod, env)...)

	dsn := string(c.secrets["apmapp/apmapp-database"].Data["dsn"])
	_, address, _ := strings.Cut(dsn, "@tcp(")
	address, _, _ = strings.Cut(address, ")")
	if want := map[string]string{"tidb": "apmapp-tidb.tidb:4000"}[overlay]; address != first(want, "mysql:3306") {
		say("its database is at %s", address)
	}
	return problems
}

// memoryShare evaluates GOMEMLIMIT as the kubelet does, and returns its share of
// the limit.
func memoryShare(container core.Container) float64 {
	limit := container.Resources.Limits.Memory().Value()
	var value string
	known := map[string]string{}
	for _, e := range container.Env {
		// A variable is known to those behind it.
		value = e.Value
		for name, v := range known {
			value = strings.ReplaceAll(value, "$("+name+")", v)
		}
		if e.Name == "GOMEMLIMIT" {
			break
		}
		if e.ValueFrom == nil || e.ValueFrom.ResourceFieldRef == nil || e.ValueFrom.ResourceFieldRef.Resource != "limits.memory" {
			continue
		}
		divisor := max(1, e.ValueFrom.ResourceFieldRef.Divisor.Value())
		known[e.Name] = strconv.FormatInt(int64(math.Ceil(float64(limit)/float64(divisor))), 10)
	}
	bytes, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return math.NaN()
	}
	return float64(bytes) / float64(limit)
}

// checkAgent looks at the way to the Agent.
func (c *cluster) checkAgent(overlay string, pod core.PodTemplateSpec, env map[string]core.EnvVar) (problems []string) {
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf("apmapp: "+format, args...)) }
	if overlay != "datadog" {
		host := env["DD_AGENT_HOST"].Value
		if !slices.ContainsFunc(c.services, func(s *core.Service) bool { return s.Name == host }) {
			say("DD_AGENT_HOST is %q, which is no Service", host)
		}
		return problems
	}
	agent := c.custom["DatadogAgent"]
	if agent == nil {
		return []string{"there is no DatadogAgent"}
	}
	for variable, feature := range map[string]string{"DD_TRACE_AGENT_URL": "apm", "DD_DOGSTATSD_URL": "dogstatsd"} {
		socket, _ := dig(agent, "spec", "features", feature, "unixDomainSocketConfig", "path").(string)
		if env[variable].Value != "unix://"+socket {
			say("%s is %s, the Agent's socket is %s", variable, env[variable].Value, socket)
		}
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v core.Volume) bool { return v.HostPath != nil && v.HostPath.Path == filepath.Dir(socket) }) ||
			!slices.ContainsFunc(pod.Spec.Containers[0].VolumeMounts, func(m core.VolumeMount) bool { return m.MountPath == filepath.Dir(socket) }) {
			say("%s of the host is not mounted there", filepath.Dir(socket))
		}
	}
	namespace := dig(agent, "metadata", "namespace").(string)
	for _, credential := range []string{"apiSecret", "appSecret"} {
		name, _ := dig(agent, "spec", "global", "credentials", credential, "secretName").(string)
		key, _ := dig(agent, "spec", "global", "credentials", credential, "keyName").(string)
		if secret := c.secrets[namespace+"/"+name]; secret == nil || len(secret.Data[key]) == 0 {
			say("the Agent's %s is not in %s/%s", credential, namespace, name)
		}
	}
	for _, w := range c.workloads {
		checks := w.template.Annotations["ad.datadoghq.com/mysql.checks"]
		if w.name != "mysql" {
			continue
		}
		if err := validChecks(checks); err != nil {
			say("mysql.checks: %v", err)
		} else if err := sameCheck(checks, filepath.Join(root, "deploy/agent/conf.d/mysql.d/conf.yaml")); err != nil {
			say("mysql.checks: %v", err)
		}
		problems = append(problems, c.checkHandle(agent, checks)...)
	}
	return problems
}

// checkHandle finds the Secret that ENC[k8s_secret@namespace/name/key] names, and
// the Agent's right to read it.
func (c *cluster) checkHandle(agent map[string]any, checks string) (problems []string) {
	_, handle, _ := strings.Cut(checks, "ENC[k8s_secret@")
	handle, _, _ = strings.Cut(handle, "]")
	part := strings.Split(handle, "/")
	if len(part) != 3 || c.secrets[part[0]+"/"+part[1]] == nil || len(c.secrets[part[0]+"/"+part[1]].Data[part[2]]) == 0 {
		return []string{fmt.Sprintf("no Secret has the Agent's password %q", handle)}
	}
	roles, _ := dig(agent, "spec", "global", "secretBackend", "roles").([]any)
	for _, role := range roles {
		if names, ok := dig(role.(map[string]any), "secrets").([]any); ok && dig(role.(map[string]any), "namespace") == part[0] && slices.Contains(names, any(part[1])) {
			return nil
		}
	}
	return []string{fmt.Sprintf("the Agent may not read the Secret %s/%s", part[0], part[1])}
}

func dig(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// checkFlows asks the network policies for what has to get through, and for what
// must not.
func (c *cluster) checkFlows(overlay string) (problems []string) {
	pods := map[string]peer{
		"anyone": {"elsewhere", nil},
		"agent":  {"datadog", map[string]string{"agent.datadoghq.com/component": "agent"}},
		"dns":    {"kube-system", map[string]string{"k8s-app": "kube-dns"}},
		"tidb":   {"tidb", map[string]string{"app.kubernetes.io/instance": "apmapp", "app.kubernetes.io/component": "tidb"}},
		"tikv":   {"tidb", map[string]string{"app.kubernetes.io/instance": "apmapp", "app.kubernetes.io/component": "tikv"}},
	}
	for _, w := range c.workloads {
		pods[w.name] = peer{w.namespace, w.template.Labels}
	}
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
		flows = append(flows, flow{"apmapp", "tidb", 4000, "TCP", true}, flow{"apmapp", "tikv", 20160, "TCP", false})
	} else {
		flows = append(flows, flow{"apmapp", "mysql", 3306, "TCP", true}, flow{"loadgen", "mysql", 3306, "TCP", false},
			flow{"anyone", "mysql", 3306, "TCP", false}, flow{"mysql", "anyone", 443, "TCP", false},
			flow{"agent", "mysql", 3306, "TCP", overlay == "datadog"})
	}
	if overlay != "datadog" {
		flows = append(flows, flow{"apmapp", "localagent", 8126, "TCP", true}, flow{"apmapp", "localagent", 8125, "UDP", true},
			flow{"anyone", "localagent", 8127, "TCP", false}, flow{"loadgen", "localagent", 8126, "TCP", false})
	}
	for _, f := range flows {
		from, okFrom := pods[f.from]
		to, okTo := pods[f.to]
		if !okFrom || !okTo {
			problems = append(problems, fmt.Sprintf("there is no %s or no %s", f.from, f.to))
			continue
		}
		if got := c.allowed(from, to, f); got != f.want {
			problems = append(problems, fmt.Sprintf("network policies: from %s to %s, port %d: allowed is %t, want %t", f.from, f.to, f.port, got, f.want))
		}
	}
	return problems
}

// peer is a pod, as network policies see it.
type peer struct {
	namespace string
	labels    map[string]string
}

type flow struct {
	from, to string
	port     int32
	protocol core.Protocol
	want     bool
}

// allowed evaluates the policies: where one selects a pod for a direction, only what
// some policy allows passes; where none does, all does. Both ends have to agree.
// https://kubernetes.io/docs/concepts/services-networking/network-policies/
func (c *cluster) allowed(from, to peer, f flow) bool {
	return c.direction(networking.PolicyTypeEgress, from, to, to, f) && c.direction(networking.PolicyTypeIngress, to, from, to, f)
}

// direction evaluates one end, pod, towards other; to is who has the port.
func (c *cluster) direction(kind networking.PolicyType, pod, other, to peer, f flow) bool {
	selected := false
	for _, p := range c.policies {
		if p.Namespace != pod.namespace || !selects(&p.Spec.PodSelector, pod.labels) || !slices.Contains(p.Spec.PolicyTypes, kind) {
			continue
		}
		selected = true
		if kind == networking.PolicyTypeEgress {
			for _, rule := range p.Spec.Egress {
				if matchesPeer(p.Namespace, rule.To, other) && c.matchesPort(rule.Ports, to, f) {
					return true
				}
			}
			continue
		}
		for _, rule := range p.Spec.Ingress {
			if matchesPeer(p.Namespace, rule.From, other) && c.matchesPort(rule.Ports, to, f) {
				return true
			}
		}
	}
	return !selected
}

func matchesPeer(namespace string, peers []networking.NetworkPolicyPeer, other peer) bool {
	if len(peers) == 0 {
		return true
	}
	return slices.ContainsFunc(peers, func(p networking.NetworkPolicyPeer) bool {
		if p.NamespaceSelector == nil && other.namespace != namespace {
			return false
		}
		// Every namespace has its name as a label.
		if p.NamespaceSelector != nil && !selects(p.NamespaceSelector, map[string]string{"kubernetes.io/metadata.name": other.namespace}) {
			return false
		}
		return p.PodSelector == nil || selects(p.PodSelector, other.labels)
	})
}

func (c *cluster) matchesPort(ports []networking.NetworkPolicyPort, to peer, f flow) bool {
	if len(ports) == 0 {
		return true
	}
	return slices.ContainsFunc(ports, func(p networking.NetworkPolicyPort) bool {
		protocol := core.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		if protocol != f.protocol {
			return false
		}
		if p.Port == nil || p.Port.Type == intstr.Int {
			return p.Port == nil || p.Port.IntVal == f.port
		}
		for _, w := range c.workloads {
			if w.namespace == to.namespace && labels.Equals(w.template.Labels, to.labels) && port(w, *p.Port, protocol) == f.port {
				return true
			}
		}
		return false
	})
}

func TestBrokenKubernetes(t *testing.T) {
	const base, datadog = "base/", "overlays/datadog/"
	for name, c := range map[string]struct{ overlay, file, old, with, want string }{
		"field that Kubernetes does not know": {"local", base + "deployment.yaml", "containerPort:", "containerport:", "unknown field"},
		"value of another type":               {"local", base + "service.yaml", "port: 5050", "port: http", "cannot unmarshal"},
		"file that is not there":              {"local", "components/mysql/kustomization.yaml", "secrets/dsn", "secrets/dns", "secrets/dns"},
		"selector that does not match":        {"local", base + "deployment.yaml", "    matchLabels:\n      app.kubernetes.io/name: apmapp\n  strategy", "    matchLabels:\n      app.kubernetes.io/name: app\n  strategy", "does not match its pods"},
		"service that nobody serves":          {"local", base + "service.yaml", "targetPort: http", "targetPort: https", "no pods serve its ports"},
		"budget for no pods":                  {"local", base + "poddisruptionbudget.yaml", "name: apmapp\n", "name: app\n", "selects no pods"},
		"probe of another port":               {"local", base + "deployment.yaml", "path: /readyz\n              port: http", "path: /readyz\n              port: 8080", "readiness probe asks port 8080"},
		"probe of another path":               {"local", base + "deployment.yaml", "path: /readyz", "path: /healthz", "readiness probe does not ask /readyz"},
		"root user":                           {"local", base + "deployment.yaml", "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"},
		"capabilities":                        {"local", base + "deployment.yaml", "drop: [ALL]", "drop: [NET_RAW]", "capabilities"},
		"root that can be written":            {"local", base + "deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "can be written to"},
		"level that lets all through":         {"local", base + "namespace.yaml", "enforce: restricted", "enforce: baseline", `enforces "baseline"`},
		"another path of the host":            {"datadog", datadog + "apmapp.yaml", "path: /var/run/datadog", "path: /var/run", "hostPath"},
		"token of the API":                    {"local", base + "deployment.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "token"},
		"links that clash with our variables": {"local", base + "deployment.yaml", "enableServiceLinks: false", "enableServiceLinks: true", "APMAPP_PORT"},
		"no preStop":                          {"local", base + "deployment.yaml", "preStop:", "postStart:", "no preStop"},
		"stop that cuts requests":             {"local", base + "deployment.yaml", "terminationGracePeriodSeconds: 30", "terminationGracePeriodSeconds: 15", "to stop takes up to 20s"},
		"memory limit without room":           {"local", base + "deployment.yaml", "divisor: 1Mi", "divisor: 1M", "GOMEMLIMIT is 100."},
		"memory limit from the request":       {"local", base + "deployment.yaml", "resource: limits.memory", "resource: requests.memory", "GOMEMLIMIT is NaN"},
		"variable that is not known yet":      {"local", base + "deployment.yaml", "$(MEMORY_LIMIT_MI)", "$(LIMIT)", "GOMEMLIMIT is NaN"},
		"no limit of memory":                  {"local", base + "deployment.yaml", "limits:\n              memory", "limits:\n              ephemeral-storage", "the limit of memory"},
		"service tag of its own":              {"local", base + "deployment.yaml", "metadata.labels['tags.datadoghq.com/service']", "metadata.name", "DD_SERVICE is not the label"},
		"version that is not the image's":     {"local", "overlays/local/kustomization.yaml", "- spec.template.metadata.labels.[tags", "- metadata.labels.[tags", "its version is said to be"},
		"secret that is not there":            {"local", base + "deployment.yaml", "secretName: apmapp-database", "secretName: database", "no Secret database"},
		"key that is not there":               {"local", base + "deployment.yaml", "- key: dsn", "- key: url", "has no url"},
		"file that is not in the ConfigMap":   {"local", "components/mysql/statefulset.yaml", "subPath: initdb.sh", "subPath: init.sh", "has no init.sh"},
		"database elsewhere":                  {"tidb", "components/tidb/secrets/dsn", "apmapp-tidb.tidb", "tidb", "its database is at tidb:4000"},
		"database that is not let through":    {"local", "components/mysql/networkpolicy.yaml", "name: apmapp-to-mysql\n  namespace: apmapp\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: apmapp", "name: apmapp-to-mysql\n  namespace: apmapp\nspec:\n  podSelector:\n    matchLabels:\n      app.kubernetes.io/name: app", "from apmapp to mysql, port 3306: allowed is false"},
		"policy that lets all through":        {"local", base + "networkpolicy.yaml", "policyTypes: [Ingress, Egress]\n---", "policyTypes: [Ingress]\n---", "from mysql to anyone, port 443: allowed is true"},
		"agent that is not there":             {"local", "components/localagent/apmapp.yaml", "value: localagent", "value: agent", "which is no Service"},
		"shards that are not the pods":        {"local", "loadgen/job.yaml", "completions: 3\n  parallelism: 3", "completions: 4\n  parallelism: 4", "+1/4"},
		"pods one after the other":            {"local", "loadgen/job.yaml", "parallelism: 3", "parallelism: 1", "all at once"},
		"autoscaler of nobody":                {"local", base + "horizontalpodautoscaler.yaml", "kind: Deployment", "kind: StatefulSet", "there is no StatefulSet apmapp"},
		"metric without idleness":             {"datadog", datadog + "datadogmetric.yaml", "query: default_zero(", "query: (", "nothing is sized down"},
		"metric of another env":               {"datadog", datadog + "datadogmetric.yaml", "env:dev", "env:prod", "does not ask for trace.http.request.hits{service:apmapp,env:dev}"},
		"another metric":                      {"datadog", datadog + "horizontalpodautoscaler.yaml", "apmapp:apmapp-requests", "apmapp:requests", "the DatadogMetric is"},
		"field that Datadog does not know":    {"datadog", datadog + "agent/datadogagent.yaml", "containerCollectAll", "collectAll", "collectAll"},
		"metric's field of another name":      {"datadog", datadog + "datadogmetric.yaml", "query:", "metricQuery:", "metricQuery"},
		"socket elsewhere":                    {"datadog", datadog + "agent/datadogagent.yaml", "path: /var/run/datadog/apm.socket", "path: /run/apm.socket", "the Agent's socket is /run/apm.socket"},
		"password that the Agent cannot read": {"datadog", datadog + "agent/datadogagent.yaml", "secrets: [mysql]", "secrets: [database]", "may not read the Secret apmapp/mysql"},
		"password that is not there":          {"datadog", datadog + "mysql.yaml", "mysql/mysql_datadog_password", "mysql/datadog", "no Secret has the Agent's password"},
		"check that differs":                  {"datadog", datadog + "mysql.yaml", `"dbm": true`, `"dbm": false`, "differs from"},
		"field that TiDB does not know":       {"tidb", "components/tidb/tidbcluster.yaml", "pvReclaimPolicy", "reclaimPolicy", "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			deploy := deployment(t)
			for dir, what := range map[string]string{"components/mysql": "mysql", "components/tidb": "tidb", "overlays/datadog/agent": "datadog"} {
				if what == "mysql" && c.overlay != "tidb" || what == c.overlay {
					makeSecrets(t, keys, filepath.Join(deploy, "kubernetes", dir, "secrets"), what)
				}
			}
			replace(t, filepath.Join(deploy, "kubernetes", c.file), c.old, c.with)
			got := buildOverlay(t, deploy, c.overlay)
			problems := got.problems
			if len(problems) == 0 {
				problems = got.check(c.overlay)
			}
			complain(t, problems, c.want)
		})
	}
}
