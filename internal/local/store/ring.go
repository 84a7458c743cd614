package store

// ring keeps the latest items within a budget in bytes.
type ring[T any] struct {
	budget, used, evicted int64
	items                 []sized[T]
}

type sized[T any] struct {
	item T
	size int64
}

func (r *ring[T]) add(item T, size int64) {
	r.items = append(r.items, sized[T]{item, size})
	r.used += size
	for r.used > r.budget && len(r.items) > 1 {
		r.used -= r.items[0].size
		r.items[0] = sized[T]{}
		r.items = r.items[1:]
		r.evicted++
	}
}

// latest returns the items, the latest first.
func (r *ring[T]) latest() []T {
	all := make([]T, len(r.items))
	for i := range r.items {
		all[len(all)-1-i] = r.items[i].item
	}
	return all
}
