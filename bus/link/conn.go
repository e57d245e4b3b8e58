package link

import (
	"bufio"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/bus/wire"
)

// On the wire a frame is its length in four bytes, its bytes, and with AuthHMAC the first 16 bytes of
// HMAC(key of the direction, counter 8 | length 4 | bytes). The counter is not sent; both ends count. An empty frame
// says that the sender lives.
const (
	lengthLen   = 4
	macLen      = 16
	writeBatch  = 64 << 10 // bytes put together for one write
	keptBuffer  = 64 << 10 // buffers above this are not kept
	readBufSize = 4 << 10
)

// conn is one authenticated connection. Two goroutines serve it: run reads, writeLoop writes.
type conn struct {
	// Immutable after the connection was registered.
	net       *Net
	nc        net.Conn
	rw        io.ReadWriter // nc, by raw system calls where that can be
	peer      Peer
	self      bus.NodeID // who we were in the handshake
	node      *node
	box       *outbox
	createdMs int64

	// Owned by the reader.
	inMAC   hash.Hash
	inCount uint64
	rbuf    []byte
	useful  bool // at least one frame came

	// Owned by the writer.
	outMAC   hash.Hash
	outCount uint64
	wbuf     []byte
	wbufCap  atomic.Int64

	ended struct {
		sync.Once
		why error // readable once done is closed
	}
	done chan struct{}
}

func (n *Net) newConn(nc net.Conn, self bus.NodeID, p Peer, k keys) *conn {
	p.Addr = nc.RemoteAddr().String()
	p.IP, p.LocalIP = hostOf(nc.RemoteAddr()), hostOf(nc.LocalAddr())
	c := &conn{net: n, nc: nc, rw: nc, peer: p, self: self, box: newOutbox(&n.opts.Budget), createdMs: time.Now().UnixMilli(), done: make(chan struct{})}
	if w := wire.New(nc); w != nil {
		c.rw = w
	}
	c.peer.Serial = n.serial.Add(1)
	mine, theirs := "acceptor", "dialer"
	if p.Dialed {
		mine, theirs = theirs, mine
	}
	c.outMAC, c.inMAC = k.frames(mine), k.frames(theirs)
	return c
}

// dialer returns the id of the node that dialed.
func (c *conn) dialer() bus.NodeID {
	if c.peer.Dialed {
		return c.self
	}
	return c.peer.ID
}

// close ends the connection; run returns soon after. The first reason counts. Any goroutine, any lock held.
func (c *conn) close(why error) {
	c.ended.Do(func() {
		c.ended.why = why
		close(c.done)
		c.nc.Close()
	})
}

// run serves the connection until it ends. It reports whether any frame came.
func (c *conn) run() bool {
	n := c.net
	n.forgive(c.peer.IP, c.peer.Target)
	n.sync(c.node, c, nil)
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.close(c.writeLoop())
	}()
	err := c.readLoop()
	if errors.Is(err, ErrFrame) {
		n.reject(BadFrame, c.peer.IP, err)
	}
	c.close(err)
	<-written
	n.dropBox(c.box)
	n.unregister(c.node, c)
	n.sync(c.node, c, c.ended.why)
	n.leave(c.node)
	return c.useful
}

func (c *conn) readLoop() error {
	r := bufio.NewReaderSize(c.rw, readBufSize)
	for {
		frame, err := c.readFrame(r)
		if err != nil {
			return err
		}
		c.net.Stats.BytesIn.Add(int64(lengthLen + len(frame)))
		if len(frame) == 0 {
			continue
		}
		c.useful = true
		c.net.Stats.FramesIn.Inc()
		c.net.opts.Owner.Frame(c.peer, c.peer.Purpose, frame)
		if cap(c.rbuf) > keptBuffer {
			c.rbuf = nil
		}
	}
}

// readFrame returns the next frame, valid until the next call.
func (c *conn) readFrame(r *bufio.Reader) ([]byte, error) {
	if err := c.nc.SetReadDeadline(time.Now().Add(c.net.deadAfter())); err != nil {
		return nil, err
	}
	var head [lengthLen]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, deadline(err, ErrDead)
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > bus.MaxFrame {
		return nil, fmt.Errorf("%w: %d bytes", ErrFrame, size)
	}
	total := int(size)
	if c.inMAC != nil {
		total += macLen
	}
	if cap(c.rbuf) < total {
		c.rbuf = make([]byte, total)
	}
	buf := c.rbuf[:total]
	// Each piece has a deadline of its own: a long frame over a slow path is no sign of death.
	for at := 0; at < total; {
		piece := buf[at:min(at+writeBatch, total)]
		if at > 0 {
			if err := c.nc.SetReadDeadline(time.Now().Add(c.net.deadAfter())); err != nil {
				return nil, err
			}
		}
		if _, err := io.ReadFull(r, piece); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, deadline(err, ErrDead)
		}
		at += len(piece)
	}
	frame := buf[:size]
	if c.inMAC != nil {
		var sum [32]byte
		if !hmac.Equal(buf[size:], frameMAC(c.inMAC, c.inCount, frame, sum[:0])) {
			return nil, fmt.Errorf("%w: MAC of frame %d", ErrFrame, c.inCount)
		}
		c.inCount++
	}
	return frame, nil
}

func frameMAC(m hash.Hash, count uint64, frame, sum []byte) []byte {
	var head [12]byte
	binary.BigEndian.PutUint64(head[:], count)
	binary.BigEndian.PutUint32(head[8:], uint32(len(frame)))
	m.Reset()
	m.Write(head[:])
	m.Write(frame)
	return m.Sum(sum)[:macLen]
}

func deadline(err, instead error) error {
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return instead
	}
	return err
}

// refuse tells a dialer that proved itself why it is not welcome. It may help; it does not matter if it fails.
func (c *conn) refuse(why error) {
	status := Rubbish
	switch {
	case errors.Is(why, ErrDuplicate):
		status = duplicate
	case errors.Is(why, ErrTooMany):
		status = Busy
	case errors.Is(why, ErrIdentity):
		status = Myself
	}
	c.nc.SetWriteDeadline(time.Now().Add(c.net.opts.HandshakeTimeout))
	c.nc.Write([]byte{byte(status)})
}

func (c *conn) writeLoop() error {
	if !c.peer.Dialed {
		c.wbuf = append(c.wbuf[:0], byte(accepted))
		if err := c.writeOut(); err != nil {
			return err
		}
	}
	beat := time.NewTimer(c.net.heartbeat())
	defer beat.Stop()
	for {
		c.wbuf = c.wbuf[:0]
		frames := 0
		for len(c.wbuf) < writeBatch {
			frame := c.box.take()
			if frame == nil {
				break
			}
			c.putFrame(frame)
			frames++
		}
		if frames == 0 {
			select {
			case <-c.box.wake:
				beat.Reset(c.net.heartbeat()) // it may have changed
				continue
			case <-beat.C:
				c.putFrame(nil)
			case <-c.done:
				return ErrClosed
			}
		}
		if err := c.writeOut(); err != nil {
			return err
		}
		c.net.Stats.BytesOut.Add(int64(len(c.wbuf)))
		c.net.Stats.FramesOut.Add(int64(frames))
		if cap(c.wbuf) > 2*keptBuffer {
			c.wbuf = nil
		}
		c.wbufCap.Store(int64(cap(c.wbuf)))
		beat.Reset(c.net.heartbeat())
	}
}

// writeOut sends the batch in pieces, each with a deadline of its own.
func (c *conn) writeOut() error {
	for rest := c.wbuf; len(rest) > 0; {
		piece := rest[:min(len(rest), writeBatch)]
		if err := c.nc.SetWriteDeadline(time.Now().Add(c.net.deadAfter())); err != nil {
			return err
		}
		if _, err := c.rw.Write(piece); err != nil {
			return deadline(err, ErrStuck)
		}
		rest = rest[len(piece):]
	}
	return nil
}

func (c *conn) putFrame(frame []byte) {
	c.wbuf = binary.BigEndian.AppendUint32(c.wbuf, uint32(len(frame)))
	c.wbuf = append(c.wbuf, frame...)
	if c.outMAC != nil {
		var sum [32]byte
		c.wbuf = append(c.wbuf, frameMAC(c.outMAC, c.outCount, frame, sum[:0])...)
		c.outCount++
	}
}

// outbox is the frames that wait for one connection.
type outbox struct {
	wake   chan struct{} // holds one token while something may be there
	budget *[numChannels]int

	mu     sync.Mutex // guards all below
	queues [numChannels]queue
	lost   int64
	closed bool
}

type queue struct {
	frames [][]byte
	head   int
	bytes  int // of frames[head:]
}

func newOutbox(budget *[numChannels]int) *outbox {
	return &outbox{wake: make(chan struct{}, 1), budget: budget}
}

// add queues a frame if it fits into its channel's budget; open is false when the connection has ended.
func (b *outbox) add(ch Channel, frame []byte) (fits, open bool) {
	b.mu.Lock()
	q := &b.queues[ch]
	if open = !b.closed; !open || q.bytes+len(frame) > b.budget[ch] {
		b.lost++
		b.mu.Unlock()
		return false, open
	}
	if q.head > 0 && q.head == len(q.frames) {
		q.frames, q.head = q.frames[:0], 0
	}
	q.frames = append(q.frames, frame)
	q.bytes += len(frame)
	b.mu.Unlock()
	b.poke()
	return true, true
}

// poke has the writer look again.
func (b *outbox) poke() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take returns the frame with the right of way, or nil.
func (b *outbox) take() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.queues {
		q := &b.queues[i]
		if q.head == len(q.frames) {
			continue
		}
		frame := q.frames[q.head]
		q.frames[q.head] = nil
		q.head++
		q.bytes -= len(frame)
		// What was taken stays in the slice's front until it is half of it, so that a queue that never empties
		// does not grow for ever.
		if q.head == len(q.frames) && cap(q.frames) > 1024 {
			*q = queue{}
		} else if q.head >= 64 && 2*q.head >= len(q.frames) {
			n := copy(q.frames, q.frames[q.head:])
			clear(q.frames[n:])
			q.frames, q.head = q.frames[:n], 0
		}
		return frame
	}
	return nil
}

func (b *outbox) numbers() (used, lost int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.queues {
		used += int64(b.queues[i].bytes)
	}
	return used, b.lost
}

type loss struct{ frames, bytes int }

// close takes no more frames and returns what was still waiting.
func (b *outbox) close() (lost [numChannels]loss) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for i := range b.queues {
		q := &b.queues[i]
		lost[i] = loss{len(q.frames) - q.head, q.bytes}
		*q = queue{}
	}
	return lost
}
