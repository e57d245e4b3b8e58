package agent

import (
	"slices"
	"strconv"

	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/slot"
)

// Endpoint is cluster-preferred-endpoint-type: how nodes are named to clients.
type Endpoint uint8

const (
	EndpointIP Endpoint = iota
	EndpointHostname
	EndpointUnknown
)

// EndpointNames are the values of the directive.
var EndpointNames = [...]string{EndpointIP: "ip", EndpointHostname: "hostname", EndpointUnknown: "unknown-endpoint"}

func (e Endpoint) String() string { return EndpointNames[e] }

// host is how a client is told to reach n. A hostname that is wanted and not known is "?",
// and an unknown endpoint is empty: the client then keeps the host it dialed.
func (e Endpoint) host(n *topology.Node) string {
	switch e {
	case EndpointHostname:
		if n.Host == "" {
			return "?"
		}
		return n.Host
	case EndpointUnknown:
		return ""
	}
	return n.IP
}

func clientPort(n *topology.Node) uint16 {
	if n.Port == 0 {
		return n.TLSPort
	}
	return n.Port
}

// routes is what routing needs of a View, made once when that part of the View changes. It
// is immutable. Pings and offsets make Views by the second; only a new version of routes
// makes the data path look again.
type routes struct {
	version   uint64
	view      *topology.View
	endpoint  Endpoint
	owner     *topology.SlotTable
	me        uint16
	primary   uint16 // my primary's index when I am a replica, else NoOwner
	up        bool   // cluster state ok
	serving   bool
	readsDown bool
	opened    slot.Set
	asks      []ask // of opened slots, by slot
	addrs     []string
}

// ask is a slot in classic migration.
type ask struct {
	slot      slot.Slot
	importing bool
	err       resp.Error // migrating: the redirection
}

func newRoutes(v *topology.View, e Endpoint, version uint64) *routes {
	r := &routes{version: version, view: v, endpoint: e, owner: v.Owner, me: uint16(v.Me), primary: topology.NoOwner,
		up: v.State == topology.StateOK, serving: v.Serving, readsDown: v.ReadsWhenDown, opened: v.Opened}
	if r.owner == nil {
		r.owner = noOwners()
	}
	if v.Role == topology.RoleReplica && v.Primary >= 0 {
		r.primary = uint16(v.Primary)
	}
	r.addrs = make([]string, len(v.Nodes))
	for i := range v.Nodes {
		n := &v.Nodes[i]
		r.addrs[i] = " " + e.host(n) + ":" + strconv.Itoa(int(clientPort(n)))
	}
	for _, o := range v.OpenSlots {
		a := ask{slot: o.Slot, importing: o.Importing}
		if i, ok := v.Find(o.Peer); ok {
			a.err = resp.Error("ASK " + strconv.Itoa(int(o.Slot)) + r.addrs[i])
		}
		r.asks = append(r.asks, a)
	}
	return r
}

func noOwners() *topology.SlotTable {
	t := new(topology.SlotTable)
	for i := range t {
		t[i] = topology.NoOwner
	}
	return t
}

// same reports whether routes made of v would say the same, and all nodes have the roles they had.
func (r *routes) same(v *topology.View, e Endpoint) bool {
	o := r.view
	if r.endpoint != e || o.Me != v.Me || o.State != v.State || o.Serving != v.Serving || o.ReadsWhenDown != v.ReadsWhenDown ||
		o.Role != v.Role || o.Primary != v.Primary || o.Opened != v.Opened || !slices.Equal(o.OpenSlots, v.OpenSlots) ||
		len(o.Nodes) != len(v.Nodes) {
		return false
	}
	if o.Owner != v.Owner && (o.Owner == nil || v.Owner == nil || *o.Owner != *v.Owner) {
		return false
	}
	for i := range v.Nodes {
		a, b := &o.Nodes[i], &v.Nodes[i]
		if a.ID != b.ID || a.IP != b.IP || a.Host != b.Host || a.Port != b.Port || a.TLSPort != b.TLSPort || a.Role != b.Role {
			return false
		}
	}
	return true
}

// Version changes whenever Route may answer differently for another reason than the lease.
func (a *Agent) Version() uint64 { return a.routes.Load().version }

// Route says where a call on one slot may run: contract S36-S40, in the order in which Redis
// decides. It does not allocate for Local.
func (a *Agent) Route(q command.RouteQuery) command.Verdict {
	r := a.routes.Load()
	owner := r.owner[q.Slot&(slot.Count-1)]
	if owner == topology.NoOwner {
		return command.Verdict{Kind: command.Refuse, Err: resp.ErrClusterDownUnbound}
	}
	if q.Channels {
		return a.routeChannels(r, owner, q)
	}
	if !r.up {
		if err := r.whenDown(q.Write); err != "" {
			return command.Verdict{Kind: command.Refuse, Err: err}
		}
	}
	if r.opened.Has(q.Slot & (slot.Count - 1)) {
		if v, decided := r.open(owner == r.me, q); decided {
			return a.leased(r, q, v)
		}
	}
	if owner == r.me {
		return a.leased(r, q, command.Verdict{})
	}
	if q.ReadOnly && !q.Write && owner == r.primary {
		return command.Verdict{}
	}
	return command.Verdict{Kind: command.Refuse, Err: r.moved(q.Slot, owner)}
}

// routeChannels routes a call on shard channels. They hold no data: every node of the owner's
// shard serves them, without a lease, and a slot that is migrating has them where it was.
func (a *Agent) routeChannels(r *routes, owner uint16, q command.RouteQuery) command.Verdict {
	switch {
	case !r.up && (a.opt.ChannelsDown == nil || !a.opt.ChannelsDown()):
		return command.Verdict{Kind: command.Refuse, Err: resp.ErrClusterDown}
	case owner == r.me && q.Write:
		return a.leased(r, q, command.Verdict{}) // a transaction that writes besides
	case owner == r.me, owner == r.primary && !q.Write:
		return command.Verdict{}
	}
	return command.Verdict{Kind: command.Refuse, Err: r.moved(q.Slot, owner)}
}

// whenDown is the refusal of a cluster that does not work: everything, or with
// cluster-allow-reads-when-down only writes.
func (r *routes) whenDown(write bool) resp.Error {
	switch {
	case !r.readsDown:
		return resp.ErrClusterDown
	case write:
		return resp.ErrClusterDownReadOnly
	}
	return ""
}

// open judges a slot in classic migration at this node (S38).
func (r *routes) open(mine bool, q command.RouteQuery) (command.Verdict, bool) {
	i, ok := slices.BinarySearchFunc(r.asks, q.Slot, func(a ask, s slot.Slot) int { return int(a.slot) - int(s) })
	switch {
	case !ok:
	case mine && !r.asks[i].importing && r.asks[i].err != "":
		return command.Verdict{Kind: command.Migrating, Err: r.asks[i].err}, true
	case !mine && r.asks[i].importing && q.Asking:
		return command.Verdict{Kind: command.Importing, Err: resp.ErrTryAgain}, true
	}
	return command.Verdict{}, false
}

// leased lets v pass when this node may serve at the round's time. A process that was stopped
// and continued finds its lease run out here, before it executes anything that was queued.
func (a *Agent) leased(r *routes, q command.RouteQuery, v command.Verdict) command.Verdict {
	if r.serving && core.Mono(q.Mono) < core.Mono(a.lease.Load()) {
		return v
	}
	if a.opt.Strict {
		return command.Verdict{Kind: command.Refuse, Err: resp.ErrLeaseExpired}
	}
	if err := r.whenDown(q.Write); err != "" {
		return command.Verdict{Kind: command.Refuse, Err: err}
	}
	return v
}

func (r *routes) moved(s slot.Slot, owner uint16) resp.Error {
	return resp.Error("MOVED " + strconv.Itoa(int(s)) + r.addrs[owner])
}
