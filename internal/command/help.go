package command

import (
	"flag"
	"fmt"
	"strings"
	"text/tabwriter"
)

// help returns what -help prints: examples, summary, flags by group, notes.
func (c Command) help() string {
	var b strings.Builder
	if len(c.Examples) > 0 {
		b.WriteString("Examples:\n")
		columns := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, e := range c.Examples {
			fmt.Fprintf(columns, "  %s\t# %s\n", e.Line, e.Comment)
		}
		columns.Flush() // a strings.Builder takes everything
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "%s\n\nUsage: %s\n", c.Summary, strings.TrimSpace(c.Name+" [flags] "+c.Arguments))
	fs, _ := c.flags()
	if len(fs.variables) > 0 {
		b.WriteString("A flag wins over its environment variable, and the variable over the default.\n")
	}
	for _, group := range fs.groups {
		fmt.Fprintf(&b, "\n%s:\n", group)
		fs.describe(&b, group)
	}
	if c.Notes != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(c.Notes))
	}
	return b.String()
}

// describe writes the flags of one group: name, variable, meaning and default.
func (f *Flags) describe(b *strings.Builder, group string) {
	f.VisitAll(func(g *flag.Flag) {
		if f.group[g.Name] != group {
			return
		}
		placeholder, text := flag.UnquoteUsage(g)
		line := strings.TrimSpace("-" + g.Name + " " + placeholder)
		if variable := f.variables[g.Name]; variable != "" {
			line += "  (" + variable + ")"
		}
		if g.DefValue != "" && g.DefValue != "false" {
			text += " (default " + g.DefValue + ")"
		}
		fmt.Fprintf(b, "  %s\n        %s\n", line, text)
	})
}
