// Package wire reads and writes TCP connections between nodes by raw system calls. Those of package net tell the
// scheduler, which wakes the runtime's monitor thread; after that it looks around every 20 µs for a while. That costs
// a busy machine more than a replication stream does, and an idle node more than all it has to say.
//
// The bus (bus/link) and replication (cluster/repl) use it. It knows bytes only.
package wire
