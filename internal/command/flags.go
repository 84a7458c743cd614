package command

import (
	"cmp"
	"encoding"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Flags is a flag.FlagSet whose flags may have environment variables, and whose
// help is divided into groups.
type Flags struct {
	*flag.FlagSet
	variables map[string]string // of flags, by name
	group     map[string]string // of flags, by name
	groups    []string          // in the order of their definition
	given     map[string]bool   // flags of the command line
	hints     map[string]string // see Command.Hints
}

// Variable lets an environment variable set a flag. The flag wins over the
// variable, and the variable over the default. An empty variable counts as
// unset.
func (f *Flags) Variable(flag, variable string) { f.variables[flag] = variable }

// Group names the group that -help shows the flags in that define adds.
func (f *Flags) Group(name string, define func()) {
	define()
	f.groups = append(f.groups, name)
	f.VisitAll(func(g *flag.Flag) {
		if _, grouped := f.group[g.Name]; !grouped {
			f.group[g.Name] = name
		}
	})
}

// Given reports whether a flag was on the command line.
func (f *Flags) Given(name string) bool { return f.given[name] }

// parse reads flags and, for those that are not given, their variables. Flags
// may precede and follow other arguments, which it returns; after
// -- everything is an argument.
func (f *Flags) parse(args []string, getenv func(string) string) (arguments []string, err error) {
	f.given = map[string]bool{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			arguments = append(arguments, args...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			arguments = append(arguments, arg)
			continue
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		set := f.Lookup(name)
		switch {
		case set == nil && (name == "h" || name == "help"):
			return nil, flag.ErrHelp
		case set == nil:
			return nil, fmt.Errorf("unknown flag -%s%s", name, f.instead(name))
		case hasValue:
		case isBool(set):
			value = "true"
		case len(args) == 0:
			return nil, fmt.Errorf("-%s needs a value", name)
		default:
			value, args = args[0], args[1:]
		}
		if err := f.Set(name, value); err != nil {
			return nil, fmt.Errorf("-%s: %w", name, invalid(set, value, err))
		}
		f.given[name] = true
	}
	return arguments, f.readVariables(getenv)
}

// readVariables returns every variable that is wrong, in the order of the flags.
func (f *Flags) readVariables(getenv func(string) string) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(f.variables)) {
		variable := f.variables[name]
		value := getenv(variable)
		if value == "" || f.given[name] {
			continue
		}
		if err := f.Set(name, value); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", variable, invalid(f.Lookup(name), value, err)))
		}
	}
	return errors.Join(errs...)
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// invalid describes a value that a flag does not take. The values of flags of
// other types than these are not quoted: one may be a secret.
func invalid(f *flag.Flag, value string, err error) error {
	getter, ok := f.Value.(flag.Getter)
	if !ok {
		return err
	}
	switch getter.Get().(type) {
	case time.Duration:
		return fmt.Errorf("%q is not a duration with a unit, such as 500ms, 10s or 2m", value)
	case int, int64:
		return fmt.Errorf("%q is not a whole number", value)
	case uint, uint64:
		return fmt.Errorf("%q is not a whole number from 0 up", value)
	case float64:
		return fmt.Errorf("%q is not a number", value)
	case bool:
		return fmt.Errorf("%q is neither true nor false", value)
	case encoding.TextUnmarshaler:
		name, _ := flag.UnquoteUsage(f)
		return fmt.Errorf("%q is not a valid %s", value, cmp.Or(name, "value"))
	}
	return err
}
