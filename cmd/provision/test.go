package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"apmapp/internal/command"
	"apmapp/internal/local/query"
	"apmapp/internal/local/scenario"
	"apmapp/internal/provision"
)

// testFolder has the tests of monitors, in the folder of the definitions.
const testFolder = "tests"

// test runs tests of monitors. It sends no requests.
func (p *program) test() error {
	all, err := provision.Load(p.dir)
	if err != nil {
		return err
	}
	page := func(ref provision.Ref) string {
		return fmt.Sprintf("%s/%s/%s", p.values.App, ref.Kind, ref.Key)
	}
	all, err = all.Local(p.values, page)
	if err != nil {
		return err
	}
	var documents []query.Document
	untested := map[string]bool{}
	for _, d := range all {
		documents = append(documents, query.Document{Kind: string(d.Kind), Key: d.Key, ID: d.Key, Body: d.Body})
		if d.Kind == provision.Monitor {
			untested[d.Key] = true
		}
	}
	files, err := p.testFiles()
	if err != nil {
		return err
	}
	passed, failed := 0, 0
	for _, f := range files {
		file, err := scenario.Parse(f.text, p.expand)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		delete(untested, file.Monitor)
		outcomes, notes, err := file.Run(documents)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		fmt.Fprintf(p.Stdout, "%s (monitor %s)\n", f.name, file.Monitor)
		for _, note := range notes {
			fmt.Fprintf(p.Stdout, "  note: %s\n", note)
		}
		for _, o := range outcomes {
			if len(o.Failures) == 0 {
				passed++
				fmt.Fprintf(p.Stdout, "  ok    %s\n", o.Test)
				continue
			}
			failed++
			fmt.Fprintf(p.Stdout, "  FAIL  %s\n", o.Test)
			for _, failure := range o.Failures {
				fmt.Fprintf(p.Stdout, "        %s\n", strings.ReplaceAll(failure, "\n", "\n        "))
			}
		}
	}
	if len(p.files) == 0 {
		for _, d := range documents {
			if untested[d.Key] && d.Kind == string(provision.Monitor) {
				fmt.Fprintf(p.Stdout, "monitor %s has no test\n", d.Key)
			}
		}
	}
	fmt.Fprintf(p.Stdout, "%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return fmt.Errorf("%d of %d tests failed", failed, passed+failed)
	}
	return nil
}

type testFile struct {
	name string
	text []byte
}

// testFiles reads the files of the command line, or those beside the definitions.
func (p *program) testFiles() ([]testFile, error) {
	names := p.files
	read := func(name string) ([]byte, error) {
		text, err := os.ReadFile(name)
		if err != nil {
			err = command.UsageError{Err: err}
		}
		return text, err
	}
	if len(names) == 0 {
		var err error
		if names, err = fs.Glob(p.dir, testFolder+"/*.yaml"); err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, errors.New("the folder of the definitions has no tests/*.yaml; name files of tests, see docs/datadog.md")
		}
		slices.Sort(names)
		read = func(name string) ([]byte, error) { return fs.ReadFile(p.dir, path.Clean(name)) }
	}
	var all []testFile
	for _, name := range names {
		text, err := read(name)
		if err != nil {
			return nil, err
		}
		all = append(all, testFile{name, text})
	}
	return all, nil
}

// expand replaces the placeholders of a test by the values of the definitions.
func (p *program) expand(text string) string {
	v := p.values
	return strings.NewReplacer("${env}", v.Env, "${service}", v.Service, "${notify}", v.Notify, "${runbooks}", v.Runbooks, "${app}", v.App).Replace(text)
}
