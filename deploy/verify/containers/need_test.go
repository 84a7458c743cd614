package containers

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is the repository's.
const root = "../../.."

// need skips the test where a program is missing; with CI set it fails.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			missing(t, program+" is not installed; on Debian and Ubuntu make test installs it")
		}
	}
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// output runs a command and returns what it printed; one that fails ends the test.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, &stdout, &stderr)
	}
	return stdout.String()
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// deployment is a copy of deploy/, in which secrets can be made and files broken.
// It returns deploy's path.
func deployment(t *testing.T) string {
	t.Helper()
	copied := t.TempDir()
	// The images' context is named in compose.yaml, and checked to exist.
	if err := os.WriteFile(filepath.Join(copied, "Dockerfile"), []byte(read(t, filepath.Join(root, "Dockerfile"))), 0o644); err != nil {
		t.Fatal(err)
	}
	deploy := filepath.Join(copied, "deploy")
	for _, part := range []string{"agent", "compose", "kubernetes"} {
		if err := os.CopyFS(filepath.Join(deploy, part), os.DirFS(filepath.Join(root, "deploy", part))); err != nil {
			t.Fatal(err)
		}
	}
	for _, secrets := range []string{"compose/secrets", "kubernetes/components/mysql/secrets", "kubernetes/components/tidb/secrets", "kubernetes/overlays/datadog/agent/secrets"} {
		if err := os.RemoveAll(filepath.Join(deploy, secrets)); err != nil {
			t.Fatal(err)
		}
	}
	return deploy
}

// keys are no keys: secrets.sh takes them for some.
var keys = []string{"DD_API_KEY=an API key", "DD_APP_KEY=an application key"}

// makeSecrets runs secrets.sh.
func makeSecrets(t *testing.T, environment []string, args ...string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(root, "deploy/secrets.sh"), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environment...)
	return output(t, cmd)
}

// allSecrets makes the secrets of every way, as the READMEs say to.
func allSecrets(t *testing.T, deploy string) {
	t.Helper()
	for dir, what := range map[string]string{
		"compose/secrets":                           "compose",
		"kubernetes/components/mysql/secrets":       "mysql",
		"kubernetes/components/tidb/secrets":        "tidb",
		"kubernetes/overlays/datadog/agent/secrets": "datadog",
	} {
		makeSecrets(t, keys, filepath.Join(deploy, dir), what)
	}
}

// replace changes a file of a deployment, which must have what is to be replaced.
func replace(t *testing.T, name, old, with string) {
	t.Helper()
	content := read(t, name)
	if !strings.Contains(content, old) {
		t.Fatalf("%s has no %q", name, old)
	}
	if err := os.WriteFile(name, []byte(strings.ReplaceAll(content, old, with)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// complain reports problems, or, where one is wanted, that it is not among them.
func complain(t *testing.T, problems []string, want string) {
	t.Helper()
	if want == "" {
		for _, p := range problems {
			t.Error(p)
		}
		return
	}
	if all := strings.Join(problems, "\n"); !strings.Contains(all, want) {
		t.Errorf("nothing says %q, but:\n%s", want, all)
	}
}
