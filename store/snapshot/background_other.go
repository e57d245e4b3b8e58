//go:build !linux

package snapshot

// Yield does nothing where threads have no priorities of their own.
func Yield() {}
