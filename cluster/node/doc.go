// Package node is one server put together: it reads the configuration, builds everything else
// from the bottom up, connects it by hand, starts it, and ends it in order. Only cmd/sextant (and
// tests of whole clusters) may import it; nothing it builds knows it.
//
// What it owns itself: the table of directives and the values in force (Config), the log (Log),
// INFO's sections, the order of starting and stopping, the files at an orderly end, and the
// glue by which packages that do not know each other meet. No decision of the cluster, of
// replication or about a command is made here.
//
// # Reading order
//
//	main.go      a process: arguments, log, daemon, signals, exit code
//	node.go      Node: New builds, Start serves, Stop ends; the cron; the role
//	glue.go      what the families and mechanisms below ask for in their Deps
//	apply.go     what CONFIG SET of a directive does; which section INFO prints when
//	info.go      INFO's fields; memory.go where used_memory goes
//	events.go    typed events become log lines; log.go the lines
//	sync.go      a full sync: beside the old data or in its place; libraries.go
//	shutdown.go  the orderly end, SHUTDOWN and its ABORT, the mark it leaves
//	cluster.go   the cluster machine's view of the data side; roles.go its orders; bus.go its wires
//	config*.go   redis.conf: grammar, table, values, rewriting
//
// # Start and stop
//
// New makes, in this order: the store, replication (whose stream is dispatch's sink), the cluster
// machine with its locked state file, the command table, dispatch, persistence, the sockets of
// clients, those of the bus. What can be refused is refused there, and everything is given back. Start lets
// clients in, who are told LOADING; loads the RDB file; takes away the mark of the last
// orderly end; then begins replication, cron, the cluster machine and its bus. Stop ends clients
// first, because they begin everything else, then the cluster, replication, a running save and
// all goroutines, and last the memory.
//
// An orderly end (SHUTDOWN, SIGTERM) comes before Stop, while everything works: writes are held, the
// replicas are waited for (shutdown-timeout; ABORT ends only this), other snapshots are
// broken off, a replica's link is frozen so that it acknowledges nothing behind what it saves,
// and the file is written with a mark that proves it complete.
//
// # Who may reach it
//
// The default of bind is Redis' "* -::*", all addresses of the machine, guarded by protected
// mode: while the default user has no password, connections from other hosts are answered
// -DENIED and closed. The cluster bus listens on the same addresses; without cluster-bus-secret
// it talks to loopback and private addresses only and says so in the log.
//
// # Concurrency
//
// Goroutines of node itself: pulse.run, runCron, runRoles, one per save or reload asked for, one for an
// orderly end, all waited for in Stop but the last, which ends in Over. Roles change inside exclusive, with every stripe
// held. Handlers hold stripes, so whatever begins a Txn or waits runs on a goroutine of its own.
// Locks, all leaves: Node.gateMu, ending.mu, roleQueue.mu, rates.mu, libraries.mu.
package node
