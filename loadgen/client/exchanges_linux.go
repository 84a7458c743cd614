package client

import (
	"time"

	"apmapp/loadgen/openloop"
)

// exchange is a request in flight.
type exchange struct {
	openloop.Request
	sent time.Time
	over bool  // its end is reported, maybe because of its timeout
	conn *conn // nil while it has none

	prev, next *exchange
}

// exchanges is a doubly linked queue that supports removal from the middle.
type exchanges struct{ first, last *exchange }

func (q *exchanges) push(x *exchange) {
	x.prev = q.last
	if q.last == nil {
		q.first = x
	} else {
		q.last.next = x
	}
	q.last = x
}

func (q *exchanges) remove(x *exchange) {
	if x.prev == nil {
		q.first = x.next
	} else {
		x.prev.next = x.next
	}
	if x.next == nil {
		q.last = x.prev
	} else {
		x.next.prev = x.prev
	}
	x.prev, x.next = nil, nil
}
