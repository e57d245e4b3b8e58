package repl

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
)

func effects(db int, commands ...[]string) *command.Effects {
	e := new(command.Effects)
	for _, c := range commands {
		e.Buf = resp.AppendCommandStrings(e.Buf, c...)
		e.Marks = append(e.Marks, command.EffectMark{DB: db, End: len(e.Buf)})
	}
	return e
}

// all reads everything a cursor has.
func all(t *testing.T, c *Cursor) []byte {
	t.Helper()
	var got []byte
	for {
		p, ok := c.Next()
		require.True(t, ok)
		if p == nil {
			return got
		}
		got = append(got, p...)
		c.Advance(len(p))
	}
}

func TestAppendSaysSelectWhenTheDatabaseChanges(t *testing.T) {
	s := newStream("a", MinBacklogBytes, 0, true)
	require.False(t, s.Active())
	require.Zero(t, s.Append(effects(0, []string{"SET", "k", "v"})), "nobody wants the stream")
	require.True(t, s.keep("b"))
	c := s.Tap()
	s.Append(effects(0, []string{"SET", "k", "v"}))
	s.Append(effects(0, []string{"DEL", "k"}))
	s.Append(effects(3, []string{"DEL", "k"}))
	two := effects(3, []string{"SET", "x", "1"})
	two.Append(11, []byte("SET"), []byte("y"), []byte("2"))
	off := s.Append(two)
	want := resp.AppendCommandStrings(nil, "SELECT", "0")
	want = resp.AppendCommandStrings(want, "SET", "k", "v")
	want = resp.AppendCommandStrings(want, "DEL", "k")
	want = resp.AppendCommandStrings(want, "SELECT", "3")
	want = resp.AppendCommandStrings(want, "DEL", "k")
	want = resp.AppendCommandStrings(want, "MULTI")
	want = resp.AppendCommandStrings(want, "SET", "x", "1")
	want = resp.AppendCommandStrings(want, "SELECT", "11")
	want = resp.AppendCommandStrings(want, "SET", "y", "2")
	want = resp.AppendCommandStrings(want, "EXEC")
	require.Equal(t, string(want), string(all(t, c)))
	require.EqualValues(t, len(want), off)
	require.Equal(t, off, s.Offset())

	_, at, db := s.cut(nil)
	require.Equal(t, off, at)
	require.Equal(t, 11, db)
	s.Append(effects(11, []string{"DEL", "y"}))
	require.Equal(t, string(resp.AppendCommandStrings(resp.AppendCommandStrings(nil, "SELECT", "11"), "DEL", "y")), string(all(t, c)),
		"behind a cut the next command says SELECT")
}

// The chain of blocks against one plain byte slice.
func TestStreamAgainstModel(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := newStream("a", MinBacklogBytes, 0, true)
		s.keep("")
		size := int64(MinBacklogBytes)
		var model []byte
		type reader struct {
			c   *Cursor
			pos int64
		}
		var readers []*reader
		for range 400 {
			switch rnd.IntN(8) {
			case 0, 1, 2, 3:
				p := make([]byte, rnd.IntN(9000))
				for i := range p {
					p[i] = byte(rnd.Uint32())
				}
				s.AppendRaw(p, nil, 0)
				model = append(model, p...)
			case 4:
				pos := int64(rnd.IntN(len(model) + 2))
				c, _, why := s.resume("A", pos, pos+1)
				if c == nil {
					require.Equal(t, lackOfBacklog, why)
					require.True(t, pos > int64(len(model)) || pos < int64(len(model))-size, "position %d of %d", pos, len(model))
					continue
				}
				readers = append(readers, &reader{c, pos})
			case 5, 6:
				if len(readers) > 0 {
					r := readers[rnd.IntN(len(readers))]
					p, ok := r.c.Next()
					require.True(t, ok)
					n := min(len(p), rnd.IntN(20000))
					require.True(t, bytes.Equal(model[r.pos:r.pos+int64(n)], p[:n]))
					r.c.Advance(n)
					r.pos += int64(n)
				}
			case 7:
				if len(readers) > 3 {
					readers[0].c.Close()
					readers = readers[1:]
				}
				if rnd.IntN(4) == 0 {
					size = int64(MinBacklogBytes << rnd.IntN(4))
					s.resize(size, 0)
					size = MinBacklogBytes // what was trimmed is gone
				}
			}
			require.EqualValues(t, len(model), s.Offset())
			lowest := s.Offset()
			for _, r := range readers {
				lowest = min(lowest, r.pos)
			}
			active, sz, first, length := s.backlogState()
			require.True(t, active)
			require.EqualValues(t, s.Offset()-first, length)
			require.LessOrEqual(t, first, lowest)
			require.LessOrEqual(t, s.HeldBytes(), s.Offset()-min(lowest, s.Offset()-sz)+3*maxBlock)
		}
	}
}

func TestPartialSyncRules(t *testing.T) {
	s := newStream("new", MinBacklogBytes, 0, true)
	s.restart(History{ID: "old", ID2: NoID, Second: -1}, 100, false)
	s.AppendRaw(make([]byte, 50), nil, 0)
	s.rename("new", false) // byte 151 is the first of the new id
	s.AppendRaw(make([]byte, 50), nil, 0)
	for _, c := range []struct {
		id    string
		asked int64
		ok    bool
		why   string
	}{
		{"new", 201, true, ""},
		{"NEW", 101, true, ""},
		{"new", 202, false, "lack"},
		{"new", 100, false, "lack"},
		{"old", 151, true, ""},
		{"old", 152, false, "Requested offset for second ID was 152, but I can reply up to 151"},
		{"else", 151, false, "Replication ID mismatch (Replica asked for 'else', my replication IDs are 'new' and 'old')"},
		{NoID, 1, false, "mismatch"},
	} {
		cur, now, why := s.resume(c.id, c.asked-1, c.asked)
		require.Equal(t, c.ok, cur != nil, "%s %d", c.id, c.asked)
		if c.ok {
			require.Equal(t, "new", now)
			require.Len(t, all(t, cur), int(201-c.asked))
			cur.Close()
		} else {
			require.Contains(t, string(why), c.why)
		}
	}
}

func TestSlowCursorIsOverrunAndOnlyIt(t *testing.T) {
	s := newStream("a", MinBacklogBytes, 100<<10, true)
	s.keep("")
	slow, _, _ := s.resume("a", 0, 1)
	quick, _, _ := s.resume("a", 0, 1)
	for range 20 {
		s.AppendRaw(make([]byte, 8<<10), nil, 0)
		all(t, quick)
	}
	require.Equal(t, []*Cursor{slow}, s.overrun())
	slow.Close()
	s.AppendRaw(make([]byte, 64<<10), nil, 0)
	all(t, quick)
	require.Less(t, s.HeldBytes(), int64(5*minBlock), "what only the slow one needed is free")
}

func TestAppendDoesNotAllocate(t *testing.T) {
	s := newStream("a", 1<<20, 0, true)
	s.keep("")
	e := effects(0, []string{"SET", "key:000000000001", string(make([]byte, 64))})
	other := effects(7, []string{"SET", "key:000000000001", string(make([]byte, 64))})
	for range 40000 {
		s.Append(e)
	}
	require.Zero(t, testing.AllocsPerRun(20000, func() { s.Append(e); s.Append(other) }))
}

// Cursors on other goroutines see every byte in order while several goroutines append.
func TestStreamConcurrently(t *testing.T) {
	s := newStream("a", MinBacklogBytes, 0, true)
	s.keep("")
	const writers, each = 4, 3000
	var readers, appenders sync.WaitGroup
	total := make(chan int64, 1)
	var end int64
	results := make([][]byte, 3)
	_, tail := s.History()
	done := make(chan struct{})
	for i := range results {
		c, _, _ := s.resume("a", tail, tail+1)
		readers.Add(1)
		go func() {
			defer readers.Done()
			defer c.Close()
			for last := false; ; {
				p, _ := c.Next()
				if p != nil {
					results[i] = append(results[i], p...)
					c.Advance(len(p))
					continue
				}
				if last {
					return
				}
				select {
				case <-done:
					last = true
				default:
					runtime.Gosched()
				}
			}
		}()
	}
	for w := range writers {
		appenders.Add(1)
		go func() {
			defer appenders.Done()
			for i := range each {
				s.Append(effects(w, []string{"SET", fmt.Sprint("k", w), fmt.Sprint(i)}))
			}
		}()
	}
	appenders.Wait()
	close(done)
	readers.Wait()
	total <- s.Offset()
	end = <-total
	var p resp.Parser
	for _, r := range results {
		require.EqualValues(t, end, len(r))
		require.Equal(t, results[0], r)
	}
	last := map[string]int{}
	for buf := results[0]; len(buf) > 0; {
		args, n, bad := p.Next(buf, nil, resp.Limits{})
		require.Empty(t, bad)
		require.Positive(t, n)
		if string(args[0]) == "SET" {
			require.Equal(t, fmt.Sprint(last[string(args[1])]), string(args[2]))
			last[string(args[1])]++
		}
		buf = buf[n:]
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, replicas := range []int{0, 1, 3} {
		b.Run(fmt.Sprint("replicas=", replicas), func(b *testing.B) {
			s := newStream("a", 1<<20, 0, true)
			s.keep("")
			var cursors []*Cursor
			for range replicas {
				c, _, _ := s.resume("a", s.Offset(), s.Offset()+1)
				defer c.Close()
				cursors = append(cursors, c)
			}
			e := effects(0, []string{"SET", "key:000000000001", string(make([]byte, 64))})
			b.SetBytes(int64(len(e.Buf)))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				s.Append(e)
				if i%256 != 0 {
					continue
				}
				for _, c := range cursors {
					for p, _ := c.Next(); p != nil; p, _ = c.Next() {
						c.Advance(len(p))
					}
				}
			}
		})
	}
}
