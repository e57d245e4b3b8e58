package server

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// seer is a toy that notes what it foresees and what it executes.
type seer struct {
	*toy
	log []string // guarded by toy.mu
}

func (s *seer) note(line string) {
	s.mu.Lock()
	s.log = append(s.log, line)
	s.mu.Unlock()
}

func (s *seer) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

func (s *seer) Foresee(_ *Loop, next []Next) {
	words := []string{"foresee"}
	for _, n := range next {
		words = append(words, string(n.Argv[len(n.Argv)-1]))
	}
	s.note(strings.Join(words, " "))
}

func (s *seer) Command(c *Conn, argv [][]byte) {
	s.note(string(argv[len(argv)-1]))
	s.toy.Command(c, argv)
}

// held stops the loop while f runs, so that what f sends arrives in one round.
func held(c *Conn, f func()) {
	in, out := make(chan struct{}), make(chan struct{})
	c.loop.Post(func() { close(in); <-out })
	<-in
	f()
	close(out)
}

func TestForeseesRequestsOfSeveralConnections(t *testing.T) {
	h := &seer{toy: newToy()}
	s := serve(t, h, nil)
	a, b := dial(t, s), dial(t, s)
	eventually(t, "both are open", func() bool { return len(s.Conns()) == 2 })
	held(s.Conns()[0], func() {
		a.send(request("ECHO", "1") + request("PING") + request("ECHO", "2") + "*2\r\n$4\r\nECHO\r\n")
		b.send(request("ECHO", "3"))
	})
	a.expect("$1\r\n1\r\n+PONG\r\n$1\r\n2\r\n")
	b.expect("$1\r\n3\r\n")
	a.send("$1\r\n4\r\n")
	a.expect("$1\r\n4\r\n")
	require.Equal(t, []string{"foresee 1 PING 2 3", "1", "PING", "2", "3", "4"}, h.lines())
}

func TestForeseesLongPipelinesPieceByPiece(t *testing.T) {
	h := &seer{toy: newToy()}
	s := serve(t, h, nil)
	c := dial(t, s)
	eventually(t, "it is open", func() bool { return len(s.Conns()) == 1 })
	n := 2*foreseen + 2
	held(s.Conns()[0], func() { c.send(strings.Repeat(request("ECHO", "x"), n)) })
	c.expect(strings.Repeat("$1\r\nx\r\n", n))
	var sizes, since []int
	done := 0
	for _, line := range h.lines() {
		if strings.HasPrefix(line, "foresee") {
			sizes, since = append(sizes, strings.Count(line, " x")), append(since, done)
		} else {
			done++
		}
	}
	require.Equal(t, []int{foreseen, foreseen, 2}, sizes)
	require.Equal(t, []int{0, foreseen, 2 * foreseen}, since)
	require.Equal(t, n, done)
}

// A turn may end a connection whose input was read in the same round: nothing of it is executed then.
func TestNothingOfAConnectionIsExecutedAfterItsEnd(t *testing.T) {
	for name, end := range map[string]func(c *Conn){
		"close":       func(c *Conn) { c.Close(nil) },
		"after reply": func(c *Conn) { c.CloseAfterReply() },
	} {
		t.Run(name, func(t *testing.T) {
			h := &seer{toy: newToy()}
			s := serve(t, h, nil)
			a := dial(t, s)
			eventually(t, "the first is open", func() bool { return len(s.Conns()) == 1 })
			b := dial(t, s)
			eventually(t, "both are open", func() bool { return len(s.Conns()) == 2 })
			conns := s.Conns()
			h.onCmd = func(c *Conn, argv [][]byte) bool {
				for _, other := range conns {
					if other != c {
						end(other)
					}
				}
				return false
			}
			held(conns[0], func() {
				a.send(request("ECHO", "1"))
				b.send(request("ECHO", "2"))
			})
			// Whichever was first has ended the other.
			eventually(t, "one is left", func() bool { return len(s.Conns()) == 1 })
			left, gone := a, b
			if s.Conns()[0] == conns[1] {
				left, gone = b, a
			}
			gone.expectEnd()
			left.expect("$1\r\n")
			executed := 0
			for _, line := range h.lines() {
				if !strings.HasPrefix(line, "foresee") {
					executed++
				}
			}
			require.Equal(t, 1, executed)
		})
	}
}

// A connection that is paused by another's turn keeps what was read.
func TestPausedInTheSameRoundKeepsItsInput(t *testing.T) {
	h := &seer{toy: newToy()}
	s := serve(t, h, nil)
	a := dial(t, s)
	eventually(t, "the first is open", func() bool { return len(s.Conns()) == 1 })
	b := dial(t, s)
	eventually(t, "both are open", func() bool { return len(s.Conns()) == 2 })
	conns := s.Conns()
	var stopped *Conn
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		if stopped == nil {
			stopped = conns[0]
			if c == stopped {
				stopped = conns[1]
			}
			stopped.Pause()
		}
		return false
	}
	held(conns[0], func() {
		a.send(request("ECHO", "1") + request("ECHO", "2"))
		b.send(request("ECHO", "1") + request("ECHO", "2"))
	})
	eventually(t, "the input is kept", func() bool { return conns[0].Numbers().Qbuf+conns[1].Numbers().Qbuf > 0 })
	stopped.Do(func() { stopped.Resume() })
	for _, c := range []*client{a, b} {
		c.expect("$1\r\n1\r\n$1\r\n2\r\n")
	}
}

// sleeper is a toy that notes when its loop is about to sleep.
type sleeper struct{ *seer }

func (s *sleeper) Idle(*Loop) { s.note("idle") }

func TestALoopTellsBeforeItSleeps(t *testing.T) {
	h := &sleeper{&seer{toy: newToy()}}
	s := serve(t, h, nil)
	a := dial(t, s)
	a.send(request("ECHO", "1"))
	a.expect("$1\r\n1\r\n")
	eventually(t, "the loop has nothing to do and says so", func() bool {
		lines := h.lines()
		at := slices.Index(lines, "1")
		return slices.Contains(lines[at:], "idle")
	})
}

// Requests that were parsed ahead are executed once each and in order, wherever the input is cut, and also behind a command
// that pauses the client or takes its authentication away.
func TestWhatIsParsedAheadIsExecutedOnce(t *testing.T) {
	h := newToy()
	h.onCmd = func(c *Conn, argv [][]byte) bool {
		switch string(argv[0]) {
		case "PAUSE":
			c.Pause()
			c.Do(func() {
				c.Out.Simple("resumed")
				c.Resume()
			})
		case "UNAUTH", "AUTH":
			c.SetUnauthenticated(string(argv[0]) == "UNAUTH")
			c.Out.OK()
		default:
			return false
		}
		return true
	}
	s := serve(t, h, nil)
	rng := rand.New(rand.NewPCG(3, 4))
	peers := make([]*client, 3)
	for i := range peers {
		peers[i] = dial(t, s)
	}
	eventually(t, "all are open", func() bool { return len(s.Conns()) == len(peers) })
	for range 60 {
		inputs, wants := make([]string, len(peers)), make([]string, len(peers))
		for i := range peers {
			for j := range 1 + rng.IntN(150) {
				switch word := fmt.Sprint(i, "-", j); rng.IntN(12) {
				case 0:
					inputs[i] += request("PAUSE")
					wants[i] += "+resumed\r\n"
				case 1:
					inputs[i] += request([]string{"UNAUTH", "AUTH"}[rng.IntN(2)])
					wants[i] += "+OK\r\n"
				case 2:
					inputs[i] += "PING\r\n*0\r\n"
					wants[i] += "+PONG\r\n"
				default:
					inputs[i] += request("ECHO", word)
					wants[i] += fmt.Sprintf("$%d\r\n%s\r\n", len(word), word)
				}
			}
		}
		for done := false; !done; {
			done = true
			held(s.Conns()[0], func() {
				for i, p := range peers {
					n := rng.IntN(len(inputs[i]) + 1)
					p.send(inputs[i][:n])
					inputs[i] = inputs[i][n:]
					done = done && inputs[i] == ""
				}
			})
		}
		for i, p := range peers {
			p.expect(wants[i])
		}
	}
}
