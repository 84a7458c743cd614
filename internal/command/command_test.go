package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// settings are what the program of these tests reads.
type settings struct {
	rate      float64
	workers   int
	port      uint
	wait      time.Duration
	level     slog.Level
	verbose   bool
	arguments []string
}

// program returns a command with a flag of each type. Its Run returns err.
func program(s *settings, err error) Command {
	return Command{
		Name: "tool", Arguments: "FILE...", Summary: "tool does something.",
		Examples: []Example{{"tool -rate 3 a.txt", "three a second"}, {"tool", "the defaults"}},
		Notes:    "More is in the manual.",
		Modules:  []string{"golang.org/x/term"},
		Hints:    map[string]string{"n": "the work has no number", "worker-count": "use -workers"},
		Flags: func(fs *Flags) {
			fs.Group("Speed", func() {
				fs.Float64Var(&s.rate, "rate", 20, "requests per second")
				fs.DurationVar(&s.wait, "wait", time.Second, "`time` between two requests")
			})
			fs.IntVar(&s.workers, "workers", 2, "workers")
			fs.UintVar(&s.port, "port", 80, "`port`")
			fs.TextVar(&s.level, "log-level", slog.LevelInfo, "`level` to log")
			fs.BoolVar(&s.verbose, "verbose", false, "print more")
			fs.Func("header", "a header", func(string) error { return errors.New("not of the form Name: value") })
			fs.Variable("rate", "TOOL_RATE")
			fs.Variable("port", "TOOL_PORT")
			fs.Variable("workers", "TOOL_WORKERS")
		},
		Check: func(arguments []string) error {
			s.arguments = arguments
			if s.workers < 1 {
				return fmt.Errorf("-workers must be at least 1, got %d", s.workers)
			}
			return nil
		},
		Run: func(context.Context) error { return err },
	}
}

// execute runs the program and returns what it prints.
func execute(t *testing.T, c Command, env map[string]string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = c.Execute(t.Context(), Process{Args: args, Getenv: func(name string) string { return env[name] }, Stdout: &out, Stderr: &errs})
	return status, out.String(), errs.String()
}

func TestFlagOverVariableOverDefault(t *testing.T) {
	var s settings
	status, _, stderr := execute(t, program(&s, nil),
		map[string]string{"TOOL_RATE": "7", "TOOL_PORT": "81", "TOOL_WORKERS": ""},
		"-rate=3", "a.txt", "--wait", "2s", "-verbose", "b.txt", "--", "-rate")
	if status != Success || stderr != "" {
		t.Fatalf("status %d: %s", status, stderr)
	}
	got := fmt.Sprint(s.rate, s.port, s.workers, s.wait, s.verbose, s.arguments)
	if want := "3 81 2 2s true [a.txt b.txt -rate]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestGiven(t *testing.T) {
	var rate, port bool
	c := program(new(settings), nil)
	define := c.Flags
	var fs *Flags
	c.Flags = func(f *Flags) { fs = f; define(f) }
	c.Check = func([]string) error { rate, port = fs.Given("rate"), fs.Given("port"); return nil }
	execute(t, c, map[string]string{"TOOL_PORT": "1"}, "-rate", "1")
	if !rate || port {
		t.Errorf("rate given: %t, want true; port given: %t, want false: its variable set it", rate, port)
	}
}

func TestErrors(t *testing.T) {
	for _, tc := range []struct {
		name   string
		args   string
		env    map[string]string
		run    error
		status int
		want   string // the first line
	}{
		{"unknown flag", "-frobnicate", nil, nil, Usage, "unknown flag -frobnicate"},
		{"mistyped flag", "-worker 3", nil, nil, Usage, "unknown flag -worker; did you mean -workers?"},
		{"flag of another program", "-n 3", nil, nil, Usage, "unknown flag -n: the work has no number"},
		{"with its value", "-n3", nil, nil, Usage, "unknown flag -n3: the work has no number"},
		{"with the value 0", "-n0", nil, nil, Usage, "unknown flag -n0: the work has no number"},
		{"with the value 9", "-n9", nil, nil, Usage, "unknown flag -n9: the work has no number"},
		{"with a letter", "-nA", nil, nil, Usage, "unknown flag -nA: the work has no number"},
		{"with letters", "-nZA", nil, nil, Usage, "unknown flag -nZA: the work has no number"},
		{"with a sign", "-n_", nil, nil, Usage, "unknown flag -n_"},
		{"a letter that no program has", "-y", nil, nil, Usage, "unknown flag -y"},
		{"another flag that begins like it", "-nope", nil, nil, Usage, "unknown flag -nope"},
		{"long flag of another program", "--worker-count=3", nil, nil, Usage, "unknown flag -worker-count: use -workers"},
		{"no value", "-rate", nil, nil, Usage, "-rate needs a value"},
		{"not a number", "-rate many", nil, nil, Usage, `-rate: "many" is not a number`},
		{"not a whole number", "-workers 1.5", nil, nil, Usage, `-workers: "1.5" is not a whole number`},
		{"negative", "-port -1", nil, nil, Usage, `-port: "-1" is not a whole number from 0 up`},
		{"no unit", "-wait 10", nil, nil, Usage, `-wait: "10" is not a duration with a unit, such as 500ms, 10s or 2m`},
		{"not a bool", "-verbose=maybe", nil, nil, Usage, `-verbose: "maybe" is neither true nor false`},
		{"text", "-log-level loud", nil, nil, Usage, `-log-level: "loud" is not a valid level`},
		{"a value that may be secret", "-header hunter2", nil, nil, Usage, "-header: not of the form Name: value"},
		{"variable", "", map[string]string{"TOOL_PORT": "http"}, nil, Usage, `TOOL_PORT: "http" is not a whole number from 0 up`},
		{"check", "-workers 0", nil, nil, Usage, "-workers must be at least 1, got 0"},
		{"usage error of Run", "", nil, fmt.Errorf("connect: %w", UsageError{errors.New("which account?")}), Usage, "connect: which account?"},
		{"failure", "", nil, errors.New("disk full"), Failure, "disk full"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, stdout, stderr := execute(t, program(new(settings), tc.run), tc.env, strings.Fields(tc.args)...)
			want := "tool: " + tc.want + "\n"
			if tc.status == Usage {
				want += "Run tool -help for all flags.\n"
			}
			if status != tc.status || stdout != "" || stderr != want {
				t.Errorf("status %d, stdout %q, stderr %q; want %d, nothing and %q", status, stdout, stderr, tc.status, want)
			}
		})
	}
}

func TestAllWrongVariablesAreNamedInOrder(t *testing.T) {
	env := map[string]string{"TOOL_WORKERS": "x", "TOOL_RATE": "y", "TOOL_PORT": "z"}
	_, _, stderr := execute(t, program(new(settings), nil), env)
	port, rate, workers := strings.Index(stderr, "TOOL_PORT"), strings.Index(stderr, "TOOL_RATE"), strings.Index(stderr, "TOOL_WORKERS")
	if port < 0 || rate < port || workers < rate {
		t.Errorf("got %s, want TOOL_PORT, TOOL_RATE and TOOL_WORKERS", stderr)
	}
}

func TestStatusPrintsNothing(t *testing.T) {
	status, stdout, stderr := execute(t, program(new(settings), fmt.Errorf("compare: %w", Status(3))), nil)
	if got := Status(3).Error(); got != "exit status 3" {
		t.Errorf("error %q", got)
	}
	if status != 3 || stdout+stderr != "" {
		t.Errorf("status %d: %q", status, stdout+stderr)
	}
}

func TestArgumentsAreRefusedUnlessDescribed(t *testing.T) {
	c := program(new(settings), nil)
	c.Arguments = ""
	if status, _, stderr := execute(t, c, nil); status != Success {
		t.Errorf("without arguments: status %d: %s", status, stderr)
	}
	for range 2 {
		status, _, stderr := execute(t, c, nil, "20")
		if status != Usage || stderr != "tool: unexpected argument \"20\": flags begin with -\nRun tool -help for all flags.\n" {
			t.Errorf("status %d: %s", status, stderr)
		}
		c.Unexpected = func(string) error { return nil }
	}
	c.Unexpected = func(s string) error { return errors.New(s + " is not a file") }
	if status, _, stderr := execute(t, c, nil, "20", "30"); status != Usage || !strings.HasPrefix(stderr, "tool: 20 is not a file\n") {
		t.Errorf("status %d: %s", status, stderr)
	}
}

func TestHelp(t *testing.T) {
	const want = `Examples:
  tool -rate 3 a.txt  # three a second
  tool                # the defaults

tool does something.

Usage: tool [flags] FILE...
A flag wins over its environment variable, and the variable over the default.

Speed:
  -rate float  (TOOL_RATE)
        requests per second (default 20)
  -wait time
        time between two requests (default 1s)

General:
  -header value
        a header
  -log-level level
        level to log (default INFO)
  -port port  (TOOL_PORT)
        port (default 80)
  -verbose
        print more
  -version
        print the version and exit
  -workers int  (TOOL_WORKERS)
        workers (default 2)

More is in the manual.
`
	for _, arg := range []string{"-h", "-help", "--help"} {
		status, stdout, stderr := execute(t, program(new(settings), nil), nil, arg)
		if status != Success || stderr != "" || stdout != want {
			t.Errorf("%s: status %d, stderr %q, stdout\n%s\nwant\n%s", arg, status, stderr, stdout, want)
		}
	}
}

func TestHelpOfASmallProgram(t *testing.T) {
	c := Command{Name: "tool", Summary: "tool does something.", Run: func(context.Context) error { return nil }}
	_, stdout, _ := execute(t, c, nil, "-help")
	const want = "tool does something.\n\nUsage: tool [flags]\n\nFlags:\n  -version\n        print the version and exit\n"
	if stdout != want {
		t.Errorf("got\n%s\nwant\n%s", stdout, want)
	}
}

func TestVersion(t *testing.T) {
	status, stdout, stderr := execute(t, program(new(settings), errors.New("Run was called")), nil, "-version")
	if status != Success || stderr != "" || !strings.HasPrefix(stdout, "tool ") || !strings.Contains(stdout, "\nrevision ") || !strings.Contains(stdout, "\ngo 1.") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
}
