package store

import "container/list"

// recent holds items by key, in the order of their last use, and counts their bytes.
type recent[K comparable, V any] struct {
	used  int64
	index map[K]*list.Element // of recentItem
	order *list.List          // the one used least recently first
}

type recentItem[K comparable, V any] struct {
	key  K
	item V
	size int64
}

func newRecent[K comparable, V any]() recent[K, V] {
	return recent[K, V]{index: map[K]*list.Element{}, order: list.New()}
}

// use returns the item of a key and makes it the one used last.
func (r *recent[K, V]) use(key K) (item V, found bool) {
	e := r.index[key]
	if e == nil {
		return item, false
	}
	r.order.MoveToBack(e)
	return e.Value.(*recentItem[K, V]).item, true
}

// set adds or replaces an item.
func (r *recent[K, V]) set(key K, item V, size int64) {
	r.remove(key)
	r.index[key] = r.order.PushBack(&recentItem[K, V]{key, item, size})
	r.used += size
}

func (r *recent[K, V]) remove(key K) {
	if e := r.index[key]; e != nil {
		r.used -= r.order.Remove(e).(*recentItem[K, V]).size
		delete(r.index, key)
	}
}

// oldest returns the item used least recently.
func (r *recent[K, V]) oldest() (key K, item V, found bool) {
	e := r.order.Front()
	if e == nil {
		return key, item, false
	}
	i := e.Value.(*recentItem[K, V])
	return i.key, i.item, true
}

// all calls f with each item, the one used least recently first.
func (r *recent[K, V]) all(f func(K, V)) {
	for e := r.order.Front(); e != nil; e = e.Next() {
		i := e.Value.(*recentItem[K, V])
		f(i.key, i.item)
	}
}
