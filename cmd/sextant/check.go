package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/sextantdb/sextant/cluster/manage"
)

// checkWithin bounds a whole check.
const checkWithin = 30 * time.Second

// everyone asks the node at addr, and every node it knows, how they see the cluster. nodes are as
// the first one sees them. The remotes are the caller's to close, on an error too.
func everyone(ctx context.Context, addr string, l login) (rs []*remote, seen []manage.Seen, nodes []manage.Node, err error) {
	first, err := resolve(addr)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := first.dial(ctx, l); err != nil {
		return nil, nil, nil, faultf("Start the node, or correct the address.", "%s: %s", addr, plain(err))
	}
	if nodes, err = first.nodes(ctx); err != nil {
		return []*remote{first}, nil, nil, faultf("", "%s: %s", addr, plain(err))
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
	each(rs, func(i int, r *remote) {
		s := manage.Seen{Addr: r.addr, Want: ids[i]}
		var err error
		if r != first {
			err = r.dial(ctx, l)
		}
		if err == nil {
			s.Nodes, err = r.nodes(ctx)
		}
		if err != nil {
			s.Err = plain(err)
		}
		seen[i] = s
	})
	return rs, seen, nodes, nil
}

// check is `sextant cluster check`: it asks every node that the named one knows.
func check(t *terminal, addr string, l login, asJSON bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
	defer cancel()
	rs, seen, _, err := everyone(ctx, addr, l)
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
		return faultf("redis-cli --cluster fix closes open slots and assigns missing ones; failed nodes must be started again or forgotten.",
			"the cluster has %d problems", len(report.Problems))
	}
	return nil
}
