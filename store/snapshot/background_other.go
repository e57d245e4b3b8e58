//go:build !linux

package snapshot

// yield does nothing where threads have no priorities of their own.
func yield() {}
