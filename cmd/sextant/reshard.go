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
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/store/slot"
)

const (
	// moveBatch is how many slots are open at once: what a broken off run leaves to be fixed.
	moveBatch = 256
	// openPipeline is how many SETSLOTs are sent before their replies are read.
	openPipeline = 64
)

// moveOptions are what reshard and rebalance share.
type moveOptions struct {
	login
	yes, json bool
	replace   bool
	timeoutMs int
	pipeline  int
	limit     time.Duration
}

func (o *moveOptions) flags(c *cobra.Command) {
	o.login.flags(c)
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask, accept the plan")
	c.Flags().BoolVar(&o.json, "json", false, "print the result as JSON")
	c.Flags().BoolVar(&o.replace, "replace", false, "keys that the target has already are overwritten")
	c.Flags().IntVar(&o.timeoutMs, "key-timeout", 60000, "milliseconds a MIGRATE may wait for the target")
	c.Flags().IntVar(&o.pipeline, "pipeline", 100, "keys per MIGRATE")
	c.Flags().DurationVar(&o.limit, "timeout", time.Hour, "give up after this time, with the reason")
}

func reshardCommand(t *terminal) *cobra.Command {
	var o moveOptions
	var from, to string
	var n int
	c := &cobra.Command{
		Use:   "reshard host:port --to ID --slots N [--from ID,...|all]",
		Short: "Move slots with their keys to one primary, while clients go on",
		Long: "Move slots with their keys to one primary, while clients go on. Slots are taken from the\n" +
			"sources in proportion to what they have, and change hands in batches, each decided once.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return move(t, args[0], &o, func(nodes []manage.Node) ([]manage.Move, error) {
				var sources []manage.Node
				wanted := map[string]bool{}
				for _, id := range strings.Split(from, ",") {
					wanted[id] = true
				}
				known := false
				for _, n := range nodes {
					if n.Replica() {
						continue
					}
					known = known || n.ID == to
					if n.ID != to && !n.Slots.Empty() && (wanted["all"] || wanted[n.ID]) {
						sources = append(sources, n)
						delete(wanted, n.ID)
					}
				}
				delete(wanted, "all")
				for id := range wanted {
					return nil, fmt.Errorf("%q is no primary with slots", id)
				}
				if !known {
					return nil, fmt.Errorf("%q is no primary of this cluster", to)
				}
				return manage.Reshard(sources, to, n)
			})
		},
	}
	o.flags(c)
	c.Flags().StringVar(&from, "from", "all", "node ids of the sources, with commas between, or all")
	c.Flags().StringVar(&to, "to", "", "node id of the target")
	c.Flags().IntVar(&n, "slots", 0, "number of slots to move")
	_ = c.MarkFlagRequired("to")
	_ = c.MarkFlagRequired("slots")
	return c
}

func rebalanceCommand(t *terminal) *cobra.Command {
	var o moveOptions
	var weights map[string]string
	r := manage.RebalanceOptions{Weights: map[string]float32{}}
	c := &cobra.Command{
		Use:   "rebalance host:port [--weight ID=W,...]",
		Short: "Even out the slots of all primaries, with their keys, while clients go on",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			for id, w := range weights {
				f, err := strconv.ParseFloat(w, 32)
				if err != nil {
					return faultf("Weights are numbers: --weight <node-id>=0.5", "the weight %q of %s is no number", w, id)
				}
				r.Weights[id] = float32(f)
			}
			return move(t, args[0], &o, func(nodes []manage.Node) ([]manage.Move, error) {
				_, moves, err := manage.Rebalance(nodes, r)
				return moves, err
			})
		},
	}
	o.flags(c)
	c.Flags().StringToStringVar(&weights, "weight", nil, "weights of nodes, 1 unless given")
	c.Flags().Float32Var(&r.Threshold, "threshold", 2, "percent by which nodes may be off")
	c.Flags().BoolVar(&r.UseEmpty, "use-empty-masters", false, "give slots to primaries without any")
	return c
}

// mover carries a plan out.
type mover struct {
	ctx    context.Context
	o      *moveOptions
	nodes  map[string]*remote
	addrs  map[string]string // where nodes reach one another
	others []string          // primaries, for clusters that have no MOVESLOTSRANGE
	p      *progress
	slots  int
	keys   int
}

// moved is the result.
type moved struct {
	Slots   int     `json:"slots"`
	Keys    int     `json:"keys"`
	Seconds float64 `json:"seconds"`
}

const openAdvice = "Slots may be left open. sextant cluster fix brings their moves to an end; then the same command goes on."

// wellAdvice is for those who change a cluster that works.
const wellAdvice = "Mend that first: sextant cluster check shows all, sextant cluster fix closes open slots."

func newMover(ctx context.Context, o *moveOptions, p *progress, rs []*remote, seen []manage.Seen, nodes []manage.Node) *mover {
	m := &mover{ctx: ctx, o: o, nodes: map[string]*remote{}, addrs: map[string]string{}, p: p}
	for i, r := range rs {
		n := manage.Find(nodes, seen[i].Want)
		m.nodes[n.ID], m.addrs[n.ID] = r, net.JoinHostPort(n.Host, strconv.Itoa(n.Port))
	}
	for i := range nodes {
		if !nodes[i].Replica() && m.nodes[nodes[i].ID] != nil {
			m.others = append(m.others, nodes[i].ID)
		}
	}
	return m
}

// visited is a cluster whose nodes have been asked, with connections to them.
type visited struct {
	ctx   context.Context // ends with the time limit
	p     *progress
	rs    []*remote
	seen  []manage.Seen // by each of rs
	nodes []manage.Node
	end   func() // to be called once: ends all that
}

// visit asks for what the login lacks and looks at all nodes of the cluster that addr belongs to.
func visit(t *terminal, addr string, l *login, limit time.Duration) (*visited, error) {
	if err := l.complete(t); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	v := &visited{ctx: ctx, p: &progress{t: t}}
	v.end = func() {
		each(v.rs, func(_ int, r *remote) { r.close() })
		v.p.end()
		cancel()
	}
	var err error
	if v.rs, v.seen, v.nodes, err = everyone(ctx, v.p, addr, *l); err != nil {
		v.end()
		return nil, err
	}
	return v, nil
}

// move surveys the cluster, plans, asks, and moves.
func move(t *terminal, addr string, o *moveOptions, plan func([]manage.Node) ([]manage.Move, error)) error {
	v, err := visit(t, addr, &o.login, o.limit)
	if err != nil {
		return err
	}
	defer v.end()
	ctx, p, rs, seen, nodes := v.ctx, v.p, v.rs, v.seen, v.nodes
	if report := manage.Check(seen); !report.OK() {
		return faultf(wellAdvice, "the cluster is not well: %s", report.Problems[0])
	}
	moves, err := plan(nodes)
	if err != nil {
		return faultf("sextant cluster check shows the primaries and their slots.", "%s", err)
	}
	if len(moves) == 0 {
		fmt.Fprintln(t.err, ">>> Nothing to move.")
		if o.json {
			printJSON(t, moved{})
		}
		return nil
	}
	m := newMover(ctx, o, p, rs, seen, nodes)
	groups := manage.Group(moves, moveBatch)
	for _, g := range groups {
		fmt.Fprintf(t.err, "%s -> %s: slots %s\n", m.nodes[g.From].addr, m.nodes[g.To].addr, g.Slots.String())
	}
	if err := confirm(t, o.yes); err != nil {
		return err
	}
	began := time.Now()
	for _, g := range groups {
		if err := m.move(&g, len(moves)); err != nil {
			return faultf(openAdvice, "slots %s from %s to %s: %s", g.Slots.String(), m.nodes[g.From].addr, m.nodes[g.To].addr, plain(err))
		}
	}
	m.p.end()
	done := moved{m.slots, m.keys, time.Since(began).Seconds()}
	if err := settled(ctx, p, addr, o.login); err != nil {
		return err
	}
	if o.json {
		printJSON(t, done)
		return nil
	}
	fmt.Fprintf(t.out, "[OK] %d slots and %d keys moved in %.1f s.\n", done.Slots, done.Keys, done.Seconds)
	return nil
}

// move takes one group of slots over.
func (m *mover) move(g *manage.Transfers, total int) error {
	from, to := m.nodes[g.From], m.nodes[g.To]
	var importing, migrating, counts [][]string
	var slots []slot.Slot
	for at, ok := g.Slots.Next(0); ok; at, ok = g.Slots.Next(int(at) + 1) {
		s := strconv.Itoa(int(at))
		slots = append(slots, at)
		importing = append(importing, []string{"CLUSTER", "SETSLOT", s, "IMPORTING", g.From})
		migrating = append(migrating, []string{"CLUSTER", "SETSLOT", s, "MIGRATING", g.To})
		counts = append(counts, []string{"CLUSTER", "COUNTKEYSINSLOT", s})
	}
	if _, err := m.pipeline(to, importing); err != nil { // first who takes, so that ASK leads somewhere
		return err
	}
	if _, err := m.pipeline(from, migrating); err != nil {
		return err
	}
	keys, err := m.pipeline(from, counts)
	if err != nil {
		return err
	}
	for i, s := range slots {
		if keys[i].Int > 0 {
			if err := m.drain(from, g.To, s); err != nil {
				return err
			}
		}
		m.p.set("moving slots", m.slots+i+1, total)
	}
	m.slots += len(slots)
	return m.assign(g, from, to, slots)
}

// drain moves all keys of a slot. None can come to it meanwhile: what is not there is asked for at
// the target.
func (m *mover) drain(from *remote, to string, s slot.Slot) error {
	host, port, err := net.SplitHostPort(m.addrs[to])
	if err != nil {
		return err
	}
	for {
		v, err := from.conn.DoContext(m.ctx, "CLUSTER", "GETKEYSINSLOT", strconv.Itoa(int(s)), strconv.Itoa(m.o.pipeline))
		if err == nil {
			err = v.Err()
		}
		if err != nil || len(v.Elems) == 0 {
			return err
		}
		argv := []string{"MIGRATE", host, port, "", "0", strconv.Itoa(m.o.timeoutMs)}
		if m.o.replace {
			argv = append(argv, "REPLACE")
		}
		if m.o.pass != "" && m.o.user != "" {
			argv = append(argv, "AUTH2", m.o.user, m.o.pass)
		} else if m.o.pass != "" {
			argv = append(argv, "AUTH", m.o.pass)
		}
		argv = append(argv, "KEYS")
		for _, k := range v.Elems {
			argv = append(argv, k.Text())
		}
		from.conn.SetIOTimeout(time.Duration(m.o.timeoutMs)*time.Millisecond + replyWithin)
		_, err = from.do(m.ctx, argv...)
		from.conn.SetIOTimeout(replyWithin)
		if err != nil {
			return err
		}
		m.keys += len(v.Elems)
	}
}

// assign gives the emptied slots to their new owner: in one change, or where the nodes do not know
// how, slot by slot as redis-cli does it, at the target first.
func (m *mover) assign(g *manage.Transfers, from, to *remote, slots []slot.Slot) error {
	argv := []string{"CLUSTER", "MOVESLOTSRANGE", g.To}
	for _, r := range g.Slots.Ranges() {
		argv = append(argv, strconv.Itoa(int(r.First)), strconv.Itoa(int(r.Last)))
	}
	// At the source: it refuses while it has keys of them.
	_, err := from.do(m.ctx, argv...)
	if err == nil || !strings.Contains(strings.ToLower(err.Error()), "unknown subcommand") {
		return err
	}
	var lines [][]string
	for _, s := range slots {
		lines = append(lines, []string{"CLUSTER", "SETSLOT", strconv.Itoa(int(s)), "NODE", g.To})
	}
	for _, r := range []*remote{to, from} {
		if _, err := m.pipeline(r, lines); err != nil {
			return err
		}
	}
	for _, id := range m.others {
		if id != g.From && id != g.To {
			_, _ = m.pipeline(m.nodes[id], lines) // it hears of it by gossip as well
		}
	}
	return nil
}

// pipeline runs commands; the first error reply is an error.
func (m *mover) pipeline(r *remote, lines [][]string) (replies []resp.Value, err error) {
	for len(lines) > 0 {
		n := min(len(lines), openPipeline)
		if m.ctx.Err() != nil {
			return nil, m.ctx.Err()
		}
		vs, err := r.conn.Pipeline(lines[:n])
		if err != nil {
			return nil, err
		}
		for i, v := range vs {
			if err := v.Err(); err != nil {
				return nil, fmt.Errorf("%s: %s: %w", r.addr, strings.Join(lines[i][:3], " "), err)
			}
		}
		replies, lines = append(replies, vs...), lines[n:]
	}
	return replies, nil
}
