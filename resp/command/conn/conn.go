// Package conn is the connection family: who a client is, which database and protocol it
// uses, and the CLIENT commands that look at and steer the other clients. Node puts its
// Commands into the table. It must not know sockets or how requests are dispatched: what it
// needs of them are the interfaces of Deps.
package conn

import (
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
)

// Deps is what the family needs. All fields are required.
type Deps struct {
	Clients  Clients
	Users    Users
	Tracking Tracking
	// Node is what HELLO tells about the node.
	Node Node
	// Databases is how many databases SELECT knows (directive databases).
	Databases int
	// ClusterMode refuses SELECT of any database but 0.
	ClusterMode bool
}

// Node is what HELLO tells.
type Node struct {
	Version string // "7.2.4"
	Mode    string // standalone, cluster or sentinel; with sentinel HELLO has no role field
	// Role is "master" or "replica" now.
	Role func() string
}

// Users is the list of users; *acl.List is one.
type Users interface {
	Authenticate(name, password []byte) (*acl.Account, bool)
	Default() *acl.Account
	// Get returns an account by name, or nil.
	Get(name string) *acl.Account
}

// Clients is the registry of connected clients (dispatch). All methods are called on the
// goroutine that walks a request of the caller and must not wait for another event loop.
type Clients interface {
	// Each fills in info for every connected client in ascending order of id, the caller
	// included, and calls f; it stops when f returns false. info is reused between calls.
	// Clients without a connection (scripts, loaders) are left out. Numbers of clients of
	// other loops may be a round old.
	Each(f func(info *Info) bool)
	// Get fills in info for one client; false: there is none with this id.
	Get(id int64, info *Info) bool
	// Kill closes another client's connection as soon as its loop gets to it, without
	// sending what is in its output buffer. It is not called for the caller's own id. It
	// reports whether there was such a client.
	Kill(id int64) bool
	// Unblock wakes a parked client: as if its time were up, or with
	// resp.ErrUnblocked when withError is set. It reports false when the client does not
	// exist or is not parked in a way that has a timeout (SHUTDOWN and CLIENT PAUSE are not).
	Unblock(id int64, withError bool) bool
	// Pause holds back requests until untilMs (Unix ms): those of every client, or, with
	// writesOnly, those that may write or replicate, EXEC of a queue that holds one
	// included. Clients that are links to replicas are never held back. Called again
	// while paused, the later end and the stricter kind win, as in Redis. Expiry and
	// eviction stop while paused.
	Pause(untilMs int64, writesOnly bool)
	// Unpause ends it at once.
	Unpause()
	// Reset undoes what is bound to the caller's session outside of it, for RESET and before
	// a connection becomes somebody else's: gives watches back to the store (and
	// drops them from the session), leaves all channels and patterns without sending
	// anything, leaves MONITOR. The handler has ended MULTI itself.
	Reset(c *command.Ctx)
	// AuthFailed records a refused AUTH or HELLO AUTH (ACL LOG, acl_access_denied_auth).
	// user is what was given.
	AuthFailed(c *command.Ctx, user []byte)
}

// Info is one client as CLIENT LIST shows it. Name, database, protocol, flags, MULTI queue,
// last command, user and library come from Sess.
type Info struct {
	Sess            *session.Session
	Addr, LocalAddr string // "ip:port", or "path:0"
	FD              int    // -1 when there is none (TLS, a loop that hides it)
	AgeSeconds      int64
	IdleSeconds     int64
	// Channels, Patterns and ShardChannels are numbers of subscriptions.
	Channels, Patterns, ShardChannels int
	// QueryBytes is what was read and not yet executed, QueryFree the rest of that buffer,
	// ArgvBytes the arguments of the request in progress.
	QueryBytes, QueryFree, ArgvBytes int64
	// ReplyBufBytes is the size of the reply buffer, ReplyPeakBytes the most it held lately.
	ReplyBufBytes, ReplyPeakBytes int64
	// OutBytes is what the reply buffer holds; QueuedReplies and QueuedBytes what waits behind
	// it (pushes, replica stream) in entries and bytes.
	OutBytes, QueuedReplies, QueuedBytes int64
	// TotalBytes is all memory the client costs.
	TotalBytes int64
	// WantsWrite says that the connection waits to become writable.
	WantsWrite bool
	// Closing says that the connection is to be closed as soon as possible (flag A).
	Closing bool
}
