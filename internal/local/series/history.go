package series

import (
	"cmp"
	"iter"
	"math"
	"slices"
)

// Cell is what a metric had in one interval.
type Cell struct {
	// Start and Length are in seconds, Start since 1970.
	Start, Length int64
	// Sum is the sum of the values, Count their number. A gauge has one value in ten
	// seconds, the last. Min and Max are set if Count is not 0.
	Sum, Count, Min, Max float64
	// Values is nil unless the metric is a distribution.
	Values *Distribution
}

// Levels are the lengths of cells by their age, the shortest first.
type Levels []level

// level is the length of cells, and the age at which they move to the next level, both in
// seconds. The distributions of a sparse level are reduced.
type level struct {
	length, age int64
	sparse      bool
}

// HistoryLength and SliceLength are the times that a History covers, in seconds.
const (
	HistoryLength = 6 * 3600
	SliceLength   = 30 * 24 * 3600
)

var (
	// Numbers are the levels of counts and gauges.
	NumberLevels = Levels{{SlotLength, 3600, false}, {60, HistoryLength, false}}
	// DistributionLevels are the ones of distributions. These are large, and monitors read
	// percentiles of ten minutes at most.
	DistributionLevels = Levels{{SlotLength, 900, false}, {60, 3600, false}, {300, HistoryLength, false}}
	// SliceLevels are the ones of what SLOs read: 30 days.
	SliceLevels = Levels{{300, 3600, false}, {300, SliceLength, true}}
)

// The estimated sizes of a cell and of a reduced distribution in memory, in bytes.
const (
	cellSize   = 64
	sparseSize = 500
)

// History is a metric with one set of tags over hours or days: in short cells first, and in
// longer ones later. That changes neither the sum nor the number of values.
type History struct {
	levels Levels
	cells  [][]Cell // by level, the oldest first
	size   int64
}

// NewHistory returns an empty history.
func NewHistory(of Levels) *History { return &History{levels: of, cells: make([][]Cell, len(of))} }

// Size estimates the cells in memory, in bytes.
func (h *History) Size() int64 { return h.size }

// Add adds values to the cell of a time. It returns false if the time is too old, or more
// than ten seconds in the future. Times are in seconds since 1970.
func (h *History) Add(at, now int64, change func(*Cell)) bool {
	h.Advance(now)
	if at > now+SlotLength {
		return false
	}
	for i, l := range h.levels {
		if start := at - at%l.length; start+l.length > now-l.age {
			h.change(i, start, change)
			return true
		}
	}
	return false
}

// change changes the cell of a level that begins at a time.
func (h *History) change(of int, start int64, change func(*Cell)) {
	cells := h.cells[of]
	i := len(cells)
	for i > 0 && cells[i-1].Start > start {
		i--
	}
	if i == 0 || cells[i-1].Start != start {
		cells = slices.Insert(cells, i, Cell{Start: start, Length: h.levels[of].length})
		h.cells[of] = cells
		h.size += cellSize
		i++
	}
	cell := &cells[i-1]
	had := cell.Values != nil
	change(cell)
	if cell.Values != nil && h.levels[of].sparse {
		cell.Values = cell.Values.reduced()
	}
	if !had && cell.Values != nil {
		h.size += h.distributionSize(of)
	}
}

func (h *History) distributionSize(level int) int64 {
	if h.levels[level].sparse {
		return sparseSize
	}
	return DistributionSize
}

// Advance moves cells that are too old for their level to the next one, and removes those
// that are too old for the last.
func (h *History) Advance(now int64) {
	for i, l := range h.levels {
		for len(h.cells[i]) > 0 && h.cells[i][0].Start+l.length <= now-l.age {
			old := h.dropFirst(i)
			if i+1 < len(h.levels) {
				length := h.levels[i+1].length
				h.change(i+1, old.Start-old.Start%length, func(c *Cell) { c.Merge(old) })
			}
		}
	}
}

// Forget removes the cells that ended before a time, in seconds since 1970.
func (h *History) Forget(before int64) {
	for i, l := range h.levels {
		for len(h.cells[i]) > 0 && h.cells[i][0].Start+l.length <= before {
			h.dropFirst(i)
		}
	}
}

func (h *History) dropFirst(level int) Cell {
	old := h.cells[level][0]
	h.cells[level] = h.cells[level][1:]
	h.size -= cellSize
	if old.Values != nil {
		h.size -= h.distributionSize(level)
	}
	return old
}

// Merge adds the values of another cell.
func (c *Cell) Merge(o Cell) {
	if c.Count == 0 {
		c.Min, c.Max = o.Min, o.Max
	}
	c.Min, c.Max = min(c.Min, o.Min), max(c.Max, o.Max)
	c.Sum += o.Sum
	c.Count += o.Count
	if o.Values != nil {
		if c.Values == nil {
			c.Values = NewDistribution()
		}
		c.Values.Merge(o.Values)
	}
}

// One returns a cell with one value.
func One(value float64) Cell { return Cell{Sum: value, Count: 1, Min: value, Max: value} }

// Set replaces the values by one, as samples of a gauge do.
func (c *Cell) Set(value float64) {
	if c.Length == SlotLength { // else it is late: its ten seconds are not known any more
		c.Count, c.Sum = 0, 0
	}
	c.Merge(One(value))
}

// AddValue adds a value of a distribution weight times. It ignores one that is too large.
func (c *Cell) AddValue(value, weight float64) {
	if c.Values == nil {
		c.Values = NewDistribution()
	}
	if c.Values.AddValue(value, weight) {
		c.Merge(Cell{Sum: value * weight, Count: weight, Min: value, Max: value})
	}
}

// AddEncoded adds an encoded distribution. It returns false if that is malformed.
func (c *Cell) AddEncoded(sketch []byte) bool {
	of := NewDistribution()
	if !of.Decode(sketch) {
		return false
	}
	if count := of.Count(); count > 0 {
		c.Merge(Cell{Sum: of.sketch.GetSum(), Count: count, Min: of.Value(0), Max: of.Value(1), Values: of})
	}
	return true
}

// Between returns the cells that begin in [from, to), the oldest first. A cell of a longer
// level may have the same start as the first one of a shorter level: both count.
func (h *History) Between(from, to int64) iter.Seq[Cell] {
	return func(yield func(Cell) bool) {
		for _, cells := range slices.Backward(h.cells) {
			first, _ := slices.BinarySearchFunc(cells, from, func(c Cell, at int64) int { return cmp.Compare(c.Start, at) })
			for _, c := range cells[first:] {
				if c.Start >= to {
					break
				}
				if !yield(c) {
					return
				}
			}
		}
	}
}

// First returns the start of the oldest cell, in seconds since 1970; false without cells.
func (h *History) First() (int64, bool) {
	for c := range h.Between(0, math.MaxInt64) {
		return c.Start, true
	}
	return 0, false
}
