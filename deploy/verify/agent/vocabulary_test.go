package agent

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/DataDog/datadog-agent/pkg/config/setup"
)

// names is a set of names.
type names map[string]bool

func (n names) add(all ...string) {
	for _, name := range all {
		n[name] = true
	}
}

// vocabulary holds the names that the code knows, by kind.
type vocabulary struct {
	variables, ports, sockets, metrics, services names
}

// readVocabulary reads the names from all their sources.
func readVocabulary(t *testing.T) vocabulary {
	t.Helper()
	v := vocabulary{names{}, names{}, names{}, names{}, names{}}
	v.readAgent()
	v.readTracer(t)
	v.readProduct(t)
	v.readTelemetry(t)
	more := decode[struct {
		Variables, Ports, Sockets, Services, Metrics map[string]string
	}](t, "testdata/names.yaml")
	for _, list := range []struct {
		names names
		more  map[string]string
	}{
		{v.variables, more.Variables}, {v.ports, more.Ports}, {v.sockets, more.Sockets},
		{v.services, more.Services}, {v.metrics, more.Metrics},
	} {
		for name, source := range list.more {
			if source == "" {
				t.Errorf("testdata/names.yaml: %s has no source", name)
			}
			list.names.add(name)
		}
	}
	return v
}

// readAgent adds the variables and addresses in the Agent's table of settings.
func (v vocabulary) readAgent() {
	agent := setup.Datadog()
	v.variables.add(agent.GetEnvVars()...)
	v.ports.add(agent.GetString("apm_config.receiver_port"), agent.GetString("dogstatsd_port"))
	v.sockets.add(agent.GetString("apm_config.receiver_socket"), agent.GetString("dogstatsd_socket"))
}

// readTracer adds the variables of the tracer and the profiler, from the version that
// the product is built with.
func (v vocabulary) readTracer(t *testing.T) {
	t.Helper()
	list := exec.Command("go", "mod", "download", "-json", "github.com/DataDog/dd-trace-go/v2")
	list.Dir = repository
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, stderr(err))
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(module.Dir, "internal/env/supported_configurations.json"))
	if err != nil {
		t.Fatal(err)
	}
	var supported struct {
		SupportedConfigurations map[string][]struct{ Aliases []string }
	}
	if err := json.Unmarshal(content, &supported); err != nil {
		t.Fatal(err)
	}
	for name, implementations := range supported.SupportedConfigurations {
		v.variables.add(name)
		for _, implementation := range implementations {
			v.variables.add(implementation.Aliases...)
		}
	}
}

// readProduct adds the variables and default ports in the product's source code, and
// the metrics of its check.
func (v vocabulary) readProduct(t *testing.T) {
	t.Helper()
	variable := regexp.MustCompile(`^DD_[A-Z0-9_]+$`)
	address := regexp.MustCompile(`^[a-z0-9.]*:([0-9]{2,5})$`)
	for _, root := range []string{"cmd", "internal", "store", "loadgen", "handlers"} {
		walk(t, filepath.Join(repository, root), func(path string) {
			if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.BasicLit:
					text, err := strconv.Unquote(n.Value)
					if err != nil {
						break
					}
					if variable.MatchString(text) {
						v.variables.add(text)
					}
					if found := address.FindStringSubmatch(text); found != nil {
						v.ports.add(found[1])
					}
				case *ast.ValueSpec:
					for i, name := range n.Names {
						if port, ok := at(n.Values, i).(*ast.BasicLit); ok && strings.HasSuffix(name.Name, "Port") && port.Kind == token.INT {
							v.ports.add(port.Value)
						}
					}
				}
				return true
			})
		})
	}
	sent := regexp.MustCompile(`self\.(?:gauge|count|rate|histogram)\("([^"]+)"`)
	walk(t, agentFiles+"checks.d", func(path string) {
		for _, found := range sent.FindAllStringSubmatch(read(t, path), -1) {
			v.metrics.add(found[1])
		}
	})
}

// at returns values[i], or nil if there is no such value.
func at(values []ast.Expr, i int) ast.Expr {
	if i < len(values) {
		return values[i]
	}
	return nil
}

// readTelemetry adds the first column of the tables of docs/telemetry.md. Tests of the
// service compare these tables with what it sends.
func (v vocabulary) readTelemetry(t *testing.T) {
	t.Helper()
	row := regexp.MustCompile("^\\| `([^`]+)` \\|")
	var section string
	for line := range strings.Lines(read(t, repository+"/docs/telemetry.md")) {
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(heading)
		}
		found := row.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		switch section {
		case "Services":
			v.services.add(found[1])
		case "Trace metrics", "DogStatsD metrics", "Metrics of loadgen":
			v.metrics.add(found[1])
		}
	}
}
