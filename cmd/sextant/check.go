package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/sextantdb/sextant/cluster/manage"
)

// checkWithin bounds a whole check.
const checkWithin = 30 * time.Second

// everyone asks the node at addr, and every node it knows, how they see the cluster. nodes are as
// the first one sees them. The remotes are the caller's to close, on an error too.
func everyone(ctx context.Context, p *progress, addr string, l login) (rs []*remote, seen []manage.Seen, nodes []manage.Node, err error) {
	first, err := resolve(addr)
	if err != nil {
		return nil, nil, nil, err
	}
	if nodes, err = first.look(ctx, l); err != nil {
		return []*remote{first}, nil, nil, faultf("Start the node, or correct the address.", "%s: %s", addr, plain(err))
	}
	var ids []string // of rs
	for i := range nodes {
		n := &nodes[i]
		switch {
		case n.Has("myself"):
			rs, ids = append(rs, first), append(ids, n.ID)
		case n.Has("noaddr") || n.Has("handshake"):
		default:
			rs, ids = append(rs, &remote{addr: net.JoinHostPort(n.Host, strconv.Itoa(n.Port)), ip: n.Host, port: n.Port}), append(ids, n.ID)
		}
	}
	seen = make([]manage.Seen, len(rs))
	answered := make(chan int, len(rs))
	for i, r := range rs {
		seen[i] = manage.Seen{Addr: r.addr, Want: ids[i]}
		go func() {
			var err error
			if seen[i].Nodes, err = r.look(ctx, l); err != nil {
				seen[i].Err = plain(err)
			}
			answered <- i
		}()
	}
	missing := map[int]bool{}
	for i := range rs {
		missing[i] = true
	}
	slow := time.NewTimer(time.Second)
	defer slow.Stop()
	for shown := p.t.draws; len(missing) > 0; { // lines are written only of what takes long
		if shown {
			p.set("asking nodes"+waitingFor(rs, missing), len(rs)-len(missing), len(rs))
		}
		select {
		case i := <-answered:
			delete(missing, i)
		case <-slow.C:
			shown = true
		}
	}
	p.end()
	return rs, seen, nodes, nil
}

// waitingFor names the last few that are waited for.
func waitingFor(rs []*remote, missing map[int]bool) string {
	if len(missing) > 2 {
		return ""
	}
	var names []string
	for i, r := range rs {
		if missing[i] {
			names = append(names, r.addr)
		}
	}
	return ", waiting for " + strings.Join(names, " and ")
}

// look connects, unless it stands, and asks for CLUSTER NODES, within askWithin. Who loads is asked again: a replica may have
// just got its first data.
func (r *remote) look(ctx context.Context, l login) ([]manage.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if r.conn == nil {
		if err := r.dial(ctx, l); err != nil {
			return nil, err
		}
	}
	for {
		nodes, err := r.nodes(ctx)
		if err == nil || !strings.HasPrefix(err.Error(), "LOADING") {
			return nodes, err
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// check is `sextant cluster check`: it asks every node that the named one knows.
func check(t *terminal, addr string, l login, asJSON bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
	defer cancel()
	rs, seen, _, err := everyone(ctx, &progress{t: t}, addr, l)
	defer each(rs, func(_ int, r *remote) { r.close() })
	if err != nil {
		return err
	}
	report := manage.Check(seen)
	if asJSON {
		printJSON(t, struct {
			OK bool `json:"ok"`
			*manage.Report
		}{report.OK(), report})
		if !report.OK() {
			return errTold
		}
		return nil
	}
	fmt.Fprintf(t.out, ">>> Performing Cluster Check (using node %s)\n", addr)
	if res, err := outcome(ctx, rs); err == nil {
		fmt.Fprint(t.out, res.table())
	}
	if report.Agree {
		fmt.Fprintln(t.out, "[OK] All nodes agree about slots configuration.")
	}
	for _, w := range report.Warnings {
		fmt.Fprintln(t.out, "[WARNING] "+w)
	}
	if report.Missing == "" && report.Covered > 0 {
		fmt.Fprintln(t.out, "[OK] All 16384 slots covered.")
	}
	for _, p := range report.Problems {
		fmt.Fprintln(t.out, "[ERR] "+p)
	}
	if !report.OK() {
		return faultf("sextant cluster fix closes open slots and assigns missing ones; failed nodes must be started again, or taken out with sextant cluster del-node.",
			"the cluster has %d problems", len(report.Problems))
	}
	return nil
}
