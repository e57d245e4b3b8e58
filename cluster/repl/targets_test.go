package repl

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
)

// receiver is one who reads the stream, and what it has been told, as commands with their databases.
type receiver struct {
	t    *testing.T
	c    *Cursor
	db   int
	raw  int64 // bytes received
	said []string
}

// take reads all there is, in pieces of random length, and understands the whole commands.
func (r *receiver) take(rnd *rand.Rand, rest []byte) []byte {
	for {
		var p []byte
		var ok bool
		if r.c.replica {
			p, ok = r.c.Next()
		} else {
			p, _, ok = r.c.Look()
		}
		require.True(r.t, ok)
		if len(p) == 0 {
			break
		}
		p = p[:1+rnd.IntN(len(p))]
		rest = append(rest, p...)
		r.raw += int64(len(p))
		r.c.Advance(len(p))
	}
	var parser resp.Parser
	for {
		args, n, bad := parser.Next(rest, nil, streamLimits)
		require.Empty(r.t, bad)
		if n == 0 {
			return rest
		}
		rest = rest[n:]
		var words []string
		for _, a := range args {
			words = append(words, string(a))
		}
		line := strings.Join(words, " ")
		if words[0] == "SELECT" {
			r.db, _ = strconv.Atoi(words[1])
			continue
		}
		if words[0] != "MULTI" && words[0] != "EXEC" {
			line = fmt.Sprintf("%d:%s", r.db, line)
		}
		r.said = append(r.said, line)
	}
}

// Whatever is withheld from whom, each receiver is told its commands, whole transactions, in the right databases;
// the offset counts what replicas receive, and the tap's total reaches the stream's.
func TestTargets(t *testing.T) {
	for seed := range uint64(30) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := newStream("A", MinBacklogBytes, 0, true)
		require.True(t, s.keep(""))
		replica, _, _ := s.resume("A", 0, 1)
		rs := [2]*receiver{{t: t, c: replica}, {t: t, c: s.Tap()}}
		masks := [2]command.Targets{command.ToReplicas, command.ToAOF}
		var want [2][]string
		var rest [2][]byte
		lastTotal := int64(0)
		for i := range 300 {
			if rnd.IntN(10) == 0 {
				require.True(t, s.control(pingBytes))
				want[0] = append(want[0], fmt.Sprintf("%d:PING", -1))
				continue
			}
			e := new(command.Effects)
			e.Apart = rnd.IntN(4) == 0
			var unit [2][]string
			for j := range 1 + rnd.IntN(3) {
				e.Withhold = command.Targets(rnd.IntN(4))
				db := rnd.IntN(3)
				value := strings.Repeat("x", rnd.IntN(3000))
				e.Append(db, []byte("SET"), fmt.Append(nil, i, ".", j), []byte(value))
				for k, m := range masks {
					if e.Withhold&m == 0 {
						unit[k] = append(unit[k], fmt.Sprintf("%d:SET %d.%d %s", db, i, j, value))
					}
				}
			}
			s.Append(e)
			for k := range unit {
				if len(unit[k]) > 1 && !e.Apart {
					unit[k] = append(append([]string{"MULTI"}, unit[k]...), "EXEC")
				}
				want[k] = append(want[k], unit[k]...)
			}
			if rnd.IntN(5) == 0 {
				for k, r := range rs {
					rest[k] = r.take(rnd, rest[k])
				}
				_, total := rs[1].c.Place()
				require.GreaterOrEqual(t, total, lastTotal)
				lastTotal = total
			}
		}
		for k, r := range rs {
			require.Empty(t, r.take(rnd, rest[k]))
			for i := range r.said {
				if strings.HasSuffix(r.said[i], ":PING") {
					r.said[i] = "-1:PING"
				}
			}
			require.Equal(t, want[k], r.said)
		}
		require.Equal(t, s.Offset(), rs[0].raw)
		pos, total := rs[1].c.Place()
		require.Equal(t, s.Offset(), pos)
		require.Equal(t, s.Total(), total)
		require.Empty(t, rs[1].c.detours)
	}
}

// What clients write to a writable replica goes to its append-only file, in its place, and not to its replicas; what
// passes in the primary's stream goes to its replicas only.
func TestTargetsOfARelay(t *testing.T) {
	s := newStream("A", MinBacklogBytes, 0, true)
	s.restart(History{ID: "A", ID2: NoID, Second: -1}, 100, true)
	s.relaysFrom(2)
	require.False(t, s.Active(), "nobody receives what clients write")
	replica, _, _ := s.resume("A", 100, 101)
	r := &receiver{t: t, c: replica, db: 2}
	a := &receiver{t: t, c: s.Tap(), db: 2}
	require.True(t, s.Active())
	rnd := rand.New(rand.NewPCG(1, 1))

	set := func(key string) []byte { return resp.AppendCommandStrings(nil, "SET", key, "1") }
	s.AppendRaw(set("a"), nil, 2)
	s.Append(effects(5, []string{"SET", "mine", "1"}))
	unit := resp.AppendCommandStrings(set("b"), "PUBLISH", "c", "m")
	passing := []span{{len(set("b")), len(unit)}}
	unit = append(unit, set("d")...)
	s.AppendRaw(unit, passing, 2)
	require.False(t, s.control(pingBytes), "a replica says nothing of its own")
	s.AppendRaw(resp.AppendCommandStrings(nil, "SELECT", "3"), nil, 3)
	s.Append(effects(3, []string{"SET", "mine", "2"}))

	require.Empty(t, r.take(rnd, nil))
	require.Empty(t, a.take(rnd, nil))
	require.Equal(t, []string{"2:SET a 1", "2:SET b 1", "2:PUBLISH c m", "2:SET d 1"}, r.said)
	require.Equal(t, []string{"2:SET a 1", "5:SET mine 1", "2:SET b 1", "2:SET d 1", "3:SET mine 2"}, a.said)
	require.Equal(t, s.Offset(), 100+r.raw)
	pos, total := a.c.Place()
	require.Equal(t, []int64{s.Offset(), s.Total()}, []int64{pos, total})
}
