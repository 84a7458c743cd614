package provision

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Definition is one resource, as its file describes it.
type Definition struct {
	Ref
	File string
	Body map[string]any // numbers are json.Number
}

// Definitions are the definitions of a directory. Each follows those that it
// refers to.
type Definitions []Definition

var fileName = regexp.MustCompile(`^(slo|dashboard|monitor|downtime)\.([a-z0-9][a-z0-9-]*)\.json$`)

// Load reads the definitions in a directory: files named kind.key.json. Its error
// lists everything that is wrong, with file and place.
func Load(dir fs.FS) (Definitions, error) {
	all, errs := LoadEach(dir)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return all, nil
}

// LoadEach is like Load, but a file that is wrong does not hide the others. The errors name
// file and place.
func LoadEach(dir fs.FS) (Definitions, []error) {
	names, err := fs.Glob(dir, "*.json")
	if err != nil {
		return nil, []error{err}
	}
	if len(names) == 0 {
		return nil, []error{errors.New("the folder has no definitions: no file name ends in .json")}
	}
	var all Definitions
	var errs []error
	for _, name := range names {
		d, err := load(dir, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
			continue
		}
		all = append(all, d)
	}
	order, more := sorted(all)
	if len(errs) == 0 { // else a reference may lead to a file that is wrong
		errs = more
	}
	return order, errs
}

func load(dir fs.FS, name string) (Definition, error) {
	m := fileName.FindStringSubmatch(path.Base(name))
	if m == nil {
		return Definition{}, errors.New("the file name must be KIND.KEY.json: KIND is slo, dashboard, monitor or downtime, KEY consists of a–z, 0–9 and -")
	}
	text, err := fs.ReadFile(dir, name)
	if err != nil {
		return Definition{}, err
	}
	body, err := parse(text)
	if err != nil {
		return Definition{}, err
	}
	return Definition{Ref: Ref{Kind(m[1]), m[2]}, File: name, Body: body}, nil
}

// parse reads a JSON object. A repeated field is an error, because only one of the
// two values could count.
func parse(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := parseValue(d, "")
	if err != nil {
		line := 1 + bytes.Count(text[:min(int(d.InputOffset()), len(text))], []byte("\n"))
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("unexpected text after the JSON object")
	}
	body, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("not a JSON object")
	}
	return body, nil
}

// parseValue reads one value. at is its path, for errors.
func parseValue(d *json.Decoder, at string) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, unexpected(err)
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := parseValue(d, fmt.Sprintf("%s[%d]", at, len(list)))
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, unexpected(err)
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() {
			token, err := d.Token()
			if err != nil {
				return nil, unexpected(err)
			}
			key := token.(string)
			if _, ok := object[key]; ok {
				return nil, fmt.Errorf("%s: repeated field", below(at, key))
			}
			if object[key], err = parseValue(d, below(at, key)); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return object, unexpected(err)
	}
	return token, nil
}

// unexpected makes the end of the text an error.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// sorted orders definitions so that each follows those that it refers to. The errors are
// references that lead nowhere or to themselves.
func sorted(all Definitions) (Definitions, []error) {
	slices.SortFunc(all, func(a, b Definition) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.Key, b.Key))
	})
	byRef := map[Ref]Definition{}
	for _, d := range all {
		byRef[d.Ref] = d
	}
	var order Definitions
	var errs []error
	state := map[Ref]int{} // 1 while its references are visited, 2 afterwards
	var visit func(d Definition, from []string)
	visit = func(d Definition, from []string) {
		from = append(from, d.String())
		if state[d.Ref] == 1 {
			errs = append(errs, fmt.Errorf("%s: refers to itself: %s", d.File, strings.Join(from, " > ")))
			return
		}
		if state[d.Ref] == 2 {
			return
		}
		state[d.Ref] = 1
		places := d.references()
		for _, ref := range slices.SortedFunc(maps.Keys(places), compareRefs) {
			if to, ok := byRef[ref]; ok {
				visit(to, from)
			} else {
				errs = append(errs, fmt.Errorf("%s: %s: %s does not exist", d.File, places[ref], ref.File()))
			}
		}
		state[d.Ref] = 2
		order = append(order, d)
	}
	for _, d := range all {
		visit(d, nil)
	}
	return order, errs
}

func compareRefs(a, b Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key))
}
