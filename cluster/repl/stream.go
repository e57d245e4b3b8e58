package repl

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/sextantdb/sextant/resp/command"
)

// History names what the stream's bytes belong to. Offsets of ID are comparable between all
// nodes that have it; ID2 is what the history was called before a promotion, and is the same
// history up to, not including, byte number Second.
type History struct {
	ID, ID2 string
	Second  int64 // -1 when there is no ID2
}

// NoID is how an absent replication id is written.
const NoID = "0000000000000000000000000000000000000000"

// Stream is the one sequence of bytes that replicas, and the append-only file, receive:
// commands with their effects, in the order in which they happened. The bytes are kept in a
// chain of blocks; whoever receives them holds a Cursor into it, so an append costs the same
// however many receive it, and what was appended is copied once.
//
// The bytes and the offset are what replicas receive. A tap receives the same but for its detours: bytes that it
// leaves out (messages, PING, GETACK), and bytes that only taps receive, which no offset counts.
//
// Invariants, under mu: head.start ≤ from ≤ offset when there are blocks; a block is full
// before the next one begins; bytes of a block below len(buf) never change while a cursor holds
// it or a later one is reachable from a held one.
//
// # Concurrency
//
// Any goroutine may call any method. Append is called with stripes held.
type Stream struct {
	active atomic.Bool  // somebody wants what is appended; written under mu
	end    atomic.Int64 // offset, for readers without the lock; written under mu
	total  atomic.Int64 // offset + shift, for readers without the lock, kept while a tap is open; written under mu

	// Immutable after construction.
	wake    chan struct{} // capacity 1: the pump has something to do
	shipped bool          // who appends sees to it that replicas receive it (Engine.Ship); else the pump does

	mu       sync.Mutex
	history  History
	offset   int64
	db       int   // the database selected in the stream; -1: the next command says SELECT
	tapDB    int   // the same of what taps receive
	relayDB  int   // the database selected in our primary's stream here
	relaying bool  // a replica: replicas receive only what AppendRaw appends
	backlog  bool  // history is kept
	size     int64 // at least this much of it
	from     int64 // positions before it are not part of this history
	taps     int   // open cursors that do not belong to replicas
	shift    int64 // makes of offset a count that never goes back: restart moves the offset, not the sum; see also put
	hard     int64 // a replica's cursor that lags more is overrun; 0: no limit
	head     *block
	tail     *block
	free     []*block // for reuse; at most freeBlocks
	cursors  []*Cursor
	idle     []*Cursor // taps that have read everything
	scratch  []byte
	overruns bool // a cursor was marked overrun and nobody told
}

const (
	minBlock   = 16 << 10
	maxBlock   = 256 << 10
	freeBlocks = 16
)

// block is a piece of the stream: bytes [start, start+len(buf)).
type block struct {
	start int64
	buf   []byte
	refs  int // cursors standing in it
	next  *block
}

func newStream(id string, size, hard int64, shipped bool) *Stream {
	return &Stream{
		wake: make(chan struct{}, 1), shipped: shipped, history: History{ID: id, ID2: NoID, Second: -1},
		db: -1, tapDB: -1, size: size, hard: hard,
	}
}

// Active reports whether appending has a purpose: a tap exists, or a backlog and the writes
// of clients are what it is made of (a replica's replicas receive its primary's).
func (s *Stream) Active() bool { return s.active.Load() }

// Tapped reports whether a tap is open.
func (s *Stream) Tapped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.taps > 0
}

// Offset is how many bytes the stream has had in its history.
func (s *Stream) Offset() int64 { return s.end.Load() }

// History is what the offsets belong to now, with the offset of the same instant.
func (s *Stream) History() (History, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.history, s.offset
}

var (
	multiBytes  = []byte("*1\r\n$5\r\nMULTI\r\n")
	execBytes   = []byte("*1\r\n$4\r\nEXEC\r\n")
	pingBytes   = []byte("*1\r\n$4\r\nPING\r\n")
	getackBytes = []byte("*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n")
)

// Append appends one unit of effects and returns the offset behind it. Several commands are
// wrapped in MULTI and EXEC; SELECT is put before a command whose database differs from the one
// before it. It keeps nothing of e. REQUIRES: the stripes of what e changes are held, so that
// the order here is the order of execution of each key.
func (s *Stream) Append(e *command.Effects) int64 {
	if len(e.Marks) == 0 {
		return s.end.Load()
	}
	s.mu.Lock()
	if !s.active.Load() {
		defer s.mu.Unlock()
		return s.offset
	}
	if e.Partly || s.relaying {
		s.appendPartly(e)
		return s.publish(false)
	}
	if len(e.Marks) > 1 && !e.Apart {
		s.write(multiBytes)
	}
	from := 0
	for i := range e.Marks {
		m := &e.Marks[i]
		if m.DB != s.db || m.DB != s.tapDB {
			end := 0
			if i > 0 {
				end = e.Marks[i-1].End
			}
			s.write(e.Buf[from:end])
			from = end
			s.selectDB(m.DB, command.ToAll)
		}
	}
	s.write(e.Buf[from:e.Marks[len(e.Marks)-1].End])
	if len(e.Marks) > 1 && !e.Apart {
		s.write(execBytes)
	}
	return s.publish(false)
}

// appendPartly appends a unit whose commands do not all go to the same receivers. On a replica, whose replicas
// receive what its primary sends, nothing that clients do here goes to them. REQUIRES: mu.
func (s *Stream) appendPartly(e *command.Effects) {
	never := command.Targets(0)
	if s.relaying {
		never = command.ToReplicas
	}
	var some, several command.Targets
	for i := range e.Marks {
		to := command.ToAll &^ (e.Marks[i].Withheld | never)
		several |= some & to
		some |= to
	}
	if e.Apart {
		several = 0
	}
	s.writeTo(several, multiBytes)
	from := 0
	for i := range e.Marks {
		m := &e.Marks[i]
		to := command.ToAll &^ (m.Withheld | never)
		s.selectDB(m.DB, to)
		s.writeTo(to, e.Buf[from:m.End])
		from = m.End
	}
	s.writeTo(several, execBytes)
	if s.relaying {
		s.selectDB(s.relayDB, some)
	}
}

// span is bytes [from, to) of a piece of a stream.
type span struct{ from, to int }

// AppendRaw appends bytes of our primary's stream as they came: whole units only, so that no
// cut lies inside a transaction. passing are the parts, in order, that taps do not receive; db is the database selected
// behind p.
func (s *Stream) AppendRaw(p []byte, passing []span, db int) int64 {
	s.mu.Lock()
	s.relayDB, s.tapDB = db, db
	if !s.backlog && s.taps == 0 {
		s.offset += int64(len(p))
		s.dropBlocks()
	} else {
		for _, v := range passing {
			s.pass(s.offset+int64(v.from), int64(v.to-v.from))
		}
		s.write(p)
	}
	return s.publish(true)
}

// writeTo appends p for some receivers. The stream and its offsets are what replicas receive; for taps it says
// beside it what they leave out, and what they receive in its place. REQUIRES: mu.
func (s *Stream) writeTo(to command.Targets, p []byte) {
	switch to {
	case command.ToAll:
		s.write(p)
	case command.ToReplicas:
		s.pass(s.offset, int64(len(p)))
		s.write(p)
	case command.ToAOF:
		s.put(p)
	}
}

// detour is where what a tap receives leaves the stream: at a position it receives put and then leaves out
// skip bytes of the stream.
type detour struct {
	at   int64
	put  []byte
	skip int64
}

// pass makes taps leave out n bytes that are written at a position. REQUIRES: mu; at is not before an earlier detour.
func (s *Stream) pass(at, n int64) {
	for _, c := range s.cursors {
		if c.replica {
			continue
		}
		if d := c.last(); d != nil && d.at+d.skip == at {
			d.skip += n
		} else {
			c.detours = append(c.detours, detour{at: at, skip: n})
		}
	}
}

// put appends p for taps only. It counts in Total, and not in Offset. REQUIRES: mu.
func (s *Stream) put(p []byte) {
	if s.taps == 0 {
		return
	}
	s.shift += int64(len(p))
	for _, c := range s.cursors {
		if c.replica {
			continue
		}
		if d := c.last(); d != nil && d.at == s.offset && d.skip == 0 {
			d.put = append(d.put, p...)
		} else {
			c.detours = append(c.detours, detour{at: s.offset, put: append([]byte(nil), p...)})
		}
	}
}

// control appends a command that is for replicas themselves (PING, GETACK), if they read what
// we write, and reports whether it did.
func (s *Stream) control(p []byte) bool {
	s.mu.Lock()
	if s.relaying || !s.backlog {
		s.mu.Unlock()
		return false
	}
	s.writeTo(command.ToReplicas, p)
	s.publish(false)
	return true
}

// publish ends an append: it unlocks mu and wakes the pump if there is something for it. Taps are woken by bytes of our
// primary only (wake): at the end of each of their rounds the event loops see themselves to what they appended.
func (s *Stream) publish(wake bool) int64 {
	off := s.offset
	s.end.Store(off)
	if s.taps > 0 {
		s.total.Store(off + s.shift)
		if wake {
			s.wakeTaps()
		}
	}
	signal := s.overruns || !s.shipped && len(s.cursors) > s.taps
	s.mu.Unlock()
	if signal {
		s.signal()
	}
	return off
}

// wakeTaps tells the taps that wait. They are few, and what they do next is worth a wake-up of its own.
// REQUIRES: mu.
func (s *Stream) wakeTaps() {
	for i, c := range s.idle {
		c.listed = false
		s.idle[i] = nil
		c.nudge()
	}
	s.idle = s.idle[:0]
}

// Total counts the bytes of the stream over all its histories as long as a tap is open: it never goes back. It
// stands still while none is.
func (s *Stream) Total() int64 { return s.total.Load() }

func (s *Stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// selectDB says SELECT to those who receive what follows and have another database selected. REQUIRES: mu.
func (s *Stream) selectDB(db int, to command.Targets) {
	if s.db == db {
		to &^= command.ToReplicas
	}
	if s.tapDB == db {
		to &^= command.ToAOF
	}
	if to == 0 {
		return
	}
	b := append(s.scratch[:0], "*2\r\n$6\r\nSELECT\r\n$"...)
	var tmp [20]byte
	n := strconv.AppendInt(tmp[:0], int64(db), 10)
	b = strconv.AppendInt(b, int64(len(n)), 10)
	b = append(b, '\r', '\n')
	b = append(b, n...)
	b = append(b, '\r', '\n')
	s.scratch = b
	s.writeTo(to, b)
	if to&command.ToReplicas != 0 {
		s.db = db
	}
	if to&command.ToAOF != 0 {
		s.tapDB = db
	}
}

// write copies p to the end. REQUIRES: mu.
func (s *Stream) write(p []byte) {
	for len(p) > 0 {
		t := s.tail
		if t == nil || len(t.buf) == cap(t.buf) {
			t = s.grow()
		}
		n := len(t.buf)
		m := copy(t.buf[n:cap(t.buf)], p)
		t.buf = t.buf[:n+m]
		p = p[m:]
		s.offset += int64(m)
	}
}

// grow adds an empty block, after giving up those nobody needs. It is also where a cursor's
// lag is looked at: once per block, not per append. REQUIRES: mu.
func (s *Stream) grow() *block {
	s.trim()
	for _, c := range s.cursors {
		if c.replica && s.hard > 0 && s.offset-c.pos > s.hard && !c.overrun {
			c.overrun = true
			s.overruns = true
		}
	}
	size := min(max(s.size/16, minBlock), maxBlock)
	var b *block
	if n := len(s.free); n > 0 {
		b = s.free[n-1]
		s.free = s.free[:n-1]
	}
	if b == nil || int64(cap(b.buf)) != size {
		b = &block{buf: make([]byte, 0, size)}
	}
	*b = block{start: s.offset, buf: b.buf[:0]}
	if s.tail == nil {
		s.head = b
	} else {
		s.tail.next = b
	}
	s.tail = b
	return b
}

// trim gives up blocks at the head that neither a cursor nor the backlog needs. REQUIRES: mu.
func (s *Stream) trim() {
	for s.head != s.tail && s.head.refs == 0 {
		keep := int64(0)
		if s.backlog {
			keep = s.size
		}
		if s.offset-s.head.next.start < keep {
			return
		}
		b := s.head
		s.head = b.next
		b.next = nil
		if len(s.free) < freeBlocks {
			s.free = append(s.free, b)
		}
	}
}

// dropBlocks forgets all bytes. Blocks in which cursors stand stay theirs. REQUIRES: mu.
func (s *Stream) dropBlocks() {
	s.head, s.tail, s.free = nil, nil, nil
	s.from = s.offset
}

// start is the position of the oldest byte of this history that is kept. REQUIRES: mu.
func (s *Stream) start() int64 {
	if s.head == nil {
		return s.offset
	}
	return max(s.head.start, s.from)
}

// backlogState is what INFO tells: whether there is one, its size, the position of its first
// byte and how many bytes it has.
func (s *Stream) backlogState() (active bool, size, first, length int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.backlog {
		return false, s.size, -1, 0
	}
	return true, s.size, s.start(), s.offset - s.start()
}

// HeldBytes is the memory of the blocks that are kept.
func (s *Stream) HeldBytes() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.head == nil {
		return 0
	}
	return s.tail.start + int64(cap(s.tail.buf)) - s.head.start
}

// keep makes a backlog if there is none; its history begins here, under the new id if that is
// not empty, because nobody knows what came before. It reports whether it made one.
func (s *Stream) keep(newID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.backlog {
		return false
	}
	s.backlog = true
	s.from = s.offset
	if newID != "" {
		s.history = History{ID: newID, ID2: NoID, Second: -1}
	}
	s.settle()
	return true
}

// forget frees the backlog and, because writes will not be counted from now on, leaves the
// history for a new one. It does nothing while a replica reads.
func (s *Stream) forget(newID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.backlog || len(s.cursors) > s.taps {
		return false
	}
	s.backlog = false
	s.history = History{ID: newID, ID2: NoID, Second: -1}
	if s.taps == 0 {
		s.dropBlocks()
	}
	s.settle()
	return true
}

// resize changes the limits.
func (s *Stream) resize(size, hard int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.size, s.hard = max(size, MinBacklogBytes), hard
	s.free = nil
	s.trim()
}

// restart makes the stream stand at offset in another history, after a full sync. Every
// cursor ends. With an empty id the data has no history that anyone shares.
func (s *Stream) restart(h History, offset int64, relaying bool) {
	s.mu.Lock()
	s.history, s.shift, s.offset = h, s.shift+s.offset-offset, offset
	s.end.Store(offset)
	s.reselect()
	s.relaying = relaying
	s.dropBlocks()
	s.backlog = true
	for _, c := range s.cursors {
		c.ended = true
		c.nudge()
	}
	s.cursors, s.idle, s.taps = nil, nil, 0
	s.settle()
	s.mu.Unlock()
}

// rebrand puts the data that there is, at the offset where it is, into another history. Replicas' cursors
// end; taps go on, because the data is the same.
func (s *Stream) rebrand(h History, relaying bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history, s.relaying, s.backlog = h, relaying, true
	s.from = s.offset
	s.reselect()
	var kept []*Cursor
	for _, c := range s.cursors {
		if !c.replica {
			kept = append(kept, c)
			continue
		}
		c.ended = true // it keeps its block until it is closed: it may be being read
	}
	s.cursors = kept
	s.trim()
	s.settle()
}

// rename continues the history under a new id; the old one becomes ID2 up to here.
func (s *Stream) rename(id string, relaying bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = History{ID: id, ID2: s.history.ID, Second: s.offset + 1}
	s.reselect()
	s.relaying = relaying
	s.settle()
}

// relay makes the stream a replica's: clients' writes are not appended any more.
func (s *Stream) relay() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.relaying = true
	s.settle()
}

// reselect makes the next command say SELECT. REQUIRES: mu.
func (s *Stream) reselect() { s.db, s.tapDB = -1, -1 }

// relaysFrom says which database is selected at the place in our primary's stream where we are.
func (s *Stream) relaysFrom(db int) {
	s.mu.Lock()
	s.relayDB = db
	s.mu.Unlock()
}

func (s *Stream) settle() { s.active.Store(s.taps > 0 || s.backlog && !s.relaying) }

// refusal is why a position cannot be continued from; "" when it can.
type refusal string

// resume attaches a cursor at position pos of history id, if those bytes are here.
func (s *Stream) resume(id string, pos int64, asked int64) (c *Cursor, now string, why refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.history
	switch {
	case equalFold(id, h.ID):
	case h.ID2 == NoID || !equalFold(id, h.ID2):
		return nil, "", refusal("Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '" + id +
			"', my replication IDs are '" + h.ID + "' and '" + h.ID2 + "')")
	case asked > h.Second:
		return nil, "", refusal("Partial resynchronization not accepted: Requested offset for second ID was " +
			strconv.FormatInt(asked, 10) + ", but I can reply up to " + strconv.FormatInt(h.Second, 10))
	}
	if !s.backlog || pos < s.start() || pos > s.offset {
		return nil, "", lackOfBacklog
	}
	return s.attach(pos, true), h.ID, ""
}

const lackOfBacklog refusal = "lack of backlog"

// cut attaches n cursors at the end, makes the next command say SELECT, and returns the place.
// REQUIRES: every stripe is held, so that the place is that of the data.
func (s *Stream) cut(cursors []**Cursor) (h History, offset int64, db int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range cursors {
		*c = s.attach(s.offset, true)
	}
	db = max(s.db, 0)
	if !s.relaying {
		s.reselect()
	}
	return s.history, s.offset, db
}

// Tap opens a cursor at the end for a receiver that is not a replica (the append-only file);
// while it is open the stream is Active.
func (s *Stream) Tap() *Cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.attach(s.offset, false)
	c.shift = s.shift
	s.taps++
	s.reselect()
	s.total.Store(s.offset + s.shift)
	s.settle()
	return c
}

// Mark returns the stream's end as Total counts and makes the next command say SELECT, for a tap that goes on in
// another file. REQUIRES: as cut.
func (s *Stream) Mark() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tapDB = -1
	if !s.relaying {
		s.db = -1
	}
	return s.offset + s.shift
}

// attach opens a cursor at pos. REQUIRES: mu; pos is kept or the end.
func (s *Stream) attach(pos int64, replica bool) *Cursor {
	c := &Cursor{s: s, replica: replica, pos: pos, ready: make(chan struct{}, 1)}
	if s.tail == nil || pos == s.offset && len(s.tail.buf) == cap(s.tail.buf) {
		s.grow()
	}
	b := s.tail
	if pos < b.start {
		for b = s.head; b.next != nil && pos >= b.next.start; {
			b = b.next
		}
	}
	c.b = b
	b.refs++
	s.cursors = append(s.cursors, c)
	return c
}

// overrun returns the cursors that were found overrun since the last time.
func (s *Stream) overrun() (overrun []*Cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.overruns {
		s.overruns = false
		for _, c := range s.cursors {
			if c.overrun {
				overrun = append(overrun, c)
			}
		}
	}
	return overrun
}

// Cursor is one receiver's place in the stream. One goroutine at a time reads with it.
type Cursor struct {
	s       *Stream
	replica bool

	ready chan struct{} // of taps only; capacity 1

	// Guarded by s.mu; of taps only.
	shift   int64    // makes of pos what Total counts
	detours []detour // not yet taken, in order; none is before pos

	// Guarded by s.mu.
	listed  bool // in s.idle
	b       *block
	pos     int64
	overrun bool
	ended   bool // the stream left its history, or it is closed
	closed  bool
}

func (c *Cursor) nudge() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// Next returns the bytes from the cursor's place to the end of its block, nil when there are none; they stay valid until
// Advance passes them. ok is false when the stream left the history the cursor belongs to.
func (c *Cursor) Next() (p []byte, ok bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.next()
}

// Look is Next of a tap: nil bytes are followed by a token in Ready when there are some. whole
// reports that they end with a unit.
func (c *Cursor) Look() (p []byte, whole, ok bool) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok = c.next()
	if ok && p == nil && !c.listed {
		c.listed = true
		s.idle = append(s.idle, c)
	}
	return p, c.pos+c.shift+int64(len(p)) == s.offset+s.shift, ok
}

// Place is the cursor's place: its position, which moves over what a tap leaves out as soon as that is looked at, and
// what Total counts up to there.
func (c *Cursor) Place() (pos, total int64) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.pos, c.pos + c.shift
}

// last is the detour that may grow, nil when there is none. REQUIRES: s.mu.
func (c *Cursor) last() *detour {
	if n := len(c.detours); n > 0 {
		return &c.detours[n-1]
	}
	return nil
}

// Ready gets a token when there is something to Look at again, and when the cursor has ended.
func (c *Cursor) Ready() <-chan struct{} { return c.ready }

// next is Next. REQUIRES: s.mu.
func (c *Cursor) next() (p []byte, ok bool) {
	s := c.s
	if c.ended {
		return nil, false
	}
	limit := s.offset
	for len(c.detours) > 0 {
		d := &c.detours[0]
		if d.at > c.pos {
			limit = d.at
			break
		}
		if len(d.put) > 0 {
			return d.put, true
		}
		c.pos += d.skip
		c.detours = c.detours[1:]
	}
	for int(c.pos-c.b.start) >= len(c.b.buf) && c.b.next != nil {
		c.b.refs--
		c.b = c.b.next
		c.b.refs++
		s.trim()
	}
	at, end := int(c.pos-c.b.start), min(len(c.b.buf), int(limit-c.b.start))
	if at < end {
		return c.b.buf[at:end:end], true
	}
	return nil, true
}

// Advance moves the cursor over n bytes that Next returned.
func (c *Cursor) Advance(n int) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if len(c.detours) > 0 && c.detours[0].at == c.pos { // it had put something there
		c.detours[0].put = c.detours[0].put[n:]
		c.shift += int64(n)
		return
	}
	c.pos += int64(n)
}

// Pos is the cursor's place.
func (c *Cursor) Pos() int64 {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.pos
}

// Close ends the cursor. It may be called more than once; bytes from Next are invalid then.
func (c *Cursor) Close() {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	c.b.refs--
	s.cursors = remove(s.cursors, c)
	s.idle = remove(s.idle, c)
	if !c.replica && !c.ended {
		s.taps--
		s.settle()
	}
	c.ended = true
	s.trim()
	c.nudge()
}

func remove(list []*Cursor, c *Cursor) []*Cursor {
	for i := range list {
		if list[i] == c {
			copy(list[i:], list[i+1:])
			list[len(list)-1] = nil
			return list[:len(list)-1]
		}
	}
	return list
}

func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if 'A' <= x && x <= 'Z' {
			x += 'a' - 'A'
		}
		if 'A' <= y && y <= 'Z' {
			y += 'a' - 'A'
		}
		if x != y {
			return false
		}
	}
	return true
}
