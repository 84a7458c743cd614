package containers

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"apmapp/internal/testing/mysqltest"
)

func TestSecretsAreMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	printed := output(t, secretsScript(keys, dir))
	made := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o644 {
			t.Errorf("%s has mode %s, want 0644: a container's user could not read it", e.Name(), info.Mode())
		}
		made[e.Name()] = read(t, filepath.Join(dir, e.Name()))
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s has mode %v, want 0700: other users could read the secrets (%v)", dir, info.Mode(), err)
	}
	password := regexp.MustCompile(`^[0-9a-f]{48}$`)
	seen := map[string]bool{}
	for _, user := range []string{"root", "apmapp", "datadog"} {
		p := made["mysql_"+user+"_password"]
		if !password.MatchString(p) || seen[p] {
			t.Errorf("the password of %s is %q, want 48 hexadecimal digits of its own", user, p)
		}
		seen[p] = true
		if strings.Contains(printed, p) {
			t.Errorf("secrets.sh printed the password of %s", user)
		}
	}
	if want := "apmapp:" + made["mysql_apmapp_password"] + "@tcp(mysql:3306)/apmapp"; made["dsn"] != want {
		t.Errorf("the DSN is %q, want %q", made["dsn"], want)
	}
	if made["dd_api_key"] != "an API key" || len(made) != 5 {
		t.Errorf("secrets.sh made %q, want three passwords, dsn and dd_api_key", made)
	}

	output(t, secretsScript([]string{"DD_API_KEY=another"}, dir))
	for _, e := range entries {
		if after := read(t, filepath.Join(dir, e.Name())); after != made[e.Name()] {
			t.Errorf("the second run changed %s", e.Name())
		}
	}
}

func TestSecretsWithoutKeys(t *testing.T) {
	dir := t.TempDir()
	output(t, secretsScript(nil, dir)) // the profile local needs no key
	if _, err := os.Stat(filepath.Join(dir, "dd_api_key")); err == nil {
		t.Error("secrets.sh made dd_api_key without DD_API_KEY")
	}
	for _, tc := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{dir, "datadog"}, 1, "DD_API_KEY is not set"},
		{[]string{dir, "mysqld"}, 2, "usage: secrets.sh"},
		{nil, 2, "usage: secrets.sh"},
	} {
		var stderr bytes.Buffer
		cmd := secretsScript(nil, tc.args...)
		cmd.Stderr = &stderr
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != tc.status || !strings.Contains(stderr.String(), tc.want) {
			t.Errorf("secrets.sh %q: status %d, want %d with %q: %s", tc.args, got, tc.status, tc.want, &stderr)
		}
	}
}

// TestInitdbMakesTheAgentsUser runs initdb.sh as the MySQL image does: on a server
// whose root has a password, through the server's socket.
func TestInitdbMakesTheAgentsUser(t *testing.T) {
	t.Parallel()
	need(t, "mysql")
	socket := filepath.Join(t.TempDir(), "s")
	server := mysqltest.Start(t, "--socket="+socket)
	secrets := t.TempDir()
	output(t, secretsScript(nil, secrets))
	server.Exec(t, "CREATE DATABASE apmapp")
	server.Exec(t, "CREATE USER keeper@localhost IDENTIFIED BY '"+read(t, filepath.Join(secrets, "mysql_root_password"))+"'")
	server.Exec(t, "GRANT ALL ON *.* TO keeper@localhost WITH GRANT OPTION")

	// mysqltest needs root without a password. So the script logs in as another
	// administrator, who has one.
	script := filepath.Join(t.TempDir(), "initdb.sh")
	if err := os.WriteFile(script, []byte(read(t, filepath.Join(root, "deploy/agent/mysql/initdb.sh"))), 0o755); err != nil {
		t.Fatal(err)
	}
	replace(t, script, "--user=root", "--user=keeper")
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".my.cnf"), []byte("[client]\nsocket="+socket+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script)
	cmd.Env = append(os.Environ(), "HOME="+home, "SECRETS="+secrets,
		"DATADOG_SQL="+filepath.Join(root, "deploy/agent/mysql/datadog.sql"))
	output(t, cmd)

	login := exec.Command("mysql", "--user=datadog", "--batch", "--skip-column-names", "--execute=SELECT CURRENT_USER()")
	login.Env = append(os.Environ(), "HOME="+home, "MYSQL_PWD="+read(t, filepath.Join(secrets, "mysql_datadog_password")))
	if got := strings.TrimSpace(output(t, login)); got != "datadog@%" {
		t.Errorf("the Agent's password logs in as %q, want datadog@%%", got)
	}
}
