package manage

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/slot"
)

// hosts makes places: "aab" is two nodes on host a and one on b.
func hosts(s string) (out []Place) {
	for i, c := range s {
		out = append(out, Place{string(c), 7000 + i})
	}
	return out
}

func followed(p *Plan, n int) (out []int) {
	for i := range n {
		out = append(out, p.PrimaryOf(i))
	}
	return out
}

func TestCreatePlacement(t *testing.T) {
	for _, c := range []struct {
		name     string
		hosts    string
		replicas int
		follows  []int // per node: its primary, -1 for primaries
		score    int
	}{
		{"six on one host: first replica to first primary", "aaaaaa", 1, []int{-1, -1, -1, 0, 1, 2}, 30000},
		{"six on six hosts", "abcdef", 1, []int{-1, -1, -1, 0, 1, 2}, 0},
		{"two on each of three hosts", "aabbcc", 1, []int{-1, 4, -1, 0, -1, 2}, 0},
		{"left-over nodes become extra replicas", "aaaaaaaa", 1, []int{-1, -1, -1, -1, 0, 1, 2, 3}, 40000},
		{"seven of which one is left over", "abcdefg", 1, []int{-1, -1, -1, 0, 1, 2, 0}, 0},
		{"nine with two replicas", "abcabcabc", 2, nil, 0},
		{"no replicas", "abc", 0, []int{-1, -1, -1}, 0},
		{"two hosts", "ababab", 1, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Create(hosts(c.hosts), c.replicas)
			require.NoError(t, err)
			if c.follows != nil {
				assert.Equal(t, c.follows, followed(p, len(c.hosts)))
			}
			assert.Equal(t, c.score, p.Score, "%v", followed(p, len(c.hosts)))
		})
	}
}

func TestCreateDealsAllSlotsOnce(t *testing.T) {
	for n := 3; n < 200; n++ {
		var all slot.Set
		total := 0
		for _, r := range deal(n) {
			all.AddRange(r)
			total += r.Len()
		}
		assert.Equal(t, slot.Count, total, "%d primaries", n)
		assert.Equal(t, slot.Count, all.Len())
	}
	assert.Equal(t, []slot.Range{{First: 0, Last: 5460}, {First: 5461, Last: 10922}, {First: 10923, Last: 16383}}, deal(3))
}

func TestCreateEveryNodeHasAPlace(t *testing.T) {
	for n := 3; n < 40; n++ {
		for replicas := 0; (n / (replicas + 1)) >= 3; replicas++ {
			for _, spread := range []int{1, 2, 3, 5} {
				places := make([]Place, n)
				for i := range places {
					places[i] = Place{fmt.Sprint(i % spread), i}
				}
				p, err := Create(places, replicas)
				require.NoError(t, err)
				assert.Equal(t, n, len(p.Primaries)+len(p.Replicas))
				per := map[int]int{}
				for _, a := range p.Replicas {
					per[a.Primary]++
				}
				for _, primary := range p.Primaries {
					assert.GreaterOrEqual(t, per[primary], replicas)
					assert.LessOrEqual(t, per[primary], replicas+1+replicas/3)
				}
			}
		}
	}
}

func TestCreateRefusesFewerThanThreePrimaries(t *testing.T) {
	_, err := Create(hosts("abcde"), 1)
	assert.EqualError(t, err, "*** ERROR: Invalid configuration for cluster creation.\n"+
		"*** Redis Cluster requires at least 3 master nodes.\n"+
		"*** This is not possible with 5 nodes and 1 replicas per node.\n"+
		"*** At least 6 nodes are required.")
}

func good(addr, id string) Fact {
	return Fact{Addr: addr, Enabled: true, ID: id, Known: 1, CPort: 17000, Server: "sextant", Version: "1"}
}

func TestPreflight(t *testing.T) {
	with := func(f Fact, change func(*Fact)) Fact { change(&f); return f }
	for _, c := range []struct {
		name  string
		facts []Fact
		reach []Reach
		want  []string // parts of each problem
	}{
		{"all is well", []Fact{good("a:1", "x"), good("b:1", "y")}, []Reach{{0, 1, "ok", "ok"}}, nil},
		{"not there", []Fact{{Addr: "a:1", Err: "connection refused"}}, nil, []string{"a:1: connection refused"}},
		{"password", []Fact{{Addr: "a:1", Err: "NOAUTH Authentication required.", NoAuth: true}}, nil, []string{"REDISCLI_AUTH"}},
		{"given twice", []Fact{good("a:1", "x"), good("a:1", "x")}, nil, []string{"given twice"}},
		{"no cluster mode", []Fact{with(good("a:1", "x"), func(f *Fact) { f.Enabled = false })}, nil, []string{"cluster-enabled yes"}},
		{"copied nodes.conf", []Fact{good("a:1", "x"), good("b:1", "x")}, nil, []string{"b:1: has the same node id as a:1 (x)"}},
		{"knows others", []Fact{with(good("a:1", "x"), func(f *Fact) { f.Known = 3 })}, nil, []string{"is not empty: it knows 2 other nodes"}},
		{"holds keys", []Fact{with(good("a:1", "x"), func(f *Fact) { f.Keys, f.Slots = 7, 2 })}, nil, []string{"has 2 slots assigned and holds 7 keys"}},
		{"bus port shut", []Fact{with(good("a:1", "x"), func(f *Fact) { f.BusErr = "connection refused" })}, nil, []string{"bus port 17000 cannot be reached from here: connection refused"}},
		{"one way only", []Fact{good("a:1", "x"), good("b:1", "y")}, []Reach{{0, 1, "ok", "ok"}, {1, 0, "ok", "no route to host"}}, []string{"b:1: cannot reach the bus port of a:1: no route to host"}},
		{"versions differ", []Fact{good("a:1", "x"), with(good("b:1", "y"), func(f *Fact) { f.Server, f.Version = "redis", "7.0.15" })}, nil, []string{"redis 7.0.15 (b:1); sextant 1 (a:1)"}},
		{"everything is told", []Fact{{Addr: "a:1", Err: "gone"}, with(good("b:1", "x"), func(f *Fact) { f.Loading, f.Keys = true, 1 })}, nil, []string{"gone", "loading", "not empty"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Preflight(c.facts, c.reach)
			require.Len(t, got, len(c.want), "%v", got)
			for i, part := range c.want {
				assert.Contains(t, got[i].String(), part)
				assert.NotEmpty(t, got[i].Do)
			}
		})
	}
}

const (
	idA = "07c37dfeb235213a872192d90877d0cd55635b91"
	idB = "67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1"
	idC = "292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f"
)

func TestParseNodes(t *testing.T) {
	nodes, err := ParseNodes(idA + " 127.0.0.1:30004@31004,host.example myself,master - 0 1426238317239 4 connected 0-5460 5462 [5461->-" + idB + "] [7000-<-" + idC + "]\n" +
		idB + " ::1:30002@31002 slave,fail? " + idA + " 0 1426238316232 2 disconnected\n" +
		idC + " :0@0 master,noaddr - 0 0 0 disconnected\n")
	require.NoError(t, err)
	require.Len(t, nodes, 3)
	a, b := nodes[0], nodes[1]
	assert.Equal(t, "host.example", a.Name)
	assert.Equal(t, []OpenSlot{{5461, idB}}, a.Migrating)
	assert.Equal(t, []OpenSlot{{7000, idC}}, a.Importing)
	assert.Equal(t, 5462, a.Slots.Len())
	assert.True(t, a.Has("myself"))
	assert.Equal(t, "::1", b.Host)
	assert.Equal(t, idA, b.Primary)
	assert.True(t, b.Replica())
	for _, bad := range []string{"", "x", idA + " 1.2.3.4:1 master - 0 0 0 connected", idA + " 1.2.3.4:1@2 master - 0 0 0 connected 7-5", idA + " 1.2.3.4:1@2 master - 0 0 0 connected [7?x]"} {
		_, err := ParseNodes(bad)
		assert.Error(t, err, bad)
	}
}

func picture(t *testing.T, text string) []Node {
	n, err := ParseNodes(text)
	require.NoError(t, err)
	return n
}

func TestCheck(t *testing.T) {
	line := func(id, port, flags, primary, slots string) string {
		return id + " 127.0.0.1:" + port + "@1" + port + " " + flags + " " + primary + " 0 0 1 connected" + slots + "\n"
	}
	whole := func(self string) string {
		mark := func(id string) string {
			if id == self {
				return "myself,"
			}
			return ""
		}
		return line(idA, "7000", mark(idA)+"master", "-", " 0-8000") + line(idB, "7001", mark(idB)+"master", "-", " 8001-16383") +
			line(idC, "7002", mark(idC)+"slave", idA, "")
	}
	seen := func(texts ...string) (out []Seen) {
		for i, text := range texts {
			out = append(out, Seen{Addr: fmt.Sprint("n", i), Nodes: picture(t, text)})
		}
		return out
	}
	r := Check(seen(whole(idA), whole(idB), whole(idC)))
	assert.True(t, r.OK(), "%v", r.Problems)
	require.Len(t, r.Warnings, 1)
	assert.Contains(t, r.Warnings[0], "127.0.0.1:7001 has no working replica")

	gap := line(idA, "7000", "myself,master", "-", " 0-8000 8010-16383")
	r = Check(seen(gap))
	assert.Equal(t, "8001-8009", r.Missing)
	assert.Equal(t, 16375, r.Covered)
	assert.False(t, r.OK())

	r = Check(seen(whole(idA), line(idA, "7000", "master", "-", " 0-7999")+line(idB, "7001", "myself,master", "-", " 8000-16383")))
	assert.False(t, r.Agree)
	assert.Contains(t, fmt.Sprint(r.Problems), "slot 8000 is served by")

	r = Check(seen(line(idA, "7000", "myself,master", "-", " 0-16383 [5->-"+idB+"]")))
	assert.Contains(t, r.Problems[0], "slot 5 is open, migrating to "+idB)

	r = Check(seen(line(idA, "7000", "myself,master", "-", " 0-16383 [5->-"+idB+"] [6->-"+idC+"] [7->-"+idB+"] [9-<-"+idC+"] [8->-"+idB+"]")))
	require.Len(t, r.Problems, 3)
	assert.Contains(t, fmt.Sprint(r.Problems), "slots 5 7-8 are open, migrating to "+idB)

	r = Check(seen(line(idA, "7000", "myself,master", "-", " 0-16383") + line(idB, "7001", "slave,fail", idA, "") + line(idC, "7002", "slave,fail?", idA, "")))
	assert.Contains(t, fmt.Sprint(r.Problems), "127.0.0.1:7001")
	assert.Contains(t, fmt.Sprint(r.Warnings), "127.0.0.1:7002")

	r = Check(seen(line(idA, "7000", "myself,master", "-", " 0-8000") + line(idB, "7001", "master,fail", "-", " 8001-16383") + line(idC, "7002", "slave,fail", idB, "")))
	assert.Equal(t, 8001, r.Covered)
	assert.Equal(t, "8001-16383", r.Missing)
	assert.Contains(t, fmt.Sprint(r.Problems), "nobody serves its slots 8001-16383")
	assert.NotContains(t, fmt.Sprint(r.Warnings), "127.0.0.1:7001 has no working replica")

	// An empty node was started at the address of another one.
	pictures := seen(whole(idA), line(idC, "7001", "myself,master", "-", ""))
	pictures[0].Want, pictures[1].Want = idA, idB
	r = Check(pictures)
	require.Len(t, r.Problems, 1)
	assert.Contains(t, r.Problems[0], "n1 answers as another node, "+idC+": "+idB+" lived there")

	r = Check([]Seen{{Addr: "n0", Err: "connection refused"}})
	assert.Contains(t, fmt.Sprint(r.Problems), "connection refused")
}

func primary(id string, ranges ...slot.Range) Node {
	return Node{ID: id, Flags: []string{"master"}, Slots: slot.SetOf(ranges...)}
}

func TestReshard(t *testing.T) {
	a, b := primary("a", slot.Range{First: 0, Last: 99}), primary("b", slot.Range{First: 100, Last: 399})
	moves, err := Reshard([]Node{a, b}, "c", 10)
	require.NoError(t, err)
	per := map[string]int{}
	for _, m := range moves {
		per[m.From]++
		assert.Equal(t, "c", m.To)
	}
	assert.Equal(t, map[string]int{"a": 2, "b": 8}, per, "in proportion, the rounding at the expense of the largest")
	assert.Equal(t, Move{100, "b", "c"}, moves[0])
	for _, bad := range []int{0, 401} {
		_, err := Reshard([]Node{a, b}, "c", bad)
		assert.Error(t, err)
	}
	_, err = Reshard([]Node{a}, "a", 1)
	assert.Error(t, err)
}

func TestRebalance(t *testing.T) {
	third := []Node{primary("a", slot.Range{First: 0, Last: 5460}), primary("b", slot.Range{First: 5461, Last: 10922}), primary("c", slot.Range{First: 10923, Last: 16383})}
	transfers, _, err := Rebalance(third, RebalanceOptions{})
	require.NoError(t, err)
	assert.Empty(t, transfers, "within the threshold")

	withEmpty := append(append([]Node{}, third...), primary("d"))
	transfers, _, _ = Rebalance(withEmpty, RebalanceOptions{})
	assert.Empty(t, transfers, "empty primaries are left out unless asked for")
	transfers, moves, err := Rebalance(withEmpty, RebalanceOptions{UseEmpty: true})
	require.NoError(t, err)
	after := map[string]slot.Set{}
	for _, n := range withEmpty {
		after[n.ID] = n.Slots
	}
	for _, m := range moves {
		from, to := after[m.From], after[m.To]
		require.True(t, from.Has(m.Slot), "%+v", m)
		from.Remove(m.Slot)
		to.Add(m.Slot)
		after[m.From], after[m.To] = from, to
	}
	for id, s := range after {
		assert.Equal(t, 4096, s.Len(), id)
	}
	assert.Len(t, transfers, 3)

	transfers, _, err = Rebalance(third, RebalanceOptions{Weights: map[string]float32{"a": 0}})
	require.NoError(t, err)
	moved := 0
	for _, tr := range transfers {
		assert.Equal(t, "a", tr.From)
		moved += tr.Count
	}
	assert.Equal(t, 5461, moved, "weight 0 empties a node")

	_, _, err = Rebalance(third, RebalanceOptions{Weights: map[string]float32{"zz": 1}})
	assert.ErrorContains(t, err, "No such master node zz")
	_, _, err = Rebalance([]Node{primary("a", slot.Range{First: 0, Last: 99}), primary("b", slot.Range{First: 200, Last: 209})}, RebalanceOptions{})
	assert.NoError(t, err, "a cluster with holes ends too")
}
