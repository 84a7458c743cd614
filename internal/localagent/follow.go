package localagent

import (
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
// truncated.
func Follow(ctx context.Context, name string, w io.Writer) error {
	var f *os.File
	defer func() {
		if f != nil {
			f.Close()
		}
	}()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		// Finish the old file before the new one.
		if f != nil {
			if err := drain(f, w); err != nil {
				return err
			}
		}
		next, err := reopened(f, name)
		if err != nil {
			return err
		}
		if next != f {
			if f != nil {
				f.Close()
			}
			f = next
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func drain(f *os.File, w io.Writer) error {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < at {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	_, err = io.Copy(w, f)
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
