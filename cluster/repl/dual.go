package repl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sextantdb/sextant/bus/wire"
	"github.com/sextantdb/sextant/resp"
)

// A full sync by two connections, as Valkey 8 has it (dual-channel-replication-enabled at both ends). Asked for what it cannot
// continue, the primary says DUALCHANNELSYNC and remains in conversation. The replica opens a side channel, on which it asks for
// the RDB alone; that begins with the snapshot's place in the stream and the side channel's client id:
//
//	$ENDOFF:<offset> <replication id> <database> <client id>
//
// With these the replica asks on its first connection for the stream from there on, and keeps what comes until the RDB is
// loaded. So the writes of the meantime wait at the replica, not at the primary. Until it has asked, the side channel has a
// cursor at the place; that is all it costs the primary.

// dualSyncReply is the primary's answer to PSYNC that asks for this.
const dualSyncReply = "DUALCHANNELSYNC"

// sideGrace is how long a side channel that has sent all keeps its place.
const sideGrace = time.Minute

// SetSideGrace replaces sideGrace (DEBUG DELAY-RDB-CLIENT-FREE-SECONDS).
func (e *Engine) SetSideGrace(d time.Duration) { e.sideGrace.Store(int64(d)) }

// PauseSyncs makes the process stop when a snapshot for replicas has begun here, and before we ask for the stream behind one (DEBUG
// PAUSE-AFTER-FORK): what is open between two connections can then be looked at, and disturbed.
func (e *Engine) PauseSyncs(on bool) { e.pauseSyncs.Store(on) }

func (e *Engine) pausePoint() {
	if e.pauseSyncs.Load() && e.deps.Pause != nil {
		e.deps.Pause()
	}
}

// streamed reports whether the replica's RDB is sent while it is made.
func (h *handshake) streamed(o *Options) bool { return h.eof && (o.DisklessSync || h.side) }

// split reports whether a full sync is to go by two connections.
func (h *handshake) split(o *Options) bool {
	return h.dual && !h.rdbOnly && o.DualChannel && o.DisklessSync
}

// sideLocked is the side channel of this session as long as it keeps a place, else nil. REQUIRES: e.mu.
func (e *Engine) sideLocked(session int64) *Replica {
	for _, r := range e.replicas {
		if r.side && r.sess.ID == session && r.cursor != nil {
			return r
		}
	}
	return nil
}

// joinLocked hands the place of the side channel that r has named over to r, which has a cursor of its own. REQUIRES: e.mu.
func (e *Engine) joinLocked(r *Replica) {
	if r.sideID == 0 {
		return
	}
	s := e.sideLocked(r.sideID)
	if s == nil {
		return // r goes on from the backlog, and nothing is known of its RDB
	}
	r.state, r.other, s.other = replicaFed, s, r
	s.cursor.Close()
	s.cursor = nil
	close(s.joined)
	e.emit(EvFullSync, "Remove psync waiting replica %s with cid %d", r.name(), r.sideID)
}

// waitingPlacesLocked is how many side channels keep a place. REQUIRES: e.mu.
func (e *Engine) waitingPlacesLocked() (n int) {
	for _, r := range e.replicas {
		if r.side && r.cursor != nil {
			n++
		}
	}
	return n
}

// sendsLast says that all but the end mark has been sent.
func (r *Replica) sendsLast() {
	if r.side {
		r.e.mu.Lock()
		r.state = replicaSent
		r.e.mu.Unlock()
	}
}

// stays reports whether r outlives the other end's hanging up.
func (r *Replica) stays() bool {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	return r.state == replicaSent
}

// keepPlace is what a side channel does that has sent all.
func (r *Replica) keepPlace() {
	e := r.e
	e.emit(EvFullSync, "RDB transfer completed, rdb only replica (%s) should be disconnected asap", r.name())
	grace := time.Duration(e.sideGrace.Load())
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-r.joined:
	case <-r.done:
	case <-t.C:
		e.emit(EvReplicaDropped, "Replica main channel failed to establish PSYNC within the grace period (%d seconds). Freeing RDB client %d.",
			int(grace.Seconds()), r.sess.ID)
	}
}

// dualSync is the replica's end. main is the connection on which the primary said DUALCHANNELSYNC, in its reader; stream is what
// follows the data set that is loaded then.
func (l *link) dualSync(in *bufio.Reader, main io.Reader) (stream io.Reader, err error) {
	e := l.e
	e.emit(EvLink, "PSYNC is not possible, initialize RDB channel.")
	side, err := l.openSide()
	if err != nil {
		return nil, err
	}
	defer l.closeSide()
	sideIn := bufio.NewReaderSize(side, 64<<10)
	id, offset, client, err := l.askSide(side, sideIn)
	if err != nil {
		return nil, fmt.Errorf("Dual channel sync failed with error %w", err)
	}
	s := newStash(e.opts.Load().HardLimit)
	if err := l.askBehind(in, id, offset, client); err != nil {
		return nil, fmt.Errorf("Aborting dual channel sync. Main channel psync result %w", err)
	}
	e.emit(EvLink, "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization, RDB load in background.")
	s.put(buffered(in))
	l.stash.Store(s)
	e.goes(func() { s.fill(main, l) })
	if _, err := l.fullSync(sideIn, id, offset); err != nil {
		e.emit(EvLink, "Aborting dual channel sync")
		s.take()
		l.hangUp()
		<-s.filled
		l.stash.Store(nil)
		return nil, err
	}
	s.take()
	return s, nil
}

// openSide makes the side channel. stop ends it as it does the first connection.
func (l *link) openSide() (*timedConn, error) {
	o := l.e.opts.Load()
	ctx, cancel := context.WithTimeout(l.ctx, o.Timeout)
	raw, err := l.e.dial(ctx, l.host, l.port)
	cancel()
	if err != nil {
		return nil, fmt.Errorf("Error condition on socket for dual channel replication: %w", err)
	}
	l.connMu.Lock()
	l.side = raw
	l.connMu.Unlock()
	if l.stopped.Load() {
		l.closeSide()
		return nil, l.ctx.Err()
	}
	return &timedConn{Conn: raw, wire: wire.New(raw), l: l}, nil
}

func (l *link) closeSide() {
	l.connMu.Lock()
	defer l.connMu.Unlock()
	if l.side != nil {
		l.side.Close()
		l.side = nil
	}
}

// askSide asks for the RDB, and returns what precedes it.
func (l *link) askSide(side net.Conn, in *bufio.Reader) (id string, offset int64, client string, err error) {
	send := func(p []byte) error {
		if err := side.SetWriteDeadline(time.Now().Add(l.e.opts.Load().Timeout)); err != nil {
			return err
		}
		_, err := side.Write(p)
		return err
	}
	o := l.e.opts.Load()
	if err := l.introduce(send, in, o); err != nil {
		return "", 0, "", err
	}
	words := []string{"REPLCONF", "capa", "eof", "rdb-only", "1", "rdb-channel", "1", "listening-port", strconv.Itoa(o.announcedPort())}
	if o.AnnounceIP != "" {
		words = append(words, "ip-address", o.AnnounceIP)
	}
	reply, err := ask(send, in, words...)
	if err != nil {
		return "", 0, "", err
	}
	if reply[0] == '-' {
		return "", 0, "", fmt.Errorf("Server does not support sync with offset, dual channel sync approach cannot be used: %s", reply)
	}
	if err := send(resp.AppendCommandStrings(nil, "SYNC")); err != nil {
		return "", 0, "", err
	}
	line, err := replyLine(in)
	if err != nil {
		return "", 0, "", err
	}
	return parseEndOff(line)
}

// parseEndOff reads the line that begins what a side channel sends.
func parseEndOff(line string) (id string, offset int64, client string, err error) {
	rest, ok := strings.CutPrefix(line, "$ENDOFF:")
	words := strings.Fields(rest)
	if !ok || len(words) != 4 || len(words[1]) != len(NoID) {
		return "", 0, "", fmt.Errorf("Received unexpected $ENDOFF response: %.80q", line)
	}
	if offset, err = strconv.ParseInt(words[0], 10, 64); err != nil || offset < 0 {
		return "", 0, "", fmt.Errorf("Received unexpected $ENDOFF response: %.80q", line)
	}
	return words[1], offset, words[3], nil
}

// askBehind asks on the first connection for the stream behind the RDB.
func (l *link) askBehind(in *bufio.Reader, id string, offset int64, client string) error {
	reply, err := ask(l.send, in, "REPLCONF", "set-rdb-client-id", client)
	if err != nil {
		return err
	}
	if reply[0] == '-' {
		return fmt.Errorf("Primary does not understand REPLCONF identify: %s", reply)
	}
	l.e.pausePoint()
	asked := strconv.FormatInt(offset+1, 10)
	l.e.emit(EvLink, "Trying a partial resynchronization (request %s:%s).", id, asked)
	if err := l.send(resp.AppendCommandStrings(nil, "PSYNC", id, asked)); err != nil {
		return err
	}
	if reply, err = replyLine(in); err != nil {
		return err
	}
	word, now, _ := strings.Cut(reply, " ")
	if word != "+CONTINUE" || now != "" && now != id {
		return errors.New(reply)
	}
	return nil
}

// stashBlock is how much of the stream is read at once, and kept in one piece, while a data set is loaded.
const stashBlock = 64 << 10

// stash keeps the stream that arrives while the data set before it is loaded. fill reads until the loader takes over, which then
// gets what is kept and after that what the connection has. It reads not more than about most bytes (0: no bound): what is
// beyond waits at the primary.
type stash struct {
	most   int64         // immutable
	taken  chan struct{} // closed by take
	filled chan struct{} // closed when fill has returned
	src    io.Reader     // fill's, then the loader's, and so is err
	err    error         // why fill ended before it was told to

	mu sync.Mutex
	// Guarded by mu.
	blocks [][]byte
	bytes  int64
	peak   int64
}

func newStash(most int64) *stash {
	return &stash{most: most, taken: make(chan struct{}), filled: make(chan struct{})}
}

// take ends fill as soon as the read it is in returns.
func (s *stash) take() { close(s.taken) }

func (s *stash) isTaken() bool {
	select {
	case <-s.taken:
		return true
	default:
		return false
	}
}

// put appends p, which is the stash's from then on. It reports whether there is room for more.
func (s *stash) put(p []byte) (room bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(p) > 0 {
		if n := len(s.blocks); n > 0 && cap(s.blocks[n-1])-len(s.blocks[n-1]) >= len(p) {
			s.blocks[n-1] = append(s.blocks[n-1], p...)
		} else {
			s.blocks = append(s.blocks, append(make([]byte, 0, max(stashBlock, len(p))), p...))
		}
		s.bytes += int64(len(p))
		s.peak = max(s.peak, s.bytes)
	}
	return s.most == 0 || s.bytes < s.most
}

// size is how much it keeps, and has kept at most; nil keeps nothing.
func (s *stash) size() (now, peak int64) {
	if s == nil {
		return 0, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes, s.peak
}

// fill keeps what src has. When src ends before the loader has taken over, the sync is in vain.
func (s *stash) fill(src io.Reader, l *link) {
	defer close(s.filled)
	s.src = src
	buf := make([]byte, stashBlock)
	for !s.isTaken() {
		n, err := src.Read(buf)
		room := s.put(buf[:n])
		if err != nil {
			s.err = err
			if !s.isTaken() {
				l.e.emit(EvLink, "Provisional primary closed connection")
				l.closeSide()
			}
			return
		}
		if !room {
			l.e.emit(EvLink, "Replication buffer limit reached, stopping buffering.")
			return
		}
	}
}

// Read is the loader's, after take.
func (s *stash) Read(p []byte) (int, error) {
	if n := s.get(p); n > 0 {
		return n, nil
	}
	<-s.filled // it waits for the bytes that we would wait for
	if n := s.get(p); n > 0 {
		return n, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.src.Read(p)
}

// get takes the first of what is kept.
func (s *stash) get(p []byte) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.blocks) == 0 {
		return 0
	}
	n = copy(p, s.blocks[0])
	s.bytes -= int64(n)
	if s.blocks[0] = s.blocks[0][n:]; len(s.blocks[0]) == 0 {
		s.blocks = s.blocks[1:]
	}
	return n
}
