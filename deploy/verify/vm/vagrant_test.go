package vm

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestVagrantfile has vagrant read the Vagrantfile. No VM is made: there is neither
// a hypervisor here, nor a way to the box.
func TestVagrantfile(t *testing.T) {
	if _, err := exec.LookPath("vagrant"); err != nil {
		message := "the Vagrantfile is checked by vagrant: apt-get install vagrant"
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
		// VirtualBox, which is taken for granted, need not be there.
		cmd := exec.Command("vagrant", "validate", "--ignore-provider")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "VAGRANT_HOME="+dir, "VAGRANT_CHECKPOINT_DISABLE=1")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	// The folder that it shares is beside the file, not beside the copy.
	content = bytes.ReplaceAll(content, []byte(`"../.."`), []byte(`"."`))
	if out, err := validate(content); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := validate(bytes.ReplaceAll(content, []byte("shell.inline"), []byte("shell.inlin"))); err == nil {
		t.Errorf("vagrant takes any setting: %s", out)
	}
}
