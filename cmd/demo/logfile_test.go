package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLogFileIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "demo.log")
	l, err := createLog(path, 10)
	if err != nil {
		t.Fatal(err)
	}
	write := func(s string) {
		t.Helper()
		if n, err := l.Write([]byte(s)); n != len(s) || err != nil {
			t.Fatalf("wrote %d bytes of %q: %v", n, s, err)
		}
	}
	has := func(want, wantOlder string) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil || string(got) != want {
			t.Errorf("the log has %q, want %q: %v", got, want, err)
		}
		if older, _ := os.ReadFile(path + ".1"); string(older) != wantOlder {
			t.Errorf("the older log has %q, want %q", older, wantOlder)
		}
	}
	write("12345678\n")
	write("\n")
	has("12345678\n\n", "")
	write("a\n")
	has("a\n", "12345678\n\n")
	write("a line that is longer than a file\n")
	has("a line that is longer than a file\n", "a\n")
	write("b\n")
	has("b\n", "a line that is longer than a file\n")
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	write("too late\n")
	has("b\n", "a line that is longer than a file\n")
}
