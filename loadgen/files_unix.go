//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// descriptorOf returns the descriptor that a name stands for. To open such a name
// would open its file a second time, from its beginning.
func descriptorOf(name string) (descriptor int, ok bool) {
	if name == "-" {
		return 1, true
	}
	name = filepath.Clean(name)
	for i, standard := range []string{"/dev/stdin", "/dev/stdout", "/dev/stderr"} {
		if name == standard {
			return i, true
		}
	}
	for _, dir := range []string{"/dev/fd/", "/proc/self/fd/", fmt.Sprintf("/proc/%d/fd/", os.Getpid())} {
		if number, found := strings.CutPrefix(name, dir); found {
			n, err := strconv.ParseUint(number, 10, 31)
			return int(n), err == nil
		}
	}
	return 0, false
}

// duplicate returns a file that shares the position of a descriptor.
func duplicate(descriptor int, name string) (*os.File, error) {
	d, err := unix.FcntlInt(uintptr(descriptor), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(d), name), nil
}

func statDescriptor(descriptor int) (fs.FileInfo, error) {
	f, err := duplicate(descriptor, fmt.Sprintf("/dev/fd/%d", descriptor))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat()
}

// writable returns an error if a special place cannot be written.
func writable(p place) error {
	var err error
	switch mode := p.info.Mode(); {
	case p.descriptor >= 0:
		var flags int
		if flags, err = unix.FcntlInt(uintptr(p.descriptor), unix.F_GETFL, 0); err == nil && flags&unix.O_ACCMODE == unix.O_RDONLY {
			err = errors.New("it is open for reading only")
		}
	case mode.IsDir():
		err = unix.EISDIR
	case mode&fs.ModeSocket != 0:
		err = errors.New("it is a socket")
	case mode&fs.ModeNamedPipe != 0:
		// Opened, it would wait for a reader, and closed, it would end that reader.
		err = unix.Access(p.name, unix.W_OK)
	default:
		var f *os.File
		if f, err = p.open(nil); err == nil { // it is no FIFO
			return f.Close()
		}
		return err
	}
	if err != nil {
		return &fs.PathError{Op: "open", Path: p.name, Err: err}
	}
	return nil
}

// resemble gives a new file the mode and the owner of an old one, or returns an
// error if that cannot be done. A file with several names would lose the others.
func resemble(f *os.File, old fs.FileInfo) error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	is, was := own.Sys().(*syscall.Stat_t), old.Sys().(*syscall.Stat_t)
	if was.Nlink > 1 {
		return errors.New("the file has several names")
	}
	if is.Uid != was.Uid || is.Gid != was.Gid {
		if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(old.Mode().Perm())
}
