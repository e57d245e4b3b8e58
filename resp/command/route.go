package command

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/store/slot"
)

// RouteQuery asks where a call on one slot may run. The router answers from one immutable
// view; dispatch compares Router.Version again under the stripe's lock.
type RouteQuery struct {
	Slot slot.Slot
	// Write is set for commands that may change keys.
	Write bool
	// ReadOnly and Asking are the session's READONLY and (one-shot) ASKING states, or the
	// entry's Asking flag.
	ReadOnly, Asking bool
	// Channels says that the call names shard channels, perhaps besides keys.
	Channels bool
	// Several says that the call names more than one key.
	Several bool
	// Mono is the round's CLOCK_BOOTTIME in ns, for the lease.
	Mono int64
}

// Verdict is the router's answer.
type Verdict struct {
	Kind RouteKind
	// Err is what the client is told: for Refuse always, for Migrating when a key is missing
	// (ASK), for Importing when one of several keys is missing (TRYAGAIN).
	Err resp.Error
}

// RouteKind says what to do with a call.
type RouteKind uint8

const (
	// Local: run it here.
	Local RouteKind = iota
	// Refuse: answer Err (MOVED, CLUSTERDOWN, ...).
	Refuse
	// Migrating: run it here if every key it names exists; if none does answer Err (ASK); if
	// some do and the call names several, TRYAGAIN.
	Migrating
	// Importing: the client said ASKING; run it, but if it names several keys and one is
	// missing answer Err (TRYAGAIN).
	Importing
)
