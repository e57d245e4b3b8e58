// Package session is what one client is to the node: which database it selected, as whom it
// authenticated, which protocol it speaks, what it queued after MULTI and what it watches.
// Dispatch makes a Session per connection; handlers change it. It must not know sockets,
// the command table or the store.
//
// # Concurrency
//
// A Session is owned by the goroutine of its connection's event loop: only that goroutine
// may call methods that change it or look at the queue and the watches. What CLIENT LIST
// shows is kept in atomics, so the methods marked "any goroutine" may be called anywhere.
package session

import (
	"sync/atomic"

	"github.com/sextantdb/sextant/resp/acl"
)

// Flags are states of a session that are on or off.
type Flags uint32

const (
	Multi          Flags = 1 << iota // between MULTI and EXEC
	DirtyCAS                         // a watched key changed: EXEC answers nil
	DirtyExec                        // a command could not be queued: EXEC answers EXECABORT
	ReadOnly                         // READONLY: may read from this replica
	AskingOnce                       // ASKING: the next command, or the transaction that it begins, may touch an importing slot
	Monitor                          // in MONITOR mode
	Replica                          // a replica's link
	Primary                          // our link to our primary, whose commands are obeyed
	Subscribed                       // has at least one subscription
	Blocked                          // parked
	NoEvict                          // CLIENT NO-EVICT ON
	NoTouch                          // CLIENT NO-TOUCH ON
	ReplyOff                         // CLIENT REPLY OFF
	ReplySkip                        // CLIENT REPLY SKIP: skip the reply of the next command
	Internal                         // no socket: a script's or a loader's client
	Unix                             // came over the unix socket
	Closing                          // will be closed once its replies are written
	InReplay                         // commands come from the append only file
	ReplySkipping                    // the reply of the running command is skipped
	Tracking                         // CLIENT TRACKING ON
	TrackBroadcast                   // with BCAST
	TrackOptIn                       // with OPTIN
	TrackOptOut                      // with OPTOUT
	TrackNoLoop                      // with NOLOOP
	TrackBroken                      // the client it redirects to is gone
	TrackCaching                     // CLIENT CACHING was said about the next command
	Debug                            // SCRIPT DEBUG YES or SYNC: the next EVAL is debugged
	DebugSync                        // SYNC
	Redirect                         // CLIENT CAPA redirect: a standalone replica sends it to the primary
)

// AllTracking is every state of CLIENT TRACKING.
const AllTracking = Tracking | TrackBroadcast | TrackOptIn | TrackOptOut | TrackNoLoop | TrackBroken | TrackCaching

// Session is one client. Make it with New.
type Session struct {
	// ID is unique in the life of the node. Immutable.
	ID int64

	flags    atomic.Uint32
	db       atomic.Int32
	proto    atomic.Int32
	account  atomic.Pointer[acl.Account] // nil: not authenticated
	name     atomic.Pointer[string]
	libName  atomic.Pointer[string]
	libVer   atomic.Pointer[string]
	lastCmd  atomic.Pointer[string]
	queued   atomic.Int32
	queuedB  atomic.Int64
	watching atomic.Int32
	watchedB atomic.Int64 // bytes of the watches
	redirect atomic.Int64
	subs     [3]atomic.Int32 // numbers of subscriptions: channels, patterns, shard channels

	queue   []Queued // owner only
	watches []Watch  // owner only

	// WriteOffset is the offset of the stream behind this client's last write, for WAIT.
	// Owner only.
	WriteOffset int64
}

// Queued is one command waiting for EXEC. Argv is the queue's own copy.
type Queued struct {
	Argv [][]byte
	// Cmd is the table entry found when the command was queued. It is opaque here, because
	// the table stands above the session.
	Cmd any
}

// Watch is one watched key and the proof of what it was. Key is the session's own copy.
type Watch struct {
	DB  int
	Key []byte
	// Seen is what the store gave when the key was watched; only the store can read it.
	Seen any
}

// New returns the session of a connection that begins as user (nil: must authenticate).
func New(id int64, user *acl.Account, f Flags) *Session {
	s := new(Session)
	s.Init(id, user, f)
	return s
}

// Init is New for a Session that is part of something larger.
func (s *Session) Init(id int64, user *acl.Account, f Flags) {
	s.ID = id
	s.proto.Store(2)
	s.account.Store(user)
	s.flags.Store(uint32(f))
}

// Has reports whether all of f are on. Any goroutine.
func (s *Session) Has(f Flags) bool { return Flags(s.flags.Load())&f == f }

// Any reports whether one of f is on. Any goroutine.
func (s *Session) Any(f Flags) bool { return Flags(s.flags.Load())&f != 0 }

// Set switches f on. TrackBroken may be set by any goroutine.
func (s *Session) Set(f Flags) {
	if !s.Has(f) {
		s.flags.Or(uint32(f))
	}
}

// Clear switches f off.
func (s *Session) Clear(f Flags) {
	if s.Any(f) {
		s.flags.And(^uint32(f))
	}
}

// DB is the selected database. Any goroutine.
func (s *Session) DB() int { return int(s.db.Load()) }

// Select changes the database.
func (s *Session) Select(db int) { s.db.Store(int32(db)) }

// Proto is 2 or 3. Any goroutine.
func (s *Session) Proto() int { return int(s.proto.Load()) }

// SetProto changes the protocol that replies are written in.
func (s *Session) SetProto(p int) { s.proto.Store(int32(p)) }

// Account is whom the client authenticated as; nil before AUTH. Any goroutine.
func (s *Session) Account() *acl.Account { return s.account.Load() }

// User is what the account may do now; nil before AUTH, and once the account was deleted. Any goroutine.
func (s *Session) User() *acl.User {
	if a := s.account.Load(); a != nil {
		return a.User()
	}
	return nil
}

// SetAccount records a successful (or, with nil, revoked) authentication.
func (s *Session) SetAccount(a *acl.Account) { s.account.Store(a) }

// Name is CLIENT SETNAME's. Any goroutine.
func (s *Session) Name() string { return deref(&s.name) }

// SetName sets the client's name.
func (s *Session) SetName(n string) { s.name.Store(&n) }

// Lib is the client library's name and version, from CLIENT SETINFO. Any goroutine.
func (s *Session) Lib() (name, version string) { return deref(&s.libName), deref(&s.libVer) }

// SetLibName and SetLibVersion record CLIENT SETINFO.
func (s *Session) SetLibName(n string)    { s.libName.Store(&n) }
func (s *Session) SetLibVersion(v string) { s.libVer.Store(&v) }

// LastCommand is the lower-case full name of the last command. Any goroutine.
func (s *Session) LastCommand() string { return deref(&s.lastCmd) }

// SetLastCommand records the command about to run; name must stay unchanged for ever (it is
// the table's).
func (s *Session) SetLastCommand(name *string) {
	if s.lastCmd.Load() != name {
		s.lastCmd.Store(name)
	}
}

func deref(p *atomic.Pointer[string]) string {
	if v := p.Load(); v != nil {
		return *v
	}
	return ""
}

// Enqueue copies argv behind the commands queued since MULTI.
func (s *Session) Enqueue(cmd any, argv [][]byte) {
	total := 0
	for _, a := range argv {
		total += len(a)
	}
	buf := make([]byte, 0, total)
	own := make([][]byte, len(argv))
	for i, a := range argv {
		buf = append(buf, a...)
		own[i] = buf[len(buf)-len(a) : len(buf) : len(buf)]
	}
	s.queue = append(s.queue, Queued{Argv: own, Cmd: cmd})
	s.queued.Store(int32(len(s.queue)))
	s.queuedB.Add(int64(total + 24*len(argv)))
}

// Queue is what was queued since MULTI, in order.
func (s *Session) Queue() []Queued { return s.queue }

// QueueLen and QueueBytes tell the size of the queue. Any goroutine.
func (s *Session) QueueLen() int     { return int(s.queued.Load()) }
func (s *Session) QueueBytes() int64 { return s.queuedB.Load() }

// EndMulti forgets the queue and leaves MULTI.
func (s *Session) EndMulti() {
	s.queue = nil
	s.queued.Store(0)
	s.queuedB.Store(0)
	s.Clear(Multi | DirtyCAS | DirtyExec)
}

// SetRedirect says which client gets this one's invalidations; 0 is this one.
func (s *Session) SetRedirect(id int64) { s.redirect.Store(id) }

// Redirect is what SetRedirect said. Any goroutine.
func (s *Session) Redirect() int64 { return s.redirect.Load() }

// SetSubscriptions records how many subscriptions there are, and whether the client is Subscribed.
// It reports whether that has changed.
func (s *Session) SetSubscriptions(channels, patterns, shardChannels int) bool {
	s.subs[0].Store(int32(channels))
	s.subs[1].Store(int32(patterns))
	s.subs[2].Store(int32(shardChannels))
	some := channels+patterns+shardChannels > 0
	if some == s.Has(Subscribed) {
		return false
	}
	if some {
		s.Set(Subscribed)
	} else {
		s.Clear(Subscribed)
	}
	return true
}

// Subscriptions are the numbers that SetSubscriptions recorded last. Any goroutine.
func (s *Session) Subscriptions() (channels, patterns, shardChannels int) {
	return int(s.subs[0].Load()), int(s.subs[1].Load()), int(s.subs[2].Load())
}

// What a watched key and a subscription cost besides their names, here and where they are registered.
const (
	watchBytes        = 200
	subscriptionBytes = 200
)

// Bytes is the memory of what the session keeps: its queue, watches and subscriptions. Any goroutine.
func (s *Session) Bytes() int64 {
	n := s.queuedB.Load() + s.watchedB.Load()
	for i := range s.subs {
		n += subscriptionBytes * int64(s.subs[i].Load())
	}
	return n
}

// Watches are the keys watched now.
func (s *Session) Watches() []Watch { return s.watches }

// Watching is their number. Any goroutine.
func (s *Session) Watching() int { return int(s.watching.Load()) }

// AddWatch remembers a watched key.
func (s *Session) AddWatch(w Watch) {
	s.watches = append(s.watches, w)
	s.watchedB.Add(int64(watchBytes + len(w.Key)))
	s.watching.Store(int32(len(s.watches)))
}

// DropWatches forgets them. The caller has given Seen back to the store.
func (s *Session) DropWatches() {
	s.watches = nil
	s.watching.Store(0)
	s.watchedB.Store(0)
}
