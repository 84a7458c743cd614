package checks

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"time"

	"apmapp/internal/local/wire"
)

// runner runs a check in Python, with a stand-in for the Agent's base class.
//
//go:embed run.py
var runner string

// script is a custom check in a Python process, which stays between runs: a check may
// have a state, and 11 MB of memory cost less than a start of Python at short intervals.
type script struct {
	file  string
	first []byte // what the process reads first
	// unsent is first until it is written.
	unsent []byte
	// The process, nil while it does not run.
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func newScript(name, file, source string, i instance) *check {
	first, err := json.Marshal(map[string]any{"name": name, "file": file, "source": source, "init_config": i.init, "instance": i.values})
	if err != nil {
		panic(err) // configuration has tried it
	}
	s := &script{file: file, first: append(first, '\n')}
	return &check{name: name, interval: i.interval, run: s.run, close: func() { s.end() }}
}

// answer is what the runner writes after a run.
type answer struct {
	Metrics []struct {
		Type, Name, Host string
		Value            float64
		Tags             []string
	}
	Checks []struct {
		Name, Host, Message string
		Status              int
		Tags                []string
	}
	Warnings []string
	Error    string
	Line     int // of the error; 0 if unknown
}

// statuses are the results of service checks, by number.
var statuses = []string{"ok", "warning", "critical", "unknown"}

// run runs the check once. It starts the process if none runs, and ends it if the check
// does not end before ctx.
func (s *script) run(ctx context.Context) (collected, error) {
	if err := s.start(); err != nil {
		return collected{}, err
	}
	stop := context.AfterFunc(ctx, s.quitter())
	line, err := s.ask()
	state := ""
	if !stop() || err != nil {
		state = s.end()
	}
	if err != nil {
		return collected{}, fmt.Errorf("%s: its Python process ended: %s", s.file, state)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		s.end()
		return collected{}, fmt.Errorf("%s: %w", s.file, err)
	}
	got := collected{warnings: a.Warnings}
	for _, m := range a.Metrics {
		if m.Host != "" {
			m.Tags = append(m.Tags, "host:"+m.Host)
		}
		got.samples = append(got.samples, wire.Sample{Name: m.Name, Type: m.Type, Values: []float64{m.Value}, Weight: 1, Tags: m.Tags})
	}
	for _, k := range a.Checks {
		status := "unknown"
		if k.Status >= 0 && k.Status < len(statuses) {
			status = statuses[k.Status]
		}
		got.checks = append(got.checks, wire.Check{Name: k.Name, Status: status, Host: k.Host, Message: k.Message, Tags: k.Tags})
	}
	switch {
	case a.Error != "" && a.Line > 0:
		err = fmt.Errorf("%s:%d: %s", s.file, a.Line, a.Error)
	case a.Error != "":
		err = fmt.Errorf("%s: %s", s.file, a.Error)
	}
	return got, err
}

// ask has the process run the check and returns its answer.
func (s *script) ask() ([]byte, error) {
	if _, err := s.in.Write(append(s.unsent, '\n')); err != nil {
		return nil, err
	}
	s.unsent = nil
	return s.out.ReadBytes('\n')
}

// start starts the process unless it runs.
func (s *script) start() error {
	if s.process != nil {
		return nil
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		return fmt.Errorf("python3 is not installed: %s needs it", s.file)
	}
	cmd := exec.Command(python, "-B", "-c", runner)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", python, err)
	}
	s.process, s.in, s.out, s.unsent = cmd, in, bufio.NewReader(out), slices.Clone(s.first)
	return nil
}

// grace is the time that a process has to end itself and those that it started.
const grace = time.Second

// quitter returns a function that tells the process to end. Its standard input ends then,
// as it does when this program is killed.
func (s *script) quitter() func() {
	process, in := s.process.Process, s.in
	return func() {
		_ = in.Close()
		time.AfterFunc(grace, func() { _ = process.Kill() })
	}
}

// end ends the process if there is one, and returns how it ended.
func (s *script) end() (state string) {
	if s.process == nil {
		return ""
	}
	s.quitter()()
	_ = s.process.Wait()
	state = s.process.ProcessState.String()
	s.process = nil
	return state
}
