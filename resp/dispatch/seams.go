package dispatch

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
)

// Router says where a call on a slot runs. A node alone has none: everything is local.
type Router interface {
	// Version identifies the view in force; it changes whenever any verdict could. One atomic
	// load.
	Version() uint64
	// Route decides about one slot. It must not allocate when the verdict is Local.
	Route(q command.RouteQuery) command.Verdict
}

// Sink takes what changes the data set: the one stream of bytes for append only file and
// replicas.
type Sink interface {
	// Active reports whether anyone takes the stream. One atomic load.
	Active() bool
	// Append adds one unit: SELECT where the database changes, MULTI and EXEC around several
	// commands. It returns the stream's offset behind it. Called with the stripes locked, so
	// that the order of the stream is the order of execution of every key.
	Append(e *command.Effects) (offset int64)
}

// Shipper sends on what was appended to the Sink.
type Shipper interface {
	// Ship is called on a loop after each of its rounds, with a clock in ns, and with all when the loop is about to sleep;
	// also by whoever appends beside the loops. It does not wait.
	Ship(now int64, all bool)
}

// Observer is told about every call, for statistics and the slow log.
type Observer interface {
	// Called: cmd ran on worker's goroutine for ns nanoseconds and answered err ("" when it
	// succeeded).
	Called(worker int, c *command.Ctx, ns int64)
	// Rejected: a call was refused before it ran. cmd is nil when there is no such command.
	Rejected(worker int, cmd *command.Command, err resp.Error)
	// Worked: a piece of housekeeping, named as latency events are, took ns nanoseconds.
	Worked(event string, ns int64)
}

// Broadcaster takes keyspace events. It is called when a command has run and the stripes of its
// keys are still locked, so that the events of a key come in the order of its changes; it must
// not look at the store.
type Broadcaster interface {
	// Wants returns the classes asked for by notify-keyspace-events. One atomic load.
	Wants() command.EventClass
	// Keyspace publishes one event. from says who publishes, for channel.Receiver.
	Keyspace(from any, class command.EventClass, event string, db int, key []byte)
}

// Commit is what replies wait for beyond being computed: that the stream is on disk, or wherever else it
// must be before a client may know. Its numbers are a count of the stream's bytes that never goes back.
type Commit interface {
	// Need is the number up to which what has happened by now must be committed before a reply that is
	// given now may leave; not above what server.Release was last told: it may leave at once. Also
	// replies to reads wait, so that nobody sees what a crash could still undo.
	Need() int64
	// RoundEnded is called on a loop between the calls of a round and its replies. It may hold the
	// loop up when what is to be committed has become too much. again asks for another round at once, because the
	// commit waits a moment for what more there is.
	RoundEnded() (again bool)
}

// SetCommit puts c in force, nil for none. While there is none it costs one atomic load a call.
func (d *Dispatcher) SetCommit(c Commit) {
	if c == nil {
		d.commit.Store(nil)
		return
	}
	d.commit.Store(&c)
}

// hold keeps the reply that c's connection was just given until it may leave. On the client's loop.
func (d *Dispatcher) hold(c *client) {
	if p := d.commit.Load(); p != nil && c.conn != nil {
		c.conn.HoldUntil((*p).Need())
	}
}

type noSink struct{}

func (noSink) Active() bool                  { return false }
func (noSink) Append(*command.Effects) int64 { return 0 }

type noShipper struct{}

func (noShipper) Ship(int64, bool) {}

type noObserver struct{}

func (noObserver) Called(int, *command.Ctx, int64)            {}
func (noObserver) Rejected(int, *command.Command, resp.Error) {}
func (noObserver) Worked(string, int64)                       {}

type noBroadcaster struct{}

func (noBroadcaster) Wants() command.EventClass                             { return 0 }
func (noBroadcaster) Keyspace(any, command.EventClass, string, int, []byte) {}
