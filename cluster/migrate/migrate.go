// Package migrate hands keys to another server: the MIGRATE command, which redis-cli --cluster
// reshard and rebalance and our own tools move slots with. cluster/node builds one Mover and
// joins it to the walk of a request by three functions. It must not know who owns which slot,
// nor why a key is moved.
//
// # One MIGRATE
//
//	handler      reads the values under the keys' stripes, and from then on writes to the keys
//	             wait (Options.Hold); the client is parked
//	a goroutine  sends RESTORE for each, reads the replies
//	the same     deletes here what the target has taken, as one unit in the stream (Options.Unit),
//	             lets the writes go, which find the key gone and are sent after it (ASK), and
//	             answers the client
//
// So a key is handed over exactly once, and no write to it is lost between its copy and its
// deletion, though the node serves everything else meanwhile. Redis stops for the whole
// exchange instead. Inside MULTI and scripts the exchange happens under the stripes.
//
// What the target has taken when the connection breaks before its reply is here as well: the
// client hears IOERR, and a second MIGRATE needs REPLACE. The same when this node loses its
// shard in between.
//
// # Concurrency
//
// A goroutine per exchange, at most maxRunning, waiting ones in a queue of maxQueued. Idle
// connections are kept for idleFor, under mu. Everything else belongs to one exchange at a time.
package migrate

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/slot"
)

const (
	maxRunning = 64
	maxQueued  = 1024
	// maxIdle and idleFor bound the kept connections, as in Redis.
	maxIdle = 64
	idleFor = 10 * time.Second
	// defaultTimeout is used for a timeout that is not above zero.
	defaultTimeout = time.Second
	// retryHeld is the pause before keys are deleted anew while the node holds writes back.
	retryHeld = 5 * time.Millisecond
)

const (
	errKeysAndKey resp.Error = "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string"
	errConnect    resp.Error = "IOERR error or timeout connecting to the client"
	errWriting    resp.Error = "IOERR error or timeout writing to target instance"
	errReading    resp.Error = "IOERR error or timeout reading to target instance"
	errBusy       resp.Error = "IOERR too many keys are being moved already"
	errNotDeleted resp.Error = "IOERR the target has the keys, but this node may not delete its own any more"
)

// Options join a Mover to its node. All but LocalAddr are needed.
type Options struct {
	// Hold has writes to keys of a database wait, under their stripes; LetGo lets them go on.
	Hold  func(db int, keys [][]byte)
	LetGo func(db int, keys [][]byte)
	// Unit runs f with the slots' stripes held and sends its effects. False: not now (the node
	// holds writes back), or not any more (it is no primary: see Primary). One call at a time.
	Unit func(db int, slots *slot.Set, f func(*command.Ctx)) bool
	// Primary: the node may delete keys of its own accord.
	Primary func() bool
	// Clustered: the target is told that it imports (RESTORE-ASKING).
	Clustered bool
	Compress  func() bool // rdbcompression
	LocalAddr func() string
}

// Mover carries MIGRATEs out.
type Mover struct {
	opt   Options
	queue chan *handover
	room  chan struct{}   // one token per running exchange
	ctx   context.Context // ends with the Mover
	end   context.CancelFunc
	work  sync.WaitGroup
	unit  sync.Mutex // orders calls of Options.Unit

	mu struct {
		sync.Mutex
		idle   []*conn // oldest first
		closed bool
	}
}

// New returns a Mover that is running.
func New(o Options) *Mover {
	m := &Mover{opt: o, queue: make(chan *handover, maxQueued), room: make(chan struct{}, maxRunning)}
	m.ctx, m.end = context.WithCancel(context.Background())
	m.work.Add(1)
	go m.run()
	return m
}

// Close ends the exchanges under way without deleting anything.
func (m *Mover) Close() {
	m.end()
	m.closeIdle()
	m.work.Wait()
}

func (m *Mover) run() {
	defer m.work.Done()
	sweep := time.NewTicker(idleFor / 2)
	defer sweep.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-sweep.C:
			m.dropIdle(time.Now())
		case h := <-m.queue:
			select {
			case m.room <- struct{}{}:
			case <-m.ctx.Done():
				return
			}
			m.work.Add(1)
			go func() {
				defer m.work.Done()
				m.carryOut(h)
				<-m.room
			}()
		}
	}
}

// Commands is the family. m is nil in a table that is only read.
func Commands(m *Mover) []command.Command {
	const access = command.RW | command.ReadsValue | command.Delete
	one, several := command.At(3, access), command.After("KEYS", -2, -1, 1, 0, access|command.Incomplete)
	one.Rule, several.Rule = keysOf, func(_ [][]byte, refs []command.KeyRef) ([]command.KeyRef, bool) { return refs, true }
	return []command.Command{{
		Name: "MIGRATE", Since: "2.6.0", Group: command.Generic, Arity: -6, Flags: command.Write | command.HandsOver, ACL: command.CatKeyspace | command.CatDangerous,
		Keys: []command.KeySpec{one, several}, Tips: []string{"nondeterministic_output"},
		Args: "host port:int (key-selector=key|(empty-string='\"\"')) destination-db:int timeout:int [COPY@3.0.0] [REPLACE@3.0.0] " +
			"[authentication=AUTH auth:string@4.0.7|AUTH2@6.0.0 (auth2=username password)] [KEYS keys:key@3.0.6...]",
		Reply: "OK | simple",
		Doc: command.Doc{Summary: "Hands keys to another server.", Complexity: "O(N), N bytes of the values",
			History: []string{"3.0.0: COPY and REPLACE", "3.0.6: KEYS", "4.0.7: AUTH", "6.0.0: AUTH2"}},
		Run: func(c *command.Ctx) { m.migrate(c) },
	}}
}

// keysOf: the key itself, or if that is empty those behind KEYS.
func keysOf(argv [][]byte, refs []command.KeyRef) ([]command.KeyRef, bool) {
	const access = command.RW | command.ReadsValue | command.Delete
	if len(argv) > 3 && len(argv[3]) > 0 {
		return append(refs, command.KeyRef{Index: 3, Access: access}), true
	}
	for i := 6; i < len(argv); i++ {
		switch {
		case command.Is(argv[i], "AUTH"):
			i++
		case command.Is(argv[i], "AUTH2"):
			i += 2
		case command.Is(argv[i], "KEYS"):
			for k := i + 1; k < len(argv); k++ {
				refs = append(refs, command.KeyRef{Index: k, Access: access})
			}
			return refs, true
		}
	}
	if len(argv) > 3 {
		refs = append(refs, command.KeyRef{Index: 3, Access: access})
	}
	return refs, true
}

// request is the call, parsed; what it says to authenticate is taken out of the call's sight. Its strings are copies.
type request struct {
	addr          string
	user, pass    string
	auth          bool
	targetDB      int64
	timeout       time.Duration
	copy, replace bool
	keys          [][]byte // of the call, aliased
}

func parse(c *command.Ctx) (r request, ok bool) {
	argv := c.Argv
	r.keys = argv[3:4]
	for i := 6; i < len(argv); i++ {
		left := len(argv) - 1 - i
		switch word := argv[i]; {
		case command.Is(word, "COPY"):
			r.copy = true
		case command.Is(word, "REPLACE"):
			r.replace = true
		case command.Is(word, "AUTH") && left >= 1:
			secret := c.Redact(i+1, i+2)
			r.auth, r.user, r.pass = true, "", string(secret[0])
			i++
		case command.Is(word, "AUTH2") && left >= 2:
			secret := c.Redact(i+1, i+3)
			r.auth, r.user, r.pass = true, string(secret[0]), string(secret[1])
			i += 2
		case command.Is(word, "KEYS"):
			if len(argv[3]) != 0 {
				c.Fail(errKeysAndKey)
				return r, false
			}
			r.keys = argv[i+1:]
			i = len(argv)
		default:
			c.Fail(resp.ErrSyntax)
			return r, false
		}
	}
	ms, ok := c.Int(5)
	if !ok {
		return r, false
	}
	if r.targetDB, ok = c.Int(4); !ok {
		return r, false
	}
	if r.timeout = time.Duration(ms) * time.Millisecond; ms <= 0 {
		r.timeout = defaultTimeout
	}
	r.addr = address(string(argv[1]), string(argv[2]))
	return r, true
}

// item is one key under way.
type item struct {
	key     []byte
	ttlMs   int64 // 0: none
	payload []byte
	taken   bool // the target has it
}

// handover is one MIGRATE.
type handover struct {
	request
	db     int
	slots  slot.Set
	items  []item
	ticket command.Ticket
}

func (h *handover) names() (keys [][]byte) {
	for i := range h.items {
		keys = append(keys, h.items[i].key)
	}
	return keys
}

func (m *Mover) migrate(c *command.Ctx) {
	r, ok := parse(c)
	if !ok {
		return
	}
	h := &handover{request: r, db: c.Txn.DB()}
	for _, key := range r.keys {
		e, found := c.Read(key)
		if !found {
			continue
		}
		it := item{key: append([]byte(nil), key...)}
		if at := e.ExpireAt(); at > 0 {
			it.ttlMs = max(at-c.Txn.Now(), 1)
		}
		v := rdb.Value{Type: e.Type(), Encoding: e.Encoding(), Payload: e.Payload(), Object: e.Object()}
		it.payload = rdb.AppendPayload(nil, &v, rdb.WriterOptions{Compress: m.opt.Compress()})
		h.items = append(h.items, it)
		h.slots.Add(slot.Of(key))
	}
	h.keys = nil
	c.DontPropagate()
	if len(h.items) == 0 {
		c.Out.Simple("NOKEY")
		return
	}
	if c.Nested > 0 || c.Conn == nil {
		err := m.exchange(h)
		h.delete(c)
		h.answer(c.Out, err)
		c.Err = err
		return
	}
	m.opt.Hold(h.db, h.names())
	h.ticket = c.Park(command.Park{Gone: func() {}}) // the exchange goes on without its client
	select {
	case m.queue <- h:
	default:
		m.opt.LetGo(h.db, h.names())
		h.ticket.Finish(func(w *resp.Writer) { w.Error(errBusy) })
	}
}

func (h *handover) answer(w *resp.Writer, err resp.Error) {
	if err != "" {
		w.Error(err)
		return
	}
	w.OK()
}

// delete removes what the target has taken. REQUIRES: stripes held.
func (h *handover) delete(c *command.Ctx) {
	if h.copy {
		return
	}
	argv := [][]byte{[]byte("DEL")}
	for i := range h.items {
		it := &h.items[i]
		if it.taken && c.Txn.Delete(it.key) {
			argv = append(argv, it.key)
			c.Notify(command.EventGeneric, "del", it.key)
		}
	}
	if len(argv) > 1 {
		c.PropagateAs(argv...)
	}
}

// carryOut is the exchange and what follows it.
func (m *Mover) carryOut(h *handover) {
	err := m.exchange(h)
	if !h.copy && !m.finish(h) && err == "" {
		err = errNotDeleted
	}
	m.opt.LetGo(h.db, h.names())
	h.ticket.Finish(func(w *resp.Writer) { h.answer(w, err) })
}

// finish deletes what was taken. While writes are held back it waits: the target has the keys,
// and whoever holds the writes counts on nothing going on.
func (m *Mover) finish(h *handover) bool {
	taken := false
	for i := range h.items {
		taken = taken || h.items[i].taken
	}
	for taken {
		m.unit.Lock()
		done := m.opt.Unit(h.db, &h.slots, h.delete)
		m.unit.Unlock()
		if done {
			break
		}
		if !m.opt.Primary() {
			return false
		}
		select {
		case <-m.ctx.Done():
			return false
		case <-time.After(retryHeld):
		}
	}
	return true
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
