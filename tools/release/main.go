// Command release checks .goreleaser.yaml without building goreleaser, which
// takes minutes:
//
//	release [directory]
//
// It reads the file of the directory (default: the working directory) with
// goreleaser's own types, which know every setting, and refuses unknown ones. It
// also checks that each released program is built, from a directory that
// exists, for each supported platform.
package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

var (
	systems       = []string{"linux", "darwin", "windows"}
	architectures = []string{"amd64", "arm64"}
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	if err := check(root); err != nil {
		fmt.Fprintln(os.Stderr, ".goreleaser.yaml:", err)
		os.Exit(1)
	}
}

// check returns all problems of the configuration in root.
func check(root string) error {
	project, err := config.Load(filepath.Join(root, ".goreleaser.yaml"))
	if err != nil {
		return err
	}
	all, err := programs(root)
	if err != nil {
		return err
	}
	var errs []error
	built := map[string]bool{}
	for _, b := range project.Builds {
		built[b.Main] = true
		if !slices.Contains(all, b.Main) {
			errs = append(errs, fmt.Errorf("build %q: main %q is not a program", b.ID, b.Main))
		}
		if b.Binary != path.Base(b.Main) {
			errs = append(errs, fmt.Errorf("build %q: binary must be %q, got %q", b.ID, path.Base(b.Main), b.Binary))
		}
		if !slices.Equal(b.Goos, systems) || !slices.Equal(b.Goarch, architectures) {
			errs = append(errs, fmt.Errorf("build %q: platforms must be %v on %v, got %v on %v",
				b.ID, systems, architectures, b.Goos, b.Goarch))
		}
	}
	for _, p := range all {
		if !built[p] {
			errs = append(errs, fmt.Errorf("no build of %s", p))
		}
	}
	return errors.Join(errs...)
}

// programs returns the directories of the released programs below root, in the form
// of goreleaser's setting main: ./loadgen, and ./cmd/NAME for each directory of cmd.
func programs(root string) ([]string, error) {
	dirs, err := os.ReadDir(filepath.Join(root, "cmd"))
	if err != nil {
		return nil, err
	}
	found := []string{"./loadgen"}
	for _, d := range dirs {
		if d.IsDir() {
			found = append(found, "./cmd/"+d.Name())
		}
	}
	return found, nil
}
