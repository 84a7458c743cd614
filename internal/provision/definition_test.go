package provision

import (
	"strings"
	"testing"
	"testing/fstest"
)

// edited is the definitions with one text of a file replaced.
func edited(t *testing.T, file, old, new string) fstest.MapFS {
	t.Helper()
	dir := fstest.MapFS{}
	for _, d := range definitions(t) {
		text := string(marshal(d.Body))
		if d.File == file {
			if !strings.Contains(text, old) {
				t.Fatalf("%s has no %q", file, old)
			}
			text = strings.Replace(text, old, new, 1)
		}
		dir[d.File] = &fstest.MapFile{Data: []byte(text)}
	}
	return dir
}

func TestFilesThatCannotBeRead(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"monitor.a.json", "{", "monitor.a.json: line 1: unexpected EOF"},
		{"monitor.a.json", "{\n\"a\": 1,\n\"a\": 2}", "line 3: a: is here twice"},
		{"monitor.a.json", "{} {}", "something follows"},
		{"monitor.a.json", "[]", "is not a JSON object"},
		{"monitor.a.json", "{\n\"a\" 1}", "line 2"},
		{"monitors.a.json", "{}", "a file is named"},
		{"monitor.A b.json", "{}", "a file is named"},
		{"a.json", "{}", "a file is named"},
		{"monitor.a.json", `{"message": "${monitor:b.id}"}`, "monitor.a.json: message: there is no monitor.b.json"},
		{"monitor.a.json", `{"message": "${monitor:a.id}"}`, "refers to itself: monitor a > monitor a"},
	} {
		t.Run(c.says, func(t *testing.T) {
			_, err := Load(fstest.MapFS{c.name: &fstest.MapFile{Data: []byte(c.text)}})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %s", err, c.says)
			}
		})
	}
	if _, err := Load(fstest.MapFS{"README.md": &fstest.MapFile{}}); err == nil {
		t.Error("a folder without definitions is fine")
	}
}

func TestOrder(t *testing.T) {
	place := map[Ref]int{}
	for i, d := range definitions(t) {
		for ref := range d.references() {
			if at, ok := place[ref]; !ok || at > i {
				t.Errorf("%s stands before %s, to which it refers", d.Ref, ref)
			}
		}
		place[d.Ref] = i
	}
	if len(place) != 19 {
		t.Errorf("%d definitions", len(place))
	}
}
