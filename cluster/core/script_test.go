package core

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/cluster/topology"
)

var rewrite = flag.Bool("rewrite", false, "write the outputs of testdata/*.txt anew")

// TestScripts plays testdata/*.txt: commands, a line of four dashes, the whole output. The
// verbs are the cases of (*player).play, each with an example. -rewrite regenerates the
// outputs; review the difference.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			p := &player{t: t}
			var out strings.Builder
			for _, block := range strings.Split(strings.TrimRight(string(text), "\n"), "\n\n") {
				head, want, found := strings.Cut(block+"\n", "----\n")
				if !found && strings.HasPrefix(block, "#") {
					out.WriteString(block + "\n\n")
					continue
				}
				got := ""
				for _, line := range strings.Split(strings.TrimSpace(head), "\n") {
					if !strings.HasPrefix(line, "#") {
						got += p.play(strings.Fields(line))
					}
				}
				if !*rewrite {
					require.Equal(t, want, got, "after %q", strings.TrimSpace(head))
				}
				out.WriteString(strings.TrimRight(head, "\n") + "\n----\n" + got + "\n")
			}
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(out.String()), 0o644))
			}
		})
	}
}

type player struct {
	t    *testing.T
	n    *net
	mark Mono
}

func (p *player) node(s string) *tnode {
	i, err := strconv.Atoi(strings.TrimPrefix(s, "n"))
	require.NoError(p.t, err)
	return p.n.nodes[i]
}

func num(s string) int { n, _ := strconv.Atoi(s); return n }

func (p *player) play(f []string) string {
	n := p.n
	switch f[0] {
	case "nodes": // nodes 6 2000       six fresh nodes, node timeout 2000 ms
		p.n = newNet(p.t, num(f[1]), Mono(num(f[2]))*Millisecond)
	case "add": // add                   one more fresh node
		n.addNode()
	case "create": // create 3 1         what redis-cli --cluster create does, until all is well
		n.create(num(f[1]), num(f[2]))
	case "run": // run 500               let 500 ms pass
		n.run(Mono(num(f[1])) * Millisecond)
	case "write": // write n0 100        n0's data reaches offset 100
		x := p.node(f[1])
		x.local.Offset, x.local.Keys, x.local.Empty = int64(num(f[2])), 1, false
	case "kill": // kill n0              SIGKILL, memory lost
		p.node(f[1]).kill()
		p.mark = n.now
	case "stop": // stop n0              SIGSTOP: connections stay
		p.node(f[1]).stop()
		p.mark = n.now
	case "cont":
		p.node(f[1]).resume()
	case "hang": // hang n0                  n0's data path stops answering, its bus goes on
		p.node(f[1]).stuckAt = n.now
		p.mark = n.now
	case "unhang":
		p.node(f[1]).stuckAt = 0
	case "start": // start n0 [complete] with data proven complete or not
		p.node(f[1]).start(len(f) > 2)
	case "isolate":
		n.isolate(num(f[1][1:]), true)
		p.mark = n.now
	case "heal":
		n.isolate(num(f[1][1:]), false)
	case "damage": // damage n0 torn|middle|empty
		x := p.node(f[1])
		switch f[2] {
		case "torn":
			x.disk = x.disk[:len(x.disk)-7]
		case "middle":
			x.disk[len(x.disk)/2] ^= 0x20
		case "empty":
			x.disk = nil
		}
		_, err := topology.Decode(x.disk, !x.local.Empty)
		l, _ := topology.Decode(x.disk, !x.local.Empty)
		switch {
		case err != nil:
			return "refused: " + stable(err.Error()) + "\n"
		case l.Fresh:
			return "fresh start\n"
		case l.Repaired != "":
			return "repaired\n"
		}
		return "undamaged\n"
	case "await-served": // await-served 0 2600    slot 0 is served again within 2600 ms of the last kill, stop or isolate
		n.until(Mono(num(f[2]))*Millisecond-(n.now-p.mark), "slot "+f[1]+" served", func() bool { return n.server(uint16(num(f[1]))) != nil })
		return "by " + n.name(n.server(uint16(num(f[1]))).id) + "\n"
	case "await-ok": // await-ok 1 6        every record has one member besides the primary, all know 6 nodes
		n.until(30*Second, "healthy", func() bool { return n.healthy(num(f[1])) && n.agree(len(n.nodes), num(f[2])) })
	case "await-known": // await-known n0 3
		n.until(30*Second, "known nodes", func() bool { return len(p.node(f[1]).view.Nodes) == num(f[2]) })
	case "await-flag": // await-flag n1 n0 fail 5000   n1 prints n0 with that flag
		x, y := p.node(f[1]), p.node(f[2])
		n.until(Mono(num(f[4]))*Millisecond, "flag", func() bool {
			i, ok := x.view.Find(y.id)
			return ok && strings.Contains(","+x.view.Nodes[i].FlagsText()+",", ","+f[3]+",")
		})
	case "await-voters": // await-voters 3      the set has three members everywhere
		n.until(60*Second, "voters", func() bool {
			for _, x := range n.nodes {
				if x.up && len(x.view.Voters) != num(f[1]) {
					return false
				}
			}
			return true
		})
	case "cluster": // cluster n3 failover force   CLUSTER FAILOVER FORCE at n3
		return p.cluster(p.node(f[1]), f[2], f[3:])
	case "show": // show n0              the cluster as n0 sees it
		return p.show(p.node(f[1]))
	case "data": // data n3              offset of n3's data
		return fmt.Sprintf("offset %d\n", p.node(f[1]).local.Offset)
	case "events": // events handover n3   texts of such events at n3
		out := ""
		for _, e := range n.events {
			if g := strings.Fields(e); g[1] == f[2] && g[2] == f[1] {
				out += strings.Join(g[2:], " ") + "\n"
			}
		}
		return out
	default:
		p.t.Fatalf("unknown verb %q", f[0])
	}
	return ""
}

// stable cuts checksums out of an error.
func stable(s string) string {
	if i := strings.Index(s, "checksum is"); i >= 0 {
		j := strings.Index(s, ", and")
		return s[:strings.Index(s, ": line")] + ": checksum mismatch" + s[j:]
	}
	return s
}

func (p *player) cluster(x *tnode, verb string, f []string) string {
	a := Admin{}
	id := func(s string) string {
		if strings.HasPrefix(s, "n") {
			return p.node(s).id.String()
		}
		return s
	}
	switch verb {
	case "meet":
		a = Admin{Kind: AdminMeet, IP: "127.0.0.1", Port: p.node(f[0]).cfg.Port, CPort: p.node(f[0]).cfg.CPort}
	case "forget":
		a = Admin{Kind: AdminForget, Node: id(f[0])}
	case "replicate":
		a = Admin{Kind: AdminReplicate, Node: id(f[0])}
	case "addslots", "delslots":
		a = Admin{Kind: AdminAddSlots, Slots: slotsOf(num(f[0]), num(f[1]))}
		if verb == "delslots" {
			a.Kind = AdminDelSlots
		}
	case "flushslots":
		a.Kind = AdminFlushSlots
	case "setslot":
		a = Admin{Slot: uint16(num(f[0])), Kind: map[string]AdminKind{"migrating": AdminSetSlotMigrating, "importing": AdminSetSlotImporting, "node": AdminSetSlotNode, "stable": AdminSetSlotStable}[f[1]]}
		if len(f) > 2 {
			a.Node = id(f[2])
		}
	case "bumpepoch":
		a.Kind = AdminBumpEpoch
	case "set-config-epoch":
		a = Admin{Kind: AdminSetConfigEpoch, Epoch: int64(num(f[0]))}
	case "failover":
		a.Kind = AdminFailover
		if len(f) > 0 {
			a.Mode = map[string]FailoverMode{"force": FailoverForce, "takeover": FailoverTakeover, "abort": FailoverAbort}[f[0]]
		}
		p.mark = p.n.now
	case "reset":
		a = Admin{Kind: AdminReset, Hard: len(f) > 0 && f[0] == "hard"}
	case "voters":
		a.Kind = AdminVoters
		for _, s := range f {
			a.Voters = append(a.Voters, p.node(s).id)
		}
	case "count-failure-reports":
		a = Admin{Kind: AdminCountFailureReports, Node: id(f[0])}
	default:
		p.t.Fatalf("unknown cluster verb %q", verb)
	}
	r := x.admin(a)
	x.id = x.m.self
	if r.Err != "" {
		for _, y := range p.n.nodes {
			r.Err = strings.ReplaceAll(r.Err, y.id.String(), p.n.name(y.id))
		}
		return "-" + r.Err + "\n"
	}
	if r.Text == "" {
		return fmt.Sprintf(":%d\n", r.Int)
	}
	return "+" + r.Text + "\n"
}

func (p *player) show(x *tnode) string {
	v := x.view
	var b strings.Builder
	fmt.Fprintf(&b, "state %s", v.State)
	if v.Reason != "" {
		fmt.Fprintf(&b, " (%s)", v.Reason)
	}
	fmt.Fprintf(&b, ", voters v%d:", v.VoterVer)
	names := []string{}
	for _, id := range v.Voters {
		names = append(names, p.n.name(id))
	}
	fmt.Fprintf(&b, " %s\n", strings.Join(sortedStrings(names), " "))
	lines := []string{}
	for i := range v.Nodes {
		nd := &v.Nodes[i]
		primary := "-"
		if nd.Role == topology.RoleReplica {
			primary = p.n.name(nd.Primary)
		}
		slots := ""
		for _, r := range nd.Ranges {
			slots += " " + r.String()
		}
		if nd.Myself {
			for _, o := range v.OpenSlots {
				arrow := "->-"
				if o.Importing {
					arrow = "-<-"
				}
				slots += fmt.Sprintf(" [%d%s%s]", o.Slot, arrow, p.n.name(o.Peer))
			}
		}
		name := p.n.name(nd.ID)
		if nd.Handshake {
			name = "?"
		}
		lines = append(lines, fmt.Sprintf("%s %s %s epoch %d%s\n", name, strings.Replace(nd.FlagsText(), "myself,", "", 1), primary, nd.Epoch, slots))
	}
	return b.String() + strings.Join(sortedStrings(lines), "")
}

func sortedStrings(s []string) []string {
	for i := range s {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
	return s
}

var _ = bus.NodeID{}
