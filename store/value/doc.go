// Package value owns the data types as values: their types and encodings, the operations
// on them, size and clone. The command families and the store use it. It is pure and
// knows no key, no client and no clock.
//
// A value is either a payload, which is one byte string that the store keeps inside the
// key's block (all strings, and the compact forms of small collections), or an Object,
// which is a Go value behind a handle (large collections). Operations on strings are
// pure functions here; the store applies them to the bytes in place.
package value
