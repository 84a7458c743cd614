package containers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// deployment copies deploy/ with all secrets that the READMEs have the user make, so
// that a test can break files. It returns the path of the copy.
func deployment(t *testing.T) string {
	t.Helper()
	copied := t.TempDir()
	// compose.yaml names the parent folder as build context; checks read the Dockerfile.
	if err := os.WriteFile(filepath.Join(copied, "Dockerfile"), []byte(read(t, filepath.Join(root, "Dockerfile"))), 0o644); err != nil {
		t.Fatal(err)
	}
	deploy := filepath.Join(copied, "deploy")
	for _, part := range []string{"agent", "compose", "kubernetes"} {
		if err := os.CopyFS(filepath.Join(deploy, part), os.DirFS(filepath.Join(root, "deploy", part))); err != nil {
			t.Fatal(err)
		}
	}
	made, err := secrets()
	if err != nil {
		t.Fatal(err)
	}
	for dir, files := range made {
		dir = filepath.Join(deploy, dir)
		// A developer may have made real secrets.
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, content := range files {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return deploy
}

// secrets returns the content of the files that secrets.sh makes, by folder below
// deploy/ and file name. It runs the script only once: that takes longer than
// anything else that a test does with a deployment.
var secrets = sync.OnceValues(func() (map[string]map[string][]byte, error) {
	made := map[string]map[string][]byte{}
	for dir, kind := range map[string]string{
		"compose/secrets":                           "compose",
		"kubernetes/components/mysql/secrets":       "mysql",
		"kubernetes/components/tidb/secrets":        "tidb",
		"kubernetes/overlays/datadog/agent/secrets": "datadog",
	} {
		temporary, err := os.MkdirTemp("", "secrets")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(temporary)
		cmd := secretsScript(keys, temporary, kind)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w\n%s", cmd, err, out)
		}
		entries, err := os.ReadDir(temporary)
		if err != nil {
			return nil, err
		}
		made[dir] = map[string][]byte{}
		for _, e := range entries {
			if made[dir][e.Name()], err = os.ReadFile(filepath.Join(temporary, e.Name())); err != nil {
				return nil, err
			}
		}
	}
	return made, nil
})

// keys are invalid keys; secrets.sh does not check them.
var keys = []string{"DD_API_KEY=an API key", "DD_APP_KEY=an application key"}

// secretsScript returns the command that runs secrets.sh with an environment.
func secretsScript(environment []string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(root, "deploy/secrets.sh"), args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, environment...)
	return cmd
}

// replace replaces a text in a file. If the file does not contain it, the test fails.
func replace(t *testing.T, name, old, with string) {
	t.Helper()
	content := read(t, name)
	if !strings.Contains(content, old) {
		t.Fatalf("%s does not contain %q", name, old)
	}
	if err := os.WriteFile(name, []byte(strings.ReplaceAll(content, old, with)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// wantNoProblems fails the test with each problem.
func wantNoProblems(t *testing.T, problems []string) {
	t.Helper()
	for _, p := range problems {
		t.Error(p)
	}
}

// wantProblem fails the test if no problem contains a text.
func wantProblem(t *testing.T, problems []string, want string) {
	t.Helper()
	if all := strings.Join(problems, "\n"); !strings.Contains(all, want) {
		t.Errorf("no problem contains %q; the problems are:\n%s", want, all)
	}
}
