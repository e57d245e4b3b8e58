// Package commandtest runs commands of a table over a real store without a server: what the
// tests of the command families stand on. Only tests may import it. It knows neither sockets
// nor dispatch; it follows the same rules as dispatch for locks, propagation and events in
// the plainest way that can be read at a glance.
//
// A Bench has two sides, one that speaks RESP2 and one that speaks RESP3, with a store each.
// Every call runs on both. The sides must agree in everything but the form of the reply, and
// each reply must fit the entry's schema.
//
// Scripts in testdata, see Scripts, are the usual way to write the tests of a family.
package commandtest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/slot"
)

// Bench is a table over two stores. One goroutine uses it.
type Bench struct {
	Table *command.Table
	// Now is the time of the calls that follow, in Unix ms.
	Now int64

	t      testing.TB
	stores [2]*store.Store // of the RESP2 and the RESP3 side
	nextID int64

	// succeeded are the full names of entries that answered something else than an error.
	// Nil: nobody asks.
	succeeded map[string]bool
}

// Epoch is where a Bench's clock begins: 2023-11-14, a round number of ms.
const Epoch = 1_700_000_000_000

// New makes a bench over the given families. It is closed with the test.
func New(t testing.TB, families ...[]command.Command) *Bench {
	table, err := command.New(nil, families...)
	require.NoError(t, err)
	b := &Bench{Table: table, Now: Epoch, t: t}
	for i := range b.stores {
		// The same seeds on both sides: random choices must agree.
		b.stores[i], err = store.New(store.Options{HashSeed: [2]uint64{1, 2}, RandSeed: 3, Stripes: 8})
		require.NoError(t, err)
		t.Cleanup(b.stores[i].Close)
	}
	return b
}

// Again empties the bench for another test, which is t: making stores takes longer than most calls.
func (b *Bench) Again(t testing.TB) {
	b.t, b.Now = t, Epoch
	for _, s := range b.stores {
		var txn store.Txn
		txn.BeginAll(s, b.Now)
		txn.FlushAll()
		txn.End()
	}
}

// Client is a client of a bench, with a session on each side.
type Client struct {
	bench *Bench
	sides [2]*Side
}

// Client makes a client whose sessions have the flags f. A client with session.Primary or
// session.InReplay sees expired keys as they are, as the replication stream does.
func (b *Bench) Client(f session.Flags) *Client {
	b.nextID++
	c := &Client{bench: b}
	for i := range c.sides {
		c.sides[i] = newSide(b.stores[i], session.New(b.nextID, acl.NewList().Default(), f), resp.RESP2+i)
	}
	return c
}

// Result is what a call did.
type Result struct {
	Reply  resp.Value // as a RESP2 client sees it
	Reply3 resp.Value // as a RESP3 client sees it
	// NullArray says that the RESP2 reply was the null array, which Reply cannot tell from a
	// null string.
	NullArray bool
	Effects   []Effect // what the call sends to the append only file and the replicas
	Events    []Event  // the keyspace events it published, all classes
}

// Effect is one command of the replication stream.
type Effect struct {
	DB   int
	Argv []string
}

// Event is one keyspace event.
type Event struct {
	Class command.EventClass
	Name  string
	DB    int
	Key   string
}

// Do runs one call.
func (c *Client) Do(args ...string) Result {
	c.bench.t.Helper()
	t := c.bench.t
	argv := make([][]byte, len(args))
	for i, a := range args {
		argv[i] = []byte(a)
	}
	var values [2]resp.Value
	var raw [2][]byte
	for i, s := range c.sides {
		cmd := s.serve(c.bench.Table, slices.Clone(argv), c.bench.Now) // a command may take secrets out of its words
		raw[i] = s.ctx.Out.Bytes()
		in := resp.NewReader(bytes.NewReader(raw[i]), resp.ReadLimits{})
		var err error
		values[i], err = in.ReadValue()
		require.NoError(t, err, "%q answered %q", args, raw[i])
		require.Zero(t, in.Buffered(), "%q answered more than one reply: %q", args, raw[i])
		if cmd != nil {
			require.NoError(t, cmd.Schema().Check(values[i], s.ctx.Out.Proto), "%q", args) // HELLO and RESET change it
			if c.bench.succeeded != nil && values[i].Err() == nil {
				c.bench.succeeded[cmd.FullName()] = true
			}
		}
	}
	two, three := c.sides[0], c.sides[1]
	require.Equal(t, two.effects(t), three.effects(t), "the two sides of %q propagate differently", args)
	require.Equal(t, two.events, three.events, "the two sides of %q publish differently", args)
	return Result{values[0], values[1], bytes.Equal(raw[0], []byte("*-1\r\n")), two.effects(t), two.events}
}

// Close ends the client: its watches are given back.
func (c *Client) Close() {
	for _, s := range c.sides {
		s.begin(nil, nil, nil, c.bench.Now, command.Watched)
		s.ctx.DropWatches()
		s.txn.End()
	}
}

// Session is the client's session on the RESP2 side.
func (c *Client) Session() *session.Session { return c.sides[0].ctx.Sess }

// Side is the RESP2 side of the client, for measuring.
func (c *Client) Side() *Side { return c.sides[0] }

// Side runs calls of one client on one store. It is the command.Host of their Ctx.
type Side struct {
	store *store.Store
	txn   store.Txn
	ctx   command.Ctx
	slots []slot.Slot
	refs  []command.KeyRef

	// events of the present call. quiet keeps none, for measuring.
	events []Event
	quiet  bool
}

func newSide(st *store.Store, s *session.Session, proto int) *Side {
	s.SetProto(proto)
	side := &Side{store: st}
	side.ctx = command.Ctx{Txn: &side.txn, Sess: s, Out: resp.NewWriter(nil, proto), Host: side}
	return side
}

// Run runs one call of a command without looking at what it did: for measuring.
func (s *Side) Run(cmd *command.Command, argv [][]byte, now int64) {
	s.quiet = true
	s.ctx.Out.Truncate(0)
	s.ctx.Effects.Clear()
	s.run(cmd, argv, now)
	s.quiet = false
}

// serve answers argv and returns the entry whose schema the reply must fit, or nil.
func (s *Side) serve(t *command.Table, argv [][]byte, now int64) *command.Command {
	c := &s.ctx
	c.Out.Truncate(0)
	c.Effects.Clear()
	s.events = nil
	cmd, err := t.Find(argv)
	switch {
	case err != "":
		if c.Sess.Has(session.Multi) {
			c.Sess.Set(session.DirtyExec)
		}
		c.Out.Error(err)
		return nil
	case c.Sess.Has(session.Multi) && cmd.Flags&command.InMulti == 0:
		c.Sess.Enqueue(cmd, argv)
		c.Out.Simple("QUEUED")
		return nil
	}
	s.run(cmd, argv, now)
	if len(c.Effects.Marks) > 1 && cmd.Flags&command.TouchesArbitraryKeys == 0 {
		s.wrap() // what happened at once must happen at once elsewhere
	}
	return cmd
}

func (s *Side) run(cmd *command.Command, argv [][]byte, now int64) {
	s.begin(cmd, argv, nil, now, cmd.FlagsOf(argv))
	s.call(cmd, argv)
	s.txn.End()
}

// begin locks what flags and keys ask for.
func (s *Side) begin(cmd *command.Command, argv [][]byte, slots []slot.Slot, now int64, flags command.Flags) {
	s.slots = append(s.slots[:0], slots...)
	if cmd != nil {
		s.addKeys(cmd, argv)
	}
	if flags&command.Queued != 0 {
		for _, q := range s.ctx.Sess.Queue() {
			queued := q.Cmd.(*command.Command)
			flags |= queued.FlagsOf(q.Argv) & (command.WholeDB | command.Watched)
			s.addKeys(queued, q.Argv)
		}
	}
	if flags&command.Watched != 0 {
		for _, w := range s.ctx.Sess.Watches() {
			s.slots = append(s.slots, w.Seen.(*store.Watch).Slot())
		}
	}
	if flags&command.WholeDB != 0 {
		s.txn.BeginAll(s.store, now)
	} else {
		s.txn.Begin(s.store, now, s.slots...)
	}
	s.txn.SelectDB(s.ctx.Sess.DB())
	if s.ctx.Obeys() {
		s.txn.SetView(store.ViewStream)
	}
}

func (s *Side) addKeys(cmd *command.Command, argv [][]byte) {
	s.refs, _ = cmd.KeysOf(argv, s.refs[:0], false)
	for _, r := range s.refs {
		s.slots = append(s.slots, slot.Of(argv[r.Index]))
	}
}

// call runs one command and settles what it propagates: a deletion for each key it found
// expired, then what it asked for, or else the call as written if it changed anything.
func (s *Side) call(cmd *command.Command, argv [][]byte) {
	c := &s.ctx
	dirty, mark, events := s.txn.Dirty(), len(c.Effects.Marks), len(s.events)
	c.Reset(cmd, argv)
	cmd.Run(c)
	if len(c.Argv) != len(argv) || &c.Argv[0] != &argv[0] {
		panic("commandtest: " + cmd.FullName() + " left other words than it was called with: MONITOR and SLOWLOG would show them")
	}
	if s.txn.HasExpired() {
		s.settleExpired(mark, events)
	}
	if s.txn.Dirty() != dirty && !c.Quiet() && cmd.Flags&(command.Write|command.MayReplicate) != 0 {
		c.Effects.Append(c.Sess.DB(), argv...)
	}
}

// settleExpired puts the deletions before the effects from mark on, and their events before
// those from firstEvent on.
func (s *Side) settleExpired(mark, firstEvent int) {
	all, later := s.split(), slices.Clone(s.events[firstEvent:])
	s.events = s.events[:firstEvent]
	e := &s.ctx.Effects
	e.Clear()
	for _, effect := range all[:mark] {
		e.Append(effect.DB, effect.argv()...)
	}
	e.AppendExpired(&s.txn, []byte("DEL"))
	command.EachExpired(&s.txn, s.note)
	for _, effect := range all[mark:] {
		e.Append(effect.DB, effect.argv()...)
	}
	s.events = append(s.events, later...)
	s.txn.ClearExpired()
}

// wrap makes a transaction of the effects.
func (s *Side) wrap() {
	all := s.split()
	e := &s.ctx.Effects
	e.Clear()
	e.Append(all[0].DB, []byte("MULTI"))
	for _, effect := range all {
		e.Append(effect.DB, effect.argv()...)
	}
	e.Append(all[len(all)-1].DB, []byte("EXEC"))
}

func (e Effect) argv() [][]byte {
	argv := make([][]byte, len(e.Argv))
	for i, a := range e.Argv {
		argv[i] = []byte(a)
	}
	return argv
}

// split reads the effects back. They are our own encoding, so they can be read.
func (s *Side) split() (all []Effect) {
	in := resp.NewReader(bytes.NewReader(s.ctx.Effects.Buf), resp.ReadLimits{})
	for _, m := range s.ctx.Effects.Marks {
		v, err := in.ReadValue()
		if err != nil {
			panic(err)
		}
		all = append(all, Effect{m.DB, v.Texts()})
	}
	return all
}

func (s *Side) effects(t testing.TB) []Effect {
	t.Helper()
	end := 0
	if n := len(s.ctx.Effects.Marks); n > 0 {
		end = s.ctx.Effects.Marks[n-1].End
	}
	require.Len(t, s.ctx.Effects.Buf, end, "effects without a mark")
	return s.split()
}

// Call implements command.Host.
func (s *Side) Call(c *command.Ctx, cmd *command.Command, argv [][]byte) {
	outer, outerArgv, quiet := c.Cmd, c.Argv, c.Quiet()
	c.Nested++
	s.call(cmd, argv)
	c.Nested--
	c.Reset(outer, outerArgv)
	if quiet {
		c.DontPropagate()
	}
}

// Park implements command.Host: nobody waits on a bench, so the time is up at once.
func (s *Side) Park(c *command.Ctx, p command.Park) command.Ticket {
	p.TimedOut(c.Out)
	return ended{}
}

type ended struct{}

func (ended) Finish(func(*resp.Writer)) bool { return false }

// Notify implements command.Host.
func (s *Side) Notify(c *command.Ctx, class command.EventClass, event string, key []byte) {
	s.note(class, event, c.Txn.DB(), key)
}

func (s *Side) note(class command.EventClass, event string, db int, key []byte) {
	if !s.quiet {
		s.events = append(s.events, Event{class, event, db, string(key)})
	}
}

// Watched is how many keys the RESP2 side's store has under WATCH.
func (b *Bench) Watched() int {
	var t store.Txn
	t.BeginAll(b.stores[0], b.Now)
	defer t.End()
	return t.MemStats().Watched
}

// SetEviction sets the maxmemory-policy of both sides, with Redis' default factors.
func (b *Bench) SetEviction(p store.Policy) {
	for _, s := range b.stores {
		s.SetEviction(p, 10, 1)
	}
}
