package series

import (
	"google.golang.org/protobuf/proto"
)

// Saved is the cells of a History by level, as they are stored in a file.
type Saved [][]SavedCell

// SavedCell is a Cell with an encoded distribution.
type SavedCell struct {
	Start                int64
	Sum, Count, Min, Max float64
	Values               []byte
}

// Save returns the cells.
func (h *History) Save() (Saved, error) {
	saved := make(Saved, len(h.cells))
	for i, cells := range h.cells {
		for _, c := range cells {
			one := SavedCell{c.Start, c.Sum, c.Count, c.Min, c.Max, nil}
			if c.Values != nil {
				var err error
				if one.Values, err = proto.Marshal(c.Values.sketch.ToProto()); err != nil {
					return nil, err
				}
			}
			saved[i] = append(saved[i], one)
		}
	}
	return saved, nil
}

// Restore adds the cells of a saved history that are not too old at a time, in seconds
// since 1970. It returns false if they are malformed.
func (h *History) Restore(saved Saved, now int64) bool {
	if len(saved) > len(h.levels) {
		return false
	}
	for i, cells := range saved {
		l := h.levels[i]
		for _, c := range cells {
			if c.Start%l.length != 0 || c.Start > now+l.length {
				return false
			}
			cell := Cell{Sum: c.Sum, Count: c.Count, Min: c.Min, Max: c.Max}
			if c.Values != nil {
				provider := bins
				if l.sparse {
					provider = fewBins
				}
				sketch, ok := decoded(c.Values, provider)
				if !ok || !sketch.IndexMapping.Equals(accuracy) {
					return false
				}
				cell.Values = &Distribution{sketch}
			}
			h.change(i, c.Start, func(to *Cell) {
				cell.Start, cell.Length = to.Start, to.Length
				*to = cell
			})
		}
	}
	h.Advance(now)
	return true
}
