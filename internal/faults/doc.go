// Package faults causes faults in a demo, and proves each one: it watches the local
// agent's store until the fault is seen, undoes it, and waits until all is well again. A
// fault that is not seen is an error.
//
// Every fault has a real cause outside of the service: a changed table, a lock, a server
// that is stopped, more traffic. No code of the service takes part.
//
// [Runner] causes one fault at a time. Whatever ends it, also an interrupt, undoes the
// fault first.
package faults
