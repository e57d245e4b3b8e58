package link

import (
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"

	"github.com/sextantdb/sextant/bus"
)

// The handshake is four messages of fixed size, so that a stranger can make us read 120 bytes and no more. D dials, A
// accepts; K is derived from the secret; integers are big-endian.
//
//	D → A  hello   "SXTB" version purpose auth 0 | cluster 8 | id D 20 | id expected 20 | nonce D 32
//	A → D  answer  "SXTB" version status auth 0 | cluster 8 | id A 20 | nonce A 32 | HMAC(K, "acceptor" hello answer…)
//	D → A  proof   HMAC(K, "dialer" hello answer)
//	A → D  welcome status
//
// A status other than 0 is a Reason; such an answer carries no proof and ends the connection. Both proofs cover
// both nonces and both identities, so neither an old handshake nor one with somebody else can be replayed, and the two differ, so a
// proof cannot be sent back. With AuthNone and AuthTLS the proofs are zeros. Frame keys, one per direction, come
// from the secret and both nonces: a frame of another connection, direction or place in the stream fails its MAC.
//
// The welcome says whether A has taken the connection up. D sends no frame before it, so that nothing is lost on a
// connection that gives way to another; see "Connections". Once D has sent its proof it has committed itself to this connection.
const (
	handshakeVersion = 2

	helloLen  = 8 + 8 + 20 + 20 + nonceLen
	answerLen = 8 + 8 + 20 + nonceLen + proofLen
	proofLen  = sha256.Size
	nonceLen  = 32
)

var magic = [4]byte{'S', 'X', 'T', 'B'}

// hello and answer are kept as their bytes, because the proofs are about the bytes.
type (
	hello  [helloLen]byte
	answer [answerLen]byte
)

func (h *hello) purpose() Purpose     { return Purpose(h[5]) }
func (h *hello) auth() Auth           { return Auth(h[6]) }
func (h *hello) identity() Identity   { return identityAt(h[8:]) }
func (h *hello) expected() bus.NodeID { return bus.NodeID(h[36:56]) }
func (h *hello) nonce() []byte        { return h[56:] }
func (a *answer) status() Reason      { return Reason(a[5]) }
func (a *answer) auth() Auth          { return Auth(a[6]) }
func (a *answer) identity() Identity  { return identityAt(a[8:]) }
func (a *answer) nonce() []byte       { return a[36:68] }
func (a *answer) proven() []byte      { return a[:68] }
func (a *answer) proof() []byte       { return a[68:] }
func identityAt(b []byte) (id Identity) {
	id.Cluster = bus.ClusterID(binary.BigEndian.Uint64(b))
	id.ID = bus.NodeID(b[8:28])
	return id
}

func putHead(b []byte, fifth byte, auth Auth, self Identity) {
	copy(b, magic[:])
	b[4] = handshakeVersion
	b[5] = fifth
	b[6] = byte(auth)
	binary.BigEndian.PutUint64(b[8:], uint64(self.Cluster))
	copy(b[16:], self.ID[:])
}

// headFault checks what both messages begin with.
func headFault(b []byte) error {
	if [4]byte(b) != magic {
		return &refusal{reason: Rubbish}
	}
	if b[4] != handshakeVersion {
		return &refusal{reason: WrongVersion}
	}
	return nil
}

// secure puts TLS around nc if asked to, and refuses public addresses when nothing is proven.
func (n *Net) secure(ctx context.Context, nc net.Conn, dialed bool) (net.Conn, error) {
	if n.opts.Auth == AuthNone && !isPrivate(nc.RemoteAddr()) {
		return nil, &refusal{reason: PublicAddress}
	}
	if n.opts.Auth != AuthTLS {
		return nc, nil
	}
	var tc *tls.Conn
	if dialed {
		tc = tls.Client(nc, n.opts.TLS)
	} else {
		tc = tls.Server(nc, n.opts.TLS)
	}
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(&refusal{reason: TLSFailed}, err)
	}
	return tc, nil
}

// clientHandshake dials. It asks commit, with the id of who answered, before it proves itself.
func (n *Net) clientHandshake(ctx context.Context, raw net.Conn, expect bus.NodeID, purpose Purpose, commit func(bus.NodeID) bool) (*conn, error) {
	nc, err := n.secure(ctx, raw, true)
	if err != nil {
		return nil, err
	}
	self := n.self()
	var h hello
	putHead(h[:], byte(purpose), n.opts.Auth, self)
	copy(h[36:], expect[:])
	crand.Read(h.nonce())
	if _, err := nc.Write(h[:]); err != nil {
		return nil, fmt.Errorf("link: hello: %w", err)
	}
	var a answer
	if _, err := io.ReadFull(nc, a[:]); err != nil {
		return nil, fmt.Errorf("link: answer: %w", err)
	}
	if err := headFault(a[:]); err != nil {
		return nil, err
	}
	peer := a.identity()
	if s := a.status(); s != accepted {
		return nil, &refusal{reason: min(s, numReasons-1), who: peer.ID, theirs: true}
	}
	keys := n.keysFor(&h, &a)
	switch {
	case a.auth() != n.opts.Auth:
		return nil, &refusal{reason: WrongAuth}
	case !hmac.Equal(a.proof(), keys.proof("acceptor")):
		return nil, &refusal{reason: BadProof}
	case peer.ID == self.ID:
		return nil, &refusal{reason: Myself}
	case !expect.IsZero() && peer.ID != expect:
		return nil, &refusal{reason: NotExpected, who: peer.ID}
	}
	if !commit(peer.ID) {
		return nil, ErrDuplicate
	}
	if _, err := nc.Write(keys.proof("dialer")); err != nil {
		return nil, fmt.Errorf("link: proof: %w", err)
	}
	var welcome [1]byte
	if _, err := io.ReadFull(nc, welcome[:]); err != nil {
		return nil, fmt.Errorf("link: welcome: %w", err)
	}
	switch s := Reason(welcome[0]); s {
	case accepted:
	case duplicate:
		return nil, ErrDuplicate
	default:
		return nil, &refusal{reason: min(s, numReasons-1), who: peer.ID, theirs: true}
	}
	return n.newConn(nc, self.ID, Peer{Identity: peer, Purpose: purpose, Dialed: true}, keys), nil
}

func (n *Net) serverHandshake(ctx context.Context, raw net.Conn) (*conn, error) {
	nc, err := n.secure(ctx, raw, false)
	if err != nil {
		return nil, err
	}
	self := n.self()
	var h hello
	// Rubbish is usually short, and its sender waits for an answer: do not wait for 88 bytes of it.
	if _, err := io.ReadFull(nc, h[:len(magic)]); err != nil {
		return nil, fmt.Errorf("link: hello: %w", err)
	}
	if [4]byte(h[:]) != magic {
		return nil, &refusal{reason: Rubbish}
	}
	if _, err := io.ReadFull(nc, h[len(magic):]); err != nil {
		return nil, fmt.Errorf("link: hello: %w", err)
	}
	err = headFault(h[:])
	peer := h.identity()
	status := accepted
	var refused *refusal
	switch {
	case errors.As(err, &refused):
		status = refused.reason
	case h.auth() != n.opts.Auth:
		status = WrongAuth
	case h.purpose() >= numPurposes || peer.ID.IsZero():
		return nil, &refusal{reason: Rubbish}
	case peer.ID == self.ID:
		status = Myself
	case !h.expected().IsZero() && h.expected() != self.ID:
		status = NotExpected
	}
	var a answer
	putHead(a[:], byte(status), n.opts.Auth, self)
	if status != accepted {
		nc.Write(a[:]) // it may help the dialer; it does not matter if it fails
		return nil, &refusal{reason: status, who: peer.ID}
	}
	crand.Read(a.nonce())
	keys := n.keysFor(&h, &a)
	copy(a.proof(), keys.proof("acceptor"))
	if _, err := nc.Write(a[:]); err != nil {
		return nil, fmt.Errorf("link: answer: %w", err)
	}
	keys = n.keysFor(&h, &a)
	var proof [proofLen]byte
	if _, err := io.ReadFull(nc, proof[:]); err != nil {
		return nil, fmt.Errorf("link: proof: %w", err)
	}
	if !hmac.Equal(proof[:], keys.proof("dialer")) {
		return nil, &refusal{reason: BadProof}
	}
	return n.newConn(nc, self.ID, Peer{Identity: peer, Purpose: h.purpose()}, keys), nil
}

// keys are what both ends of one connection derive from the secret and the handshake.
type keys struct {
	secret     []byte // nil: nothing is proven, frames have no MAC
	transcript []byte // hello and what the answer's proof is about
}

func (n *Net) keysFor(h *hello, a *answer) keys {
	k := keys{transcript: append(append([]byte(nil), h[:]...), a.proven()...)}
	if n.opts.Auth == AuthHMAC {
		k.secret = n.opts.Secret
	}
	return k
}

// proof is the MAC a role shows.
func (k keys) proof(role string) []byte {
	if k.secret == nil {
		return make([]byte, proofLen)
	}
	m := hmac.New(sha256.New, k.derive("proof of the "+role))
	m.Write(k.transcript)
	return m.Sum(nil)
}

// frames returns the MAC of the frames that a role sends, or nil.
func (k keys) frames(role string) hash.Hash {
	if k.secret == nil {
		return nil
	}
	return hmac.New(sha256.New, k.derive("frames of the "+role))
}

func (k keys) derive(purpose string) []byte {
	salt := sha256.Sum256(k.transcript)
	key, err := hkdf.Key(sha256.New, k.secret, salt[:], "sextant bus 1, "+purpose, sha256.Size)
	if err != nil {
		panic("link: " + err.Error()) // only for lengths that are never asked for
	}
	return key
}

// isPrivate reports whether an address cannot be reached from the internet. Connections without IP addresses are local.
func isPrivate(a net.Addr) bool {
	ta, ok := a.(*net.TCPAddr)
	if !ok {
		return true
	}
	return ta.IP.IsLoopback() || ta.IP.IsPrivate() || ta.IP.IsLinkLocalUnicast()
}
