package stream

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

// claimCall is a call of XCLAIM, parsed.
type claimCall struct {
	minIdle    int64
	time       int64 // of the delivery; -1: now
	retryCount int64 // -1: one more
	last       value.StreamID
	force      bool
	justID     bool
}

// parse reads the call and answers the error. The ids are put behind few.
func (r *claimCall) parse(c *command.Ctx, few []value.StreamID) (ids []value.StreamID, ok bool) {
	number := func(i int, err resp.Error) (n int64, ok bool) {
		if n, ok = value.ParseInt(c.Argv[i]); !ok {
			c.Fail(err)
		}
		return n, ok
	}
	if r.minIdle, ok = number(4, resp.ErrXClaimMinIdle); !ok {
		return nil, false
	}
	i := 5
	for ids = few; i < len(c.Argv); i++ { // the first word that is no id is an option
		id, ok := parseID(c.Argv[i], 0)
		if !ok {
			break
		}
		ids = append(ids, id)
	}
	r.time, r.retryCount = -1, -1
	for ; i < len(c.Argv); i++ {
		word, more := c.Argv[i], i+1 < len(c.Argv)
		ok = true
		switch {
		case command.Is(word, "FORCE"):
			r.force = true
		case command.Is(word, "JUSTID"):
			r.justID = true
		case more && command.Is(word, "IDLE"):
			i++
			r.time, ok = number(i, resp.ErrXClaimIdle)
			r.time = c.Txn.Now() - r.time
		case more && command.Is(word, "TIME"):
			i++
			r.time, ok = number(i, resp.ErrXClaimTime)
		case more && command.Is(word, "RETRYCOUNT"):
			i++
			r.retryCount, ok = number(i, resp.ErrXClaimRetryCount)
		case more && command.Is(word, "LASTID"):
			i++
			r.last, ok = strictID(c, i)
		default:
			c.Fail(resp.ErrXClaimOption(word))
			return nil, false
		}
		if !ok {
			return nil, false
		}
	}
	if now := c.Txn.Now(); r.time < 0 || r.time > now {
		r.time = now // clients' clocks may be ahead of ours
	}
	return ids, true
}

func xclaim(c *command.Ctx) {
	if _, _, ok := pendingOf(c); !ok {
		return
	}
	var r claimCall
	var few [8]value.StreamID
	ids, ok := r.parse(c, few[:0])
	if !ok {
		return
	}
	c.DontPropagate() // but what follows
	ed := editGroup(c, c.Argv[1], c.Argv[2])
	if r.last.Compare(ed.g.Last) > 0 {
		ed.g.Last = r.last
		ed.lastIDMoved = true
	}
	o := ed.consumer(c.Argv[3])
	mark, n := c.Out.Defer(), 0
	for i, id := range ids {
		if ed.claim(o, id, c.Argv[5+i], &r) {
			n++
		}
	}
	c.Out.EndArray(mark, n)
	if ed.lastIDMoved {
		ed.propagateLast()
		ed.changed()
	}
	ed.settle()
}

// claim gives one entry to the consumer and answers it; false if it does not. text is its id as the
// call wrote it.
func (ed *groupEdit) claim(o value.StreamOwner, id value.StreamID, text []byte, r *claimCall) bool {
	p, pending := ed.g.Get(id)
	if !ed.s.Has(id) {
		if pending {
			ed.forget(p, text)
		}
		return false
	}
	switch {
	case pending && r.minIdle > 0 && ed.c.Txn.Now()-p.Time < r.minIdle:
		return false
	case !pending && !r.force:
		return false
	case !pending:
		p = value.StreamPending{ID: id, Count: 1}
	}
	p.Owner, p.Time = o, r.time
	if r.retryCount >= 0 {
		p.Count = uint64(r.retryCount)
	} else if !r.justID {
		p.Count++
	}
	ed.take(p, r.justID, text)
	return true
}

// take makes p pending as it says, and answers it.
func (ed *groupEdit) take(p value.StreamPending, justID bool, text []byte) {
	ed.put(p)
	if justID {
		putID(ed.c.Out, p.ID)
	} else {
		putOne(ed.c.Out, ed.s, p.ID)
	}
	ed.propagatePending(p, text)
	ed.lastIDMoved = false // that has told it
	ed.changed()
}

// forget makes an entry that was deleted no longer pending. Replicas do so when they are told to
// claim it.
func (ed *groupEdit) forget(p value.StreamPending, text []byte) {
	ed.propagatePending(p, text)
	ed.lastIDMoved = false
	ed.g.Ack(p.ID)
	ed.changed()
}

const (
	autoClaimCount = 100 // entries, if the call does not say

	// lookedAt is how many pending entries XAUTOCLAIM looks at for each that it may claim.
	lookedAt = 10
)

func xautoclaim(c *command.Ctx) {
	minIdle, ok := value.ParseInt(c.Argv[4])
	if !ok {
		c.Fail(resp.ErrXAutoClaimMinIdle)
		return
	}
	from, ok := start(c, 5)
	if !ok {
		return
	}
	count, justID := int64(autoClaimCount), false
	for i := 6; i < len(c.Argv); i++ {
		switch {
		case i+1 < len(c.Argv) && command.Is(c.Argv[i], "COUNT"):
			i++
			const most = 1<<63 - 1
			if count, ok = value.ParseInt(c.Argv[i]); !ok || count < 1 || count > most/value.StreamIDBytes {
				c.Fail(resp.ErrXAutoClaimCount)
				return
			}
		case command.Is(c.Argv[i], "JUSTID"):
			justID = true
		default:
			c.Fail(resp.ErrSyntax)
			return
		}
	}
	if _, _, ok := pendingOf(c); !ok {
		return
	}
	c.DontPropagate() // but what follows
	ed := editGroup(c, c.Argv[1], c.Argv[2])
	o := ed.consumer(c.Argv[3])
	// The entries are answered behind the cursor, which is known last.
	begin := c.Out.Len()
	mark, n := c.Out.Defer(), 0
	var gone []value.StreamID
	now := c.Txn.Now()
	looks := count * lookedAt
	var cursor value.StreamID // where to go on
	for it := ed.g.Walk(from, value.StreamNoOwner); it.Next(); {
		p := it.Pending
		if count == 0 || looks == 0 {
			cursor = p.ID
			break
		}
		looks--
		var text idText
		id := p.ID.Append(text[:0])
		switch {
		case !ed.s.Has(p.ID):
			gone = append(gone, p.ID)
			ed.forget(p, id)
			count--
		case minIdle <= 0 || now-p.Time >= minIdle:
			p.Owner, p.Time = o, now
			if !justID {
				p.Count++
			}
			ed.take(p, justID, id)
			n++
			count--
		}
	}
	c.Out.EndArray(mark, n)
	ed.settle()
	claimed := append(c.Scratch[:0], c.Out.From(begin)...)
	c.Out.Truncate(begin)
	c.Out.Array(3)
	putID(c.Out, cursor)
	c.Out.Raw(claimed)
	c.Scratch = claimed
	c.Out.Array(len(gone))
	for _, id := range gone {
		putID(c.Out, id)
	}
}
