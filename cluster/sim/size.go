package sim

import "github.com/sextantdb/sextant/bus"

// frameSize estimates an encoded frame without encoding it; TestSizeEstimate holds it
// against bus.Codec. Most of a frame is ids of 20 bytes (22 encoded).
func frameSize(m *bus.Msg) int {
	const head, id, stat = 52, 22, 97
	row := func(r *bus.Row) int { return 76 + len(r.IP) + len(r.Host) + 3*len(r.Slots) }
	rec := func(r *bus.Rec) int { return 58 + 26*len(r.ISR) }
	spans := func(ss []bus.SlotSpan) (n int) {
		for i := range ss {
			n += 24 + 3*len(ss[i].Slots)
		}
		return n
	}
	regs := func(rs []bus.Register) (n int) {
		for i := range rs {
			n += 28 + rec(&rs[i].Rec)
		}
		return n
	}
	n := head
	switch b := m.Body.(type) {
	case *bus.Ping:
		n += stat + 14 + len(b.YouAre) + 26*len(b.Bans) + 50*len(b.Fails) + id*len(b.Suspects)
		if !b.For.IsZero() {
			n += id
		}
		for i := range b.Rows {
			n += row(&b.Rows[i])
		}
		for i := range b.Recs {
			n += rec(&b.Recs[i])
		}
	case *bus.Table:
		n += 24 + 50*len(b.Fails)
		for i := range b.Rows {
			n += row(&b.Rows[i])
		}
		for i := range b.Recs {
			n += rec(&b.Recs[i])
		}
	case *bus.Meet:
		n += 16 + row(&b.Row) + len(b.YouAre)
	case *bus.MeetAck:
		n += 16 + row(&b.Row) + len(b.YouAre) + len(b.Refuse)
	case *bus.Buckets:
		n += 5 + len(b.Hash)
		for _, h := range b.Hash {
			if h != 0 {
				n += 8
			}
		}
	case *bus.SlotMap:
		n += 6 + spans(b.Spans)
	case *bus.VoterSet:
		n += 5 + id*len(b.Set)
	case *bus.LeaseReq:
		n += 30 + stat
	case *bus.LeaseAck:
		n += 32
	case *bus.LeaseRelease:
		n += 24
	case *bus.VoteReq:
		n += 48 + stat
	case *bus.VoteAck:
		n += 26 + rec(&b.Rec)
	case *bus.VoteWait:
		n += 30 + len(b.Why) + rec(&b.Rec)
	case *bus.Nack:
		n += 26 + len(b.Why) + rec(&b.Rec)
	case *bus.Accept:
		n += 10 + rec(&b.Rec) + stat
	case *bus.AcceptAck:
		n += 34
	case *bus.Frozen:
		n += 90 + id*len(b.Next) + regs(b.Regs) + spans(b.Slots.Spans) + 52
	case *bus.SetAccept:
		n += 28 + id*len(b.Next)
	case *bus.Install:
		n += 56 + id*len(b.Set) + regs(b.Regs) + spans(b.Slots.Spans)
	case *bus.SlotPromise:
		n += 80 + spans(b.Reg.Spans)
	case *bus.SlotAccept:
		n += 28 + spans(b.Spans)
	case *bus.Form:
		n += 84 + id*len(b.Set) + regs(b.Regs) + spans(b.Slots.Spans)
	case *bus.Suspect:
		n += 3 + id*len(b.Nodes)
	case *bus.Handover:
		n += 42 + len(b.Why)
	case *bus.Installed, *bus.SlotPrepare:
		n += 4
	default:
		n += 26
	}
	return n
}
