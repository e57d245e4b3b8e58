package core

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/store/slot"
)

// Durable state, by key (topology/conf.go has the file around it):
//
//	self             identity, counters and fence as text, then my own row
//	node.<id>        another node's row
//	voters, slots    the decided voter set and slot map I know
//	rec.<shard>      a decided record I know
//	voter            version installed here with its members, freeze and ballots of a change
//	reg.<shard>      what I promised and accepted for a shard, as a voter
//	slotreg          the same for the slot map
//	form             the formation I am locked to

func (m *Machine) save(key string) { m.dirty[key] = true }

// saveSoon is save for what a crash of the whole machine may take: others can tell it again, or
// the operator sees that it is gone (marks of open slots). It is written at once, so the end
// of the process alone loses nothing.
func (m *Machine) saveSoon(key string) { m.dirty[key] = m.dirty[key] }

// decided says that a record is knowledge of what voters decided. It is written behind what this node
// holds as a voter: a torn write keeps the first records of a save, and a sole voter decides by what
// it has accepted in the same step.
func decided(key string) bool {
	kind, _, _ := strings.Cut(key, ".")
	return kind == "rec" || kind == "slots" || kind == "voters"
}

// takeSave encodes what changed.
func (m *Machine) takeSave() *Save {
	if m.saveAll {
		m.saveAll = false
		m.saveTok++
		clear(m.dirty)
		return &Save{Tok: m.saveTok, All: true, Records: m.Records()}
	}
	if len(m.dirty) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m.dirty))
	lazy := true
	for k, now := range m.dirty {
		keys = append(keys, k)
		lazy = lazy && !now
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Or(b2i(decided(a))-b2i(decided(b)), strings.Compare(a, b)) })
	clear(m.dirty)
	m.saveTok++
	s := &Save{Tok: m.saveTok, Lazy: lazy}
	for _, k := range keys {
		s.Records = append(s.Records, topology.Record{Key: k, Value: m.encode(k)})
	}
	return s
}

// Records is the whole durable state, for a new generation of the file.
func (m *Machine) Records() (out []topology.Record) {
	keys := []string{"self"}
	for _, p := range m.nodes {
		if p != m.me && p.row.Ver != 0 {
			keys = append(keys, "node."+p.row.ID.String())
		}
	}
	if m.formed() {
		keys = append(keys, "voters")
	}
	if m.slots.ver > 0 {
		keys = append(keys, "slots")
	}
	for i := range m.recs {
		keys = append(keys, "rec."+m.recs[i].Shard.String())
	}
	keys = append(keys, "voter")
	if m.vote.ver > 0 {
		keys = append(keys, "slotreg")
		for i := range m.vote.regs {
			keys = append(keys, "reg."+m.vote.regs[i].Shard.String())
		}
	}
	if m.form.lock != nil {
		keys = append(keys, "form")
	}
	for _, k := range keys {
		out = append(out, topology.Record{Key: k, Value: m.encode(k)})
	}
	return out
}

func (m *Machine) pack(b bus.Body) string {
	s, err := topology.Pack(m.codec, &bus.Msg{Body: b})
	if err != nil {
		return "" // longer than a frame: cannot happen below the table bounds
	}
	return s
}

func (m *Machine) encode(key string) string {
	kind, name, _ := strings.Cut(key, ".")
	id, _ := bus.ParseNodeID(name)
	switch kind {
	case "self":
		var open []string
		for _, o := range m.open {
			dir := ">"
			if o.Importing {
				dir = "<"
			}
			open = append(open, fmt.Sprintf("%d%s%s", o.Slot, dir, o.Peer))
		}
		return fmt.Sprintf("id=%s cluster=%s boot=%d inc=%d epoch=%d fence=%d newer=%d newerinc=%d open=%s row=%s", m.self, m.cluster, m.boot, m.inc,
			m.epoch, m.lead.fence, m.newer.life, m.newer.inc, strings.Join(open, ","), m.pack(&bus.Table{Rows: []bus.Row{m.me.row}}))
	case "node":
		if p := m.find(id); p != nil && p != m.me {
			return m.pack(&bus.Table{Rows: []bus.Row{p.row}})
		}
	case "voters":
		if m.formed() {
			return m.pack(&bus.VoterSet{Ver: m.voterVer, Set: m.voters})
		}
	case "slots":
		if m.slots.ver > 0 {
			return m.pack(&bus.SlotMap{Ver: m.slots.ver, Spans: m.slots.spans()})
		}
	case "rec":
		if r := m.rec(id); !r.IsZero() {
			return m.pack(&bus.Table{Recs: []bus.Rec{*r}})
		}
	case "voter":
		v := &m.vote
		var gone []string
		for _, g := range v.gone {
			gone = append(gone, fmt.Sprintf("%s:%d", g.cluster, g.ver))
		}
		return fmt.Sprintf("ver=%d gone=%s %s", v.ver, strings.Join(gone, ","),
			m.pack(&bus.Frozen{Ver: v.ver, OK: v.frozen, Promised: v.promised, Accepted: v.accepted, Next: v.next})) +
			" " + m.pack(&bus.VoterSet{Ver: v.ver, Set: v.set})
	case "reg":
		for i := range m.vote.regs {
			if m.vote.regs[i].Shard == id {
				return m.pack(&bus.Install{Regs: []bus.Register{m.vote.regs[i].Register}})
			}
		}
	case "slotreg":
		return m.pack(&bus.Install{Slots: m.vote.slots})
	case "form":
		if m.form.lock != nil {
			return m.pack(m.form.lock)
		}
	}
	return ""
}

// Peek reads a node's identity out of a state file, for tools that check for copied files.
func Peek(l *topology.Loaded) (id bus.NodeID, cluster bus.ClusterID, ok bool) {
	for _, r := range l.Records {
		if r.Key == "self" {
			f := fields(r.Value)
			id, ok = bus.ParseNodeID(f["id"])
			c, _ := strconv.ParseUint(f["cluster"], 16, 64)
			return id, bus.ClusterID(c), ok
		}
	}
	return id, 0, false
}

func fields(s string) map[string]string {
	out := map[string]string{}
	for _, f := range strings.Fields(s) {
		k, v, _ := strings.Cut(f, "=")
		out[k] = v
	}
	return out
}

// restore continues from a state file. Records it cannot read are skipped: what they held
// comes back by gossip, and the file's own checksums caught damage before. (A voter's own
// promises are the exception that matters, and they are text of this package's making.)
func (m *Machine) restore(b Boot) {
	m.slots = mapOf(0, nil)
	id, cluster, ok := Peek(b.State)
	if !ok {
		m.fresh()
		m.event(EvDropped, m.self, 0, "state file without identity: starting fresh")
		return
	}
	m.self, m.cluster = id, cluster
	m.me = &peer{row: bus.Row{ID: id}, addedAt: m.now}
	m.alone()
	for _, r := range b.State.Records {
		m.restoreRecord(r)
	}
	if m.vote.ver > m.voterVer { // a torn write kept what was installed and lost that it is known
		m.voterVer, m.voters = m.vote.ver, append([]bus.NodeID(nil), m.vote.set...)
		sortIDs(m.voters)
	}
	m.boot++
	if m.isOlder() { // it was stopped for that: this start is the newest one now
		m.boot = max(m.boot, m.newer.life>>32+1)
		m.inc = max(m.inc, m.newer.inc) + 1
		m.forgetVotes()
		m.newer = superseded{}
	} else if !b.DataComplete {
		m.inc++
	}
	m.newLife()
	if m.off(AblateNoIncarnation) {
		m.inc = 1
	}
	m.vote.quiet = m.vote.ver > 0
	m.vote.mapSeen = m.vote.slots.Ver
	if m.me.row.Shard.IsZero() {
		m.me.row.Shard = m.rng.id()
	}
	m.announce(m.me)
	for _, p := range m.nodes {
		m.rehash(p)
		p.statInc = p.row.Inc
	}
	m.lead.newVersion(m)
	m.firstSlots()
	if m.vote.frozen {
		m.vote.frozenAt = m.now
	}
	if b.State.Repaired != "" {
		m.event(EvDropped, m.self, 0, "state file repaired: %s", b.State.Repaired)
	}
}

func (m *Machine) unpack(s string) bus.Body {
	msg, err := topology.Unpack(m.codec, s)
	if err != nil {
		return &bus.Hello{}
	}
	return msg.Body
}

func (m *Machine) restoreRecord(r topology.Record) {
	kind, _, _ := strings.Cut(r.Key, ".")
	switch kind {
	case "self":
		f := fields(r.Value)
		num := func(k string) uint64 { n, _ := strconv.ParseUint(f[k], 10, 64); return n }
		m.boot, m.inc, m.epoch, m.lead.fence = num("boot"), num("inc"), max(m.epoch, num("epoch")), num("fence")
		m.newer.life, m.newer.inc = num("newer"), num("newerinc")
		if t, ok := m.unpack(f["row"]).(*bus.Table); ok && len(t.Rows) == 1 && t.Rows[0].ID == m.self {
			m.me.row = t.Rows[0]
		}
		for _, o := range strings.Split(f["open"], ",") {
			i := strings.IndexAny(o, "<>")
			if i < 0 {
				continue
			}
			n, okN := slot.Parse([]byte(o[:i]))
			peer, okP := bus.ParseNodeID(o[i+1:])
			if okN && okP {
				m.open = append(m.open, topology.Open{Slot: n, Importing: o[i] == '<', Peer: peer})
			}
		}
	case "voter":
		f := strings.Fields(r.Value)
		kv := fields(r.Value)
		for _, g := range strings.Split(kv["gone"], ",") {
			c, v, ok := strings.Cut(g, ":")
			cluster, _ := strconv.ParseUint(c, 16, 64)
			if ver, _ := strconv.ParseUint(v, 10, 64); ok {
				m.vote.gone = append(m.vote.gone, seat{bus.ClusterID(cluster), ver})
			}
		}
		if len(f) == 4 {
			if b, ok := m.unpack(f[2]).(*bus.Frozen); ok {
				m.vote.ver, m.vote.frozen, m.vote.promised, m.vote.accepted, m.vote.next = b.Ver, b.OK, b.Promised, b.Accepted, b.Next
			}
			if b, ok := m.unpack(f[3]).(*bus.VoterSet); ok {
				m.vote.set = b.Set
			}
		}
	default:
		m.restoreBody(m.unpack(r.Value))
	}
}

func (m *Machine) restoreBody(body bus.Body) {
	switch b := body.(type) {
	case *bus.Table:
		for i := range b.Rows {
			if b.Rows[i].ID != m.self && !b.Rows[i].ID.IsZero() {
				p := m.find(b.Rows[i].ID)
				if p == nil {
					p = m.add(b.Rows[i].ID)
				}
				p.row = b.Rows[i]
			}
		}
		for i := range b.Recs {
			m.learnRec(&b.Recs[i], false)
		}
	case *bus.VoterSet:
		if b.Ver > m.voterVer {
			m.voterVer, m.voters = b.Ver, b.Set
		}
	case *bus.SlotMap:
		m.slots = mapOf(b.Ver, b.Spans)
	case *bus.Install:
		for i := range b.Regs {
			*m.vote.reg(b.Regs[i].Shard) = reg{Register: b.Regs[i]}
		}
		if b.Slots.Ver > 0 || b.Slots.Promised.Round > 0 {
			m.vote.slots = b.Slots
		}
	case *bus.Form:
		m.form.lock = b
	}
}
