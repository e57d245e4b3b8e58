package dispatch

import (
	"sync/atomic"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
)

// Gate is a state of the node that keeps some commands out. Others open and close gates with
// SetGate; while all are open admission costs one atomic load.
type Gate uint32

const (
	// GateLoading: the data set is being loaded; only entries with Loading run.
	GateLoading Gate = 1 << iota
	// GateStale: this replica lost its primary and replica-serve-stale-data is no; only entries
	// with Stale run.
	GateStale
	// GateReadOnly: a replica with replica-read-only; Write is refused.
	GateReadOnly
	// GateDisk: persistence fails and writes must not go on; see SetMisconf for the text.
	GateDisk
	// GateReplicas: fewer good replicas than min-replicas-to-write; Write is refused.
	GateReplicas
	// GateMemory: a maxmemory is set; see SetMemory.
	GateMemory
	// GateProtected: protected mode is on: connections from elsewhere are turned away while the
	// default user needs no password.
	GateProtected
	// GatePause: CLIENT PAUSE or a manual failover is in force; see Pause.
	GatePause
	// GateBusy: a script runs over its time; only entries with AllowBusy run.
	GateBusy
	// GateAside: a full sync is being loaded beside the data; entries with NoAsyncLoading do not run.
	GateAside
	// GateRedirect: a standalone replica, which sends clients that can go there to its primary; see SetRedirect.
	GateRedirect
	// GateMoving: keys are being handed to another node, and writes to them wait; see HoldKeys.
	GateMoving
)

// SetGate closes (on) or opens a gate. Any goroutine.
func (d *Dispatcher) SetGate(g Gate, on bool) {
	if on {
		d.gates.Or(uint32(g))
	} else {
		d.gates.And(^uint32(g))
	}
}

// SetMisconf closes GateDisk with the text clients get, or opens it with "".
func (d *Dispatcher) SetMisconf(text resp.Error) {
	d.misconf.Store(&text)
	d.SetGate(GateDisk, text != "")
}

// SetRedirect closes GateRedirect: addr is where the primary is. "" opens it.
func (d *Dispatcher) SetRedirect(addr string) {
	text := resp.ErrRedirect(addr)
	d.elsewhere.Store(&text)
	d.SetGate(GateRedirect, addr != "")
}

// sentAway reports whether a client that can be redirected is to take this call to the primary.
func (w *worker) sentAway(c *client, cmd *command.Command, flags command.Flags) bool {
	s := &c.sess
	if !s.Any(session.Redirect) {
		return false
	}
	reads := flags&command.ReadOnly != 0
	if cmd.Flags&command.Queued != 0 {
		for _, q := range s.Queue() {
			reads = reads || q.Cmd.(*command.Command).Flags&command.ReadOnly != 0
		}
	}
	return flags&command.Write != 0 || reads && !s.Any(session.ReadOnly)
}

// limits are what GateMemory compares.
type limits struct {
	maxMemory atomic.Int64 // bytes; 0: no bound
	samples   atomic.Int32 // maxmemory-samples
	policy    atomic.Uint32
}

// Memory is what maxmemory and its kin say.
type Memory struct {
	MaxBytes     int64 // maxmemory; 0: no bound
	Policy       store.Policy
	Samples      int // maxmemory-samples
	LFULogFactor int
	LFUDecay     int // minutes
}

// SetMemory puts m in force, here and in the store, whose access clocks follow the policy.
func (d *Dispatcher) SetMemory(m Memory) {
	d.store.SetEviction(m.Policy, m.LFULogFactor, m.LFUDecay)
	d.limits.maxMemory.Store(m.MaxBytes)
	d.limits.samples.Store(int32(m.Samples))
	d.limits.policy.Store(uint32(m.Policy))
	d.SetGate(GateMemory, m.MaxBytes > 0)
}

// admit is the whole list of reasons to refuse a call before it runs, in Redis' order.
func (w *worker) admit(c *client, cmd *command.Command, argv [][]byte, flags command.Flags, g Gate) resp.Error {
	d, s := w.d, &c.sess
	if c.trusted {
		return ""
	}
	u := s.User()
	if u == nil && flags&command.NoAuth == 0 {
		// Whoever came when a password was needed may go on when none is needed any more.
		def := d.acl.Default()
		if u = def.User(); !u.Open() {
			return resp.ErrNoAuth
		}
		s.SetAccount(def)
	}
	if flags&command.NoMulti != 0 && s.Any(session.Multi) {
		return resp.ErrNotInMulti
	}
	if u != nil && !u.MayAll() {
		if err := w.permit(c, u, cmd, argv); err != "" {
			return err
		}
	}
	if s.Any(session.Subscribed) && s.Proto() == resp.RESP2 && flags&command.WhileSubscribed == 0 {
		return resp.ErrSubscribedContext(cmd.LowerName())
	}
	if g&^(GateProtected|GatePause|GateMoving) == 0 {
		return ""
	}
	if g&GateRedirect != 0 && w.sentAway(c, cmd, flags) {
		return *d.elsewhere.Load()
	}
	if g&GateMemory != 0 && g&(GatePause|GateBusy) == 0 {
		w.room = w.makeRoom()
		if c.conn != nil {
			c.conn.TakePushes() // that keys were evicted comes before the reply
		}
		if !w.room && flags&command.DenyOOM != 0 {
			return resp.ErrOOM
		}
	}
	if g&GateDisk != 0 && flags&command.Write != 0 && g&GateReadOnly == 0 {
		return *d.misconf.Load()
	}
	if g&GateReplicas != 0 && flags&command.Write != 0 && g&GateReadOnly == 0 {
		return resp.ErrNoReplicas
	}
	if g&GateReadOnly != 0 && flags&command.Write != 0 {
		return resp.ErrReadOnly
	}
	if g&GateStale != 0 && flags&command.Stale == 0 {
		return resp.ErrMasterDown
	}
	if g&GateLoading != 0 && flags&command.Loading == 0 {
		return resp.ErrLoading
	}
	if g&GateAside != 0 && flags&command.NoAsyncLoading != 0 {
		return resp.ErrLoading
	}
	if g&GateBusy != 0 && flags&command.AllowBusy == 0 {
		return d.busyError()
	}
	return ""
}
