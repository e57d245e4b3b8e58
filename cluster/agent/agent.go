// Package agent drives one node's cluster machine: the goroutine that owns a core.Machine,
// feeds it what happens and performs what it says, in order. It publishes the View, is the
// Router of a clustered node, and answers the CLUSTER group. cluster/node builds one and
// joins it to the data side by callbacks. It must not know replication, migration or the
// walk of a request, and it never takes a stripe of the store on its own goroutine.
//
// # Concurrency
//
// One goroutine, the loop, owns the machine, the state file and the pending commands. Four
// things leave it for other goroutines: the View (atomic pointer), the routes made from it
// (atomic pointer), the lease deadline (atomic number) and the callbacks of Options. The
// loop never waits for a stripe, a client or a connection: so a handler that holds stripes may
// wait for the loop, and a busy data path cannot cost the node its lease. (One that hangs does:
// whoever owns it reports that, see core.Local.Silent.) The loop does wait for fsync, because a
// vote must not leave before it is on disk.
package agent

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/store/stat"
)

const (
	// maxInbox bounds the messages waiting for the loop. A link that finds it full waits, and
	// so stops reading its connection.
	maxInbox = 1024
	// maxAdmin bounds the operator's commands waiting for the loop; more are refused.
	maxAdmin = 256
	// maxPending bounds the commands the machine has yet to answer; more are refused.
	maxPending = 1024
	// maxBatch bounds the inputs that share one fsync.
	maxBatch = 128
	// syncWithin bounds how long lazily saved state may be lost by a power failure.
	syncWithin = core.Second
	// sampleEvery is how often the data side is asked for its report: at multiples of it.
	sampleEvery = 100 * core.Millisecond
)

// Options make an Agent. Everything but the clocks is needed; callbacks run on the loop,
// must return at once, and must not call the Agent's Close or wait for a stripe.
type Options struct {
	// Dir and File are the directives dir and cluster-config-file.
	Dir, File string
	// DataPresent says that a data set lies in Dir: then an empty state file is refused.
	DataPresent bool
	// DataComplete says that the data set is proven complete; see core.Boot.
	DataComplete bool
	Core         core.Config
	Endpoint     Endpoint
	// Strict chooses the error of a primary without a lease (cluster-consistency strict).
	Strict bool

	// Local reads the data side's report. It is called at least ten times a second.
	Local func() core.Local
	// Role and Pause tell the data side what to be. They hand the order on and return; the
	// answer to a Pause comes back through Local.
	Role  func(core.RoleChange)
	Pause func(core.Pause)
	// Events takes what happened, for log and counters.
	Events func([]core.Event)
	// Fatal is told why the agent stopped by itself: its state can no longer be saved. The
	// lease is gone by then; the process should end.
	Fatal func(error)
	// ChannelsDown says whether shard channels are served while the cluster is down; nil: no.
	ChannelsDown func() bool
	// Rerouted, if not nil, is told that slots may have another owner, or nodes another role.
	Rerouted func(old, now *topology.View)

	// Pulse brings a beat at each whole multiple of sampleEvery on Clock, shortly after it: the loop sets no timer of its
	// own for what is not due before the next. nil: it always does.
	Pulse <-chan time.Time
	// Clock and WallMs default to BootTime and the system's clock.
	Clock  func() core.Mono
	WallMs func() int64
}

// Agent is one running cluster node.
type Agent struct {
	opt Options

	view   atomic.Pointer[topology.View]
	routes atomic.Pointer[routes]
	lease  atomic.Int64              // core.Mono
	shown  atomic.Pointer[Transport] // links for CLUSTER LINKS; nil before Start
	// timeout is the node timeout, core.Mono.
	timeout atomic.Int64

	inbox chan core.Input
	admin chan adminCall
	poke  chan struct{} // capacity 1: the report has changed
	probe chan probeCall
	quit  chan struct{}
	done  chan struct{} // closed when the loop has ended
	begun atomic.Bool
	end   sync.Once
	work  sync.WaitGroup

	stats counters

	// Owned by the loop (by Open and Start before it runs).

	machine  *core.Machine
	file     *stateFile
	links    Transport
	pending  map[uint64]func(core.AdminReply)
	tok      uint64
	wake     core.Mono
	sampleAt core.Mono
	syncAt   core.Mono // when lazily written state is to be durable; 0 when it is
	batch    []core.Effects
	endpoint Endpoint
	told     identity
	// up holds the nodes that have a control connection, known to the machine or not yet; late
	// are those that the machine has come to know after their connection came.
	up       map[bus.NodeID]string
	late     []bus.NodeID
	applied  []chan struct{} // reconfigurations of the batch
	repaired string
}

type identity struct {
	self    bus.NodeID
	cluster bus.ClusterID
}

type adminCall struct {
	admin  core.Admin
	done   func(core.AdminReply)
	forget bool // give up the command whose token is tok
	config *core.Config
	end    *Endpoint
	// applied is closed once the new configuration has taken effect.
	applied chan struct{}
	tok     *atomic.Uint64 // told the token
}

type counters struct {
	inputs, steps, inboxFull, adminRefused, saves, saveBytes, generations stat.Counter
	saveMaxUsec                                                           stat.Level
}

// Open locks and reads the state file, starts the machine and makes its first state durable.
// From then on View and Route answer; nothing is sent before Start.
func Open(o Options) (*Agent, error) {
	if o.Clock == nil {
		o.Clock = BootTime
	}
	if o.WallMs == nil {
		o.WallMs = func() int64 { return time.Now().UnixMilli() }
	}
	path := o.File
	if !filepath.IsAbs(path) {
		path = filepath.Join(o.Dir, path)
	}
	file, loaded, err := openState(path, o.DataPresent)
	if err != nil {
		return nil, err
	}
	a := &Agent{
		opt: o, file: file, endpoint: o.Endpoint, repaired: loaded.Repaired,
		inbox: make(chan core.Input, maxInbox), admin: make(chan adminCall, maxAdmin), poke: make(chan struct{}, 1),
		probe: make(chan probeCall, maxProbes), quit: make(chan struct{}), done: make(chan struct{}),
		pending: map[uint64]func(core.AdminReply){}, up: map[bus.NodeID]string{},
	}
	a.timeout.Store(int64(o.Core.NodeTimeout))
	a.stats.setFile(file)
	boot := core.Boot{State: loaded, DataComplete: o.DataComplete, Local: o.Local(), WallMs: o.WallMs()}
	m, first := core.New(o.Core, boot, o.Clock())
	a.machine, a.wake = m, first.Wake
	if first.Save != nil {
		if err := file.save(first.Save); err != nil {
			file.close()
			return nil, err
		}
		first.Save = nil
	}
	if first.View == nil {
		first.View = m.View()
	}
	a.lease.Store(int64(first.Lease))
	a.publish(first.View)
	first.View = nil
	a.batch = append(a.batch, first)
	return a, nil
}

// Repaired tells what was cut off a damaged state file at Open, "" when nothing was.
func (a *Agent) Repaired() string { return a.repaired }

// Start runs the loop over links, which must deliver to a (Receive, LinkUp, LinkDown).
func (a *Agent) Start(links Transport) {
	a.links = links
	a.shown.Store(&links)
	a.begun.Store(true)
	for range probers {
		a.work.Add(1)
		go a.prober()
	}
	go a.loop()
}

// Close ends the loop, saves nothing more and gives the state file free. Links are the
// caller's to close. Any goroutine but the loop may call it, more than once.
func (a *Agent) Close() {
	a.end.Do(func() {
		close(a.quit)
		if !a.begun.Load() {
			close(a.done)
			a.file.close()
		}
	})
	<-a.done
	a.work.Wait()
}

// View is the newest picture. Any goroutine.
func (a *Agent) View() *topology.View { return a.view.Load() }

// Lease is the deadline of this node's right to serve. Any goroutine.
func (a *Agent) Lease() core.Mono { return core.Mono(a.lease.Load()) }

// Poke says that what Local reports has changed. Any goroutine.
func (a *Agent) Poke() {
	select {
	case a.poke <- struct{}{}:
	default:
	}
}

// Reconfigure replaces the changeable parts of the configuration and waits until the View shows
// it: whoever sets an announced port and then asks for CLUSTER NODES sees the new one.
func (a *Agent) Reconfigure(c core.Config, e Endpoint) {
	a.timeout.Store(int64(c.NodeTimeout))
	applied := make(chan struct{})
	select {
	case a.admin <- adminCall{config: &c, end: &e, applied: applied}:
	case <-a.done:
		return
	}
	if !a.begun.Load() {
		return // takes effect when the loop starts
	}
	select {
	case <-applied:
	case <-a.done:
	}
}

// Receive takes a message from an authenticated link; it waits while the inbox is full.
func (a *Agent) Receive(from bus.NodeID, addr string, m *bus.Msg) {
	a.put(core.Input{Kind: core.InMsg, From: from, Addr: addr, Msg: m})
}

// LinkUp and LinkDown tell of control connections.
func (a *Agent) LinkUp(from bus.NodeID, addr string) {
	a.put(core.Input{Kind: core.InLinkUp, From: from, Addr: addr})
}
func (a *Agent) LinkDown(from bus.NodeID) { a.put(core.Input{Kind: core.InLinkDown, From: from}) }

func (a *Agent) put(in core.Input) {
	select {
	case a.inbox <- in:
		return
	default:
		a.stats.inboxFull.Inc()
	}
	select {
	case a.inbox <- in:
	case <-a.quit:
	}
}

// Do gives the machine an operator's command. done gets the answer on the loop and must not
// block; it is not called after forget. Do never waits: when too much is waiting already it
// reports false.
func (a *Agent) Do(cmd core.Admin, done func(core.AdminReply)) (forget func(), ok bool) {
	tok := new(atomic.Uint64)
	select {
	case a.admin <- adminCall{admin: cmd, done: done, tok: tok}:
	default:
		a.stats.adminRefused.Inc()
		return nil, false
	}
	return func() {
		// The loop takes calls in order, so it has seen the command when it sees this. When there
		// is no room the entry stays until the machine answers.
		select {
		case a.admin <- adminCall{forget: true, tok: tok}:
		default:
		}
	}, true
}

// DoWait is Do for those who can wait: at most for the time given. False: it may have been done, or will be.
func (a *Agent) DoWait(cmd core.Admin, atMost time.Duration) (core.AdminReply, bool) {
	answer := make(chan core.AdminReply, 1)
	forget, ok := a.Do(cmd, func(r core.AdminReply) { answer <- r })
	if !ok {
		return core.AdminReply{Err: string(errBusy)}, true
	}
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case r := <-answer:
		return r, true
	case <-timer.C:
		forget()
	case <-a.done:
	}
	select {
	case r := <-answer: // it came at the same time
		return r, true
	default:
	}
	return core.AdminReply{}, false
}

// nestedWait is how long a command is waited for inside MULTI and scripts, where stripes are held and an
// event loop stands still meanwhile: less than what the machine takes for a stuck data path (T/4),
// or else this node would give up its lease while it waits.
func (a *Agent) nestedWait() time.Duration {
	return min(waitFor, time.Duration(a.timeout.Load())/5)
}

// loop is the goroutine that owns the machine.
func (a *Agent) loop() {
	defer close(a.done)
	defer a.file.close()
	if err := a.perform(); err != nil {
		a.fail(err)
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		sample := false
		select {
		case <-a.quit:
			return
		case in := <-a.inbox:
			a.feed(in)
		case call := <-a.admin:
			a.hear()
			a.feedAdmin(call)
		case <-a.poke:
			sample = true
		case <-a.opt.Pulse:
		case <-timer.C:
		}
		a.drain()
		now := a.opt.Clock()
		if sample || now >= a.sampleAt {
			local := a.opt.Local()
			a.sampleAt = nextBeat(now)
			a.step(core.Input{Kind: core.InLocal, Local: &local})
		} else if now >= a.wake {
			a.step(core.Input{Kind: core.InTick})
		}
		err := a.perform()
		for err == nil && len(a.late) > 0 {
			a.catchUp()
			err = a.perform()
		}
		if err == nil && a.syncAt != 0 && now >= a.syncAt {
			a.syncAt = 0
			err = a.file.sync()
		}
		if err != nil {
			a.fail(err)
			return
		}
		next := min(a.wake, a.sampleAt)
		if a.syncAt != 0 {
			next = min(next, a.syncAt)
		}
		if now = a.opt.Clock(); a.opt.Pulse != nil && next >= nextBeat(now) {
			timer.Stop()
		} else {
			timer.Reset(time.Duration(max(0, next-now)))
		}
	}
}

// nextBeat is when the next sample is due: at the same instant as the machine's tick, whose times are multiples too.
func nextBeat(now core.Mono) core.Mono { return now - now%sampleEvery + sampleEvery }

// drain takes what else is waiting, so that a burst shares one fsync.
func (a *Agent) drain() {
	for len(a.batch) < maxBatch {
		a.hear()
		select {
		case call := <-a.admin:
			a.feedAdmin(call)
		default:
			return
		}
	}
}

// hear takes the waiting messages. They go before operators' commands: redis-cli tells every
// primary of a slot's new owner right behind the first, and one that has the news in its inbox
// already must not ask the voters for what is decided.
func (a *Agent) hear() {
	for len(a.batch) < maxBatch {
		select {
		case in := <-a.inbox:
			a.feed(in)
		default:
			return
		}
	}
}

func (a *Agent) feed(in core.Input) {
	a.stats.inputs.Inc()
	switch in.Kind {
	case core.InLinkUp:
		a.up[in.From] = in.Addr
	case core.InLinkDown:
		delete(a.up, in.From)
	}
	a.step(in)
}

// catchUp repeats LinkUp for nodes that called before the machine knew them: it forgets the
// links of strangers.
func (a *Agent) catchUp() {
	late := a.late
	a.late = nil
	for _, id := range late {
		if addr, still := a.up[id]; still {
			a.step(core.Input{Kind: core.InLinkUp, From: id, Addr: addr})
		}
	}
}

// newcomers notes the nodes of v that old does not have and that are connected already. Both
// are sorted by id.
func (a *Agent) newcomers(old, v *topology.View) {
	i := 0
	for j := range v.Nodes {
		id := v.Nodes[j].ID
		for old != nil && i < len(old.Nodes) && old.Nodes[i].ID.Less(id) {
			i++
		}
		if old != nil && i < len(old.Nodes) && old.Nodes[i].ID == id {
			continue
		}
		if _, ok := a.up[id]; ok {
			a.late = append(a.late, id)
		}
	}
}

func (a *Agent) feedAdmin(call adminCall) {
	switch {
	case call.forget:
		delete(a.pending, call.tok.Load())
	case call.config != nil:
		if a.endpoint != *call.end {
			a.endpoint = *call.end
			a.publish(a.View())
		}
		a.step(core.Input{Kind: core.InReconfig, Config: call.config})
		a.applied = append(a.applied, call.applied)
	case len(a.pending) >= maxPending:
		a.stats.adminRefused.Inc()
		call.done(core.AdminReply{Err: string(errBusy)})
	default:
		a.tok++
		call.tok.Store(a.tok)
		call.admin.Tok = a.tok
		a.pending[a.tok] = call.done
		a.step(core.Input{Kind: core.InAdmin, Admin: &call.admin})
	}
}

const errBusy resp.Error = "ERR Too many cluster commands are waiting for their outcome"

func (a *Agent) step(in core.Input) {
	a.stats.steps.Inc()
	in.WallMs = a.opt.WallMs()
	e := a.machine.Step(a.opt.Clock(), in)
	a.wake = e.Wake
	a.batch = append(a.batch, e)
}

// perform does what the batch's steps said: first what may leave early; then everything durable,
// in one write and one fsync; then each step's other effects in their field order. Nothing is sent that a crash
// could make us forget.
func (a *Agent) perform() error {
	for i := range a.batch {
		a.send(&a.batch[i], true)
	}
	save := core.Save{Lazy: true}
	for i := range a.batch {
		s := a.batch[i].Save
		if s == nil {
			continue
		}
		save.Lazy = save.Lazy && s.Lazy
		if s.All {
			save.All, save.Records = true, nil
		}
		save.Records = append(save.Records, s.Records...)
	}
	if save.All || len(save.Records) > 0 {
		began := time.Now()
		err := a.file.save(&save)
		a.stats.saveMaxUsec.Max(time.Since(began).Microseconds())
		a.stats.saves.Inc()
		if err != nil {
			return err
		}
		switch {
		case !a.file.lagging:
			a.syncAt = 0
		case a.syncAt == 0:
			a.syncAt = a.opt.Clock() + syncWithin
		}
	}
	for i := range a.batch {
		a.apply(&a.batch[i])
		a.batch[i] = core.Effects{}
	}
	a.batch = a.batch[:0]
	for _, done := range a.applied {
		close(done)
	}
	a.applied = a.applied[:0]
	return nil
}

func (a *Agent) apply(e *core.Effects) {
	a.lease.Store(int64(e.Lease))
	if e.View != nil {
		a.newcomers(a.View(), e.View)
		a.publish(e.View)
	}
	if e.Role != nil {
		a.opt.Role(*e.Role)
	}
	if e.Pause != nil {
		a.opt.Pause(*e.Pause)
	}
	a.identify()
	if e.HangUp {
		a.links.HangUp()
	}
	if e.Peers != nil {
		a.links.SetPeers(e.Peers)
	}
	a.send(e, false)
	if len(e.Events) > 0 {
		a.opt.Events(e.Events)
	}
	for _, r := range e.Replies {
		if done, ok := a.pending[r.Tok]; ok {
			delete(a.pending, r.Tok)
			done(r)
		}
	}
}

func (a *Agent) send(e *core.Effects, early bool) {
	for i := range e.Send {
		if e.Send[i].Early == early {
			a.links.Send(&e.Send[i])
		}
	}
}

// identify tells the links when this node's name or its cluster's has changed.
func (a *Agent) identify() {
	v := a.View()
	if now := (identity{v.Self, v.Cluster}); now != a.told {
		a.told = now
		a.links.Identify(now.self, now.cluster)
	}
}

// publish replaces the View, and the routes when what they depend on has changed.
func (a *Agent) publish(v *topology.View) {
	old := a.routes.Load()
	var version uint64
	if old != nil {
		if old.same(v, a.endpoint) {
			a.view.Store(v)
			return
		}
		version = old.version
	}
	a.routes.Store(newRoutes(v, a.endpoint, version+1))
	a.view.Store(v)
	if a.opt.Rerouted != nil && old != nil {
		a.opt.Rerouted(old.view, v)
	}
}

// fail stops serving at once, answers whoever waits, and tells why.
func (a *Agent) fail(err error) {
	a.lease.Store(0)
	for tok, done := range a.pending {
		done(core.AdminReply{Tok: tok, Err: "ERR error saving the cluster node config: " + err.Error()})
	}
	a.end.Do(func() { close(a.quit) })
	if a.opt.Fatal != nil {
		a.opt.Fatal(err)
	}
}

// Stats registers what the agent counts.
func (a *Agent) Stats(s *stat.Section) {
	c := &a.stats
	s.Counted("cluster_agent_inputs", "Messages and link changes given to the cluster machine.", &c.inputs)
	s.Counted("cluster_agent_steps", "Steps of the cluster machine.", &c.steps)
	s.Counted("cluster_agent_inbox_full", "Times a link had to wait because the machine's inbox was full.", &c.inboxFull)
	s.Counted("cluster_agent_commands_refused", "Cluster commands refused because too many were waiting.", &c.adminRefused)
	s.Counted("cluster_state_saves", "Times the cluster state was made durable.", &c.saves)
	s.Counted("cluster_state_bytes", "Bytes written to the cluster state file.", &c.saveBytes)
	s.Counted("cluster_state_generations", "Times the cluster state file was rewritten whole.", &c.generations)
	s.Int("cluster_state_save_max_usec", "Longest save of the cluster state, in microseconds.", stat.Gauge, c.saveMaxUsec.Load)
	s.Int("cluster_lease_ms_left", "Milliseconds until this node must stop serving without news from the voters; -1 when it needs no lease.",
		stat.Gauge, func() int64 {
			l := a.Lease()
			if l == core.Never {
				return -1
			}
			return int64(max(0, l-a.opt.Clock()) / core.Millisecond)
		})
}

func (c *counters) setFile(f *stateFile) {
	f.wrote = func(n int, whole bool) {
		c.saveBytes.Add(int64(n))
		if whole {
			c.generations.Inc()
		}
	}
}

// Self is this node's id. Any goroutine.
func (a *Agent) Self() bus.NodeID { return a.View().Self }

func (a *Agent) String() string { return fmt.Sprintf("cluster agent of %s", a.Self().Short()) }
