package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sextantdb/sextant/cluster/manage"
	"github.com/sextantdb/sextant/store/slot"
)

// settleWithin bounds how long nodes may need to hear of what was changed.
const settleWithin = 15 * time.Second

func fixCommand(t *terminal) *cobra.Command {
	var o moveOptions
	c := &cobra.Command{
		Use:   "fix host:port",
		Short: "Bring interrupted moves of slots to an end, and give slots that nobody has to somebody",
		Long: "Bring interrupted moves of slots to an end, and give slots that nobody has to somebody. The plan is\n" +
			"shown, and asked about. A slot that both ends have marked moves on to its target; keys that lie\n" +
			"elsewhere than at the owner of their slot go there; other marks are removed. A slot without an owner\n" +
			"goes to who has keys of it, else to the primaries with the fewest slots. Slots of a failed primary stay\n" +
			"its own: start it again, or have a replica take over.",
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return fix(t, args[0], &o) },
	}
	o.flags(c)
	return c
}

// fixed is the result.
type fixed struct {
	OK      bool     `json:"ok"`
	Steps   []string `json:"steps"`
	Keys    int      `json:"keys"`
	Seconds float64  `json:"seconds"`
	Stuck   []string `json:"stuck,omitempty"`
}

// fix is `sextant cluster fix`.
func fix(t *terminal, addr string, o *moveOptions) error {
	v, err := visit(t, addr, &o.login, o.limit)
	if err != nil {
		return err
	}
	defer v.end()
	ctx, p, rs, seen, nodes := v.ctx, v.p, v.rs, v.seen, v.nodes
	m := newMover(ctx, o, p, rs, seen, nodes)
	keys, err := m.count(seen, manage.Doubtful(seen))
	if err != nil {
		return faultf("Nothing was changed. See that all primaries answer, then try again.", "counting keys: %s", plain(err))
	}
	p.end()
	steps, stuck := manage.Fix(seen, keys)
	res := fixed{OK: len(stuck) == 0, Steps: []string{}, Stuck: stuck}
	for i := range steps {
		res.Steps = append(res.Steps, m.words(&steps[i]))
	}
	for _, s := range res.Steps {
		fmt.Fprintln(t.err, s)
	}
	for _, s := range stuck {
		fmt.Fprintln(t.err, "[WARNING] cannot be fixed: "+s)
	}
	if len(steps) == 0 {
		if len(stuck) > 0 {
			return faultf("sextant cluster check shows all.", "nothing can be fixed: %s", stuck[0])
		}
		if report := manage.Check(seen); !report.OK() {
			return faultf("sextant cluster check shows all. Failed nodes must be started again, or taken out with sextant cluster del-node.",
				"no slot is open or without an owner, but: %s", report.Problems[0])
		}
		fmt.Fprintln(t.err, ">>> Nothing to fix.")
		if o.json {
			printJSON(t, res)
		}
		return nil
	}
	if err := confirm(t, o.yes); err != nil {
		return err
	}
	began := time.Now()
	total := 0
	for i := range steps {
		if steps[i].Do == manage.Finish {
			total += steps[i].Slots.Len()
		}
	}
	for i := range steps {
		if err := m.repair(&steps[i], total); err != nil {
			return faultf("Give the command again: it goes on from here. A BUSYKEY means that both ends have a key: look which is right, or give --replace.",
				"%s: %s", res.Steps[i], plain(err))
		}
	}
	p.end()
	res.Keys, res.Seconds = m.keys, time.Since(began).Seconds()
	if len(stuck) == 0 {
		if err := settled(ctx, p, addr, o.login); err != nil {
			return err
		}
	}
	if o.json {
		printJSON(t, res)
	} else {
		fmt.Fprintf(t.out, "[OK] %d steps done, %d keys moved in %.1f s.\n", len(steps), res.Keys, res.Seconds)
	}
	if len(stuck) > 0 {
		if o.json {
			return errTold
		}
		return faultf("", "%d things are left: %s", len(stuck), stuck[0])
	}
	return nil
}

// settled waits until the check finds nothing: nodes hear of a change one after the other, and the next command may ask
// another one.
func settled(ctx context.Context, p *progress, addr string, l login) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for {
		rs, seen, _, err := everyone(ctx, p, addr, l)
		each(rs, func(_ int, r *remote) { r.close() })
		why := ""
		if err == nil {
			report := manage.Check(seen)
			if report.OK() {
				return nil
			}
			why = report.Problems[0]
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return faultf("See sextant cluster check; the nodes may still be telling each other.", "done, but the nodes do not all see it: %s", orElse(why, "they do not answer"))
		}
	}
}

// count asks every primary that answers how many keys it has of the slots.
func (m *mover) count(seen []manage.Seen, slots slot.Set) (manage.KeyCounts, error) {
	counts := manage.KeyCounts{}
	if slots.Empty() {
		return counts, nil
	}
	var lines [][]string
	var order []slot.Slot
	for at, ok := slots.Next(0); ok; at, ok = slots.Next(int(at) + 1) {
		order = append(order, at)
		lines = append(lines, []string{"CLUSTER", "COUNTKEYSINSLOT", strconv.Itoa(int(at))})
	}
	alive := map[string]bool{}
	for i := range seen {
		alive[seen[i].Want] = seen[i].Err == ""
	}
	for i, id := range m.others {
		m.p.set("counting keys", i, len(m.others))
		if !alive[id] {
			continue
		}
		vs, err := m.pipeline(m.nodes[id], lines)
		if err != nil {
			return nil, err
		}
		counts[id] = map[slot.Slot]int64{}
		for j, v := range vs {
			if v.Int > 0 {
				counts[id][order[j]] = v.Int
			}
		}
	}
	return counts, nil
}

// words says what a step does.
func (m *mover) words(r *manage.Repair) string {
	node := func(id string) string {
		if a := m.addrs[id]; a != "" {
			return a
		}
		return id
	}
	slots := "slots " + r.Slots.String()
	if r.Slots.Len() == 1 {
		slots = "slot " + r.Slots.String()
	}
	switch r.Do {
	case manage.Hold:
		return fmt.Sprintf("%s: keeps its keys of %s until %s has taken over", node(r.Node), slots, node(r.Peer))
	case manage.Take:
		return fmt.Sprintf("%s: takes %s, which nobody has", node(r.Node), slots)
	case manage.Finish:
		return fmt.Sprintf("%s -> %s: %s, whose move was interrupted", node(r.Peer), node(r.Node), slots)
	case manage.Return:
		return fmt.Sprintf("%s -> %s: the keys of %s, to their owner", node(r.Peer), node(r.Node), slots)
	}
	return fmt.Sprintf("%s: %s closed, nothing is on its way", node(r.Node), slots)
}

// repair carries out one step. total is how many slots are to be moved in all.
func (m *mover) repair(r *manage.Repair, total int) error {
	node := m.nodes[r.Node]
	each := func(words ...string) (lines [][]string) {
		for at, ok := r.Slots.Next(0); ok; at, ok = r.Slots.Next(int(at) + 1) {
			lines = append(lines, append([]string{"CLUSTER", "SETSLOT", strconv.Itoa(int(at))}, words...))
		}
		return lines
	}
	var err error
	switch r.Do {
	case manage.Hold:
		_, err = m.pipeline(node, each("IMPORTING", r.Peer))
	case manage.Take:
		argv := []string{"CLUSTER", "ADDSLOTSRANGE"}
		for _, rg := range r.Slots.Ranges() {
			argv = append(argv, strconv.Itoa(int(rg.First)), strconv.Itoa(int(rg.Last)))
		}
		_, err = node.do(m.ctx, argv...)
	case manage.Finish:
		var moves []manage.Move
		for at, ok := r.Slots.Next(0); ok; at, ok = r.Slots.Next(int(at) + 1) {
			moves = append(moves, manage.Move{Slot: at, From: r.Peer, To: r.Node})
		}
		for _, g := range manage.Group(moves, moveBatch) {
			if err = m.move(&g, total); err != nil {
				break
			}
		}
	case manage.Return:
		peer := m.nodes[r.Peer]
		for at, ok := r.Slots.Next(0); ok && err == nil; at, ok = r.Slots.Next(int(at) + 1) {
			err = m.drain(peer, r.Node, at)
		}
		if err == nil {
			_, err = m.pipeline(peer, each("STABLE"))
		}
	case manage.Close:
		_, err = m.pipeline(node, each("STABLE"))
	}
	return err
}
