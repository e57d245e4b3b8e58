package stream

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

// refsCall is a call of XDELEX or XACKDEL, parsed. Both reach replicas as XACK and XDEL, which all of
// them know.
type refsCall struct {
	mode string // KEEPREF, or what the call says
	ids  []value.StreamID
}

// What is answered for an id.
const (
	refsNone    = -1 // it is not there
	refsDeleted = 1
	refsHeld    = 2 // with ACKED: a group still has it pending, or has yet to be given it
)

func (r *refsCall) parse(c *command.Ctx, from int) bool {
	modes := [...]string{"KEEPREF", "DELREF", "ACKED"}
next:
	for i := from; i < len(c.Argv); i++ {
		for _, mode := range modes {
			if command.Is(c.Argv[i], mode) && r.mode == "" {
				r.mode = mode
				continue next
			}
		}
		if r.ids != nil || !command.Is(c.Argv[i], "IDS") || i+1 == len(c.Argv) {
			c.Fail(resp.ErrSyntax)
			return false
		}
		n, ok := value.ParseInt(c.Argv[i+1])
		if !ok || n < 1 {
			c.Fail(resp.ErrXIDsCount)
			return false
		}
		if n > int64(len(c.Argv)-i-2) {
			c.Fail(resp.ErrXIDsMatch)
			return false
		}
		for range n {
			id, ok := strictID(c, i+2)
			if !ok {
				return false
			}
			r.ids = append(r.ids, id)
			i++
		}
		i++
	}
	if r.ids == nil {
		c.Fail(resp.ErrSyntax)
	}
	return r.ids != nil
}

// held reports whether a group still needs the entry.
func held(s *value.StreamLog, id value.StreamID) bool {
	for _, g := range s.Groups() {
		if _, pending := g.Get(id); pending || g.Last.Compare(id) < 0 {
			return true
		}
	}
	return false
}

func xdelex(c *command.Ctx)  { runRefs(c, 2, nil) }
func xackdel(c *command.Ctx) { runRefs(c, 3, c.Argv[2]) }

// runRefs deletes entries; with a group, only those it has pending, which are acknowledged.
func runRefs(c *command.Ctx, from int, group []byte) {
	var r refsCall
	if !r.parse(c, from) {
		return
	}
	key := c.Argv[1]
	s, found, ok := open(c, key)
	if !ok {
		return
	}
	c.Out.Array(len(r.ids))
	if !found || group != nil && s.Group(group) == nil {
		for range r.ids {
			c.Out.Int(refsNone)
		}
		return
	}
	s = amend(c, key)
	c.DontPropagate() // but what follows
	changed, deleted := false, false
	ack := func(group []byte, id value.StreamID) bool {
		if g := s.EditGroup(group); !g.Ack(id) {
			return false
		}
		var text idText
		c.PropagateAs(wordXAck, key, group, id.Append(text[:0]))
		changed = true
		return true
	}
	for _, id := range r.ids {
		if group != nil && !ack(group, id) || group == nil && !s.Has(id) {
			c.Out.Int(refsNone)
			continue
		}
		if r.mode == "ACKED" && held(s, id) {
			c.Out.Int(refsHeld)
			continue
		}
		if r.mode == "DELREF" {
			for _, g := range s.Groups() {
				if _, pending := g.Get(id); pending {
					ack([]byte(g.Name), id)
				}
			}
		}
		if s.Delete(id) {
			var text idText
			c.PropagateAs(wordXDel, key, id.Append(text[:0]))
			changed, deleted = true, true
		}
		c.Out.Int(refsDeleted)
	}
	if changed {
		c.Txn.Amended(key)
	}
	if deleted {
		c.Notify(command.EventStream, "xdel", key)
	}
}

var (
	wordXAck = []byte("XACK")
	wordXDel = []byte("XDEL")
)
