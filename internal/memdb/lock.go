package memdb

import (
	"sync"

	"github.com/dolthub/go-mysql-server/sql"
)

// locks are the tables that sessions have locked with LOCK TABLES. As in MySQL, a READ
// lock lets other sessions read and makes their INSERTs wait. Their other statements do
// not wait here, and a WRITE lock does no more.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock // by table
}

type lock struct {
	sessions map[uint32]bool
	released chan struct{} // closed when no session has the lock
}

func (l *locks) add(table string, session uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = map[string]*lock{}
	}
	if l.held[table] == nil {
		l.held[table] = &lock{sessions: map[uint32]bool{}, released: make(chan struct{})}
	}
	l.held[table].sessions[session] = true
}

func (l *locks) remove(table string, session uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	of := l.held[table]
	if of == nil {
		return
	}
	delete(of.sessions, session)
	if len(of.sessions) == 0 {
		delete(l.held, table)
		close(of.released)
	}
}

// await returns when no other session has locked a table, or when ctx ends.
func (l *locks) await(ctx *sql.Context, table string) error {
	for {
		l.mu.Lock()
		of := l.held[table]
		own := of != nil && of.sessions[ctx.ID()]
		l.mu.Unlock()
		if of == nil || own {
			return nil
		}
		select {
		case <-of.released:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Lock implements sql.Lockable.
func (t bounded) Lock(ctx *sql.Context, _ bool) error {
	t.locks.add(t.Name(), ctx.ID())
	return nil
}

// Unlock implements sql.Lockable.
func (t bounded) Unlock(_ *sql.Context, session uint32) error {
	t.locks.remove(t.Name(), session)
	return nil
}
