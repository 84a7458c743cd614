package viewer

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync"

	"apmapp/internal/uplot"
)

//go:embed pages assets
var files embed.FS

// assetsVersion is a hash of all embedded files.
var assetsVersion = sync.OnceValue(func() string {
	hash := sha256.New()
	for _, of := range []fs.FS{files, uplot.Files} {
		if err := fs.WalkDir(of, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := fs.ReadFile(of, path)
			fmt.Fprintf(hash, "%s %d\n%s", path, len(content), content)
			return err
		}); err != nil {
			panic(err) // the files are embedded
		}
	}
	return fmt.Sprintf("%x", hash.Sum(nil)[:8])
})

// assetPath returns the path of a script or style sheet. It has the version, so that browsers
// may keep the file for ever.
func assetPath(name string) string { return "/assets/" + assetsVersion() + "/" + name }

func (v *viewer) asset(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("version") == assetsVersion() {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else { // of a page that another version has written
		w.Header().Set("Cache-Control", "no-store")
	}
	if name, is := strings.CutPrefix(r.PathValue("name"), "uplot/"); is {
		http.ServeFileFS(w, r, uplot.Files, name)
		return
	}
	http.ServeFileFS(w, r, files, "assets/"+r.PathValue("name"))
}
