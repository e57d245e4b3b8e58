// Package dispatch walks one request from its words to its reply, and is the only place
// where that order is written down:
//
//	find     the entry, or "unknown command"; arity                        (command.Table.Find)
//	admit    everything that can refuse a call before it runs              (admit.go)
//	queue    inside MULTI: append, answer QUEUED                           (walk.go)
//	route    slots of the keys → local, MOVED, ASK, CROSSSLOT, CLUSTERDOWN (route.go)
//	lock     the stripes of those slots; the view's version again          (walk.go)
//	run      the handler, over a store.Txn; nested calls for EXEC          (walk.go)
//	events   keyspace events, so that those of a key keep their order      (walk.go)
//	publish  the effects to the Sink, stripes still held                   (walk.go); the Shipper sends them on between rounds
//	serve    clients that wait for the keys changed, as units of their own (wake.go)
//	after    unlocked: statistics                                          (walk.go)
//
// Package dispatch also keeps the clients (client.go), parks them (park.go), wakes those that
// wait for keys (wake.go), applies what a primary sends (applier.go) and does the housekeeping of the keyspace between
// rounds (keep.go): expiry, eviction, defragmentation.
//
// node composes it with the server below and with what it sees only as interfaces: Router,
// Sink, Observer, Events. It must not know families, sockets' details, the cluster or the bus.
//
// # Concurrency
//
// A worker (one per event loop, one per Applier) is owned by one goroutine. A client is
// owned by its loop; while it is parked for keys its session may also be read, and its ticket
// ended, by whoever holds the stripes of those keys. Locks, in the order they are taken: stripes
// ascending, then the Sink's mutex, or those of resp/channel and a client's push queue;
// Dispatcher.mu (the registry) is a leaf. The queues of parked clients have no lock of their own: a key's is guarded by its stripe.
package dispatch
