package store

import "iter"

// positions are indices of spans by an ID. A few are a list, because a map needs much more
// memory and most traces are small.
type positions struct {
	few  []position
	many map[uint64][]int32
}

type position struct {
	id uint64
	at int32
}

// mostFew is the number of positions in a list.
const mostFew = 16

func (p *positions) add(id uint64, at int) {
	if p.many == nil && len(p.few) < mostFew {
		p.few = append(p.few, position{id, int32(at)})
		return
	}
	if p.many == nil {
		p.many = map[uint64][]int32{}
		for _, known := range p.few {
			p.many[known.id] = append(p.many[known.id], known.at)
		}
		p.few = nil
	}
	p.many[id] = append(p.many[id], int32(at))
}

// last returns the index that was added last for an ID.
func (p *positions) last(id uint64) (at int, found bool) {
	for at = range p.of(id) {
		found = true
	}
	return at, found
}

// of returns the indices of an ID.
func (p *positions) of(id uint64) iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, at := range p.many[id] {
			if !yield(int(at)) {
				return
			}
		}
		for _, known := range p.few {
			if known.id == id && !yield(int(known.at)) {
				return
			}
		}
	}
}

func (p *positions) remove(id uint64) {
	delete(p.many, id)
	kept := p.few[:0]
	for _, known := range p.few {
		if known.id != id {
			kept = append(kept, known)
		}
	}
	p.few = kept
}

// all returns the indices.
func (p *positions) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, of := range p.many {
			for _, at := range of {
				if !yield(int(at)) {
					return
				}
			}
		}
		for _, known := range p.few {
			if !yield(int(known.at)) {
				return
			}
		}
	}
}
