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
	said := makeSecrets(t, keys, dir)
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
			t.Errorf("%s has mode %s; a container's user could not read it", e.Name(), info.Mode())
		}
		made[e.Name()] = read(t, filepath.Join(dir, e.Name()))
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s is open to others: %v, %v", dir, info.Mode(), err)
	}
	password := regexp.MustCompile(`^[0-9a-f]{48}$`)
	seen := map[string]bool{}
	for _, user := range []string{"root", "apmapp", "datadog"} {
		p := made["mysql_"+user+"_password"]
		if !password.MatchString(p) || seen[p] {
			t.Errorf("the password of %s is %q", user, p)
		}
		seen[p] = true
		if strings.Contains(said, p) {
			t.Errorf("the password of %s is printed", user)
		}
	}
	if want := "apmapp:" + made["mysql_apmapp_password"] + "@tcp(mysql:3306)/apmapp"; made["dsn"] != want {
		t.Errorf("the DSN is %q, want %q", made["dsn"], want)
	}
	if made["dd_api_key"] != "an API key" || len(made) != 5 {
		t.Errorf("made %q", made)
	}

	makeSecrets(t, []string{"DD_API_KEY=another"}, dir)
	for name, before := range made {
		if after := read(t, filepath.Join(dir, name)); after != before {
			t.Errorf("the second run changed %s", name)
		}
	}
}

func TestSecretsWithoutAKey(t *testing.T) {
	dir := t.TempDir()
	makeSecrets(t, nil, dir) // the profile local needs none
	if _, err := os.Stat(filepath.Join(dir, "dd_api_key")); err == nil {
		t.Error("there is a key")
	}
	for status, args := range map[int][]string{1: {dir, "datadog"}, 2: {dir, "mysqld"}} {
		var stderr bytes.Buffer
		cmd := exec.Command(filepath.Join(root, "deploy/secrets.sh"), args...)
		cmd.Env, cmd.Stderr = []string{"PATH=" + os.Getenv("PATH")}, &stderr
		_ = cmd.Run()
		if got := cmd.ProcessState.ExitCode(); got != status || stderr.Len() == 0 {
			t.Errorf("%q: status %d, want %d: %s", args, got, status, &stderr)
		}
	}
}

// TestTheImageOfMySQLMakesTheAgentsUser runs what the image of MySQL runs, on a
// server that is as the image leaves it: with root's password set, reached by its
// socket.
func TestTheImageOfMySQLMakesTheAgentsUser(t *testing.T) {
	need(t, "mysql")
	socket := filepath.Join(t.TempDir(), "s")
	server := mysqltest.Start(t, "--socket="+socket)
	secrets := t.TempDir()
	makeSecrets(t, nil, secrets)
	server.Exec(t, "CREATE DATABASE apmapp")
	server.Exec(t, "CREATE USER keeper@localhost IDENTIFIED BY '"+read(t, filepath.Join(secrets, "mysql_root_password"))+"'")
	server.Exec(t, "GRANT ALL ON *.* TO keeper@localhost WITH GRANT OPTION")

	// The test's server keeps its root without a password, for its own end: the
	// script is to log in as another that has one.
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
		t.Errorf("the Agent's password logs in as %q", got)
	}
}
