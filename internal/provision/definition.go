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

// Definition is a resource as its file has it.
type Definition struct {
	Ref
	File string
	Body map[string]any // numbers are json.Number
}

// Definitions are all of a directory, each after those that it refers to.
type Definitions []Definition

var fileName = regexp.MustCompile(`^(slo|dashboard|monitor|downtime)\.([a-z0-9][a-z0-9-]*)\.json$`)

// Load reads the definitions in a directory: files named kind.key.json. What is
// wrong with them is one error that names each place.
func Load(dir fs.FS) (Definitions, error) {
	names, err := fs.Glob(dir, "*.json")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New("no definitions here: no file ends in .json")
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
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return sorted(all)
}

func load(dir fs.FS, name string) (Definition, error) {
	m := fileName.FindStringSubmatch(path.Base(name))
	if m == nil {
		return Definition{}, errors.New("a file is named slo|dashboard|monitor|downtime, a key of a-z, 0-9 and -, and json, with dots between them")
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

// parse reads a JSON object. Two fields of a name are an error, since only one of
// them would count.
func parse(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := parseValue(d, "")
	if err != nil {
		line := 1 + bytes.Count(text[:min(int(d.InputOffset()), len(text))], []byte("\n"))
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON value")
	}
	body, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("is not a JSON object")
	}
	return body, nil
}

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
				return nil, fmt.Errorf("%s: is here twice", below(at, key))
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

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func below(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// sorted puts each definition behind those that it refers to.
func sorted(all Definitions) (Definitions, error) {
	slices.SortFunc(all, func(a, b Definition) int {
		return cmp.Or(cmp.Compare(slices.Index(kinds, a.Kind), slices.Index(kinds, b.Kind)), cmp.Compare(a.Key, b.Key))
	})
	byRef := map[Ref]Definition{}
	for _, d := range all {
		byRef[d.Ref] = d
	}
	var order Definitions
	var errs []error
	state := map[Ref]int{} // 1 while what it refers to is visited, 2 afterwards
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
				errs = append(errs, fmt.Errorf("%s: %s: there is no %s", d.File, places[ref], ref.file()))
			}
		}
		state[d.Ref] = 2
		order = append(order, d)
	}
	for _, d := range all {
		visit(d, nil)
	}
	return order, errors.Join(errs...)
}

func compareRefs(a, b Ref) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key))
}

// marshal writes JSON as the files have it: indented, without escapes for HTML.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(err) // the values come from JSON
	}
	return b.Bytes()
}
