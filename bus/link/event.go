package link

import (
	"errors"
	"fmt"

	"github.com/sextantdb/sextant/bus"
)

// Reason says why a connection was refused.
type Reason uint8

// The reasons, by which Stats.Rejects counts. The first ones are also said to the dialer.
const (
	accepted      Reason = iota
	WrongVersion         // another version of the handshake
	WrongAuth            // another kind of authentication
	NotExpected          // the dialer expected another node id here
	Myself               // a node dialed itself
	Busy                 // too many connections or handshakes
	Rubbish              // not our protocol
	BadProof             // the proof does not fit the secret
	Silent               // closed or timed out in the middle
	PublicAddress        // AuthNone with an address that is neither loopback nor private
	BadFrame             // authenticated, but a frame is too long or its MAC is wrong
	AcceptFailed         // the operating system gave no connection
	TLSFailed            // the TLS handshake failed
	duplicate            // another connection stands or is about to; said in a welcome only, and counted nowhere

	numReasons
)

func (r Reason) String() string {
	return [numReasons]string{"accepted", "wrong protocol version", "wrong authentication mode", "another node id expected",
		"a node dialed itself", "busy", "rubbish", "wrong secret", "silent", "public address without authentication",
		"bad frame", "accept failed", "TLS handshake failed", "duplicate"}[min(r, numReasons-1)]
}

// EventKind names an Event.
type EventKind uint8

const (
	// Unauthenticated: the Net was made with AuthNone; whoever reaches the bus port can change the cluster.
	Unauthenticated EventKind = iota
	// Rejected: a connection from or to Host was refused for Reason. Told once per host and reason until a
	// connection with that host succeeds.
	Rejected
)

// Event is something an operator may want to know.
type Event struct {
	Kind   EventKind
	Reason Reason
	Host   string // the far end's address without port, for Rejected; the dialed address when we dialed
	Err    error
}

// Why a connection ended, besides network errors.
var (
	ErrClosed    = errors.New("link: closed")
	ErrDuplicate = errors.New("link: another connection to the node stands")
	// ErrUnreliable: its user has given it up; see Break.
	ErrUnreliable = errors.New("link: the far end does not answer what must be answered")
	ErrNoPeer     = errors.New("link: the node is no peer any more")
	ErrIdentity   = errors.New("link: own identity")
	ErrTooMany    = errors.New("link: too many connections")
	ErrDead       = errors.New("link: nothing heard for too long")
	ErrStuck      = errors.New("link: nothing could be sent for too long")
	ErrFrame      = errors.New("link: bad frame")
)

// refusal is the error of a handshake that was understood and refused, by us or by the far end.
type refusal struct {
	reason Reason
	who    bus.NodeID // who answered, for NotExpected
	theirs bool       // the far end refused us
}

func (r *refusal) Error() string {
	text := "link: refused: " + r.reason.String()
	if r.theirs {
		text = "link: the far end refused: " + r.reason.String()
	}
	if !r.who.IsZero() {
		text += fmt.Sprintf(" (node %s answered)", r.who)
	}
	return text
}

// maxTold bounds the memory of what was told; beyond it everything is forgotten and told again.
const maxTold = 1024

// reject counts a refusal and tells it, once.
func (n *Net) reject(reason Reason, host string, err error) {
	n.Stats.Rejects[reason].Inc()
	key := host + " " + reason.String()
	n.mu.Lock()
	known := n.mu.told[key]
	if !known {
		if len(n.mu.told) >= maxTold {
			clear(n.mu.told)
		}
		n.mu.told[key] = true
	}
	n.mu.Unlock()
	if !known {
		n.opts.Events(Event{Kind: Rejected, Reason: reason, Host: host, Err: err})
	}
}

// forgive forgets what was told about a host with which a connection now stands.
func (n *Net) forgive(hosts ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.mu.told) == 0 {
		return
	}
	for _, h := range hosts {
		for r := range numReasons {
			delete(n.mu.told, h+" "+r.String())
		}
	}
}
