package store

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"apmapp/internal/local/series"
	"apmapp/internal/local/wire"
)

// savedVersion is the version of the form of a saved history.
const savedVersion = 1

// saved is a history as it is stored in a file.
type saved struct {
	Version          int
	Since, Forgotten int64
	Series           []savedSeries
	Checks           []savedCheck
}

type savedSeries struct {
	Name, Tags, Kind string
	Slices           bool
	Cells            series.Saved
}

type savedCheck struct {
	Name, Host, Tags string
	Results          []savedResult
}

type savedResult struct {
	At              int64 // seconds since 1970
	Status, Message string
	Tags            []string
}

// SaveHistory writes the metrics and service checks that are kept for hours.
func (s *Store) SaveHistory(w io.Writer) error {
	all, err := s.history.save()
	if err != nil {
		return err
	}
	return gob.NewEncoder(w).Encode(all)
}

func (h *history) save() (saved, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	all := saved{Version: savedVersion, Since: h.since, Forgotten: h.forgotten}
	for _, key := range slices.SortedFunc(maps.Keys(h.series), comparePast) {
		cells, err := h.series[key].Save()
		if err != nil {
			return saved{}, err
		}
		all.Series = append(all.Series, savedSeries{key.name, key.tags, string(key.kind), key.slices, cells})
	}
	for key, results := range h.checks {
		of := savedCheck{Name: key.name, Host: key.host, Tags: key.tags}
		for _, r := range results {
			of.Results = append(of.Results, savedResult{r.At.Unix(), r.Status, r.Message, r.Tags})
		}
		all.Checks = append(all.Checks, of)
	}
	return all, nil
}

// errDamaged is the error of a history that cannot be read.
var errDamaged = errors.New("the saved history is damaged or of another version; move it away to begin again")

// RestoreHistory reads what SaveHistory wrote, before anything has arrived. It leaves out
// what is too old, and metrics that are no longer kept.
func (s *Store) RestoreHistory(r io.Reader) error {
	var all saved
	if err := gob.NewDecoder(r).Decode(&all); err != nil {
		return fmt.Errorf("%w (%w)", errDamaged, err)
	}
	if all.Version != savedVersion {
		return errDamaged
	}
	return s.history.restore(all, s.Now().Unix())
}

func (h *history) restore(all saved, now int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, of := range all.Series {
		kind := MetricKind(of.Kind)
		if !h.wanted[of.Name] || of.Slices && !h.slices[of.Name] || len(h.series) >= maxPast {
			continue
		}
		key := pastKey{of.Name, of.Tags, kind, of.Slices}
		line := series.NewHistory(key.levels())
		if !line.Restore(of.Cells, now) {
			return errDamaged
		}
		h.series[key] = line
		h.used += line.Size()
	}
	for _, of := range all.Checks {
		if !h.wanted[of.Name] || len(h.checks) >= maxPast {
			continue
		}
		key := checkKey{of.Name, of.Host, of.Tags}
		for _, r := range of.Results[max(len(of.Results)-maxResults, 0):] {
			h.checks[key] = append(h.checks[key], StatsdCheck{time.Unix(r.At, 0),
				wire.Check{Name: of.Name, Host: of.Host, Status: r.Status, Message: r.Message, Tags: r.Tags}})
		}
	}
	h.since, h.forgotten = min(all.Since, h.since), all.Forgotten
	h.evict()
	return nil
}
