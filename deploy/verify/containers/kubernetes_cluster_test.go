package containers

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	tidb "github.com/pingcap/tidb-operator/pkg/apis/pingcap/v1alpha1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// cluster holds the objects that an overlay and the traffic would add to a cluster.
type cluster struct {
	problems []string // of single objects

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

// workload is an object that creates pods.
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

// add decodes an object into its published type. A field that the type does not have
// is an error.
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
		return validateCustom(t, kind.Kind, asJSON)
	}
	return fmt.Errorf("the tests do not know the kind %s %s", kind.APIVersion, kind.Kind)
}

// The release of the Datadog Operator, and the sum of its module in go.sum's format.
const (
	operator    = "github.com/DataDog/datadog-operator@v1.30.0"
	operatorSum = "h1:0EsfnraJBrMD7B6/sU268Na9uuUUNIfyWRwVwzL/Rpo="
)

// operatorSchemas returns the Operator's JSON schemas of the resources that the
// deployments have, by kind. Compiling one takes longer than any check.
var operatorSchemas = sync.OnceValues(func() (map[string]*jsonschema.Schema, error) {
	var stdout bytes.Buffer
	cmd := exec.Command("go", "mod", "download", "-json", operator)
	cmd.Stdout = &stdout
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, &stdout)
	}
	var module struct{ Dir, Sum string }
	if err := json.UnmarshalCaseSensitivePreserveInts(stdout.Bytes(), &module); err != nil {
		return nil, err
	}
	if module.Sum != operatorSum {
		return nil, fmt.Errorf("%s has the sum %s, want %s", operator, module.Sum, operatorSum)
	}
	schemas := map[string]*jsonschema.Schema{}
	for kind, file := range map[string]string{
		"DatadogAgent":  "datadoghq.com_datadogagents_v2alpha1.json",
		"DatadogMetric": "datadoghq.com_datadogmetrics_v1alpha1.json",
	} {
		schema, err := jsonschema.NewCompiler().Compile(filepath.Join(module.Dir, "config/crd/bases/v1", file))
		if err != nil {
			return nil, err
		}
		schemas[kind] = schema
	}
	return schemas, nil
})

// validateCustom validates an object with the schema that Datadog publishes. A field
// that the schema does not have is an error.
func validateCustom(t *testing.T, kind string, asJSON []byte) error {
	t.Helper()
	schemas, err := operatorSchemas()
	if err != nil {
		missing(t, err.Error())
	}
	object, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		return err
	}
	return schemas[kind].Validate(object)
}
