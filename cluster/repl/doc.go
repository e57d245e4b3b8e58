// Package repl is replication in Redis' PSYNC2 protocol, both ends of it: the one stream of
// writes with one offset (Stream), the replicas that follow us (Replica), and the link to the
// primary we follow. Engine ties them together; its Commands are the family of PSYNC, REPLCONF,
// REPLICAOF, ROLE, WAIT. cluster/node builds it, hands it what it needs (Deps) and tells it
// roles; dispatch appends to its Stream. It must not know the cluster machine, the agent, or
// how requests are dispatched: connections come by Deps.Detach, commands go by Applier.
//
// # Reading order
//
// stream.go (the bytes, and who receives which), engine.go (roles, history, periodic work), replica.go, ship.go and
// fullsync.go (the primary's side; both sides touch sockets through bus/wire), link.go and load.go (the replica's side), dual.go (a
// full sync by two connections, both sides), failover.go, wait.go, commands.go, info.go, dataset.go (how store and store/snapshot become Save and Target).
//
// # Offsets
//
// A position is a number of stream bytes: position p is the place before byte p, and
// Stream.Offset is the position behind the last byte, Redis' master_repl_offset. Redis numbers
// bytes from one where it talks about single bytes (PSYNC's argument, second_repl_offset,
// repl_backlog_first_byte_offset): byte number n begins at position n-1.
//
// # Locks
//
// In this order, each only while holding nothing to its right: Engine.roleMu → Engine.applyMu →
// stripes of the store → Engine.mu → Stream.mu. Command handlers may hold stripes (inside
// EXEC), so they take Engine.mu and Stream.mu only; what needs more waits until the stripes are
// free (Ctx.AfterUnlock). Nothing is written to a socket under any of them.
//
// # Bounds
//
// What the append-only file receives beside the stream (detours) is kept as long as that file lags, which
// persist.MaxAOFLag bounds.
//
// The stream keeps repl-backlog-size bytes, more only while a replica has not read them, and
// that at most up to client-output-buffer-limit's replica class, beyond which the replica is
// dropped and counted. What a replica keeps of the stream while it loads what a side channel sends is bounded by the same
// directive; beyond it the replica stops reading. A transfer keeps at most chunkQueue chunks per replica. At most
// maxHandshakes clients that said REPLCONF and not yet PSYNC are remembered.
package repl
