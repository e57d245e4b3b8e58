package manage

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// on puts drawn nodes on hosts: "aab" is two on host a and one on host b.
func on(t *testing.T, where string, lines ...string) []Node {
	for _, s := range drawn(t, lines...) {
		if s.Err == "" {
			for i := range s.Nodes {
				s.Nodes[i].Host = where[i : i+1]
			}
			return s.Nodes
		}
	}
	return nil
}

func TestHome(t *testing.T) {
	for _, c := range []struct {
		name, hosts, host string
		nodes             []string
		want              string
	}{
		{"who has no replica", "aaaaa", "a", []string{"p 1", "q 2", "r @p", "s 3", "u @s"}, "q"},
		{"on another host, when there is a choice", "abc", "a", []string{"p 1", "q 2", "r @x"}, "q"},
		{"fewest replicas before another host", "aab", "a", []string{"p 1", "r @q", "q 2"}, "p"},
		{"a failed replica is none", "aaaa", "b", []string{"p 1", "q 2", "r @q", "?s @p"}, "p"},
		{"a primary without slots needs none", "aa", "b", []string{"p", "q 2"}, "q"},
		{"nor does a failed one", "aa", "b", []string{"?p 1", "q 2"}, "q"},
		{"nobody", "a", "b", []string{"p"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			if n := Home(on(t, c.hosts, c.nodes...), c.host); n != nil {
				got = n.ID
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestRemove(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes []string
		gone  string
		moves string // replica>primary
		err   string
	}{
		{"a replica", []string{"p 1", "q 2", "r @p"}, "r", "", ""},
		{"by address", []string{"p 1", "q 2", "r @p"}, "a:7002", "", ""},
		{"an empty primary", []string{"p 1", "q"}, "q", "", ""},
		{"with replicas: each goes where fewest are", []string{"p 1", "q", "o 2", "r @q", "s @q", "u @p"}, "q", "r>o s>p", ""},
		{"a failed replica", []string{"p 1", "?r @p"}, "r", "", ""},
		{"one that serves", []string{"p 1-3", "q 2"}, "p", "", "serves 3 slots"},
		{"one that failed and nobody took over", []string{"?p 1-3", "q 4"}, "p", "", "have no other owner"},
		{"nobody", []string{"p 1"}, "x", "", "no node of this cluster"},
		{"the last one", []string{"p", "r @p"}, "p", "", "no other primary for its replica"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Remove(on(t, "aaaaaaaa", c.nodes...), c.gone)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
				return
			}
			require.NoError(t, err)
			var moves []string
			for _, o := range r.Orphans {
				moves = append(moves, o.ID+">"+r.Follow[o.ID].ID)
			}
			assert.Equal(t, c.moves, strings.Join(moves, " "))
		})
	}
}
