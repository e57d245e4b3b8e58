// Package dispatch walks one request from its words to its reply, and is the only place
// where that order is written down:
//
//	find     the entry, or "unknown command"; arity                        (command.Table.Find)
//	admit    everything that can refuse a call before it runs              (admit.go)
//	queue    inside MULTI: append, answer QUEUED                           (walk.go)
//	route    slots of the keys → local, MOVED, ASK, CROSSSLOT, CLUSTERDOWN (route.go)
//	lock     the stripes of those slots; the view's version again          (walk.go)
//	run      the handler, over a store.Txn; nested calls for EXEC          (walk.go)
//	publish  the effects to the Sink, stripes still held                   (walk.go)
//	after    unlocked: keyspace events, statistics                         (walk.go)
//
// Package dispatch also keeps the clients (client.go), parks and wakes them (park.go),
// applies what a primary sends (applier.go) and does the housekeeping of the keyspace between
// rounds (keep.go): expiry, eviction, defragmentation.
//
// node composes it with the server below and with what it sees only as interfaces: Router,
// Sink, Observer, Events. It must not know families, sockets' details, the cluster or the bus.
//
// # Concurrency
//
// A worker (one per event loop, one per Applier) is owned by one goroutine. A client is
// owned by its loop. Locks, in the order they are taken: stripes ascending, then the Sink's
// mutex; Dispatcher.mu (the registry) is a leaf.
package dispatch
