package agent

import (
	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
)

// The looking commands of the CLUSTER group: renderings of the View in RESP.

func clusterInfo(a *Agent, c *command.Ctx) {
	over := uint64(0)
	if links := a.shown.Load(); links != nil {
		over = (*links).OverLimit()
	}
	c.Out.Verbatim("txt", a.View().InfoText(over))
}

func clusterNodes(a *Agent, c *command.Ctx) { c.Out.Verbatim("txt", a.View().NodesText(false)) }

func clusterMyID(a *Agent, c *command.Ctx) { c.Out.BulkString(a.View().Self.String()) }

func clusterMyShardID(a *Agent, c *command.Ctx) { c.Out.BulkString(a.View().Shard.String()) }

func clusterReplicas(a *Agent, c *command.Ctx) {
	v := a.View()
	at, ok := findNode(v, c.Argv[2])
	switch {
	case !ok:
		c.Fail(resp.ErrUnknownNode(string(c.Argv[2])))
		return
	case v.Nodes[at].Role == topology.RoleReplica:
		c.Fail("ERR The specified node is not a master")
		return
	}
	lines := v.ReplicasText(at, false)
	c.Out.Array(len(lines))
	for _, l := range lines {
		c.Out.BulkString(l)
	}
}

func clusterSlots(a *Agent, c *command.Ctx) {
	v := a.View()
	e := a.routes.Load().endpoint
	ranges := v.Slots()
	c.Out.Array(len(ranges))
	for _, r := range ranges {
		c.Out.Array(2 + len(r.Nodes))
		c.Out.Int(int64(r.First))
		c.Out.Int(int64(r.Last))
		for _, i := range r.Nodes {
			slotsNode(c.Out, &v.Nodes[i], e)
		}
	}
}

// slotsNode is one node in CLUSTER SLOTS: preferred endpoint, port, id, and a map of the
// other names it has.
func slotsNode(w *resp.Writer, n *topology.Node, e Endpoint) {
	w.Array(4)
	if e == EndpointUnknown {
		w.Null()
	} else {
		w.BulkString(e.host(n))
	}
	w.Int(int64(clientPort(n)))
	w.BulkString(n.ID.String())
	ip := e != EndpointIP
	host := e != EndpointHostname && n.Host != ""
	pairs := 0
	if ip {
		pairs++
	}
	if host {
		pairs++
	}
	w.Map(pairs)
	if ip {
		w.BulkString("ip")
		w.BulkString(n.IP)
	}
	if host {
		w.BulkString("hostname")
		w.BulkString(n.Host)
	}
}

func clusterShards(a *Agent, c *command.Ctx) {
	v := a.View()
	e := a.routes.Load().endpoint
	shards := v.Shards()
	c.Out.Array(len(shards))
	for _, s := range shards {
		c.Out.Map(2)
		c.Out.BulkString("slots")
		c.Out.Array(2 * len(s.Slots))
		for _, r := range s.Slots {
			c.Out.Int(int64(r.First))
			c.Out.Int(int64(r.Last))
		}
		c.Out.BulkString("nodes")
		c.Out.Array(len(s.Nodes))
		for _, i := range s.Nodes {
			shardNode(c.Out, &v.Nodes[i], e)
		}
	}
}

func shardNode(w *resp.Writer, n *topology.Node, e Endpoint) {
	mark, pairs := w.Defer(), 0
	text := func(name, value string) {
		w.BulkString(name)
		w.BulkString(value)
		pairs++
	}
	number := func(name string, value int64) {
		w.BulkString(name)
		w.Int(value)
		pairs++
	}
	text("id", n.ID.String())
	if n.Port != 0 {
		number("port", int64(n.Port))
	}
	if n.TLSPort != 0 {
		number("tls-port", int64(n.TLSPort))
	}
	text("ip", n.IP)
	text("endpoint", e.host(n))
	if n.Host != "" {
		text("hostname", n.Host)
	}
	role := "master"
	if n.Role == topology.RoleReplica {
		role = "replica"
	}
	text("role", role)
	number("replication-offset", n.Offset)
	text("health", n.HealthText())
	w.EndMap(mark, pairs)
}

func clusterLinks(a *Agent, c *command.Ctx) {
	var links []Link
	if shown := a.shown.Load(); shown != nil {
		links = (*shown).Links()
	}
	c.Out.Array(len(links))
	for _, l := range links {
		direction := "to"
		if l.Inbound {
			direction = "from"
		}
		c.Out.Map(6)
		c.Out.BulkString("direction")
		c.Out.BulkString(direction)
		c.Out.BulkString("node")
		c.Out.BulkString(l.Node.String())
		c.Out.BulkString("create-time")
		c.Out.Int(l.CreatedMs)
		c.Out.BulkString("events")
		c.Out.BulkString(l.Events)
		c.Out.BulkString("send-buffer-allocated")
		c.Out.Int(l.Allocated)
		c.Out.BulkString("send-buffer-used")
		c.Out.Int(l.Used)
	}
}

// findNode finds the node that a client names.
func findNode(v *topology.View, word []byte) (int, bool) {
	id, ok := bus.ParseNodeID(string(word))
	if !ok {
		return 0, false
	}
	return v.Find(id)
}
