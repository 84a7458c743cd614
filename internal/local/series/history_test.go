package series

import (
	"math"
	"math/rand/v2"
	"testing"
)

// within returns the sum and the number of values of the cells in [from, to).
func within(h *History, from, to int64) (sum, count float64) {
	for c := range h.Between(from, to) {
		sum, count = sum+c.Sum, count+c.Count
	}
	return sum, count
}

func TestHistoryLosesNoValue(t *testing.T) {
	t.Parallel()
	for name, levels := range map[string]Levels{"numbers": NumberLevels, "distributions": DistributionLevels, "slices": SliceLevels} {
		h, random := NewHistory(levels), rand.New(rand.NewPCG(1, 2))
		const start, length = int64(1_800_000_000), int64(HistoryLength - 400)
		var sum, count float64
		for now := start; now < start+length; now += 7 {
			at := now - random.Int64N(300) // late
			value := float64(random.IntN(100))
			if !h.Add(at, now, func(c *Cell) { c.Merge(One(value)) }) {
				t.Fatalf("%s: a value of %d at %d is refused", name, at, now)
			}
			sum, count = sum+value, count+1
		}
		if gotSum, gotCount := within(h, 0, math.MaxInt64); gotSum != sum || gotCount != count {
			t.Errorf("%s: sum %g of %g values, want %g of %g", name, gotSum, gotCount, sum, count)
		}
		last := int64(0)
		for c := range h.Between(0, math.MaxInt64) {
			if c.Start%c.Length != 0 {
				t.Errorf("%s: a cell of %d s begins at %d", name, c.Length, c.Start)
			}
			if c.Start+c.Length <= last {
				t.Errorf("%s: the cell at %d is not after the one that ends at %d", name, c.Start, last)
			}
			last = c.Start
		}
	}
}

func TestHistoryHasLongerCellsLater(t *testing.T) {
	t.Parallel()
	const at = int64(1_800_000_000) // a multiple of 300
	for _, of := range []struct {
		levels Levels
		age    int64
		length int64
	}{
		{NumberLevels, 3599, 10}, {NumberLevels, 3611, 60}, {NumberLevels, 6*3600 + 50, 60},
		{DistributionLevels, 899, 10}, {DistributionLevels, 911, 60}, {DistributionLevels, 3599, 60}, {DistributionLevels, 3661, 300},
		{SliceLevels, 10, 300}, {SliceLevels, 30*24*3600 + 299, 300},
	} {
		h := NewHistory(of.levels)
		h.Add(at, at, func(c *Cell) { c.Merge(One(5)) })
		h.Advance(at + of.age)
		n := 0
		for c := range h.Between(0, math.MaxInt64) {
			n++
			if c.Length != of.length || c.Sum != 5 {
				t.Errorf("after %d s: a cell of %d s with %g, want %d s with 5", of.age, c.Length, c.Sum, of.length)
			}
		}
		if n != 1 {
			t.Errorf("after %d s: %d cells, want 1", of.age, n)
		}
	}
	for _, levels := range []Levels{NumberLevels, DistributionLevels, SliceLevels} {
		h := NewHistory(levels)
		h.Add(at, at, func(c *Cell) { c.AddValue(5, 1) })
		oldest := levels[len(levels)-1]
		h.Advance(at + oldest.age + oldest.length)
		if _, is := h.First(); is || h.Size() != 0 {
			t.Errorf("a value is kept for more than %d s, with %d bytes", oldest.age, h.Size())
		}
	}
}

func TestHistoryRefusesOtherTimes(t *testing.T) {
	t.Parallel()
	const now = int64(1_800_000_000)
	none := func(*Cell) {}
	for at, want := range map[int64]bool{now + 10: true, now + 11: false, now - 6*3600: true, now - 6*3600 - 1: false} {
		if got := NewHistory(NumberLevels).Add(at, now, none); got != want {
			t.Errorf("Add of %d s from now: %v, want %v", at-now, got, want)
		}
	}
}

func TestHistoryOfGauge(t *testing.T) {
	t.Parallel()
	const at = int64(1_800_000_000)
	h := NewHistory(NumberLevels)
	for i, v := range []float64{1, 7, 4} { // 1 and 7 share ten seconds
		h.Add(at+int64(i)*9, at+20, func(c *Cell) { c.Set(v) })
	}
	if sum, count := within(h, 0, math.MaxInt64); sum != 11 || count != 2 {
		t.Errorf("sum %g of %g values, want 11 of 2: the last of each ten seconds", sum, count)
	}
	if sum, count := within(h, at, at+10); sum != 7 || count != 1 {
		t.Errorf("in the first ten seconds %g of %g values, want 7", sum, count)
	}
	h.Advance(at + 3700)
	h.Add(at+30, at+3700, func(c *Cell) { c.Set(2) }) // late
	for c := range h.Between(0, math.MaxInt64) {
		if c.Length != 60 || c.Sum != 13 || c.Count != 3 || c.Min != 2 || c.Max != 7 {
			t.Errorf("the minute has %+v, want the sum 13 of 3 values from 2 to 7", c)
		}
	}
}

func TestHistoryForgets(t *testing.T) {
	t.Parallel()
	const at = int64(1_800_000_000)
	h := NewHistory(DistributionLevels)
	for i := range int64(10) {
		h.Add(at+i*10, at+100, func(c *Cell) { c.AddValue(1, 2) })
	}
	if want := int64(10 * (cellSize + DistributionSize)); h.Size() != want {
		t.Errorf("10 cells have %d bytes, want %d", h.Size(), want)
	}
	h.Forget(at + 45)
	if first, _ := h.First(); first != at+40 || h.Size() != 6*(cellSize+DistributionSize) {
		t.Errorf("the first cell begins %d s later with %d bytes, want 40 s: the one that ends after 45 s", first-at, h.Size())
	}
}

func TestReducedDistribution(t *testing.T) {
	t.Parallel()
	d := NewDistribution()
	for i := range 1000 {
		d.AddValue(float64(i+1), 1)
	}
	small := d.reduced()
	if got := small.Count(); math.Abs(got-1000) > 1e-6 {
		t.Errorf("%g values, want 1000", got)
	}
	for _, q := range kept[1:] {
		if got, want := small.Value(q), d.Value(q); math.Abs(got-want) > 0.02*want {
			t.Errorf("quantile %g is %g, want %g", q, got, want)
		}
	}
	if empty := NewDistribution().reduced(); empty.Count() != 0 {
		t.Errorf("an empty distribution has %g values", empty.Count())
	}
}

func TestCountUpTo(t *testing.T) {
	t.Parallel()
	d := NewDistribution()
	for _, v := range []float64{10, 20, 30, 40} {
		d.AddValue(v, 3)
	}
	if got := d.CountUpTo(25); got != 6 {
		t.Errorf("%g values up to 25, want 6", got)
	}
}
