//go:build invariants || race

package store

import (
	"fmt"

	"github.com/sextantdb/sextant/store/slot"
)

const invariants = true

// requireHeld panics if the Txn touches a slot it has not locked.
func (t *Txn) requireHeld(sl slot.Slot) {
	if i := sl & t.s.stripeMask; !t.open || t.held[i>>6]&(1<<(i&63)) == 0 {
		panic(fmt.Sprintf("store: slot %d is used in a Txn that does not hold it", sl))
	}
}

// requireAll panics if the Txn does not hold every stripe.
func (t *Txn) requireAll() {
	for sl := range t.s.stripes {
		t.requireHeld(slot.Slot(sl))
	}
}

// checkEvery is how many Ends go by between two looks at everything in a stripe.
const checkEvery = 4096

// checkStripe checks a stripe now and then.
func (t *Txn) checkStripe(st *stripe) {
	if st.random(checkEvery) == 0 {
		t.s.checkLocked(st)
	}
}
