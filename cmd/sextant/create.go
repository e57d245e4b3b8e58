package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sextantdb/sextant/cluster/manage"
)

type createOptions struct {
	replicas int
	login    login
	yes      bool
	json     bool
	limit    time.Duration
}

// result is what create and up print as JSON.
type result struct {
	OK    bool         `json:"ok"`
	Nodes []nodeResult `json:"nodes"`
}

type nodeResult struct {
	Addr    string `json:"addr"`
	ID      string `json:"id"`
	Role    string `json:"role"`
	Slots   string `json:"slots,omitempty"`
	Primary string `json:"primary,omitempty"` // address
	Pid     int    `json:"pid,omitempty"`
	Log     string `json:"log,omitempty"`
}

// create is `sextant cluster create`.
func create(t *terminal, addrs []string, o createOptions) error {
	ctx, cancel := context.WithTimeout(context.Background(), o.limit)
	defer cancel()
	var rs []*remote
	for _, a := range addrs {
		r, err := resolve(a)
		if err != nil {
			return err
		}
		defer r.close()
		rs = append(rs, r)
	}
	plan, err := manage.Create(places(rs), o.replicas)
	if err != nil {
		return faultf("Name more nodes, or ask for fewer replicas.", "%v", err)
	}
	facts, reach := survey(ctx, rs, o.login)
	if problems := manage.Preflight(facts, reach); len(problems) > 0 {
		return preflightFault("a cluster", problems)
	}
	if !o.json {
		fmt.Fprint(t.out, describe(rs, facts, plan))
	}
	if err := confirm(t, o.yes); err != nil {
		return err
	}
	p := &progress{t: t}
	defer p.end()
	f := former{ctx: ctx, rs: rs, facts: facts, plan: plan, p: p}
	if err := f.form(); err != nil {
		return err
	}
	p.end()
	res, err := outcome(context.WithoutCancel(ctx), rs)
	if err != nil {
		return err
	}
	if o.json {
		printJSON(t, res)
		return nil
	}
	fmt.Fprintln(t.out, "[OK] The cluster is up. All 16384 slots are covered, all nodes agree.")
	fmt.Fprint(t.out, res.table())
	fmt.Fprintf(t.out, "Try: redis-cli -c -h %s -p %d\n", rs[0].ip, rs[0].port)
	return nil
}

func preflightFault(of string, problems []manage.Problem) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d things stand in the way of %s, nothing was changed:", len(problems), of)
	if len(problems) == 1 {
		b.Reset()
		fmt.Fprintf(&b, "one thing stands in the way of %s, nothing was changed:", of)
	}
	for _, p := range problems {
		b.WriteString("\n  " + p.String())
	}
	return faultf("", "%s", b.String())
}

func places(rs []*remote) (out []manage.Place) {
	for _, r := range rs {
		out = append(out, manage.Place{Host: r.ip, Port: r.port})
	}
	return out
}

// describe shows a plan as redis-cli shows it.
func describe(rs []*remote, facts []manage.Fact, plan *manage.Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, ">>> Performing hash slots allocation on %d nodes...\n", len(rs))
	for i, r := range plan.Slots {
		fmt.Fprintf(&b, "Master[%d] -> Slots %d - %d\n", i, r.First, r.Last)
	}
	extra := false
	for _, a := range plan.Replicas {
		if a.Extra && !extra {
			extra = true
			b.WriteString("Adding extra replicas...\n")
		}
		fmt.Fprintf(&b, "Adding replica %s to %s\n", rs[a.Replica].addr, rs[a.Primary].addr)
	}
	if len(plan.Replicas) > 0 && plan.Score > 0 {
		b.WriteString(plan.Affinity() + "\n")
	}
	for i, r := range rs {
		if s, ok := plan.SlotsOf(i); ok {
			fmt.Fprintf(&b, "M: %s %s\n   slots:[%s] (%d slots) master\n", facts[i].ID, r.addr, s, s.Len())
		} else {
			fmt.Fprintf(&b, "S: %s %s\n   replicates %s\n", facts[i].ID, r.addr, facts[plan.PrimaryOf(i)].ID)
		}
	}
	return b.String()
}

func confirm(t *terminal, yes bool) error {
	if yes {
		return nil
	}
	if !t.asks {
		return faultf("Look at the plan, then give --yes to accept it.", "there is no terminal to ask on; nothing was changed")
	}
	fmt.Fprint(t.err, "Can I set the above configuration? (type 'yes' to accept): ")
	line, _ := bufio.NewReader(t.in).ReadString('\n')
	if strings.TrimSpace(line) != "yes" {
		return faultf("", "not accepted; nothing was changed")
	}
	return nil
}

// former turns a plan into a cluster. Its steps are those of every Redis Cluster guide, each
// awaited, and each able to say what it is waiting for.
type former struct {
	ctx   context.Context
	rs    []*remote
	facts []manage.Fact
	plan  *manage.Plan
	p     *progress
}

// resetAdvice is what to do about a half-made cluster.
const resetAdvice = "The nodes may be half joined. Before trying again send CLUSTER RESET HARD to each of them, or start them with empty directories."

func (f *former) form() error {
	n := len(f.rs)
	for i, p := range f.plan.Primaries {
		f.p.set("assigning slots", i, len(f.plan.Primaries))
		s := f.plan.Slots[i]
		if err := f.must(p, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(int(s.First)), strconv.Itoa(int(s.Last))); err != nil {
			return err
		}
	}
	for i, r := range f.rs {
		// As in redis-cli a refusal is no reason to stop: epochs sort themselves out.
		_, _ = r.do(f.ctx, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
	}
	for i := 1; i < n; i++ {
		f.p.set("introducing nodes", i, n-1)
		if err := f.must(i, "CLUSTER", "MEET", f.rs[0].ip, strconv.Itoa(f.rs[0].port), strconv.Itoa(f.facts[0].CPort)); err != nil {
			return err
		}
	}
	if err := f.await("joining", f.joined); err != nil {
		return err
	}
	for i, a := range f.plan.Replicas {
		f.p.set("assigning replicas", i, len(f.plan.Replicas))
		if err := f.must(a.Replica, "CLUSTER", "REPLICATE", f.facts[a.Primary].ID); err != nil {
			return err
		}
	}
	if f.facts[0].Server == "sextant" {
		f.voters()
	}
	return f.await("agreeing", f.agreed)
}

// maxVoters is how many primaries vote (PROTOCOL 0.2).
const maxVoters = 7

// voters installs the voter set. The nodes form it by themselves too once they see all slots
// covered, so a refusal because they were faster is none, and await sees to the rest.
func (f *former) voters() {
	argv := []string{"CLUSTER", "VOTERS"}
	for i, p := range f.plan.Primaries {
		if i < maxVoters {
			argv = append(argv, f.facts[p].ID)
		}
	}
	ctx, cancel := context.WithTimeout(f.ctx, replyWithin)
	defer cancel()
	_, _ = f.rs[f.plan.Primaries[0]].do(ctx, argv...)
}

func (f *former) must(node int, argv ...string) error {
	if _, err := f.rs[node].do(f.ctx, argv...); err != nil {
		return faultf(resetAdvice, "%s refused %s: %s", f.rs[node].addr, strings.Join(argv[:2], " "), plain(err))
	}
	return nil
}

// await polls until the condition holds at all nodes. At the time limit it says which node is not there yet, and why.
func await(ctx context.Context, p *progress, rs []*remote, what string, lacks func(i int, r *remote) string) (missing string) {
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for {
		why := make([]string, len(rs))
		each(rs, func(i int, r *remote) { why[i] = lacks(i, r) })
		done, first := 0, ""
		for i := range why {
			if why[i] == "" {
				done++
			} else if first == "" {
				first = rs[i].addr + " " + why[i]
			}
		}
		p.set(what, done, len(rs))
		if done == len(rs) {
			return ""
		}
		select {
		case <-ctx.Done():
			return first
		case <-pause.C:
		}
	}
}

func (f *former) await(what string, lacks func(i int, r *remote) string) error {
	if missing := await(f.ctx, f.p, f.rs, what, lacks); missing != "" {
		return faultf(resetAdvice, "the cluster did not form in time: while %s, %s", what, missing)
	}
	return nil
}

// joined: the node knows all others, is connected with them, and sees the planned slots.
func (f *former) joined(_ int, r *remote) string {
	nodes, err := r.nodes(f.ctx)
	if err != nil {
		return "does not answer: " + plain(err)
	}
	if len(nodes) < len(f.rs) {
		return fmt.Sprintf("knows only %d of %d nodes", len(nodes), len(f.rs))
	}
	byID := map[string]*manage.Node{}
	for i := range nodes {
		n := &nodes[i]
		byID[n.ID] = n
		if n.Has("handshake") {
			return "is still in handshake with " + n.Addr()
		}
		if !n.Linked {
			return "has no bus connection to " + n.Addr()
		}
	}
	for i, p := range f.plan.Primaries {
		n := byID[f.facts[p].ID]
		if n == nil {
			return "does not know " + f.rs[p].addr
		}
		if want := f.plan.Slots[i]; n.Slots.String() != want.String() {
			return fmt.Sprintf("sees slots %q at %s instead of %s", n.Slots.String(), f.rs[p].addr, want)
		}
	}
	return ""
}

// agreed: the cluster works as this node sees it, every replica follows its primary, and the
// replica itself has the data.
func (f *former) agreed(i int, r *remote) string {
	if why := f.joined(i, r); why != "" {
		return why
	}
	state, err := r.info(f.ctx, "CLUSTER", "INFO")
	if err != nil {
		return "does not answer: " + plain(err)
	}
	if f.facts[i].Server == "sextant" && state["cluster_voter_set_version"] == "0" {
		return "knows no voters yet"
	}
	if state["cluster_state"] != "ok" {
		return "says the cluster is down: " + orElse(state["cluster_fail_reason"], "it gives no reason")
	}
	nodes, err := r.nodes(f.ctx)
	if err != nil {
		return "does not answer: " + plain(err)
	}
	primary := map[string]string{}
	for j := range nodes {
		if nodes[j].Replica() {
			primary[nodes[j].ID] = nodes[j].Primary
		}
	}
	for _, a := range f.plan.Replicas {
		if primary[f.facts[a.Replica].ID] != f.facts[a.Primary].ID {
			return fmt.Sprintf("does not see %s following %s", f.rs[a.Replica].addr, f.rs[a.Primary].addr)
		}
	}
	if f.plan.PrimaryOf(i) >= 0 {
		info, err := r.info(f.ctx, "INFO", "replication")
		if err != nil {
			return "does not answer: " + plain(err)
		}
		if info["role"] == "slave" && info["master_link_status"] != "up" {
			return "has not finished its first synchronization with " + f.rs[f.plan.PrimaryOf(i)].addr
		}
	}
	return ""
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// outcome asks the nodes for the cluster that came about.
func outcome(ctx context.Context, rs []*remote) (*result, error) {
	err := errors.New("no node answers")
	for _, r := range rs {
		var nodes []manage.Node
		if nodes, err = r.nodes(ctx); err != nil {
			continue
		}
		byID, byPort := map[string]string{}, map[string]*manage.Node{}
		for i := range nodes {
			byID[nodes[i].ID] = nodes[i].Addr()
			byPort[nodes[i].Addr()] = &nodes[i]
		}
		res := &result{OK: true}
		for _, r := range rs {
			n := byPort[r.ip+":"+strconv.Itoa(r.port)]
			if n == nil {
				continue
			}
			nr := nodeResult{Addr: n.Addr(), ID: n.ID, Role: "primary", Slots: n.Slots.String()}
			if n.Replica() {
				nr.Role, nr.Primary = "replica", byID[n.Primary]
			}
			res.Nodes = append(res.Nodes, nr)
		}
		return res, nil
	}
	return nil, faultf("", "the cluster cannot be asked: %s", plain(err))
}

// table shows who serves what and who follows whom.
func (r *result) table() string {
	var b strings.Builder
	for _, n := range r.Nodes {
		if n.Role == "primary" {
			fmt.Fprintf(&b, "  %-21s primary  slots %s\n", n.Addr, orElse(n.Slots, "none"))
		} else {
			fmt.Fprintf(&b, "  %-21s replica  of %s\n", n.Addr, n.Primary)
		}
	}
	return b.String()
}
