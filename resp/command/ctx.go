package command

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// Ctx is one call as its handler sees it. A handler reads Argv, looks at and changes keys
// through Txn, appends its reply to Out, and says what else must happen with the methods
// below. It never locks, never reads a clock (Txn.Now is the time), never starts a
// goroutine, and keeps nothing of Ctx after it returns.
//
// # Concurrency
//
// A Ctx belongs to the goroutine that walks the request and is reused for the next one.
type Ctx struct {
	// Cmd is the entry being run.
	Cmd *Command
	// Argv are the words of the call, the command's name first; for subcommands the
	// container's name stands before. They alias the connection's read buffer.
	Argv [][]byte
	// Txn holds the stripes that the entry's keys and flags ask for. It is begun for every
	// handler, with no stripe when the entry names no keys.
	Txn *store.Txn
	// Sess is the client.
	Sess *session.Session
	// Out takes the reply. Its Proto follows the session's.
	Out *resp.Writer
	// Conn is the client's connection; nil for a client without one (a script, a loader).
	Conn Conn
	// Host is what stands behind the handler: dispatch in a server.
	Host Host
	// Nested is above zero when the call runs inside EXEC or a script: blocking commands
	// answer at once as if their time had run out.
	Nested int
	// ErrCounted says that Err is in the error statistics already: a script passes on what its call answered.
	ErrCounted bool
	// InScript says that a script made the call.
	InScript bool
	// Effects collects what must reach the append only file and the replicas.
	Effects Effects
	// Err is the error the call answered, "" when it did not fail; for the statistics.
	Err resp.Error
	// Scratch is memory for handlers to build things in: a compact value on its way back into
	// the store. It is nobody's between calls, and empty when one begins; a handler that grew it puts it back.
	Scratch []byte

	later []func() // see AfterUnlock

	quiet bool // the handler decided itself what is propagated, perhaps nothing
}

// Conn is what a handler may do with the connection it was called on.
type Conn interface {
	// Addr and LocalAddr are "ip:port" or "path:0" for the unix socket.
	Addr() string
	LocalAddr() string
	// CloseAfterReply closes the connection once everything in Out has been written.
	CloseAfterReply()
	// Push sends RESP behind the reply of the running command, whether or not the client wants
	// replies (CLIENT REPLY).
	Push(b []byte)
	// TakePushes puts what was pushed to the client so far before the reply. REQUIRES: Nested is
	// 0, and nothing was appended to Out.
	TakePushes()
	// SetProto says in which protocol messages are pushed to the client from now on.
	SetProto(proto int)
	// SetPubSub moves the connection to the output limits of clients with subscriptions, or back.
	SetPubSub(on bool)
}

// Host is what a handler needs of the one who called it.
type Host interface {
	// Call runs cmd as a command of its own within the same critical section (EXEC, scripts).
	// Its reply goes to c.Out.
	Call(c *Ctx, cmd *Command, argv [][]byte)
	// Park suspends the client; see Ctx.Park.
	Park(c *Ctx, p Park) Ticket
	// Notify publishes a keyspace event; see Ctx.Notify.
	Notify(c *Ctx, class EventClass, event string, key []byte)
}

// Fail answers an error. The handler returns right after it.
func (c *Ctx) Fail(err resp.Error) {
	c.Err = err
	c.Out.Error(err)
}

// Call runs a queued or scripted command in place. REQUIRES: the stripes of its keys are
// held by c.Txn.
func (c *Ctx) Call(cmd *Command, argv [][]byte) { c.Host.Call(c, cmd, argv) }

// PropagateAs replaces the call, in what replicas and the append only file get, by argv. Said
// several times, all of them are sent, in order. It is needed wherever the call as written
// would not have the same effect everywhere and always (relative times, random choice,
// floating point).
func (c *Ctx) PropagateAs(argv ...[]byte) {
	c.quiet = true
	withhold := c.Effects.Withhold
	if c.Cmd.Passing() {
		withhold |= ToAOF
	}
	c.Effects.append(c.Txn.DB(), withhold, argv)
}

// DontPropagate says that the call, although it changed something, sends nothing.
func (c *Ctx) DontPropagate() { c.quiet = true }

// Propagate sends the call as written even if the store noted no change (PUBLISH and its like).
func (c *Ctx) Propagate() { c.PropagateAs(c.Argv...) }

// redacted stands in MONITOR and in the slow log for words that are nobody's business.
var redacted = []byte("(redacted)")

// Redact takes Argv[from:to], secrets, out of sight and returns the words.
func (c *Ctx) Redact(from, to int) [][]byte {
	words := append([][]byte(nil), c.Argv[from:to]...)
	for i := from; i < to; i++ {
		c.Argv[i] = redacted
	}
	return words
}

// AfterUnlock has f run when the stripes of the unit (the command, or all of EXEC) are unlocked,
// before the client's next command: for what takes locks of its own.
func (c *Ctx) AfterUnlock(f func()) { c.later = append(c.later, f) }

// Unlocked runs what AfterUnlock was given. The one who holds the stripes calls it, once they
// are unlocked.
func (c *Ctx) Unlocked() {
	for len(c.later) > 0 {
		f := c.later[0]
		c.later = c.later[1:]
		f()
	}
}

// Reset prepares c for a call; dispatch calls it before Run.
func (c *Ctx) Reset(cmd *Command, argv [][]byte) {
	c.Cmd, c.Argv = cmd, argv
	c.quiet = false
	c.Err, c.ErrCounted = "", false
	if c.Scratch = c.Scratch[:0]; cap(c.Scratch) > scratchKept {
		c.Scratch = nil
	}
}

// scratchKept is how much of Scratch stays from one call to the next.
const scratchKept = 64 << 10

// Quiet reports whether the handler decided itself what is propagated.
func (c *Ctx) Quiet() bool { return c.quiet }

// Notify publishes a keyspace event about key if notify-keyspace-events asks for its class.
// It leaves when the command has run, with the stripes still locked.
func (c *Ctx) Notify(class EventClass, event string, key []byte) { c.Host.Notify(c, class, event, key) }

// Park suspends the client after the handler returns: no reply is sent and its pipelined
// requests wait, until the Ticket is finished, the time is up, or the client goes. REQUIRES:
// Nested is 0, and nothing was appended to Out.
func (c *Ctx) Park(p Park) Ticket { return c.Host.Park(c, p) }

// Park says how a parked client is woken.
type Park struct {
	// TimeoutMs is how long the client waits; 0 is for ever.
	TimeoutMs int64
	// Keys, if not empty, are what the client waits for, among those its call names: each time
	// one of them has become ready the call is run again, at the end of the unit that changed
	// the key, until it does not park. The handler need not know which time it is: parking again
	// keeps the client's place and its time limit. Such a ticket has no holder: Finish does
	// nothing, Gone is not told.
	Keys [][]byte
	// Type is the type that makes one of Keys ready: it has been changed and holds a value of
	// that type.
	Type value.Type
	// Missing says that any change of one of Keys makes it ready, its deletion and a value of
	// another type too (XREADGROUP, whose group goes with the key).
	Missing bool
	// Again is the call to be run again, where that is not the call as it came (XREAD from "$").
	Again [][]byte
	// Data says that the client waits for replicas: CLIENT UNBLOCK and a change of the node's
	// role end it, as they do with Keys. Without either only Finish, the time and the client
	// itself do.
	Data bool
	// TimedOut appends the reply for when the time is up, or CLIENT UNBLOCK says so. It runs on
	// the client's loop. Nil when neither can happen.
	TimedOut func(w *resp.Writer)
	// Gone, if not nil, is told that the ticket ended in any way but Finish, so that whoever
	// holds it can forget it. It runs on the client's loop and must not block.
	Gone func()
}

// Ticket stands for a parked client.
type Ticket interface {
	// Finish wakes the client: reply appends its reply on the client's loop. It reports false
	// when the ticket had ended already. Any goroutine may call it.
	Finish(reply func(w *resp.Writer)) bool
}

// EventClass is one letter of notify-keyspace-events.
type EventClass uint32

const (
	EventKeyspace EventClass = 1 << iota // K
	EventKeyevent                        // E
	EventGeneric                         // g
	EventString                          // $
	EventList                            // l
	EventSet                             // s
	EventHash                            // h
	EventZSet                            // z
	EventExpired                         // x
	EventEvicted                         // e
	EventStream                          // t
	EventMiss                            // m
	EventModule                          // d
	EventNew                             // n
)

// Effects is what one unit (a command, EXEC, a script) does to the data set, as commands in
// the replication stream's form. It is reused: Clear keeps the memory.
type Effects struct {
	// Buf holds the commands, RESP-encoded, one behind the other.
	Buf []byte
	// Marks has one entry per command.
	Marks []EffectMark
	// Off makes Append do nothing: nobody takes the stream.
	Off bool
	// Withhold says who is not to receive what is appended from now on; from everybody: Append does nothing.
	Withhold Targets
	// Partly reports that something was withheld from somebody.
	Partly bool
	// Apart says that the commands do not belong together: no MULTI around them.
	Apart bool
}

// EffectMark says which database a command in Effects.Buf is for and where it ends.
type EffectMark struct {
	DB       int
	End      int
	Withheld Targets
}

// Targets are receivers of effects. The numbers are those of redis.set_repl.
type Targets uint8

const (
	ToAOF Targets = 1 << iota
	ToReplicas
	ToAll = ToAOF | ToReplicas
)

// Append adds one command for database db.
func (e *Effects) Append(db int, argv ...[]byte) {
	e.append(db, e.Withhold, argv)
}

func (e *Effects) append(db int, withheld Targets, argv [][]byte) {
	if e.Off || withheld == ToAll {
		return
	}
	e.Buf = resp.AppendCommand(e.Buf, argv...)
	e.Marks = append(e.Marks, EffectMark{db, len(e.Buf), withheld})
	e.Partly = e.Partly || withheld != 0
}

// Empty reports whether there is nothing to propagate.
func (e *Effects) Empty() bool { return len(e.Marks) == 0 }

// Clear forgets the effects.
func (e *Effects) Clear() {
	e.Buf = e.Buf[:0]
	e.Marks = e.Marks[:0]
	e.Withhold, e.Partly = 0, false
}
