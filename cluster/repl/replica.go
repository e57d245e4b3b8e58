package repl

import (
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/bus/wire"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/session"
)

// replicaState is how far a replica is, in INFO's words.
type replicaState uint8

const (
	replicaWaitStart replicaState = iota // waits for a snapshot to begin
	replicaWaitEnd                       // its snapshot runs; a streamed one is being sent
	replicaSendBulk                      // a file is being sent
	replicaSent                          // a side channel: has sent all, and may keep its place; see dual.go
	replicaFed                           // is sent the stream, and keeps it until what its side channel sends is loaded
	replicaOnline
)

var replicaStateNames = [...]string{"wait_bgsave", "wait_bgsave", "send_bulk", "rdb_transmitted", "bg_transfer", "online"}

// fed reports whether a replica in this state is sent the stream.
func (s replicaState) fed() bool { return s >= replicaFed }

// handshake is what a client says with REPLCONF before PSYNC.
type handshake struct {
	sess               *session.Session // the client that asked; nil in tests
	port               int
	ip                 string
	eof, psync2        bool
	rdbOnly            bool
	skipData, skipFunc bool
	version            string
	dual               bool  // it can take a full sync by a side channel
	side               bool  // it is a side channel
	sideID             int64 // the session of the side channel that serves it; 0: none does
}

// maxHandshakes bounds how many clients' handshakes are remembered; the oldest is forgotten.
const maxHandshakes = 1024

// Replica is one connection that receives the stream. Two goroutines serve it: read takes its
// acknowledgements, run sends what comes before the stream, and of the stream what Ship does not; see ship.go.
type Replica struct {
	// Immutable.
	id       int64
	e        *Engine
	conn     net.Conn
	wire     *wire.Conn // conn's; nil when it has none
	remoteIP string
	handshake
	prePsync bool    // came with SYNC: acknowledges nothing
	resumed  *Cursor // a partial sync's; nil for a full one
	unsent   []byte
	arrived  int64 // Unix ms

	sendingSince atomic.Int64 // Unix ms; of what is being sent of a full sync; 0: nothing

	done  chan struct{}  // closed when it is dropped
	begin chan *transfer // capacity 1: its full sync begins
	goOn  chan struct{}  // capacity 1: run has the baton
	acked chan struct{}  // capacity 1: an acknowledgement came
	// joined is closed when a side channel's place has been handed over.
	joined chan struct{}

	// Owned by whoever has the baton: the way into the connection, and the reading of cursor. run has it at first, and
	// has it when it closes cursor.
	baton baton
	sent  atomic.Int64 // the cursor's place; written by who has the baton, read by anyone
	waits atomic.Int64 // since when, on Ship's clock, there is something to send; 0: there is not, or nobody has looked

	// Guarded by e.mu.
	state     replicaState
	gone      bool
	ackOff    int64
	fackOff   int64
	ackTime   int64 // Unix ms
	softSince int64
	cursor    *Cursor  // set once, before it is online; of a side channel nil again when the other one has taken over
	other     *Replica // the other connection of a sync by two; nil: none yet
}

// name is the replica as log lines call it.
func (r *Replica) name() string {
	ip := r.ip
	if ip == "" {
		ip = r.remoteIP
	}
	if r.port == 0 {
		return ip + ":<unknown-replica-port>"
	}
	return ip + ":" + strconv.Itoa(r.port)
}

// address is what INFO and ROLE show.
func (r *Replica) address() string {
	if r.ip != "" {
		return r.ip
	}
	return r.remoteIP
}

// admit takes a connection over. start is what it is sent first; with a cursor it is online at
// once, else it waits for a full sync.
func (e *Engine) admit(conn net.Conn, unread, unsent []byte, h handshake, prePsync bool, c *Cursor, start string) *Replica {
	now := e.deps.Now()
	r := &Replica{
		e: e, conn: conn, handshake: h, prePsync: prePsync, unsent: append(append([]byte(nil), unsent...), start...),
		arrived: now, done: make(chan struct{}), begin: make(chan *transfer, 1), acked: make(chan struct{}, 1), joined: make(chan struct{}),
		goOn: make(chan struct{}, 1), wire: wire.New(conn), cursor: c, resumed: c, ackTime: now, remoteIP: hostOf(conn.RemoteAddr().String()),
	}
	if t, ok := conn.(*net.TCPConn); ok && e.opts.Load().DisableTCPNoDelay {
		_ = t.SetNoDelay(false) // an optimisation: without it all is well too
	}
	r.baton.take()
	if c != nil {
		r.state = replicaOnline
		r.sent.Store(c.Pos())
	}
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		conn.Close()
		if c != nil {
			c.Close()
		}
		return r
	}
	e.joinLocked(r)
	e.nextID++
	r.id = e.nextID
	e.replicas = append(e.replicas, r)
	e.relistLocked()
	e.refreshGoodLocked()
	e.running.Add(2)
	e.mu.Unlock()
	rest := append([]byte(nil), unread...)
	go func() {
		defer e.running.Done()
		r.read(rest)
	}()
	go func() {
		defer e.running.Done()
		r.run()
	}()
	return r
}

// dropLocked ends a replica. REQUIRES: e.mu.
func (e *Engine) dropLocked(r *Replica) {
	if r.gone {
		return
	}
	r.gone = true
	for i := range e.replicas {
		if e.replicas[i] == r {
			e.replicas = append(e.replicas[:i:i], e.replicas[i+1:]...)
			break
		}
	}
	if len(e.replicas) == 0 {
		e.lonely = e.deps.Now()
	}
	e.relistLocked()
	e.refreshGoodLocked()
	close(r.done)
	r.conn.Close()
	if !r.state.fed() && r.cursor != nil {
		r.cursor.Close() // nobody uses it yet, and run may wait for its transfer long
	}
	if o := r.other; o != nil && r.state != replicaSent {
		e.dropLocked(o) // half a sync is none
	}
	if g := e.syncing; g != nil && g.useless() {
		g.cancel(errNobody) // it may be far from its next Write
	}
}

// lost is dropLocked for an end that came from outside.
func (e *Engine) lost(r *Replica) {
	e.mu.Lock()
	told := r.gone
	e.dropLocked(r)
	e.mu.Unlock()
	switch {
	case told:
	case r.side:
		e.emit(EvReplicaLost, "Replica %s rdb channel disconnected.", r.name())
	default:
		e.emit(EvReplicaLost, "Connection with replica %s lost.", r.name())
	}
}

// dropAll ends all replicas: they have to ask again.
func (e *Engine) dropAll(why string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.replicas) > 0 {
		r := e.replicas[0]
		if why != "" {
			e.emit(EvReplicaDropped, "Disconnecting replica %s: %s", r.name(), why)
		}
		e.dropLocked(r)
	}
}

// read takes what the replica says until the connection ends.
func (r *Replica) read(buf []byte) {
	defer func() {
		if !r.stays() {
			r.e.lost(r)
		}
	}()
	const most = 64 << 10 // a replica has nothing longer to say
	var p resp.Parser
	var argv [][]byte
	chunk := make([]byte, 4<<10)
	for {
		for {
			args, n, bad := p.Next(buf, argv, resp.Limits{MaxBulk: most})
			if bad != "" || len(buf) > most {
				return
			}
			if n == 0 {
				break
			}
			argv = args
			if !r.said(args) {
				return
			}
			buf = buf[n:]
		}
		n, err := r.conn.Read(chunk)
		if err != nil {
			return
		}
		r.e.Counters.InputBytes.Add(int64(n))
		buf = append(buf, chunk[:n]...)
	}
}

// said takes one request and reports whether to go on listening. On this connection nothing is
// ever answered, so whoever asks for an answer is no replica and is sent away.
func (r *Replica) said(args [][]byte) bool {
	e := r.e
	if len(args) == 0 { // a newline says: I am loading, be patient
		e.mu.Lock()
		r.ackTime = e.deps.Now()
		e.mu.Unlock()
		return true
	}
	if len(args) < 3 || !is(args[0], "REPLCONF") || !is(args[1], "ACK") {
		if len(args) > 1 && is(args[0], "REPLCONF") && is(args[1], "GETACK") {
			return true
		}
		e.warn(EvReplicaDropped, "Replica generated a reply to command '%s', disconnecting it: %s", e.nameOf(args), r.name())
		return false
	}
	off, err := strconv.ParseInt(string(args[2]), 10, 64)
	if err != nil {
		return true
	}
	fack := int64(-1)
	if len(args) > 4 && is(args[3], "FACK") {
		if fack, err = strconv.ParseInt(string(args[4]), 10, 64); err != nil {
			return true
		}
	}
	e.mu.Lock()
	r.ackOff = max(r.ackOff, off)
	r.fackOff = max(r.fackOff, fack)
	r.ackTime = e.deps.Now()
	loaded := r.state == replicaFed
	if loaded {
		r.state = replicaOnline
	}
	e.refreshGoodLocked()
	woken := e.wakeWaitersLocked()
	e.mu.Unlock()
	woken.give()
	if loaded {
		e.emit(EvReplicaOnline, "Synchronization with replica %s succeeded", r.name())
	}
	select {
	case r.acked <- struct{}{}:
	default:
	}
	return true
}

// run sends: what the event loop had not sent, the full sync if there is to be one, then the
// stream for ever.
func (r *Replica) run() {
	defer func() {
		r.e.lost(r)
		r.e.mu.Lock()
		c := r.cursor
		r.e.mu.Unlock()
		if c != nil {
			c.Close()
		}
	}()
	if len(r.unsent) > 0 && r.send(r.unsent) != nil {
		return
	}
	r.unsent = nil
	if r.resumed != nil || r.fullSync() {
		r.follow()
	}
}

// send sends what is not of the stream.
func (r *Replica) send(p []byte) error {
	n, err := r.conn.Write(p)
	r.e.Counters.OutputBytes.Add(int64(n))
	return err
}

// write sends all of p, waiting as long as the other end does not read.
func (r *Replica) write(p []byte) (int, error) {
	if r.wire != nil {
		return r.wire.Write(p)
	}
	return r.conn.Write(p)
}

// keepAlive is how often a waiting replica is sent a newline.
const keepAlive = time.Second

// fullSync waits for the transfer and sends it. It reports false when the replica is gone or wanted the RDB only.
func (r *Replica) fullSync() bool {
	newline := time.NewTicker(keepAlive)
	defer newline.Stop()
	var t *transfer
	for t == nil {
		select {
		case t = <-r.begin:
		case <-newline.C:
			if r.send([]byte{'\n'}) != nil {
				return false
			}
		case <-r.done:
			return false
		}
	}
	if t.send(r, newline.C) != nil {
		return false
	}
	e := r.e
	if r.side {
		r.keepPlace()
		return false
	}
	if r.rdbOnly {
		e.emit(EvFullSync, "RDB transfer completed, rdb only replica (%s) should be disconnected asap", r.name())
		return false
	}
	e.mu.Lock()
	r.state = replicaOnline
	r.ackTime = e.deps.Now()
	r.sent.Store(r.cursor.Pos())
	e.relistLocked()
	e.refreshGoodLocked()
	e.mu.Unlock()
	e.emit(EvReplicaOnline, "Synchronization with replica %s succeeded", r.name())
	if t.marked {
		// It looks for the end mark at the end of what it reads, so nothing may follow the mark
		// until it says that it has seen it.
		select {
		case <-r.acked:
		case <-r.done:
			return false
		}
	}
	return true
}

// hostOf is an address without its port.
func hostOf(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}
