package command

import (
	"flag"
	"fmt"

	"apmapp/internal/nearest"
)

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
