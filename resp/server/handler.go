package server

import "github.com/sextantdb/sextant/resp"

// Handler is what stands behind the sockets. All its methods run on a loop's goroutine, so calls about one connection, and
// calls about one loop, never overlap; calls of different loops do. No method may block longer than a command may take.
type Handler interface {
	// Opened greets a new connection. It usually sets Context, Unauthenticated and NoIdleTimeout. It may write to c.Out
	// and may refuse the connection by writing an error and calling CloseAfterReply.
	Opened(c *Conn)

	// Command runs one request. argv has at least one element and is valid until Command returns: its elements alias the
	// read buffer. Replies are appended to c.Out.
	Command(c *Conn, argv [][]byte)

	// BeforeWrite is called once a round after its commands and before the replies of the round are written: the place of
	// the group fsync.
	BeforeWrite(l *Loop)

	// Housekeeping is called between the writes of a round and the next poll, with tick false, and Settings.Hz times a
	// second, busy or idle, with tick true (also between writes and poll, in place of the other call).
	Housekeeping(l *Loop, tick bool)

	// Closed is the last call about c. Its descriptor is still open but already forgotten by the loop; c.Out goes nowhere.
	// why is one of the Err… values of this package, or the error of the socket.
	Closed(c *Conn, why error)
}

// Foreseer is a Handler that wants to know what lies ahead, to bring the data into the processor's cache for many requests at
// a time.
type Foreseer interface {
	// Foresee tells which requests will probably be executed next, in this order. It is a hint: some may never be, others may
	// come between. It must have no effect that anybody could see. next and what it refers to are valid until it returns.
	Foresee(l *Loop, next []Next)
}

// Idler is a Handler that puts off work until a loop has nothing else to do.
type Idler interface {
	// Idle is called before the loop goes to sleep, on its goroutine. It must be short: meanwhile something may arrive.
	Idle(l *Loop)
}

// Next is a request that was read and not yet executed.
type Next struct {
	Conn *Conn
	Argv [][]byte // with its name; never empty
	n    int      // its length in the input
}

// Class is a connection's class for client-output-buffer-limit.
type Class uint8

// The classes, in the order in which Redis prints them.
const (
	ClassNormal Class = iota
	ClassReplica
	ClassPubSub

	NumClasses
)

// String returns the name redis.conf uses for the class.
func (c Class) String() string { return [NumClasses]string{"normal", "slave", "pubsub"}[c] }

// An Event is something that happened to a connection and that a log or a test may want to know. It is one of the types
// below.
type Event interface{ event() }

type (
	// ConnAccepted: a connection was accepted and given to a loop.
	ConnAccepted struct {
		ID   uint64
		Addr string
	}
	// ConnRejected: a connection was turned away at maxclients.
	ConnRejected struct {
		Addr   string
		Reason resp.Error
	}
	// ConnClosed: a connection ended.
	ConnClosed struct {
		ID   uint64
		Addr string
		Why  error
	}
	// LimitHit: a connection is about to be closed because it, or with ErrEvicted all of them together, went beyond a bound.
	// With ErrEvicted it is told on any goroutine. Why is ErrEvicted, ErrOutputLimit, ErrQueryLimit,
	// ErrUnauthOutput or ErrIdle. Bytes is what it held, Limit the bound (seconds for ErrIdle).
	LimitHit struct {
		ID           uint64
		Addr         string
		Class        Class
		Why          error
		Bytes, Limit int64
	}
	// ProtocolFailed: a client sent what is no request. Query is the beginning of it.
	ProtocolFailed struct {
		ID    uint64
		Addr  string
		Err   resp.Error
		Query []byte
	}
	// AcceptFailed: accept returned an error (usually: out of file descriptors).
	AcceptFailed struct {
		Listener string
		Err      error
	}
	// BindFailed: an optional bind address ("-addr") could not be used; serving goes on without it.
	BindFailed struct {
		Addr string
		Err  error
	}
)

func (ConnAccepted) event()   {}
func (ConnRejected) event()   {}
func (ConnClosed) event()     {}
func (LimitHit) event()       {}
func (ProtocolFailed) event() {}
func (AcceptFailed) event()   {}
func (BindFailed) event()     {}
