package main

import (
	"errors"
	"os"
	"sync"
)

// maxLogFile is the size at which the log begins a new file. At 20 requests per
// second, a file has the lines of six minutes.
const maxLogFile = 10_000_000

// logFile is a log of two files at most: path, and path.1 with older lines. It is safe
// for concurrent use.
type logFile struct {
	path string
	max  int64

	mu   sync.Mutex
	file *os.File // nil after Close
	size int64
}

// createLog creates a log whose files have at most limit bytes each.
func createLog(path string, limit int64) (*logFile, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &logFile{path: path, max: limit, file: file}, nil
}

// Write implements io.Writer. After Close it does nothing: goroutines that end late
// must not create the file again.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return len(p), nil
	}
	if l.size > 0 && l.size+int64(len(p)) > l.max {
		if err := l.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

func (l *logFile) rotate() error {
	// Windows does not rename an open file.
	err := errors.Join(l.file.Close(), os.Rename(l.path, l.path+".1"))
	l.file = nil
	if err != nil {
		return err
	}
	if l.file, err = os.Create(l.path); err != nil {
		l.file = nil
		return err
	}
	l.size = 0
	return nil
}

// Close implements io.Closer.
func (l *logFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
