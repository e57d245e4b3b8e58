package manage

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/slot"
)

// drawn makes what the nodes of a cluster see. Nodes are written "a 0-9 1>b 2<c": their slots and their open slots; of a
// replica "r @a", with "!" before it one that does not answer, with "?" one that is failed too.
func drawn(t *testing.T, lines ...string) (seen []Seen) {
	var nodes []Node
	for i, line := range lines {
		name := strings.TrimLeft(strings.Fields(line)[0], "!?")
		n := Node{ID: name, Host: name, Port: 7000 + i, Linked: true}
		for _, w := range strings.Fields(line)[1:] {
			var at int
			var peer string
			if _, err := fmt.Sscanf(w, "%d>%s", &at, &peer); err == nil {
				n.Migrating = append(n.Migrating, OpenSlot{slot.Slot(at), peer})
			} else if _, err := fmt.Sscanf(w, "%d<%s", &at, &peer); err == nil {
				n.Importing = append(n.Importing, OpenSlot{slot.Slot(at), peer})
			} else if w[0] == '@' {
				n.Flags, n.Primary = append(n.Flags, "slave"), w[1:]
			} else {
				r, ok := slot.ParseRange(w)
				require.True(t, ok, w)
				n.Slots.AddRange(r)
			}
		}
		if line[0] == '?' {
			n.Flags = append(n.Flags, "fail")
		}
		nodes = append(nodes, n)
	}
	for i, line := range lines {
		s := Seen{Addr: nodes[i].Addr(), Want: nodes[i].ID}
		if line[0] == '!' || line[0] == '?' {
			s.Err = "no answer in time"
		} else {
			s.Nodes = append([]Node(nil), nodes...)
			for j := range s.Nodes {
				if j == i {
					s.Nodes[j].Flags = append([]string{"myself"}, s.Nodes[j].Flags...)
				} else {
					s.Nodes[j].Migrating, s.Nodes[j].Importing = nil, nil
				}
			}
		}
		seen = append(seen, s)
	}
	return seen
}

// counts reads "a5=3": node a has three keys of slot 5.
func counts(t *testing.T, s string) KeyCounts {
	k := KeyCounts{}
	for _, w := range strings.Fields(s) {
		var at slot.Slot
		var n int64
		_, err := fmt.Sscanf(w[1:], "%d=%d", &at, &n)
		require.NoError(t, err)
		if k[w[:1]] == nil {
			k[w[:1]] = map[slot.Slot]int64{}
		}
		k[w[:1]][at] = n
	}
	return k
}

func TestFix(t *testing.T) {
	all := func(more ...string) []string {
		lines := []string{"a 0-5000", "b 5001-10000", "c 10001-16383", "r @a"}
		for i, m := range more {
			lines[i] += " " + m
		}
		return lines
	}
	for _, c := range []struct {
		name     string
		nodes    []string
		keys     string
		doubtful string
		want     string
		stuck    string
	}{
		{name: "nothing is wrong", nodes: all()},
		{name: "a move with both marks is brought to its end", nodes: all("1>b 2>b", "1<a 2<a"), keys: "a1=5", doubtful: "1-2", want: "finish 1-2 b from a"},
		{name: "the target's mark is lost but it has keys", nodes: all("1>b"), keys: "b1=1", doubtful: "1", want: "finish 1 b from a"},
		{name: "the target knows of nothing and has nothing", nodes: all("1>b"), keys: "a1=7", doubtful: "1", want: "close 1 a"},
		{name: "the target was forgotten", nodes: all("1>x"), keys: "a1=7", doubtful: "1", want: "close 1 a"},
		{name: "the target became a replica", nodes: all("1>r"), doubtful: "1", want: "close 1 a"},
		{name: "only the target's mark, no keys there", nodes: all("", "1<a"), doubtful: "1", want: "close 1 b"},
		{name: "only the target's mark, and keys there: they go back", nodes: all("", "1<a 2<a"), keys: "b1=3 b2=1 a1=9", doubtful: "1-2", want: "return 1-2 a from b"},
		{name: "the target is the owner already", nodes: all("", "6000<a"), keys: "b6000=4", doubtful: "6000", want: "close 6000 b"},
		{name: "the source gave it away and has keys left", nodes: all("6000>b"), keys: "a6000=4", doubtful: "6000", want: "return 6000 b from a"},
		{name: "two targets: the named one takes it, the other's keys go there", nodes: all("1>b", "1<a", "1<a"), keys: "c1=2 a1=1", doubtful: "1", want: "finish 1 b from a; return 1 b from c"},
		{name: "marks of several slots go together", nodes: all("1>b 3>b 9>c", "1<a 3<a"), doubtful: "1 3 9", want: "finish 1 3 b from a; close 9 a"},
		{name: "the target does not answer", nodes: []string{"a 0-5000 1>b", "!b 5001-10000", "c 10001-16383"}, doubtful: "1",
			stuck: "does not answer and has slots 5001-10000; slot 1: it is open between a:7000 and b:7001, which does not answer"},
		{name: "a target without slots does not answer", nodes: []string{"a 0-16383 1>d", "!d"}, doubtful: "1", stuck: "slot 1: it is open between"},
		{name: "the source is failed", nodes: []string{"?a 0-5000", "b 5001-10000 1<a", "c 10001-16383"}, doubtful: "1", stuck: "a:7000 (a) does not answer and has slots 0-5000: start it again"},
		{name: "slots that nobody has go to who has least, in one piece", nodes: []string{"a 0-99", "b 200-399", "c 400-16383"}, doubtful: "100-199", want: "take 100-199 a"},
		{name: "and are shared when that evens out", nodes: []string{"a 0-4999", "b 9000-13999", "c 14000-16383"}, doubtful: "5000-8999", want: "take 5000-8077 c; take 8078-8538 a; take 8539-8999 b"},
		{name: "to all alike when nobody has any", nodes: []string{"a", "b"}, doubtful: "0-16383", want: "take 0-8191 a; take 8192-16383 b"},
		{name: "a primary that serves nothing is left alone", nodes: []string{"a 0-16382", "d"}, doubtful: "16383", want: "take 16383 a"},
		{name: "keys decide who takes a slot, the others' keys come there", nodes: []string{"a 0-99", "b 101-9999", "c 10000-16383"}, keys: "b100=2 c100=5 a100=1", doubtful: "100",
			want: "hold 100 a for c; hold 100 b for c; take 100 c; return 100 c from a; return 100 c from b"},
		{name: "a mark on a slot of nobody", nodes: []string{"a 0-99 100<b", "b 101-16383"}, doubtful: "100", want: "take 100 a; close 100 a"},
		{name: "nobody answers", nodes: []string{"!a 0-16383"}, doubtful: "0-16383", stuck: "no primary answers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := drawn(t, c.nodes...)
			d := Doubtful(seen)
			assert.Equal(t, c.doubtful, d.String())
			steps, stuck := Fix(seen, counts(t, c.keys))
			var got []string
			for _, s := range steps {
				words := fmt.Sprintf("%v %s %s", s.Do, s.Slots.String(), s.Node)
				if s.Peer != "" && s.Do == Hold {
					words += " for " + s.Peer
				} else if s.Peer != "" {
					words += " from " + s.Peer
				}
				got = append(got, words)
			}
			assert.Equal(t, c.want, strings.Join(got, "; "))
			if c.stuck == "" {
				assert.Empty(t, stuck)
			}
			for _, part := range strings.Split(c.stuck, "; ") {
				assert.Contains(t, strings.Join(stuck, "\n"), part)
			}
		})
	}
}

// Whatever the marks and the keys are: afterwards every slot of a living owner has one owner, no mark is left but those
// that wait for a dead node, and no key is at a node that does not own its slot.
func TestFixLeavesNothingOpen(t *testing.T) {
	names := []string{"a", "b", "c"}
	for seed := range 300 {
		pick := func(n int) int { seed = seed*1103515245 + 12345; return seed >> 16 & 0xffff % n }
		owner := names[pick(4)%3]
		slots := map[string]string{"a": " 1-5000", "b": " 5001-10000", "c": " 10001-16383"}
		if pick(4) > 0 {
			slots[owner] += " 0"
		} else {
			owner = ""
		}
		marks, keys := map[string]string{}, map[string]int64{}
		k := KeyCounts{}
		for _, n := range names {
			if peer := names[pick(3)]; peer != n {
				marks[n] = [...]string{"", "0>" + peer, "0<" + peer}[pick(3)]
			}
			keys[n] = int64(pick(3) * 2)
			if owner != "" && n != owner && marks[n] == "" {
				keys[n] = 0 // a node drops them
			}
			k[n] = map[slot.Slot]int64{0: keys[n]}
		}
		var lines []string
		for _, n := range names {
			lines = append(lines, n+slots[n]+" "+marks[n])
		}
		steps, stuck := Fix(drawn(t, lines...), k)
		require.Empty(t, stuck)
		require.True(t, sort.SliceIsSorted(steps, func(i, j int) bool { return steps[i].Do < steps[j].Do }))
		for _, s := range steps {
			switch s.Do {
			case Hold:
				marks[s.Node] = "0<" + s.Peer
			case Take:
				require.Empty(t, owner)
				owner, marks[s.Node] = s.Node, ""
				for _, n := range names {
					require.False(t, n != owner && keys[n] > 0 && marks[n] == "", "%v: %s drops its keys", lines, n)
				}
			case Finish:
				require.Equal(t, owner, s.Peer)
				keys[s.Node] += keys[owner]
				keys[owner], marks[owner], marks[s.Node], owner = 0, "", "", s.Node
			case Return:
				require.Equal(t, owner, s.Node)
				keys[owner] += keys[s.Peer]
				keys[s.Peer], marks[s.Peer] = 0, ""
			case Close:
				require.True(t, s.Node == owner || keys[s.Node] == 0, "%v: keys of %s are lost", lines, s.Node)
				marks[s.Node] = ""
			}
		}
		require.NotEmpty(t, owner, lines)
		for _, n := range names {
			require.Empty(t, marks[n], "%v: %s", lines, n)
			require.True(t, n == owner || keys[n] == 0, "%v: %s", lines, n)
		}
	}
}
