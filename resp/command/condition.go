package command

// ExpiryCondition is what must be true of the expiry that a key or a field has for it to get
// another. The zero value asks for nothing.
type ExpiryCondition struct{ NX, XX, GT, LT bool }

// Take adds the condition that word names, and reports false when it names none.
func (d *ExpiryCondition) Take(word []byte) bool {
	switch {
	case Is(word, "NX"):
		d.NX = true
	case Is(word, "XX"):
		d.XX = true
	case Is(word, "GT"):
		d.GT = true
	case Is(word, "LT"):
		d.LT = true
	default:
		return false
	}
	return true
}

// Allows compares the expiry there is with the one there shall be. What never expires has none:
// nothing is later than that.
func (d ExpiryCondition) Allows(never bool, has, gets int64) bool {
	switch {
	case d.NX && !never, d.XX && never:
		return false
	case d.GT && (never || gets <= has):
		return false
	case d.LT && !never && gets >= has:
		return false
	}
	return true
}
