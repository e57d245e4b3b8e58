package sim

import (
	"fmt"
	"strings"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
)

// checker watches the whole world from outside. Numbers in comments are those of PROTOCOL 4.4.
type checker struct {
	w *World

	decided map[recKey]bus.Rec
	newest  map[bus.ShardID]bus.Rec   // decided
	raised  map[bus.ShardID][]bus.Rec // proposed, newer than newest
	sets    map[verKey][]bus.NodeID   // decided voter sets
	topSet  map[bus.ClusterID]uint64
	maps    map[verKey]string // decided slot maps, as saved
	topMap  map[bus.ClusterID]uint64
	owner   []bus.ShardID // by key, of the newest map

	regs      map[bus.NodeID]map[bus.ShardID]bus.Register // what each voter has spoken from
	installed map[bus.NodeID]uint64
	lives     map[bus.Member]dataLife
	forgotten map[bus.NodeID]core.Mono
	metAt     core.Mono

	served  map[bus.ShardID]served // last executed command of a shard
	slotBy  []slotServed           // by key
	floor   []uint64               // by key: a write that cannot be lost any more
	ackedBy []uint64               // by key: newest acknowledged write
	taken   bool                   // a TAKEOVER was ordered: it may lose data

	rounds map[round]*ballotBox // votes that candidates have been given

	codec *bus.Codec
	light bool // at scale: only what is cheap
}

type recKey struct {
	shard      bus.ShardID
	epoch, seq uint64
}
type verKey struct {
	cluster bus.ClusterID
	ver     uint64
}
type round struct {
	proc, life int // the next life may stand with the same epoch, for another reason
	epoch      uint64
}

// ballotBox is what a candidate can know when it proposes.
type ballotBox struct {
	silence bool
	from    []bus.NodeID
	recs    []bus.Rec
}

type dataLife struct{ proc, life int }
type served struct {
	epoch uint64
	proc  int
	life  int
}
type slotServed struct {
	ver   uint64
	shard bus.ShardID
}

// ledger is a process's notes for the checker and the stream.
type ledger struct {
	pinged core.Mono
}

func (c *checker) init(w *World) {
	*c = checker{w: w, decided: map[recKey]bus.Rec{}, newest: map[bus.ShardID]bus.Rec{}, raised: map[bus.ShardID][]bus.Rec{},
		sets: map[verKey][]bus.NodeID{}, topSet: map[bus.ClusterID]uint64{}, maps: map[verKey]string{}, topMap: map[bus.ClusterID]uint64{},
		regs: map[bus.NodeID]map[bus.ShardID]bus.Register{}, installed: map[bus.NodeID]uint64{}, lives: map[bus.Member]dataLife{},
		forgotten: map[bus.NodeID]core.Mono{}, served: map[bus.ShardID]served{}, rounds: map[round]*ballotBox{}, codec: bus.NewCodec()}
	c.owner, c.slotBy = make([]bus.ShardID, w.p.Keys), make([]slotServed, w.p.Keys)
	c.floor, c.ackedBy = make([]uint64, w.p.Keys), make([]uint64, w.p.Keys)
}

// stepped looks at one step before anything of it is performed.
func (c *checker) stepped(p *proc, in *core.Input, e *core.Effects) {
	w := c.w
	if c.light {
		if e.View != nil || len(e.Events) > 0 {
			p.insp = p.m.Inspect()
			c.events(p, e)
		}
		return
	}
	if err := p.m.Check(); err != nil {
		w.violated("local invariant", "%s: %v", p, err)
		return
	}
	if w.p.maxSends() < len(e.Send) { // 18
		w.violated("too many messages", "%s sends %d messages in one step", p, len(e.Send))
	}
	old := p.insp
	changed := e.Save != nil || e.View != nil || len(e.Events) > 0
	if changed {
		p.insp = p.m.Inspect()
		p.looked = true
	}
	if old.Self == p.insp.Self {
		c.voterStep(p, &old, e, changed)
	}
	if in.Kind == core.InMsg {
		if v, ok := in.Msg.Body.(*bus.VoteAck); ok {
			if box := c.rounds[round{p.i, p.life, v.Epoch}]; box != nil && !w.idIn(box.from, in.From) {
				box.from, box.recs = append(box.from, in.From), append(box.recs, v.Rec)
			}
		}
	}
	for _, ev := range e.Events {
		if ev.Kind == core.EvElectionStarted { // an epoch may be tried twice: only the last round's votes count
			c.rounds[round{p.i, p.life, ev.Epoch}] = &ballotBox{silence: strings.HasPrefix(ev.Text, "reason "+bus.VoteSilence.String())}
		}
	}
	for i := range e.Send {
		if b, ok := e.Send[i].Msg.Body.(*bus.Accept); ok {
			c.proposed(&b.Rec)
			c.based(p, &b.Rec, old.Regs)
		}
	}
	if !changed {
		return
	}
	if in.Kind == core.InMsg && old.VoterVer > 0 && in.Msg.VoterVer > 0 && in.Msg.Cluster != old.Cluster && in.Msg.Cluster != p.insp.Cluster &&
		e.Save != nil { // 17
		for _, r := range e.Save.Records {
			if r.Key == "self" {
				if ep := selfEpoch(r.Value); ep > p.epoch && ep == in.Msg.Epoch {
					w.violated("foreign message", "%s of cluster %s took epoch %d from a node of cluster %s", p, old.Cluster, ep, in.Msg.Cluster)
				}
			}
		}
	}
	c.events(p, e)
}

func selfEpoch(v string) (e uint64) {
	if i := strings.Index(v, " epoch="); i >= 0 {
		fmt.Sscanf(v[i:], " epoch=%d", &e)
	}
	return e
}

func (c *checker) events(p *proc, e *core.Effects) {
	w := c.w
	for _, ev := range e.Events {
		if w.traced {
			w.log("%s %s node=%s epoch=%d %s", p, ev.Kind, w.name(ev.Node), ev.Epoch, ev.Text)
		}
		switch ev.Kind {
		case core.EvElectionWon:
			w.counts.Elections++
			if !c.light {
				c.won(p, ev)
			}
		case core.EvHandover:
			w.counts.Handovers++
		}
	}
}

// voterStep: R8 and R11 at one voter.
func (c *checker) voterStep(p *proc, old *core.Inspect, e *core.Effects, changed bool) {
	w := c.w
	if old.Frozen && p.insp.Frozen && old.SlotReg.Promised == p.insp.SlotReg.Promised {
		for i := range e.Send {
			switch e.Send[i].Msg.Body.(type) {
			case *bus.VoteAck, *bus.LeaseAck, *bus.AcceptAck, *bus.SlotPromise, *bus.SlotAccepted:
				w.violated("frozen voter spoke", "%s answers %s while its version of the set is being replaced", p, e.Send[i].Msg.Kind())
			}
		}
	}
	if !changed {
		return
	}
	j := 0
	for i := range p.insp.Regs {
		g := &p.insp.Regs[i]
		for j < len(old.Regs) && old.Regs[j].Shard.Less(g.Shard) {
			j++
		}
		if j == len(old.Regs) || old.Regs[j].Shard != g.Shard {
			continue
		}
		o := &old.Regs[j]
		if g.Rec.Newer(&o.Rec) && g.Rec.Epoch < o.Promised && c.installed[p.id] == old.VoterVer && p.insp.VoterVer == old.VoterVer {
			w.violated("accepted below a promise", "%s accepts %s of shard %s after it promised epoch %d", p, at(&g.Rec), g.Shard.Short(), o.Promised)
		}
	}
}

func at(r *bus.Rec) string { return fmt.Sprintf("%d.%d", r.Epoch, r.Seq) }

// proposed notes a record that may be chosen from now on without anyone knowing.
func (c *checker) proposed(r *bus.Rec) {
	top := c.newest[r.Shard]
	if !r.Newer(&top) && !top.IsZero() {
		return
	}
	for i := range c.raised[r.Shard] {
		if o := &c.raised[r.Shard][i]; o.Epoch == r.Epoch && o.Seq == r.Seq {
			if o.Primary != r.Primary {
				c.w.violated("two proposers in one epoch", "shard %s epoch %d: %s and %s", r.Shard.Short(), r.Epoch, c.w.name(o.Primary.ID), c.w.name(r.Primary.ID))
			}
			return
		}
	}
	c.raised[r.Shard] = append(c.raised[r.Shard], *r)
	c.lower(r)
}

// based: R4 and R5, a winner builds on the highest record that its voters hold, unless too few
// can hold it for it to have been chosen.
func (c *checker) based(p *proc, r *bus.Rec, own []bus.Register) {
	k := round{p.i, p.life, r.Epoch}
	box := c.rounds[k]
	if r.Seq != 0 || box == nil || r.Primary.ID != p.insp.Self {
		return
	}
	delete(c.rounds, k)
	if !box.silence { // others may keep the old primary in, or need no base
		return
	}
	if p.insp.IsVoter && !c.w.idIn(box.from, p.id) { // its own vote is not a message
		for i := range own {
			if own[i].Shard == r.Shard {
				box.recs = append(box.recs, own[i].Rec)
			}
		}
	}
	var top bus.Rec
	for i := range box.recs {
		if box.recs[i].Newer(&top) && box.recs[i].Epoch < r.Epoch {
			top = box.recs[i]
		}
	}
	holders := 0
	for i := range box.recs {
		holders += b2i(!top.Newer(&box.recs[i]))
	}
	if n := len(p.insp.Voters); top.IsZero() || holders+n-len(box.recs) < n/2+1 {
		return // it may be passed over
	}
	want := map[bus.Member]bool{r.Primary: true} // asked, not iterated
	for _, x := range top.ISR {
		if x != top.Primary && x.ID != p.insp.Self {
			want[x] = true
		}
	}
	ok := len(want) == len(r.ISR)
	for _, x := range r.ISR {
		ok = ok && want[x]
	}
	if !ok {
		c.w.violated("not based on the highest record", "%s proposes %s of shard %s with %v; its voters hold %s with %v", p, at(r), r.Shard.Short(), c.members(r), at(&top), c.members(&top))
	}
}

// lower takes back what is guaranteed when nodes that hold less may lead.
func (c *checker) lower(r *bus.Rec) {
	for _, x := range r.ISR {
		if q := c.holder(x); q != nil {
			for k := range c.floor {
				if c.owner[k] == r.Shard && q.data.kv[k] < c.floor[k] {
					c.floor[k] = q.data.kv[k]
				}
			}
		}
	}
}

// holder is the process that is, or can come back as, member x.
func (c *checker) holder(x bus.Member) *proc {
	q := c.w.byID(x.ID)
	if q == nil || q.insp.Inc != x.Inc || !q.up && q.kept != keepAll {
		return nil
	}
	return q
}

// mayLead are the members of every record that is decided or may be.
func (c *checker) mayLead(shard bus.ShardID, below uint64) (out []bus.Member) {
	add := func(r *bus.Rec) {
		if r.Epoch >= below {
			return
		}
		for _, x := range r.ISR {
			known := false
			for _, y := range out {
				known = known || x == y
			}
			if !known {
				out = append(out, x)
			}
		}
	}
	top := c.newest[shard]
	add(&top)
	for i := range c.raised[shard] {
		add(&c.raised[shard][i])
	}
	return out
}

// saved looks at records that are durable now: decided values, whoever has learned them.
func (c *checker) saved(p *proc, s *core.Save) {
	if c.light {
		return
	}
	w := c.w
	for _, r := range s.Records {
		kind, _, _ := strings.Cut(r.Key, ".")
		switch kind {
		case "rec":
			if t, ok := c.unpack(r.Value).(*bus.Table); ok {
				for i := range t.Recs {
					c.record(p, &t.Recs[i])
				}
			}
		case "voters":
			if v, ok := c.unpack(r.Value).(*bus.VoterSet); ok && v.Ver > 0 {
				c.voters(p, v)
			}
		case "slots":
			if v, ok := c.unpack(r.Value).(*bus.SlotMap); ok {
				c.slots(p, r.Value, v)
			}
		case "voter":
			var ver uint64
			fmt.Sscanf(r.Value, "ver=%d", &ver)
			c.installed[p.id] = ver
			if ver == 0 {
				delete(c.regs, p.id)
			}
		case "self":
			p.epoch = max(p.epoch, selfEpoch(r.Value))
		}
		if w.bad != nil {
			return
		}
	}
	if p.insp.IsVoter {
		c.remember(p) // it is on disk, whether or not this life will speak of it
	}
	if s.All { // a start, or a reset: 15
		me := bus.NewMember(p.m.Inspect().Self, p.insp.Inc)
		l := dataLife{p.i, p.dataLife}
		if old, ok := c.lives[me]; ok && old != l && p.insp.VoterVer > 0 {
			w.violated("incarnation reused", "%s inc %d names another life of its data", p, me.Inc)
		}
		c.lives[me] = l
	}
}

func (c *checker) unpack(s string) bus.Body {
	m, err := topology.Unpack(c.codec, s)
	if err != nil {
		return nil
	}
	return m.Body
}

// record: 1, 7.
func (c *checker) record(p *proc, r *bus.Rec) {
	w := c.w
	if len(r.ISR) == 0 || !r.Has(r.Primary) {
		w.violated("set without its primary", "%s of shard %s", at(r), r.Shard.Short())
	}
	k := recKey{r.Shard, r.Epoch, r.Seq}
	if old, ok := c.decided[k]; ok {
		if !sameRec(&old, r) {
			w.violated("record decided twice", "shard %s %s: primary %s set %v, and at %s primary %s set %v", r.Shard.Short(), at(r),
				w.name(old.Primary.ID), c.members(&old), p, w.name(r.Primary.ID), c.members(r))
		}
		return
	}
	c.decided[k] = *r
	if first, ok := c.decided[recKey{r.Shard, r.Epoch, 0}]; ok && first.Primary != r.Primary {
		w.violated("two primaries in one epoch", "shard %s %s: %s and %s", r.Shard.Short(), at(r), w.name(first.Primary.ID), w.name(r.Primary.ID))
	}
	top := c.newest[r.Shard]
	if r.Newer(&top) || top.IsZero() {
		c.newest[r.Shard] = *r
		kept := c.raised[r.Shard][:0]
		for _, x := range c.raised[r.Shard] {
			if x.Newer(r) {
				kept = append(kept, x)
			}
		}
		c.raised[r.Shard] = kept
		if r.Forced && !top.Forced {
			c.excuse(r.Shard)
		}
		c.lower(r)
	}
}

func (c *checker) members(r *bus.Rec) (s []string) {
	for _, x := range r.ISR {
		s = append(s, fmt.Sprintf("%s/%d", c.w.name(x.ID), x.Inc))
	}
	return s
}

func sameRec(a, b *bus.Rec) bool {
	if a.Primary != b.Primary || len(a.ISR) != len(b.ISR) || a.Forced != b.Forced {
		return false
	}
	for i := range a.ISR {
		if a.ISR[i] != b.ISR[i] {
			return false
		}
	}
	return true
}

// excuse forgets what was guaranteed in a shard: an operator's override or a cold start.
func (c *checker) excuse(shard bus.ShardID) {
	for k := range c.floor {
		if c.owner[k] == shard {
			c.floor[k] = 0
		}
	}
}

// voters: 16, and one set a version.
func (c *checker) voters(p *proc, v *bus.VoterSet) {
	w := c.w
	k := verKey{p.insp.Cluster, v.Ver}
	if old, ok := c.sets[k]; ok {
		if !sameIDs(old, v.Set) {
			w.violated("voter set decided twice", "version %d: %d and %d members", v.Ver, len(old), len(v.Set))
		}
		return
	}
	c.sets[k] = v.Set
	c.topSet[k.cluster] = max(c.topSet[k.cluster], v.Ver)
	if old, ok := c.sets[verKey{k.cluster, v.Ver - 1}]; ok && difference(old, v.Set) > 1 && !(difference(old, v.Set) == 2 && len(old) == len(v.Set)) {
		w.violated("voter sets too far apart", "version %d differs from its predecessor by %d members", v.Ver, difference(old, v.Set))
	}
}

func sameIDs(a, b []bus.NodeID) bool { return len(a) == len(b) && difference(a, b) == 0 }

func difference(a, b []bus.NodeID) (n int) {
	in := map[bus.NodeID]int{} // counted, not iterated in order
	for _, x := range a {
		in[x] |= 1
	}
	for _, x := range b {
		in[x] |= 2
	}
	for _, v := range in {
		if v != 3 {
			n++
		}
	}
	return n
}

// slots: 11, one map a version.
func (c *checker) slots(p *proc, text string, v *bus.SlotMap) {
	k := verKey{p.insp.Cluster, v.Ver}
	if old, ok := c.maps[k]; ok {
		if old != text {
			c.w.violated("slot map decided twice", "version %d, the second one at %s", v.Ver, p)
		}
		return
	}
	c.maps[k] = text
	if v.Ver <= c.topMap[k.cluster] || p.foreign() {
		return
	}
	c.topMap[k.cluster] = v.Ver
	for key := range c.owner {
		s := c.w.slotOf(key)
		var to bus.ShardID
		for i := range v.Spans {
			for j := 0; j+1 < len(v.Spans[i].Slots); j += 2 {
				if v.Spans[i].Slots[j] <= s && s <= v.Spans[i].Slots[j+1] {
					to = v.Spans[i].Shard
				}
			}
		}
		if to != c.owner[key] {
			c.owner[key] = to
			c.floor[key] = 0 // what the new owner holds of it is the migration's affair
		}
	}
}

func (c *checker) movedKey(key int) { c.floor[key] = 0 }

// performed: the durable state and the lease of a step are in force. 2, 6, and what a majority
// must remember.
func (c *checker) performed(p *proc) {
	w := c.w
	if c.light {
		return
	}
	if p.twin != nil {
		c.twins(p, p.twin)
	}
	if p.insp.VoterVer > 0 && p.insp.Leading && p.local() < p.lease {
		for _, q := range w.procs {
			if q != p && q.up && q.insp.Leading && q.insp.VoterVer > 0 && q.insp.Shard == p.insp.Shard && q.insp.Cluster == p.insp.Cluster && q.local() < q.lease {
				w.violated("two leased primaries", "shard %s: %s epoch %d, %s epoch %d", p.insp.Shard.Short(), p, p.insp.Rec.Epoch, q, q.insp.Rec.Epoch)
			}
		}
	}
	if !p.looked {
		return
	}
	p.looked = false
	if p.insp.IsVoter {
		c.remember(p)
	}
	c.remembered(p)
}

// twins: two processes of one name serve both for no longer than the older one's lease lasts and the
// news of the newer one takes, all in all.
func (c *checker) twins(a, b *proc) {
	w := c.w
	both := a.serves() && b.serves()
	if both && w.bothAt > 0 {
		w.both += w.now - w.bothAt
	}
	w.bothAt = w.now * core.Mono(b2i(both))
	if w.both > w.p.T+w.p.T/2 {
		w.violated("twins serve", "%s and %s have both served for %d ms", a, b, w.both/ms)
	}
}

// remember compares a voter's registers with what it has said or saved before.
func (c *checker) remember(p *proc) {
	w := c.w
	mem := c.regs[p.id]
	if mem == nil {
		mem = map[bus.ShardID]bus.Register{}
		c.regs[p.id] = mem
	}
	for i := range p.insp.Regs {
		g := &p.insp.Regs[i]
		if old, ok := mem[g.Shard]; ok && (g.Promised < old.Promised || old.Rec.Newer(&g.Rec)) {
			w.violated("register went back", "%s shard %s: promise %d after %d, record %s after %s", p, g.Shard.Short(), g.Promised, old.Promised, at(&g.Rec), at(&old.Rec))
		}
		mem[g.Shard] = *g
	}
}

// remembered: no majority of a decided set can lack a decided record (I2).
func (c *checker) remembered(p *proc) {
	ver := c.topSet[p.insp.Cluster]
	set := c.sets[verKey{p.insp.Cluster, ver}]
	if len(set) == 0 {
		return
	}
	r := c.newest[p.insp.Shard]
	if r.IsZero() || p.insp.Rec.Shard != r.Shard || p.insp.VoterVer != ver {
		return
	}
	lack := 0
	for _, id := range set {
		if c.installed[id] != ver {
			continue
		}
		if g := c.regs[id][r.Shard]; r.Newer(&g.Rec) {
			lack++
		}
	}
	if lack > len(set)/2 {
		c.w.violated("decided record forgotten", "shard %s: %d of %d voters of version %d lack %s", r.Shard.Short(), lack, len(set), ver, at(&r))
	}
}

// applied: a replica holds more. What every node that may lead next holds cannot be lost.
func (c *checker) applied(l *feed) {
	if c.light {
		return
	}
	l.x.grew = c.w.now
	y := l.y
	if !y.up || y.insp.VoterVer == 0 || !y.insp.Leading || y.data.role.Role != topology.RolePrimary {
		return
	}
	s := &y.data
	low := s.offset
	others := false
	for _, x := range c.mayLead(y.insp.Shard, 1<<63) {
		q := c.holder(x)
		if q == nil || q == y {
			continue
		}
		if !q.data.synced || q.data.replid != s.replid {
			return
		}
		others = true
		low = min(low, q.data.offset)
	}
	if !others {
		return
	}
	for s.guard = max(s.guard, s.base); s.guard < low; s.guard++ {
		o := s.log[s.guard-s.base]
		if o.key >= 0 && c.owner[o.key] == y.insp.Shard {
			c.floor[o.key] = o.val
		}
	}
}

// executing: a data path is about to run a command.
func (c *checker) executing(p *proc, key int, asking bool) {
	w, v := c.w, p.view
	if v.VoterVer == 0 || p.foreign() || c.light {
		return
	}
	last, any := c.served[v.Shard]
	if v.Rec.Epoch < last.epoch {
		w.violated("executed after a successor", "%s executes in epoch %d of shard %s, n%d did in epoch %d before", p, v.Rec.Epoch, v.Shard.Short(), last.proc, last.epoch)
	}
	if any && v.Rec.Epoch == last.epoch && last.proc != p.i {
		w.violated("two executors in one epoch", "%s and n%d in epoch %d of shard %s", p, last.proc, last.epoch, v.Shard.Short())
	}
	c.served[v.Shard] = served{v.Rec.Epoch, p.i, p.life}
	if asking {
		return
	}
	if s := &c.slotBy[key]; s.ver == v.SlotVer && s.shard != v.Shard && !s.shard.IsZero() { // 11
		w.violated("slot served by two shards", "slot %d in version %d of the map", w.slotOf(key), v.SlotVer)
	}
	c.slotBy[key] = slotServed{v.SlotVer, v.Shard}
	if p.data.kv[key] < c.floor[key] && c.owner[key] == v.Shard { // 20
		w.violated("write lost", "%s serves key %d from write %d; write %d was on every node that could lead shard %s", p, key, p.data.kv[key], c.floor[key], v.Shard.Short())
	}
}

func (c *checker) acked(p *proc, key int, val uint64) { c.ackedBy[key] = max(c.ackedBy[key], val) }

// calm: nothing has gone wrong at p for d.
func (c *checker) calm(p *proc, d core.Mono) bool {
	return p.running() && c.w.now-p.touched > d && p.slow <= c.w.now && p.disk.slow <= c.w.now && p.busy <= c.w.now
}

func (c *checker) calmVoters(p *proc, d core.Mono) bool {
	n := 0
	for _, id := range p.insp.Voters {
		if q := c.w.byID(id); q != nil && c.calm(q, d) {
			n++
		}
	}
	return n > len(p.insp.Voters)/2
}

func (p *Params) quiet() bool {
	return p.LossPct == 0 && p.SlowPct == 0 && p.Bandwidth == 0 && !p.Reorder
}

// won judges an election at the moment its winner knows of it.
func (c *checker) won(p *proc, ev core.Event) {
	w := c.w
	rec := p.insp.Rec
	if rec.Primary.ID != p.insp.Self || p.insp.VoterVer == 0 || p.foreign() {
		return
	}
	_, why, _ := strings.Cut(ev.Text, "reason ")
	why, _, _ = strings.Cut(why, ",")
	base := c.newest[rec.Shard]
	if base.IsZero() || base.Epoch >= rec.Epoch {
		return
	}
	me := bus.NewMember(p.insp.Self, p.insp.Inc)
	if !rec.Forced && why != bus.VoteNewShard.String() { // R4
		in := false
		for _, x := range c.mayLead(rec.Shard, rec.Epoch) {
			in = in || x == me
		}
		if !in {
			w.violated("winner was not in the set", "%s inc %d wins epoch %d of shard %s (%s); the set of %s was %v", p, me.Inc, rec.Epoch, rec.Shard.Short(), why, at(&base), c.members(&base))
		}
	}
	old := c.holder(base.Primary)
	calm := 3 * w.p.T
	switch why {
	case "silence":
		if w.p.quiet() && old != nil && old != p && old.serves() && c.calm(old, calm) && c.calmVoters(p, calm) && c.calm(p, calm) { // 19
			w.violated("needless election", "%s wins epoch %d of shard %s while %s serves undisturbed", p, rec.Epoch, rec.Shard.Short(), old)
		}
		if !w.p.quiet() || !c.calmVoters(p, calm) {
			break
		}
		for _, x := range base.ISR { // H4
			q := c.holder(x)
			if q == nil || q == p || q == old || !c.calm(q, calm) || q.data.replid != p.data.replid || w.now-q.grew < w.p.T || q.insp.Shard != rec.Shard {
				continue
			}
			if q.data.offset > p.data.offset {
				w.violated("worse sibling won", "%s wins shard %s at offset %d, %s has had offset %d for %d ms", p, rec.Shard.Short(), p.data.offset, q, q.data.offset, (w.now-q.grew)/ms)
			}
		}
	case "handover":
		if old != nil && old != p && old.up {
			for k := range c.floor {
				if c.owner[k] == rec.Shard && old.data.kv[k] > p.data.kv[k] && c.ackedBy[k] > p.data.kv[k] {
					w.violated("handover lost a write", "%s lacks write %d of key %d that %s acknowledged", p, old.data.kv[k], k, old)
				}
			}
		}
	case "cold-start":
		if !rec.Forced {
			break // a member by the record that counts
		}
		for _, x := range base.ISR {
			if q := c.holder(x); q != nil && q != p && c.calm(q, w.p.ColdGrace+3*w.p.T) && w.p.quiet() && q.insp.Shard == rec.Shard {
				w.violated("cold start over a living member", "%s leads shard %s; %s of the set of %s is here", p, rec.Shard.Short(), q, at(&base))
			}
		}
	}
	if rec.Forced && !base.Forced || why == "cold-start" || why == "failover-takeover" || why == "takeover" {
		c.excuse(rec.Shard)
	}
	for k := range c.floor {
		if c.owner[k] != rec.Shard {
			continue
		}
		if p.data.kv[k] < c.floor[k] {
			w.violated("write lost", "%s wins shard %s (%s) with write %d of key %d; write %d was on every node that could lead", p, rec.Shard.Short(), why, p.data.kv[k], k, c.floor[k])
		}
		if c.ackedBy[k] > p.data.kv[k] {
			w.counts.LostWrites++
			c.ackedBy[k] = p.data.kv[k]
		}
	}
}

// reset: a node forgets its promises by an operator's order; core keeps it out of old sets.
func (c *checker) reset(p *proc) {
	delete(c.regs, p.id)
	c.installed[p.id] = 0
}

// forget: id was forgotten by an operator.
func (c *checker) forget(id bus.NodeID) {
	if c.w.now-c.metAt > 2*max(c.w.p.T, core.Second) { // else a MEET under way may still bring it back
		c.forgotten[id] = c.w.now
	}
}

// met lifts every ban as far as the checker is concerned: a MEET may bring anyone back.
func (c *checker) met() {
	clear(c.forgotten)
	c.metAt = c.w.now
}

// viewed: S33, a forgotten node does not come back by gossip within a minute.
func (c *checker) viewed(p *proc, v *topology.View) {
	if len(c.forgotten) == 0 || c.light {
		return
	}
	for i := range v.Nodes {
		id := v.Nodes[i].ID
		t, ok := c.forgotten[id]
		if ok && c.w.now-t < 60*core.Second && p.missed[id] >= t && p.missed[id] > 0 {
			c.w.violated("forgotten node came back", "%s knows %s again", p, id.Short())
		}
	}
	for id, t := range c.forgotten { // each entry is set alone: order does not matter
		if p.started >= t {
			continue // bans do not outlive a process, as in Redis
		}
		if _, ok := v.Find(id); !ok && id != p.id {
			if p.missed == nil {
				p.missed = map[bus.NodeID]core.Mono{}
			}
			p.missed[id] = c.w.now
		}
	}
}

func (p *Params) maxSends() int { return 4096 }
