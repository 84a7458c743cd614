package vm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestVagrantfile validates the Vagrantfile with vagrant. It creates no VM: the test
// machine has no hypervisor and cannot download the box.
func TestVagrantfile(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("vagrant"); err != nil {
		message := "vagrant is not installed: apt-get install vagrant"
		if os.Getenv("CI") != "" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	content, err := os.ReadFile(repository + "/deploy/vm/Vagrantfile")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(content []byte) (string, error) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "Vagrantfile"), content, 0o600); err != nil {
			t.Fatal(err)
		}
		// Otherwise vagrant wants VirtualBox.
		cmd := exec.Command("vagrant", "validate", "--ignore-provider")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "VAGRANT_HOME="+dir, "VAGRANT_CHECKPOINT_DISABLE=1")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, want := range []string{`(?m)^  config\.vm\.box_version = "[0-9.]+"$`, `override\.vm\.box_version = "[0-9.]+"`} {
		if !regexp.MustCompile(want).Match(content) {
			t.Errorf("the Vagrantfile pins no version of the box: nothing matches %s", want)
		}
	}
	// The shared folder is relative to the original file, not to the copy.
	content = bytes.ReplaceAll(content, []byte(`"../.."`), []byte(`"."`))
	if out, err := validate(content); err != nil {
		t.Errorf("vagrant validate: %v\n%s", err, out)
	}
	if out, err := validate(bytes.ReplaceAll(content, []byte("shell.inline"), []byte("shell.inlin"))); err == nil {
		t.Errorf("vagrant validate accepts the unknown setting shell.inlin: %s", out)
	}
}
