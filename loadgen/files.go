package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"syscall"
)

// place is what the name of an output stands for.
type place struct {
	// name is the path without symbolic links, if it is a regular file's or a new
	// one's.
	name string
	// descriptor is the file descriptor that the name stands for, such as 1 for
	// /dev/stdout, or -1.
	descriptor int
	info       fs.FileInfo // nil for a new file
}

// isSpecial reports whether the place is written to directly: it is a device, a
// FIFO or a descriptor.
func (p place) isSpecial() bool {
	return p.descriptor >= 0 || p.info != nil && !p.info.Mode().IsRegular()
}

// maxLinks is the number of symbolic links that Linux follows.
const maxLinks = 40

// locate follows the symbolic links of name. It does so itself because a report
// replaces the file at their end, and because a link to /dev/stdout stands for a
// descriptor, whose file must not be opened a second time.
func locate(name string) (place, error) {
	for path := range links(name) {
		if d, ok := descriptorOf(path); ok {
			info, err := statDescriptor(d)
			return place{path, d, info}, err
		}
	}
	info, err := os.Stat(name)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return place{name, -1, info}, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return place{}, err
	}
	last := name
	for last = range links(name) {
	}
	return place{last, -1, info}, nil
}

// links yields name, then the path that its symbolic link names, and so on.
func links(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for range maxLinks {
			if !yield(name) {
				return
			}
			to, err := os.Readlink(name)
			if err != nil {
				return
			}
			if !filepath.IsAbs(to) {
				// Not Join, which would remove "x/.." although x may be a link.
				dir, _ := filepath.Split(name)
				to = dir + to
			}
			name = to
		}
	}
}

// probe returns the file of a place, after it has made sure that it can be
// written. It creates a file that does not exist; remove undoes that.
func (p place) probe() (info fs.FileInfo, remove func(), err error) {
	remove = func() {}
	if p.isSpecial() {
		return p.info, remove, writable(p)
	}
	f, err := os.OpenFile(p.name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, remove, err
	}
	defer f.Close()
	if p.info == nil {
		remove = func() { _ = os.Remove(p.name) }
	}
	info, err = f.Stat()
	return info, remove, err
}

// put writes data to the place. A regular file keeps its old content until all of
// the new one is written. A FIFO without a reader has to wait for one: put calls
// waiting before.
func (p place) put(data []byte, waiting func()) error {
	if !p.isSpecial() {
		return p.replace(data)
	}
	f, err := p.open(waiting)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// open opens a special place.
func (p place) open(waiting func()) (*os.File, error) {
	if p.descriptor >= 0 {
		return duplicate(p.descriptor, p.name)
	}
	if p.info.Mode()&fs.ModeNamedPipe != 0 {
		f, err := os.OpenFile(p.name, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		if !errors.Is(err, syscall.ENXIO) {
			return f, err
		}
		waiting()
	}
	return os.OpenFile(p.name, os.O_WRONLY, 0)
}

// replace writes data to a new file, which then replaces that of the place. If the
// new file cannot be created there, or would not be like the old one, replace
// overwrites the old one.
func (p place) replace(data []byte) error {
	partial, err := p.partial()
	if err != nil {
		return p.overwrite(data)
	}
	_, err = partial.Write(data)
	if err := errors.Join(err, partial.Close()); err != nil {
		return errors.Join(err, os.Remove(partial.Name()))
	}
	if os.Rename(partial.Name(), p.name) == nil {
		return nil
	}
	// For example, the file is a mount of its own, as in a container.
	return errors.Join(p.overwrite(data), os.Remove(partial.Name()))
}

// partial creates a file beside that of the place, with its mode and owner.
func (p place) partial() (*os.File, error) {
	dir, _ := filepath.Split(p.name)
	f, err := os.OpenFile(fmt.Sprintf("%s.loadgen-%s.partial", dir, rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil || p.info == nil {
		return f, err
	}
	if err := resemble(f, p.info); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return f, nil
}

func (p place) overwrite(data []byte) error {
	f, err := os.OpenFile(p.name, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	return errors.Join(err, f.Close())
}
