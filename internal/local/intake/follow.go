package intake

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// followEvery is the time between two looks at a file.
const followEvery = 250 * time.Millisecond

// Follow copies a file to w from its beginning, and then what is appended to it,
// until ctx ends. It waits for a file that does not exist, follows the name when the
// file is replaced (rotation), and starts again at the beginning when the file is
// truncated. It ends a last line that has no newline before it continues with another
// file, after a truncation, and at the end.
func Follow(ctx context.Context, name string, w io.Writer) error {
	var f *os.File
	defer func() {
		if f != nil {
			f.Close()
		}
	}()
	out := &followed{w: w}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		// Look for a new file first: what the old one got until then is read below.
		next, err := reopened(f, name)
		if err != nil {
			return err
		}
		if f != nil {
			if err := drain(f, out); err != nil {
				return err
			}
		}
		if next != f {
			if f != nil {
				f.Close()
			}
			f = next
			if err := out.begin(); err != nil {
				return err
			}
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return out.begin()
		}
	}
}

// followed is what was copied from a file.
type followed struct {
	w io.Writer
	// last are the last bytes that were copied. They show whether the file is still
	// the same at this place.
	last []byte
}

// lastBytes is enough to tell two lines of a log apart: they differ in their times.
const lastBytes = 256

func (o *followed) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	o.last = append(o.last, p[max(0, n-lastBytes):n]...)
	o.last = append([]byte(nil), o.last[max(0, len(o.last)-lastBytes):]...)
	return n, err
}

// begin ends the last line, if it has no newline, before the beginning of a file.
func (o *followed) begin() error {
	n := len(o.last)
	open := n > 0 && o.last[n-1] != '\n'
	o.last = nil
	if !open {
		return nil
	}
	_, err := o.w.Write([]byte{'\n'})
	return err
}

// drain copies what was appended to a file. A file that is shorter than before, or has
// other bytes before this place, was truncated: it is copied from its beginning.
func drain(f *os.File, out *followed) error {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	truncated := info.Size() < at
	if !truncated && info.Size() > at {
		before := make([]byte, len(out.last))
		n, err := f.ReadAt(before, at-int64(len(before)))
		if err != nil && err != io.EOF {
			return err
		}
		truncated = !bytes.Equal(before[:n], out.last)
	}
	if truncated {
		if err := out.begin(); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	_, err = io.Copy(out, f)
	return err
}

// reopened returns the file that has the name now. It is f if that has not changed
// or if there is no file of that name.
func reopened(f *os.File, name string) (*os.File, error) {
	now, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, err
	}
	if f != nil {
		was, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if os.SameFile(was, now) {
			return f, nil
		}
	}
	next, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	return next, err
}
