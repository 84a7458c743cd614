package service

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// logFile is a log file of a limited size. A write that would exceed the limit first
// renames the file to NAME.1, NAME.1 to NAME.2 and so on, and then creates NAME. A
// program that follows the name, like the Datadog Agent, reads every line: it finishes
// the renamed file before it continues with the new one.
//
// The file may be moved, deleted or truncated while the service runs. Only one
// goroutine may write.
type logFile struct {
	path  string
	limit int64 // bytes of one file
	file  *os.File
	// torn is true if the last line has no newline, because the disk was full or the
	// machine stopped.
	torn bool
}

// keptLogFiles is the number of renamed files that are kept. With 100 MB each, they hold
// the last 20 minutes at 1,000 requests per second.
const keptLogFiles = 5

// openLogFile opens or creates a log file that is rotated at a size in MB. A path that
// cannot work is an error. A full disk is not: it may have space later.
func openLogFile(path string, size int) (*logFile, error) {
	f := &logFile{path: path, limit: int64(min(size, math.MaxInt64/1_000_000)) * 1_000_000}
	// Opening a pipe would wait for a reader.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	if err := f.open(); err != nil && !diskFull(err) {
		return nil, err
	}
	probe, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		if diskFull(err) {
			return f, nil
		}
		return nil, fmt.Errorf("cannot rotate %s: %w", path, err)
	}
	return f, errors.Join(probe.Close(), os.Remove(probe.Name()))
}

func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// open opens the file, or creates it. The group may read it: the Agent is in it.
func (f *logFile) open() error {
	f.close()
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	last := []byte{'\n'}
	if info, err := file.Stat(); err == nil && info.Size() > 0 {
		_, _ = file.ReadAt(last, info.Size()-1)
	}
	f.file, f.torn = file, last[0] != '\n'
	return nil
}

func (f *logFile) close() {
	if f.file != nil {
		_ = f.file.Close()
		f.file = nil
	}
}

// Write appends complete lines. If it fails, the number of bytes shows which lines are
// in the file. The next write begins a new line.
func (f *logFile) Write(lines []byte) (int, error) {
	if err := f.prepare(int64(len(lines))); err != nil {
		return 0, err
	}
	if f.torn {
		if _, err := f.file.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		f.torn = false
	}
	n, err := f.file.Write(lines)
	f.torn = n > 0 && !bytes.HasSuffix(lines[:n], []byte{'\n'})
	return n, err
}

// prepare opens the file that has the name now, and rotates it if n more bytes would
// exceed the limit.
func (f *logFile) prepare(n int64) error {
	now, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.open()
	}
	if err != nil {
		return err
	}
	f.torn = f.torn && now.Size() > 0 // nothing is torn in a file that was emptied
	if now.Size() > 0 && now.Size()+n > f.limit {
		return f.rotate()
	}
	if f.file != nil {
		if opened, err := f.file.Stat(); err == nil && os.SameFile(opened, now) {
			return nil
		}
	}
	return f.open()
}

func (f *logFile) rotate() error {
	// Windows does not rename an open file.
	f.close()
	name := func(n int) string { return f.path + "." + strconv.Itoa(n) }
	for n := keptLogFiles - 1; n > 0; n-- {
		if err := os.Rename(name(n), name(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(f.path, name(1)); err != nil {
		return err
	}
	return f.open()
}
