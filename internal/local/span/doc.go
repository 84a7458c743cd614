// Package span is the model of traces that the local agent's packages share. It
// imports nothing of them.
package span
