//go:build (amd64 || arm64) && !race

package arena

// Prefetch asks the processor for the cache line at addr and does not wait. Any address will do.
//
//go:noescape
func Prefetch(addr uintptr)
