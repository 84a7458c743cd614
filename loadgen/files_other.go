//go:build !unix

package main

import (
	"io/fs"
	"os"
)

// descriptorOf finds no names of descriptors on this system.
func descriptorOf(string) (descriptor int, ok bool) { return 0, false }

func statDescriptor(int) (fs.FileInfo, error) { return nil, fs.ErrNotExist }

func duplicate(int, string) (*os.File, error) { return nil, fs.ErrNotExist }

// writable returns an error if a special place cannot be written.
func writable(p place) error {
	f, err := p.open(func() {})
	if err != nil {
		return err
	}
	return f.Close()
}

// resemble gives a new file the mode of an old one.
func resemble(f *os.File, old fs.FileInfo) error { return f.Chmod(old.Mode().Perm()) }
