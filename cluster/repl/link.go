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
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/bus/wire"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/session"
)

// linkState is how far the link to our primary is.
type linkState int32

const (
	linkConnect    linkState = iota // about to connect, or waiting to try again
	linkConnecting                  // the connection is being made
	linkHandshake                   // connected, talking
	linkTransfer                    // receiving a full sync
	linkConnected                   // receiving the stream
)

var linkRoles = [...]string{"connect", "connecting", "handshake", "sync", "connected"}

// role is the state in ROLE's words.
func (s linkState) role() string { return linkRoles[s] }

const (
	retryFirst = 100 * time.Millisecond
	retryMost  = time.Second // Redis tries once a second

	// readBytes is what is read at once; the buffer is larger only while a longer unit is in it.
	readBytes = 256 << 10
	// applyBatch bounds how many commands are applied in one hold of applyMu: what a cut waits
	// for at most.
	applyBatch = 1024
	// applyAhead is how many commands the Applier is told of at a time.
	applyAhead = 32

	ackPeriod = time.Second
)

// link is our connection to one primary, over all reconnects. The goroutine of run owns
// everything without a comment.
type link struct {
	// Immutable.
	e       *Engine
	host    string
	port    int
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{} // closed when run has returned
	ackSoon chan struct{} // capacity 1: GETACK

	// Any goroutine.
	stopped atomic.Bool
	state   atomic.Int32
	synced  atomic.Bool
	loading atomic.Bool  // our data is incomplete
	beside  atomic.Bool  // a full sync is being loaded, and our data is still there
	lastIO  atomic.Int64 // Unix ms of the last byte
	size    atomic.Int64 // of the RDB being received; 0 when it ends with a mark
	read    atomic.Int64
	// owesFack: the last acknowledgement told the primary of more bytes than are on disk.
	owesFack atomic.Bool
	stash    atomic.Pointer[stash] // what is kept of the stream while a data set is loaded; nil: nothing

	sess  *session.Session // stands for the link in CLIENT LIST; immutable
	since atomic.Int64     // Unix ms of the last connection attempt

	connMu sync.Mutex
	conn   net.Conn // guarded by connMu; also orders writes of requests after the handshake
	side   net.Conn // guarded by connMu; see dualSync

	argv    [][]byte
	passing []span // of the unit being received, what is not for the append-only file
	inMulti bool
	multiDB int // database at the end of the open transaction
}

func newLink(e *Engine, host string, port int) *link {
	l := &link{e: e, host: host, port: port, done: make(chan struct{}), ackSoon: make(chan struct{}, 1)}
	l.sess = session.New(0, nil, session.Primary)
	l.set(linkConnecting) // as soon as it runs
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// stop makes run end soon: at most the command being applied is finished.
func (l *link) stop() {
	l.stopped.Store(true)
	l.cancel()
	l.hangUp()
	l.closeSide()
}

// hangUp ends the connection, if there is one.
func (l *link) hangUp() {
	l.connMu.Lock()
	defer l.connMu.Unlock()
	if l.conn != nil {
		l.conn.Close()
	}
}

func (l *link) set(s linkState) { l.state.Store(int32(s)) }

// run keeps the link up until stop. prev, if not nil, is the end of the link before this one.
func (l *link) run(prev <-chan struct{}) {
	defer close(l.done)
	if prev != nil {
		<-prev
	}
	e := l.e
	wait := retryFirst
	for verb := "Connecting"; !l.stopped.Load(); verb = "Reconnecting" {
		e.emit(EvLink, "%s to MASTER %s:%d", verb, l.host, l.port)
		e.Counters.LinkAttempts.Inc()
		err := l.attempt()
		was := linkState(l.state.Load())
		wasUp := was == linkConnected
		l.set(linkConnect)
		if l.stopped.Load() {
			return
		}
		if wasUp {
			e.mu.Lock()
			e.downSince = e.deps.Now()
			e.mu.Unlock()
			e.emit(EvLinkDown, "Connection with master lost.")
			e.emit(EvLinkDown, "Caching the disconnected master state.")
			wait = retryFirst
			if errors.Is(err, errMasterTimeout) {
				e.warn(EvLinkError, "%v", err)
			}
			continue // at once: the primary's backlog may be moving on
		}
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			if was == linkTransfer {
				e.warn(EvLinkError, "Timeout receiving bulk data from MASTER... If the problem persists try to set the 'repl-timeout' parameter in redis.conf to a larger value.")
			} else {
				e.warn(EvLinkError, "%v", errConnectTimeout)
			}
		}
		e.warn(EvLinkError, "%v", err)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-l.ctx.Done():
			t.Stop()
			return
		}
		wait = min(2*wait, retryMost)
	}
}

var errConnectTimeout = errors.New("Timeout connecting to the MASTER...")

var errMasterTimeout = errors.New("MASTER timeout: no data nor PING received...")

// errStream ends a link whose stream cannot be understood.
var errStream = errors.New("the primary's stream is damaged")

// timedConn keeps the deadline of reads and the time of the last byte up to date, and counts. One goroutine reads.
type timedConn struct {
	net.Conn
	wire    *wire.Conn // nil when it has none
	l       *link
	until   time.Time // the deadline that is set
	timeout time.Duration
}

// deadlineStep is how much later than asked for a read may time out: setting a deadline costs about as much as reading.
const deadlineStep = time.Second

func (c *timedConn) Read(p []byte) (n int, err error) {
	timeout := c.l.e.opts.Load().Timeout
	if now := time.Now(); timeout != c.timeout || c.until.Sub(now) < timeout {
		c.timeout, c.until = timeout, now.Add(timeout+min(deadlineStep, timeout/4))
		if err := c.SetReadDeadline(c.until); err != nil {
			return 0, err
		}
	}
	if c.wire != nil {
		n, err = c.wire.Read(p)
	} else {
		n, err = c.Conn.Read(p)
	}
	if n > 0 {
		c.l.lastIO.Store(c.l.e.deps.Now())
		c.l.e.Counters.InputBytes.Add(int64(n))
	}
	return n, err
}

// attempt is one connection from its making to its end. It always returns an error.
func (l *link) attempt() error {
	e := l.e
	o := e.opts.Load()
	l.set(linkConnecting)
	l.lastIO.Store(e.deps.Now())
	l.since.Store(l.lastIO.Load())
	ctx, cancel := context.WithTimeout(l.ctx, o.Timeout)
	raw, err := e.dial(ctx, l.host, l.port)
	cancel()
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return errConnectTimeout
		}
		return fmt.Errorf("Error condition on socket for SYNC: %w", err)
	}
	conn := &timedConn{Conn: raw, wire: wire.New(raw), l: l}
	l.connMu.Lock()
	l.conn = raw
	l.connMu.Unlock()
	ended := make(chan struct{})
	var acks sync.WaitGroup
	acks.Add(1)
	go func() {
		defer acks.Done()
		l.runAcks(ended)
	}()
	defer func() {
		close(ended)
		raw.Close()
		acks.Wait()
		l.connMu.Lock()
		l.conn = nil
		l.connMu.Unlock()
	}()
	if l.stopped.Load() {
		return l.ctx.Err()
	}
	e.emit(EvLink, "MASTER <-> REPLICA sync started")
	l.set(linkHandshake)
	in := bufio.NewReaderSize(conn, 64<<10)
	if err := l.handshake(in, o); err != nil {
		return err
	}
	from, rest, err := l.psync(in, conn)
	if err != nil {
		return err
	}
	defer l.stash.Store(nil)
	return l.stream(from, rest)
}

// handshake says who we are and what we understand.
func (l *link) handshake(in *bufio.Reader, o *Options) error {
	e := l.e
	e.emit(EvLink, "Non blocking connect for SYNC fired the event.")
	reply, err := ask(l.send, in, "PING")
	if err != nil {
		return err
	}
	if reply[0] != '+' && !hasAnyPrefix(reply, "-NOAUTH", "-NOPERM", "-ERR operation not permitted") {
		return fmt.Errorf("Error reply to PING from master: '%s'", reply)
	}
	e.emit(EvLink, "Master replied to PING, replication can continue...")
	if err := l.introduce(l.send, in, o); err != nil {
		return err
	}
	tell := [][]string{{"REPLCONF", "listening-port", strconv.Itoa(o.announcedPort())}}
	if o.AnnounceIP != "" {
		tell = append(tell, []string{"REPLCONF", "ip-address", o.AnnounceIP})
	}
	capa := []string{"REPLCONF", "capa", "eof", "capa", "psync2"}
	if o.DualChannel {
		capa = append(capa, "capa", "dual-channel")
	}
	tell = append(tell, capa)
	for _, words := range tell {
		if reply, err = ask(l.send, in, words...); err != nil {
			return err
		}
		if reply[0] == '-' { // an old primary can do without
			e.emit(EvLink, "(Non critical) Master does not understand REPLCONF %s: %s", words[1], reply)
		}
	}
	return nil
}

// introduce says who we are and, in a cluster, whom we expect. send writes to the connection that in reads.
func (l *link) introduce(send func([]byte) error, in *bufio.Reader, o *Options) error {
	if o.MasterAuth != "" {
		auth := []string{"AUTH", o.MasterAuth}
		if o.MasterUser != "" {
			auth = []string{"AUTH", o.MasterUser, o.MasterAuth}
		}
		reply, err := ask(send, in, auth...)
		if err != nil {
			return err
		}
		if reply[0] == '-' {
			return fmt.Errorf("Unable to AUTH to MASTER: %s", reply)
		}
	}
	if m := l.e.member.Load(); m != nil {
		reply, err := ask(send, in, "REPLCONF", memberOption, m.String())
		if err != nil {
			return err
		}
		if reply[0] == '-' {
			return fmt.Errorf("MASTER is not the member of the cluster whose data may be copied: %s", reply)
		}
	}
	return nil
}

func hasAnyPrefix(s string, prefixes ...string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// ask sends one request and reads its one-line reply, which is not empty.
func ask(send func([]byte) error, in *bufio.Reader, words ...string) (string, error) {
	if err := send(resp.AppendCommandStrings(nil, words...)); err != nil {
		return "", fmt.Errorf("Sending command to master in replication handshake: -Writing to master: %w", err)
	}
	reply, err := readLine(in)
	if err == nil && reply == "" {
		err = errors.New("an empty line")
	}
	if err != nil {
		return "", fmt.Errorf("Master did not respond to command during SYNC handshake: %w", err)
	}
	return reply, nil
}

func (l *link) send(p []byte) error {
	l.connMu.Lock()
	defer l.connMu.Unlock()
	if l.conn == nil {
		return net.ErrClosed
	}
	if err := l.conn.SetWriteDeadline(time.Now().Add(l.e.opts.Load().Timeout)); err != nil {
		return err
	}
	_, err := l.conn.Write(p)
	return err
}

// readLine reads up to a line end; a line is shorter than the reader's buffer.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}

// replyLine is readLine that skips the newlines a primary sends to keep us waiting.
func replyLine(in *bufio.Reader) (string, error) {
	for {
		line, err := readLine(in)
		if line != "" || err != nil {
			return line, err
		}
	}
}

// psync asks on conn, which in reads, to go on from where we are, and does what the primary answers. After it the
// stream's offset is where what follows begins: rest, which was read of that already, and what from has.
func (l *link) psync(in *bufio.Reader, conn io.Reader) (from io.Reader, rest []byte, err error) {
	e := l.e
	h, offset := e.Stream.History()
	e.mu.Lock()
	valid := e.valid
	e.mu.Unlock()
	id, asked := "?", int64(-1)
	if valid {
		id, asked = h.ID, offset+1
		e.emit(EvLink, "Trying a partial resynchronization (request %s:%d).", id, asked)
	} else {
		e.emit(EvLink, "Partial resynchronization not possible (no cached master)")
	}
	words := []string{"PSYNC", id, strconv.FormatInt(asked, 10)}
	handsOver := e.handsOver(l)
	if handsOver {
		words = append(words, "FAILOVER")
	}
	if err := l.send(resp.AppendCommandStrings(nil, words...)); err != nil {
		if handsOver {
			e.abortFailover("Write error to failover target")
		}
		return nil, nil, fmt.Errorf("Unable to send PSYNC to master: %w", err)
	}
	reply, err := replyLine(in)
	word, args, _ := strings.Cut(reply, " ")
	if handsOver {
		if word == "+FULLRESYNC" || word == "+CONTINUE" || word == "+"+dualSyncReply {
			e.handedOver()
		} else {
			e.abortFailover("Failover target rejected psync request")
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("Master did not reply to PSYNC, will try later: %w", err)
	}
	switch {
	case word == "+FULLRESYNC":
		newID, text, _ := strings.Cut(args, " ")
		newOffset, err := strconv.ParseInt(text, 10, 64)
		if err != nil || len(newID) != len(NoID) || newOffset < 0 {
			return nil, nil, errors.New("Master replied with wrong +FULLRESYNC syntax.")
		}
		e.emit(EvLink, "Full resync from master: %s:%d", newID, newOffset)
		rest, err = l.fullSync(in, newID, newOffset)
		return conn, rest, err
	case word == "+"+dualSyncReply:
		from, err = l.dualSync(in, conn)
		return from, nil, err
	case word == "+CONTINUE" && valid:
		e.emit(EvLink, "Successful partial resynchronization with master.")
		newID := strings.TrimSpace(args)
		if len(newID) == len(NoID) && newID != h.ID {
			e.emit(EvLink, "Master replication ID changed to %s", newID)
			e.dropAll("the history has a new id")
			e.deps.Exclusive(func() { e.Stream.rename(newID, true) })
		}
		e.Stream.keep("")
		e.mu.Lock()
		db := e.streamDB
		e.mu.Unlock()
		l.resetApplier(db)
		e.emit(EvLinkUp, "MASTER <-> REPLICA sync: Master accepted a Partial Resynchronization.")
		return conn, buffered(in), nil
	case word == "" || hasAnyPrefix(reply, "-NOMASTERLINK", "-LOADING"):
		return nil, nil, fmt.Errorf("Master is currently unable to PSYNC but should be in the future: %s", reply)
	case word[0] != '-':
		return nil, nil, fmt.Errorf("Unexpected reply to PSYNC from master: %s", reply)
	}
	return nil, nil, fmt.Errorf("Master does not support PSYNC or is in error state (reply: %s)", reply)
}

// buffered takes what in has read and not given out.
func buffered(in *bufio.Reader) []byte {
	p, _ := in.Peek(in.Buffered()) // cannot fail: it asks for what is there
	return append([]byte(nil), p...)
}

// askAck makes the link send an acknowledgement now.
func (l *link) askAck() {
	select {
	case l.ackSoon <- struct{}{}:
	default:
	}
}

// runAcks tells the primary once a second, and when asked, how far we are; while a full sync
// is taken in, a newline says that we live.
func (l *link) runAcks(ended <-chan struct{}) {
	t := time.NewTicker(ackPeriod)
	defer t.Stop()
	var buf []byte
	for {
		asked := false
		select {
		case <-t.C:
		case <-l.ackSoon:
			asked = true
		case <-ended:
			return
		}
		var err error
		switch linkState(l.state.Load()) {
		case linkConnected:
			buf = l.appendAck(buf[:0])
			err = l.send(buf)
		case linkTransfer:
			if !asked {
				err = l.send([]byte{'\n'})
			}
		}
		if err != nil {
			return // the reader sees the same connection fail
		}
	}
}

func (l *link) appendAck(buf []byte) []byte {
	var off, fack [20]byte
	offset := l.e.Stream.Offset()
	o := strconv.AppendInt(off[:0], offset, 10)
	if f, on := l.e.fsynced(); on && f >= 0 {
		if f < offset {
			l.owesFack.Store(true)
		}
		return resp.AppendCommand(buf, []byte("REPLCONF"), []byte("ACK"), o, []byte("FACK"), strconv.AppendInt(fack[:0], f, 10))
	}
	return resp.AppendCommand(buf, []byte("REPLCONF"), []byte("ACK"), o)
}

// stream applies what the primary sends until the connection ends. buf[kept:next] was applied
// but belongs to a transaction that has not ended, buf[next:end] is not applied.
func (l *link) stream(conn io.Reader, rest []byte) error {
	e := l.e
	e.mu.Lock()
	e.downSince = 0
	e.mu.Unlock()
	l.synced.Store(true)
	l.set(linkConnected)
	l.askAck()

	buf := make([]byte, max(readBytes, 2*len(rest)))
	end := copy(buf, rest)
	kept, next := 0, 0
	var p resp.Parser
	for {
		for more := true; more; {
			if l.stopped.Load() {
				return l.ctx.Err()
			}
			if e.deps.AwaitUnpaused != nil {
				e.unapplied.Store(int64(end - kept))
				e.deps.AwaitUnpaused(l.ctx.Done())
				e.unapplied.Store(0)
				if l.stopped.Load() {
					return l.ctx.Err()
				}
			}
			var err error
			if kept, next, more, err = l.apply(&p, buf[:end], kept, next); err != nil {
				return err
			}
		}
		if kept == end {
			kept, next, end = 0, 0, 0
			if len(buf) > 4*readBytes {
				buf = make([]byte, readBytes)
			}
		}
		if len(buf)-end < readBytes/4 {
			room := end - kept + readBytes/2
			if need := next - kept + p.Need(); need > len(buf) {
				// An announced length is believed only as far as bytes have arrived.
				room = max(room, min(need, 2*len(buf)))
			}
			if room > len(buf) {
				grown := make([]byte, max(room, min(2*len(buf), len(buf)+64<<20)))
				copy(grown, buf[kept:end])
				buf = grown
			} else {
				copy(buf, buf[kept:end])
			}
			next, end, kept = next-kept, end-kept, 0
		}
		n, err := conn.Read(buf[end:])
		end += n
		if err != nil && n == 0 {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				return errMasterTimeout
			}
			return err
		}
	}
}

var streamLimits = resp.Limits{MaxBulk: 1 << 40} // the primary's own limit has been obeyed there

// apply applies some of the whole commands of buf[next:] and appends the whole units to our
// stream. more: there may be another one. Where clients write here too, and a tap receives that (replica-read-only no,
// appendonly yes), each unit is appended before its stripes are let go, or a client's change of the same key could come before it.
func (l *link) apply(p *resp.Parser, buf []byte, kept, next int) (newKept, newNext int, more bool, err error) {
	e := l.e
	unit := kept // end of the last whole unit
	askAck := false
	e.applyMu.Lock()
	mixed := !e.opts.Load().ReadOnly && e.Stream.Tapped()
	for i := range applyBatch {
		if i%applyAhead == 0 {
			e.deps.Apply.Ahead(buf[next:], applyAhead)
		}
		args, n, bad := p.Next(buf[next:], l.argv, streamLimits)
		if bad != "" || n > 0 && len(args) > 0 && buf[next] != '*' {
			e.applyMu.Unlock()
			e.mu.Lock()
			e.valid = false
			e.mu.Unlock()
			if bad == "" {
				bad = "inline protocol in the stream"
			}
			e.warn(EvLinkError, "Protocol error (%s) from master. Closing the master connection and discarding the cached master.", string(bad))
			return 0, 0, false, errStream
		}
		l.argv = args
		if n == 0 {
			more = false
			break
		}
		more = true
		if len(args) > 0 {
			here, appended := span{next - kept, next + n - kept}, false
			var ran func()
			if mixed {
				ran = func() {
					if appended = true; !e.deps.Apply.Lasting() {
						l.passing = append(l.passing, here)
					}
					l.append(buf[kept : next+n])
					kept = next + n
				}
			}
			ack, lasting := l.command(args, ran)
			askAck = ack || askAck
			if !lasting && !appended {
				l.passing = append(l.passing, here)
			}
		}
		next += n
		if !l.inMulti {
			unit = next
		}
		if l.stopped.Load() {
			break
		}
	}
	if unit > kept {
		l.append(buf[kept:unit])
	}
	e.applyMu.Unlock()
	e.Ship(0, true)
	if askAck {
		l.askAck()
	}
	return unit, next, more, nil
}

// append appends whole units, the first of what was not appended yet. REQUIRES: applyMu.
func (l *link) append(units []byte) {
	here := len(l.passing) // those of a transaction that has not ended are not yet to be appended
	for here > 0 && l.passing[here-1].from >= len(units) {
		here--
	}
	l.e.Stream.AppendRaw(units, l.passing[:here], l.e.selected())
	rest := l.passing[:0]
	for _, v := range l.passing[here:] {
		rest = append(rest, span{v.from - len(units), v.to - len(units)})
	}
	l.passing = rest
}

// command applies one command of the stream. It reports whether that asks for an acknowledgement, and whether it is
// for the append-only file. ran is Applier's. REQUIRES: applyMu.
func (l *link) command(args [][]byte, ran func()) (getack, lasting bool) {
	e := l.e
	switch name := args[0]; {
	case is(name, "SELECT") && len(args) == 2:
		db, err := strconv.Atoi(string(args[1]))
		if err == nil {
			if l.multiDB = db; !l.inMulti {
				e.setStreamDB(db)
			}
		}
	case is(name, "MULTI"):
		l.inMulti = true
		l.multiDB = -1
	case is(name, "EXEC"), is(name, "DISCARD"):
		if l.inMulti && l.multiDB >= 0 && is(name, "EXEC") {
			e.setStreamDB(l.multiDB)
		}
		l.inMulti = false
	case is(name, "PING"):
		return false, false
	case is(name, "REPLCONF"):
		return len(args) > 1 && is(args[1], "GETACK"), false
	}
	if err := e.deps.Apply.Apply(args, ran); err != nil {
		e.Counters.ApplyErrors.Inc()
		e.warn(EvApplyError, "== CRITICAL == This replica is sending an error to its master: '%v' after processing the command '%s'", err, e.nameOf(args))
	}
	return false, e.deps.Apply.Lasting()
}

// resetApplier begins a stream in which db is selected.
func (l *link) resetApplier(db int) {
	l.e.deps.Apply.Reset()
	l.e.deps.Apply.Select(db)
	l.inMulti, l.passing = false, nil
}

func (e *Engine) setStreamDB(db int) {
	e.mu.Lock()
	e.streamDB = db
	e.mu.Unlock()
}

// nameOf is the name of the command that words call, for the log.
func (e *Engine) nameOf(argv [][]byte) string {
	if e.deps.Name != nil {
		return e.deps.Name(argv)
	}
	return strings.ToLower(string(argv[0]))
}

// is compares a word of a request with an upper-case name.
func is(word []byte, name string) bool {
	if len(word) != len(name) {
		return false
	}
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		if c != name[i] {
			return false
		}
	}
	return true
}
