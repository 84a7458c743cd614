package viewer

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/pprof/driver"
	"github.com/google/pprof/profile"
)

// views are the views of google/pprof that the pages show. Its other views read
// source files and binaries that the profile names, run graphviz and objdump, put
// links of the profile into the page, or write a settings file. Everybody who can
// upload a profile chooses these names and links.
var views = []string{"flamegraph", "top", "peek"}

// parameters are the query parameters of views: the pages' own, and those of the
// menus that remain in pprof's pages (focus, ignore, hide, show, show from, sample,
// pivot).
var parameters = []string{"endpoint", "span", "f", "i", "h", "s", "sf", "si", "p", "service", "kind", "from", "to", "base_from", "base_to"}

func checkParameters(q url.Values) error {
	for name := range q {
		if !slices.Contains(parameters, name) {
			return fmt.Errorf("unknown parameter %q, must be one of %s", name, strings.Join(parameters, ", "))
		}
	}
	return nil
}

// render returns pprof's answer to a request for a view, also of what changed since a base;
// without a base it is nil. It changes the profiles. Back is the URL of the list of profiles.
func render(p, base *profile.Profile, view, back string, r *http.Request) (*answerBuffer, error) {
	handler, err := pprofHandler(p, base, view)
	if err != nil {
		return nil, err
	}
	out := &answerBuffer{header: http.Header{}, status: http.StatusOK}
	handler.ServeHTTP(out, r)
	out.body = bytes.Replace(out.body, []byte("</head>"), []byte(withoutDeadLinks+darkStyle+"</head>"), 1)
	out.body = bytes.Replace(out.body, []byte(`<a href="./">pprof</a>`), []byte(`<a href="`+html.EscapeString(back)+`">← profiles</a>`), 1)
	return out, nil
}

// withoutDeadLinks hides links of pprof's pages to views that are not served. The
// elements must exist: pprof's scripts use them.
const withoutDeadLinks = `<style>.header .title { white-space: nowrap } #graphbtn, #list, #disasm, #config, #action-source, #action-source-tab, #action-source-tab + hr { display: none }</style>`

// darkStyle gives pprof's pages dark colors, except the boxes of flame graphs.
const darkStyle = `<style>@media (prefers-color-scheme: dark) {
:root { color-scheme: dark; }
body { background: #0f1318; color: #e4e8ee; }
a { color: #8ab4f8; }
.header, .submenu, #detailsbox, #stack-holder, #current-details { background-color: #181d24; color: #e4e8ee; }
.header .title a, .menu-name a, .submenu a { color: #e4e8ee; }
.header input { background-color: #0f1318; color: #e4e8ee; }
th, #topcontainer th { background-color: #303844 !important; color: #e4e8ee; }
tr:hover, #toptable tr:hover { background-color: #1f2b3f !important; }
.boxtext { color: #111; } .hilite, .hilite2 { box-shadow: 0 0 0 2px #fff; }
}</style>`

// starting is held while a driver starts: it writes global variables.
var starting sync.Mutex

// pprofHandler returns google/pprof's handler of a view of a profile, or of what changed since a
// base. It changes both. The driver also reads the user's own pprof settings, for a menu that is
// hidden; no part of a profile or a request is in the name of that file.
func pprofHandler(p, base *profile.Profile, view string) (http.Handler, error) {
	args := []string{"-http=localhost:0", "-no_browser", "-symbolize=none", "profile"}
	if base != nil {
		args = append([]string{"-diff_base=base"}, args...)
	}
	for _, p := range []*profile.Profile{p, base} {
		if p == nil {
			continue
		}
		for _, m := range p.Mapping { // the driver would search directories for these
			m.File, m.BuildID = path.Base(m.File), ""
		}
		p.DocURL = "" // would be the link of "Help"
	}
	starting.Lock()
	defer starting.Unlock()
	var handler http.Handler
	err := driver.PProf(&driver.Options{
		Flagset: &arguments{args: args},
		Fetch:   fetched{"profile": p, "base": base},
		Sym:     noSymbols{},
		Obj:     noBinaries{},
		UI:      &silent{},
		HTTPServer: func(args *driver.HTTPServerArgs) error {
			handler = args.Handlers["/"+view]
			return nil
		},
	})
	if err == nil && handler == nil {
		err = fmt.Errorf("pprof has no view %q", view)
	}
	return handler, err
}

// fetched is a Fetcher of profiles in memory, by the names in the arguments.
type fetched map[string]*profile.Profile

func (f fetched) Fetch(name string, _, _ time.Duration) (*profile.Profile, string, error) {
	return f[name], "", nil
}

// noSymbols is a Symbolizer that looks up nothing: profiles of programs have the
// names of their functions.
type noSymbols struct{}

func (noSymbols) Symbolize(string, driver.MappingSources, *profile.Profile) error { return nil }

// noBinaries is an ObjTool that opens no file and runs no program.
type noBinaries struct{}

var errNoBinaries = errors.New("binaries are not read")

func (noBinaries) Open(string, uint64, uint64, uint64, string) (driver.ObjFile, error) {
	return nil, errNoBinaries
}

func (noBinaries) Disasm(string, uint64, uint64, bool) ([]driver.Inst, error) {
	return nil, errNoBinaries
}

// answerBuffer is a ResponseWriter that keeps an answer in memory.
type answerBuffer struct {
	header http.Header
	status int
	body   []byte
}

func (b *answerBuffer) Header() http.Header { return b.header }

func (b *answerBuffer) WriteHeader(status int) { b.status = status }

func (b *answerBuffer) Write(p []byte) (int, error) {
	b.body = append(b.body, p...)
	return len(p), nil
}

// arguments is a fixed command line in the form that pprof's driver requires.
type arguments struct {
	flag.FlagSet
	args []string
}

func (a *arguments) StringList(name, def, usage string) *[]*string {
	return &[]*string{a.String(name, def, usage)}
}

func (a *arguments) ExtraUsage() string { return "" }

func (a *arguments) AddExtraUsage(string) {}

func (a *arguments) Parse(func()) []string {
	a.Init("pprof", flag.ContinueOnError)
	a.SetOutput(io.Discard)
	if err := a.FlagSet.Parse(a.args); err != nil {
		return nil
	}
	return a.Args()
}

// silent is a terminal without input that discards all output.
type silent struct{}

func (silent) ReadLine(string) (string, error)     { return "", io.EOF }
func (silent) Print(...any)                        {}
func (silent) PrintErr(...any)                     {}
func (silent) IsTerminal() bool                    { return false }
func (silent) WantBrowser() bool                   { return false }
func (silent) SetAutoComplete(func(string) string) {}
