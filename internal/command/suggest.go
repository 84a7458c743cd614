package command

import (
	"flag"
	"fmt"

	"apmapp/internal/nearest"
)

// instead returns what to write instead of an unknown flag: ": " and a hint, or what
// suggest returns.
func (f *Flags) instead(name string) string {
	hint, ok := f.hints[name]
	if !ok && len(name) > 1 && (name[1] >= '0' && name[1] <= '9' || name[1] >= 'A' && name[1] <= 'Z') {
		hint, ok = f.hints[name[:1]] // such as -c10 or -XPOST
	}
	if ok {
		return ": " + hint
	}
	return f.suggest(name)
}

// suggest returns "; did you mean -name?" for the flag that name resembles most,
// or "".
func (f *Flags) suggest(name string) string {
	var names []string
	f.VisitAll(func(g *flag.Flag) { names = append(names, g.Name) })
	if near := nearest.Name(name, names); near != "" {
		return fmt.Sprintf("; did you mean -%s?", near)
	}
	return ""
}
