package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sextantdb/sextant/cluster/manage"
)

// memberOptions are what add-node and del-node share.
type memberOptions struct {
	login
	yes, json bool
	limit     time.Duration
}

func (o *memberOptions) flags(c *cobra.Command) {
	o.login.flags(c)
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask, accept the plan")
	c.Flags().BoolVar(&o.json, "json", false, "print the result as JSON")
	c.Flags().DurationVar(&o.limit, "timeout", time.Minute, "give up after this time, with the reason")
}

func addNodeCommand(t *terminal) *cobra.Command {
	var o memberOptions
	var of string
	var replica bool
	c := &cobra.Command{
		Use:   "add-node new:port existing:port [--replica | --replica-of ID]",
		Short: "Take a node that runs already into a cluster, as a primary or as a replica",
		Long: "Take a node that runs already, is empty and has cluster-enabled yes into a cluster: as a primary\n" +
			"without slots, or as a replica. Everything is checked first, as create does.",
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return addNode(t, args[0], args[1], replica, of, &o) },
	}
	o.flags(c)
	c.Flags().BoolVar(&replica, "replica", false, "follow the primary that has the fewest replicas, on another host if there is one")
	c.Flags().StringVar(&of, "replica-of", "", "follow the primary with this node id or address")
	return c
}

func delNodeCommand(t *terminal) *cobra.Command {
	var o memberOptions
	c := &cobra.Command{
		Use:   "del-node host:port ID",
		Short: "Take a node without slots out of a cluster",
		Long: "Take a node without slots, given by its node id or its address, out of a cluster. Its replicas follow\n" +
			"other primaries, all nodes forget it, and if it answers it is reset: it has a new id and, as a replica\n" +
			"had, no data. Move the slots of a primary away before: sextant cluster rebalance --weight ID=0.",
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error { return delNode(t, args[0], args[1], &o) },
	}
	o.flags(c)
	return c
}

// addNode is `sextant cluster add-node`.
func addNode(t *terminal, addr, existing string, replica bool, of string, o *memberOptions) error {
	if err := o.login.complete(t); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	p := &progress{t: t}
	defer p.end()
	fresh, err := resolve(addr)
	if err != nil {
		return err
	}
	rs, seen, nodes, err := everyone(ctx, p, existing, o.login)
	all := append([]*remote{fresh}, rs...)
	defer each(all, func(_ int, r *remote) { r.close() })
	if err != nil {
		return err
	}
	if report := manage.Check(seen); !report.OK() {
		return faultf(wellAdvice, "the cluster is not well: %s", report.Problems[0])
	}
	if manage.Find(nodes, net.JoinHostPort(fresh.ip, strconv.Itoa(fresh.port))) != nil {
		return faultf("sextant cluster check shows its nodes.", "%s is a node of this cluster already", addr)
	}
	facts, reach := survey(ctx, all, o.login)
	for i := 1; i < len(facts); i++ {
		facts[i].Member = true
	}
	if problems := manage.Preflight(facts, reach); len(problems) > 0 {
		return preflightFault("joining", problems)
	}
	primary := (*manage.Node)(nil)
	switch {
	case of != "":
		if primary = manage.Find(nodes, of); primary == nil || primary.Replica() {
			return faultf("sextant cluster check shows the primaries.", "%q is no primary of this cluster", of)
		}
	case replica:
		if primary = manage.Home(nodes, fresh.ip); primary == nil {
			return faultf("Give slots to a primary first.", "no primary of this cluster has slots")
		}
	}
	role := "as a primary without slots"
	if primary != nil {
		role = "as a replica of " + primary.Addr() + " (" + primary.ID + ")"
	}
	if !o.json {
		fmt.Fprintf(t.out, ">>> %s (%s) joins the cluster of %d nodes %s.\n", addr, facts[0].ID, len(nodes), role)
	}
	if err := confirm(t, o.yes); err != nil {
		return err
	}
	j := joiner{ctx: ctx, p: p, all: all, id: facts[0].ID, nodes: len(nodes) + 1}
	if _, err := fresh.do(ctx, "CLUSTER", "MEET", rs[0].ip, strconv.Itoa(rs[0].port), strconv.Itoa(facts[1].CPort)); err != nil {
		return faultf("", "%s refused CLUSTER MEET: %s", addr, plain(err))
	}
	if err := j.await("joining", j.known); err != nil {
		return err
	}
	if primary != nil {
		j.primary = primary.ID
		if _, err := fresh.do(ctx, "CLUSTER", "REPLICATE", primary.ID); err != nil {
			return faultf("It has joined as a primary without slots: send CLUSTER REPLICATE again, or take it out with sextant cluster del-node.",
				"%s refused CLUSTER REPLICATE: %s", addr, plain(err))
		}
		if err := j.await("synchronizing", j.follows); err != nil {
			return err
		}
	}
	p.end()
	if o.json {
		res := nodeResult{Addr: addr, ID: j.id, Role: "primary"}
		if primary != nil {
			res.Role, res.Primary = "replica", primary.Addr()
		}
		printJSON(t, result{OK: true, Nodes: []nodeResult{res}})
		return nil
	}
	fmt.Fprintf(t.out, "[OK] %s is a node of the cluster, %s; all nodes know it.\n", addr, role)
	if primary == nil {
		fmt.Fprintf(t.out, "Give it slots: sextant cluster rebalance %s --use-empty-masters\n", existing)
	}
	return nil
}

// joiner waits for a node to become one of all.
type joiner struct {
	ctx     context.Context
	p       *progress
	all     []*remote // the new one first
	id      string    // of the new one
	nodes   int       // of the cluster, with it
	primary string
}

func (j *joiner) await(what string, lacks func(i int, r *remote) string) error {
	if missing := await(j.ctx, j.p, j.all, what, lacks); missing != "" {
		return faultf("It may still come about: sextant cluster check shows it. sextant cluster del-node takes the node out again.",
			"not done in time: while %s, %s", what, missing)
	}
	return nil
}

// known: the node knows the new one and is connected with it; the new one knows all.
func (j *joiner) known(i int, r *remote) string {
	nodes, err := r.nodes(j.ctx)
	if err != nil {
		return "does not answer: " + plain(err)
	}
	n := manage.Find(nodes, j.id)
	switch {
	case n == nil:
		return "does not know the new node"
	case n.Has("handshake"):
		return "is still in handshake with the new node"
	case i == 0 && len(nodes) < j.nodes:
		return fmt.Sprintf("knows only %d of %d nodes", len(nodes), j.nodes)
	case i == 0:
		for k := range nodes {
			if !nodes[k].Linked {
				return "has no bus connection to " + nodes[k].Addr()
			}
		}
	case !n.Linked:
		return "has no bus connection to the new node"
	}
	return ""
}

// follows: the node sees the new one as a replica of its primary, and the new one has the data.
func (j *joiner) follows(i int, r *remote) string {
	nodes, err := r.nodes(j.ctx)
	if err != nil {
		return "does not answer: " + plain(err)
	}
	if n := manage.Find(nodes, j.id); n == nil || n.Primary != j.primary {
		return "does not see the new node follow its primary"
	}
	if i > 0 {
		return ""
	}
	info, err := r.info(j.ctx, "INFO", "replication")
	if err != nil {
		return "does not answer: " + plain(err)
	}
	if info["role"] != "slave" || info["master_link_status"] != "up" {
		return "has not finished its first synchronization"
	}
	return ""
}

// removed is what del-node prints as JSON.
type removed struct {
	OK      bool         `json:"ok"`
	ID      string       `json:"id"`
	Addr    string       `json:"addr"`
	Reset   bool         `json:"reset"`
	Orphans []nodeResult `json:"replicas,omitempty"`
}

// delNode is `sextant cluster del-node`.
func delNode(t *terminal, addr, name string, o *memberOptions) error {
	v, err := visit(t, addr, &o.login, o.limit)
	if err != nil {
		return err
	}
	defer v.end()
	ctx, p, rs, seen, nodes := v.ctx, v.p, v.rs, v.seen, v.nodes
	plan, err := manage.Remove(nodes, name)
	if err != nil {
		advice := "sextant cluster check shows the nodes and their slots."
		if strings.Contains(err.Error(), "serves") {
			advice = fmt.Sprintf("Move them away first: sextant cluster rebalance %s --weight %s=0", addr, manage.Find(nodes, name).ID)
		}
		return faultf(advice, "%s", err)
	}
	gone := (*remote)(nil)
	byID := map[string]*remote{}
	var others []*remote
	for i, r := range rs {
		switch id := seen[i].Want; {
		case seen[i].Err != "" && id == plan.Node.ID:
		case seen[i].Err != "":
			fmt.Fprintf(t.err, "[WARNING] %s cannot be asked (%s); the others will tell it\n", r.addr, seen[i].Err)
		case id == plan.Node.ID:
			gone = r
		default:
			byID[id], others = r, append(others, r)
		}
	}
	if len(others) == 0 {
		return faultf("Name another node of the cluster as the first argument.", "no other node answers")
	}
	keys := ""
	if gone != nil && !plan.Node.Replica() {
		if keys, err = gone.do(ctx, "DBSIZE"); err != nil {
			return faultf("", "%s: %s", gone.addr, plain(err))
		}
		if keys != "0" {
			return faultf("They belong to no slot of its: send FLUSHALL to it if they can go.", "%s still has %s keys", gone.addr, keys)
		}
	}
	for _, r := range plan.Orphans {
		fmt.Fprintf(t.err, "%s follows %s from now on\n", r.Addr(), plan.Follow[r.ID].Addr())
	}
	end := " and is reset"
	if gone == nil {
		end = "; it does not answer, so it is not reset"
	}
	fmt.Fprintf(t.err, "%s (%s) leaves the cluster of %d nodes%s\n", plan.Node.Addr(), plan.Node.ID, len(nodes), end)
	if err := confirm(t, o.yes); err != nil {
		return err
	}
	res := removed{OK: true, ID: plan.Node.ID, Addr: plan.Node.Addr(), Reset: gone != nil}
	for _, r := range plan.Orphans {
		to := plan.Follow[r.ID]
		res.Orphans = append(res.Orphans, nodeResult{Addr: r.Addr(), ID: r.ID, Role: "replica", Primary: to.Addr()})
		if byID[r.ID] == nil {
			return faultf("Start it, or take it out first.", "the replica %s does not answer", r.Addr())
		}
		if _, err := byID[r.ID].do(ctx, "CLUSTER", "REPLICATE", to.ID); err != nil {
			return faultf("Give the command again once that is possible.", "%s refused CLUSTER REPLICATE: %s", r.Addr(), plain(err))
		}
	}
	// at waits until no node of the others shows a reason why not.
	at := func(what string, lacks func(r *remote, n *manage.Node) string) error {
		missing := await(ctx, p, others, what, func(_ int, r *remote) string {
			nodes, err := r.nodes(ctx)
			if err != nil {
				return "does not answer: " + plain(err)
			}
			for i := range nodes {
				if why := lacks(r, &nodes[i]); why != "" {
					return why
				}
			}
			return ""
		})
		if missing != "" {
			return faultf("Give the command again: it goes on from here.", "not done in time: while %s, %s", what, missing)
		}
		return nil
	}
	if len(plan.Orphans) > 0 {
		err := at("moving replicas", func(_ *remote, n *manage.Node) string {
			if n.Primary == plan.Node.ID {
				return "sees " + n.Addr() + " follow it still"
			}
			return ""
		})
		if err != nil {
			return err
		}
	}
	err = at("forgetting", func(r *remote, n *manage.Node) string {
		if n.ID != plan.Node.ID {
			return ""
		}
		if _, err := r.do(ctx, "CLUSTER", "FORGET", n.ID); err != nil {
			return "refuses CLUSTER FORGET: " + plain(err)
		}
		return "knows it still"
	})
	if err != nil {
		return err
	}
	if gone != nil {
		if _, err := gone.do(ctx, "CLUSTER", "RESET", "HARD"); err != nil {
			return faultf("All others have forgotten it. Send CLUSTER RESET HARD to it before it is used again.", "%s refused CLUSTER RESET: %s", gone.addr, plain(err))
		}
	}
	p.end()
	if o.json {
		printJSON(t, res)
		return nil
	}
	fmt.Fprintf(t.out, "[OK] %s has left the cluster.\n", res.Addr)
	return nil
}
