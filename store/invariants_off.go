//go:build !invariants && !race

package store

import "github.com/sextantdb/sextant/store/slot"

const invariants = false

func (t *Txn) requireHeld(slot.Slot)  {}
func (t *Txn) requireAll()            {}
func (t *Txn) checkStripe(st *stripe) {}
