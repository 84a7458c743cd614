package viewer

import (
	"flag"
	"io"
)

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
