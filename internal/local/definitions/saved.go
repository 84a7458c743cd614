package definitions

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// The files of the directory that keeps data across restarts.
const (
	metricsFile = "metrics.gob"
	statesFile  = "monitors.json"
)

// states are the states of monitors at a time, as they are stored in a file.
type states struct {
	Time     time.Time       `json:"time"`
	Monitors json.RawMessage `json:"monitors"`
}

// restoreMetrics reads the metrics of an earlier run.
func (d *Definitions) restoreMetrics() error {
	if d.cfg.Data == "" {
		return nil
	}
	if err := os.MkdirAll(d.cfg.Data, 0o700); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(d.cfg.Data, metricsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := d.cfg.Store.RestoreHistory(f); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	return nil
}

// restoreStates reads the states of monitors of an earlier run.
func (d *Definitions) restoreStates() error {
	if d.cfg.Data == "" {
		return nil
	}
	name := filepath.Join(d.cfg.Data, statesFile)
	content, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var saved states
	if err := json.Unmarshal(content, &saved); err != nil {
		return fmt.Errorf("%s is damaged; move it away to begin again: %w", name, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.catalog.RestoreState(saved.Monitors); err != nil {
		return fmt.Errorf("%s is damaged; move it away to begin again: %w", name, err)
	}
	d.last = saved.Time
	return nil
}

func (d *Definitions) saveOrWarn() {
	if err := d.save(); err != nil && d.cfg.Warn != nil {
		d.cfg.Warn(fmt.Errorf("keep metrics in %s: %w", d.cfg.Data, err))
	}
}

// save writes the metrics and the states. A crash leaves the old files or the new ones.
func (d *Definitions) save() error {
	if d.cfg.Data == "" {
		return nil
	}
	if _, replayed := d.cfg.Store.Recording(); replayed {
		return nil // its time is not the present
	}
	d.mu.Lock()
	content, err := json.Marshal(states{d.last, d.catalog.SaveState()})
	d.mu.Unlock()
	if err != nil {
		return err
	}
	return errors.Join(
		replace(filepath.Join(d.cfg.Data, metricsFile), d.cfg.Store.SaveHistory),
		replace(filepath.Join(d.cfg.Data, statesFile), func(w io.Writer) error {
			_, err := w.Write(content)
			return err
		}))
}

// replace replaces a file by what write writes.
func replace(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
