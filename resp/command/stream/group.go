package stream

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// groupWords are the options of XGROUP CREATE and SETID.
type groupWords struct {
	mkStream bool
	read     int64
}

func (g *groupWords) parse(c *command.Ctx, create bool) (ok bool) {
	g.read = value.StreamReadUnknown
	for i := 5; i < len(c.Argv); i++ {
		switch {
		case create && command.Is(c.Argv[i], "MKSTREAM"):
			g.mkStream = true
		case i+1 < len(c.Argv) && command.Is(c.Argv[i], "ENTRIESREAD"):
			i++
			if g.read, ok = c.Int(i); !ok {
				return false
			}
			if g.read < 0 && g.read != value.StreamReadUnknown {
				c.Fail(resp.ErrXGroupEntriesRead)
				return false
			}
		default:
			c.Fail(resp.ErrUnknownSubcommandOrArgs("xgroup", c.Argv[1]))
			return false
		}
	}
	return true
}

func xgroupCreate(c *command.Ctx) {
	var g groupWords
	if !g.parse(c, true) {
		return
	}
	key, group := c.Argv[2], c.Argv[3]
	s, found, ok := open(c, key)
	if !ok {
		return
	}
	if !found && !g.mkStream {
		c.Fail(resp.ErrXGroupNoKey)
		return
	}
	if len(c.Argv) > 8 {
		c.Fail(resp.ErrUnknownSubcommandOrArgs("xgroup", c.Argv[1]))
		return
	}
	var last value.StreamID
	switch {
	case string(c.Argv[4]) != "$":
		if last, ok = strictID(c, 4); !ok {
			return
		}
	case found:
		last = s.Last
	}
	if !found {
		s = value.NewStream()
	} else if s.Group(group) != nil {
		c.Fail(resp.ErrBusyGroup)
		return
	} else {
		s = edit(c, key)
	}
	s.CreateGroup(group, last, g.read)
	if !found {
		c.Txn.SetObject(key, s, store.NoExpire)
		c.Created(key)
	}
	c.Out.OK()
	c.Notify(command.EventStream, "xgroup-create", key)
}

// existing finds the stream at key and a group in it, nil if there is none, for the other
// subcommands of XGROUP. It answers the error, which with need a missing group is too.
func existing(c *command.Ctx, need bool) (s *value.StreamLog, g *value.StreamGroup, ok bool) {
	key, group := c.Argv[2], c.Argv[3]
	s, found, ok := open(c, key)
	if !ok {
		return nil, nil, false
	}
	if !found {
		c.Fail(resp.ErrXGroupNoKey)
		return nil, nil, false
	}
	if g = s.Group(group); g == nil && need {
		c.Fail(resp.ErrNoGroup(group, key))
		return nil, nil, false
	}
	return s, g, true
}

func xgroupSetID(c *command.Ctx) {
	var words groupWords
	if !words.parse(c, false) {
		return
	}
	s, _, ok := existing(c, true)
	if !ok {
		return
	}
	if len(c.Argv) > 7 {
		c.Fail(resp.ErrUnknownSubcommandOrArgs("xgroup", c.Argv[1]))
		return
	}
	last := s.Last
	if string(c.Argv[4]) != "$" {
		if last, ok = looseID(c, 4, 0); !ok {
			return
		}
	}
	key := c.Argv[2]
	g := edit(c, key).EditGroup(c.Argv[3])
	g.Last, g.Read = last, words.read
	c.Out.OK()
	c.Notify(command.EventStream, "xgroup-setid", key)
}

func xgroupDestroy(c *command.Ctx) {
	_, g, ok := existing(c, false)
	switch {
	case !ok:
	case g == nil:
		c.Out.Int(0)
	default:
		key := c.Argv[2]
		edit(c, key).DestroyGroup(c.Argv[3])
		c.Out.Int(1)
		c.Notify(command.EventStream, "xgroup-destroy", key)
	}
}

func xgroupCreateConsumer(c *command.Ctx) {
	_, g, ok := existing(c, true)
	if !ok {
		return
	}
	if _, is := g.Find(c.Argv[4]); is {
		c.Out.Int(0)
		return
	}
	ed := editGroup(c, c.Argv[2], c.Argv[3])
	ed.consumer(c.Argv[4])
	c.Out.Int(1) // the call as written is what replicas get
}

func xgroupDelConsumer(c *command.Ctx) {
	_, g, ok := existing(c, true)
	if !ok {
		return
	}
	o, is := g.Find(c.Argv[4])
	if !is {
		c.Out.Int(0)
		return
	}
	key := c.Argv[2]
	n := edit(c, key).EditGroup(c.Argv[3]).RemoveConsumer(o)
	c.Out.Int(int64(n))
	c.Notify(command.EventStream, "xgroup-delconsumer", key)
}

func xgroupHelp(c *command.Ctx) {
	c.Help(
		"CREATE <key> <groupname> <id|$> [option]",
		"    Make a consumer group. Options:",
		"    * MKSTREAM",
		"      Make the stream too if it does not exist.",
		"    * ENTRIESREAD entries_read",
		"      How many entries the group has been given (for replication).",
		"CREATECONSUMER <key> <groupname> <consumer>",
		"    Add a consumer to a group.",
		"DELCONSUMER <key> <groupname> <consumer>",
		"    Remove a consumer from a group.",
		"DESTROY <key> <groupname>",
		"    Remove a group.",
		"SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
		"    Set the last id that a group has been given, and entries_read.",
	)
}

// groupEdit is a group while a command changes it, and the stream it belongs to.
type groupEdit struct {
	c           *command.Ctx
	key, name   []byte
	s           *value.StreamLog
	g           *value.StreamGroup
	dirty       bool // it has really changed, see Txn.Amended
	noAck       bool // a consumer that is made is told of at once, as in Redis
	lastIDMoved bool // g.Last was raised and nothing has told so yet

	// untold is a consumer that was made and that nothing has told replicas of yet. Redis leaves it at
	// that; here settle tells them, so that a promoted replica knows the same consumers.
	untold []byte
}

// editGroup begins a change. REQUIRES: the key holds a stream that has the group.
func editGroup(c *command.Ctx, key, group []byte) groupEdit {
	s := amend(c, key)
	return groupEdit{c: c, key: key, name: group, s: s, g: s.EditGroup(group)}
}

// changed says that the change is a real one.
func (ed *groupEdit) changed() {
	if !ed.dirty {
		ed.dirty = true
		ed.c.Txn.Amended(ed.key)
	}
}

// consumer finds a consumer, adding it if it does not exist, and notes that it was seen.
func (ed *groupEdit) consumer(name []byte) value.StreamOwner {
	now := ed.c.Txn.Now()
	o, isNew := ed.g.CreateConsumer(name, now)
	if !isNew {
		ed.g.EditConsumer(o).Seen = now
		return o
	}
	ed.changed()
	ed.c.Notify(command.EventStream, "xgroup-createconsumer", ed.key)
	ed.untold = name
	if ed.noAck {
		ed.settle()
	}
	return o
}

// settle tells of a consumer that was made, if nothing has.
func (ed *groupEdit) settle() {
	if ed.untold != nil {
		ed.c.PropagateAs(wordXGroup, wordCreateConsumer, ed.key, ed.name, ed.untold)
		ed.untold = nil
	}
}

// put makes an entry pending, or changes a pending one, in the name of its consumer.
func (ed *groupEdit) put(p value.StreamPending) {
	ed.g.Put(p)
	ed.g.EditConsumer(p.Owner).Active = ed.c.Txn.Now()
}

// propagatePending tells replicas how an entry is pending now, as an XCLAIM that does the same
// however often it is repeated.
func (ed *groupEdit) propagatePending(p value.StreamPending, id []byte) {
	if ed.c.Effects.Off {
		return
	}
	consumer := ed.g.Consumer(p.Owner).Name
	if string(ed.untold) == consumer {
		ed.untold = nil
	}
	var last idText
	var time, count [20]byte
	ed.c.PropagateAs(wordXClaim, ed.key, ed.name, []byte(consumer), wordZero, id,
		wordTime, appendInt(time[:0], p.Time), wordRetryCount, appendInt(count[:0], int64(p.Count)),
		wordForce, wordJustID, wordLastID, ed.g.Last.Append(last[:0]))
}

// propagateLast tells replicas how far the group has been given the stream.
func (ed *groupEdit) propagateLast() {
	var last idText
	var read [20]byte
	ed.c.PropagateAs(wordXGroup, wordSetID, ed.key, ed.name, ed.g.Last.Append(last[:0]), wordEntriesRead, appendInt(read[:0], ed.g.Read))
}

// The words that calls are rewritten with.
var (
	wordXClaim         = []byte("XCLAIM")
	wordXGroup         = []byte("XGROUP")
	wordSetID          = []byte("SETID")
	wordCreateConsumer = []byte("CREATECONSUMER")
	wordEntriesRead    = []byte("ENTRIESREAD")
	wordTime           = []byte("TIME")
	wordRetryCount     = []byte("RETRYCOUNT")
	wordForce          = []byte("FORCE")
	wordJustID         = []byte("JUSTID")
	wordLastID         = []byte("LASTID")
	wordZero           = []byte("0")
)

// give is serve for XREADGROUP: the entries answered are the consumer's from then on, or, with an
// id, were so already.
func (r *readCall) give(c *command.Ctx, key []byte, a after) bool {
	ed := editGroup(c, key, r.group)
	ed.noAck = r.noAck
	o := ed.consumer(r.consumer)
	ok := ed.deliver(o, r, key, a)
	ed.settle()
	return ok
}

// deliver is give for a consumer that exists.
func (ed *groupEdit) deliver(o value.StreamOwner, r *readCall, key []byte, a after) bool {
	c := ed.c
	if !a.fresh {
		putKey(c.Out, key)
		ed.history(o, a.id, r.count)
		ed.changed()
		return true
	}
	if top, any := ed.s.LastEntry(); !any || top.Compare(ed.g.Last) <= 0 {
		return false
	}
	putKey(c.Out, key)
	ed.fresh(o, r)
	ed.changed()
	return true
}

// fresh answers the entries that no consumer of the group has been given yet.
func (ed *groupEdit) fresh(o value.StreamOwner, r *readCall) {
	w, s, g := ed.c.Out, ed.s, ed.g
	mark, n := w.Defer(), 0
	from, _ := g.Last.Next()
	for it := s.Range(from, value.StreamMaxID, false); (r.count == 0 || int64(n) < r.count) && it.Next(); n++ {
		switch {
		case g.Read != value.StreamReadUnknown && !s.HasTombstones(it.ID):
			g.Read++
		case s.Added > 0:
			g.Read = s.Distance(it.ID)
		}
		g.Last = it.ID
		putEntry(w, &it)
		if r.noAck {
			continue
		}
		// XGROUP SETID may have turned the group back: then the entry can be pending already.
		p := value.StreamPending{ID: it.ID, Time: ed.c.Txn.Now(), Count: 1, Owner: o}
		ed.put(p)
		var id idText
		ed.propagatePending(p, it.ID.Append(id[:0]))
	}
	w.EndArray(mark, n)
	ed.propagateLast()
}

// history answers what the consumer has pending behind an id, which counts as delivered again.
func (ed *groupEdit) history(o value.StreamOwner, behind value.StreamID, count int64) {
	w := ed.c.Out
	mark, n := w.Defer(), 0
	from, _ := behind.Next() // there is one, see ids
	for it := ed.g.Walk(from, o); (count == 0 || int64(n) < count) && it.Next(); n++ {
		p := it.Pending
		if putOne(w, ed.s, p.ID) {
			p.Time = ed.c.Txn.Now()
			p.Count++
			ed.g.Put(p)
		} else { // it was deleted
			w.Array(2)
			putID(w, p.ID)
			w.NullArray()
		}
	}
	w.EndArray(mark, n)
}

func xack(c *command.Ctx) {
	key, group := c.Argv[1], c.Argv[2]
	s, found, ok := read(c, key)
	if !ok {
		return
	}
	if !found || s.Group(group) == nil {
		c.Out.Int(0)
		return
	}
	var few [8]value.StreamID
	ids, ok := strictIDs(c, 3, few[:0])
	if !ok {
		return
	}
	ed, n := editGroup(c, key, group), int64(0)
	for _, id := range ids {
		if ed.g.Ack(id) {
			n++
			ed.changed()
		}
	}
	c.Out.Int(n)
}

// pendingOf finds the group of a call whose words are key and group. It answers the error.
func pendingOf(c *command.Ctx) (*value.StreamLog, *value.StreamGroup, bool) {
	key, group := c.Argv[1], c.Argv[2]
	s, found, ok := read(c, key)
	if !ok {
		return nil, nil, false
	}
	if found {
		if g := s.Group(group); g != nil {
			return s, g, true
		}
	}
	c.Fail(resp.ErrNoKeyOrGroup(key, group))
	return nil, nil, false
}

func xpending(c *command.Ctx) {
	if len(c.Argv) == 3 {
		if _, g, ok := pendingOf(c); ok {
			putPendingSummary(c.Out, g)
		}
		return
	}
	if len(c.Argv) < 6 || len(c.Argv) > 9 {
		c.Fail(resp.ErrSyntax)
		return
	}
	from, minIdle, ok := 3, int64(0), false
	if command.Is(c.Argv[3], "IDLE") {
		if minIdle, ok = c.Int(4); !ok {
			return
		}
		if len(c.Argv) < 8 {
			c.Fail(resp.ErrSyntax)
			return
		}
		from = 5
	}
	count, ok := c.Int(from + 2)
	if !ok {
		return
	}
	lo, ok := start(c, from)
	if !ok {
		return
	}
	hi, ok := end(c, from+1)
	if !ok {
		return
	}
	_, g, ok := pendingOf(c)
	if !ok {
		return
	}
	owner := value.StreamOwner(value.StreamNoOwner)
	if from+3 < len(c.Argv) {
		if owner, ok = g.Find(c.Argv[from+3]); !ok {
			c.Out.Array(0)
			return
		}
	}
	w, now := c.Out, c.Txn.Now()
	mark, n := w.Defer(), 0
	for p := g.Walk(lo, owner); int64(n) < count && p.Next() && p.ID.Compare(hi) <= 0; {
		if idle := now - p.Time; minIdle == 0 || idle >= minIdle {
			n++
			w.Array(4)
			putID(w, p.ID)
			w.BulkString(g.Consumer(p.Owner).Name)
			w.Int(max(idle, 0))
			w.Int(int64(p.Count))
		}
	}
	w.EndArray(mark, n)
}

func putPendingSummary(w *resp.Writer, g *value.StreamGroup) {
	w.Array(4)
	w.Int(int64(g.Pending()))
	if g.Pending() == 0 {
		w.Null()
		w.Null()
		w.NullArray()
		return
	}
	lo, hi := g.Edges()
	putID(w, lo)
	putID(w, hi)
	mark, n := w.Defer(), 0
	for _, o := range g.Consumers() {
		if c := g.Consumer(o); c.Pending() > 0 {
			w.Array(2)
			w.BulkString(c.Name)
			w.BulkInt(int64(c.Pending()))
			n++
		}
	}
	w.EndArray(mark, n)
}
