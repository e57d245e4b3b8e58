// Package compat plays the same words to a Sextant process and to the redis-server of this
// machine, side by side over real sockets, and compares the replies byte for byte: scripts
// written by hand (testdata) and sequences generated from the argument grammar of every
// command entry. What is allowed to differ stands in differences_test.go with its reason.
package compat

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
	"github.com/sextantdb/sextant/resp"
)

var (
	sequences = flag.Int("sequences", 3000, "how many sequences to generate")
	seed      = flag.Uint64("seed", 1, "seed of the generator")
)

// binary is the sextant under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) { proc.MainWithSextant(m, &binary) }

// side is one of the two servers.
type side struct {
	name string
	addr string
}

// both starts the two servers. The test is skipped with -short and without a redis-server.
func both(t *testing.T) (ours, theirs *side) {
	redis := realRedis(t)
	return launch(t, "sextant", binary, "server"), launch(t, "redis", redis)
}

// realRedis is proc.Redis, and skips the test with -short.
func realRedis(t testing.TB) string {
	if testing.Short() {
		t.Skip("-short")
	}
	return proc.Redis(t)
}

func launch(t *testing.T, name string, words ...string) *side {
	port := proc.FreePort(t)
	s := prepare(t, name, port, append(words, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir(),
		"--save", "", "--appendonly", "no", "--enable-debug-command", "yes")...)
	s.start()
	return &s.side
}

// client is one connection.
type client struct {
	net.Conn
	in *bufio.Reader
}

func (s *side) dial(t testing.TB) *client {
	c, err := net.Dial("tcp", s.addr)
	require.NoError(t, err, s.name)
	t.Cleanup(func() { _ = c.Close() })
	return &client{c, bufio.NewReader(c)}
}

// do sends all calls at once and returns the bytes of each reply. Replies end when the
// connection does.
func (c *client) do(t testing.TB, calls [][]string) (replies [][]byte) {
	var out []byte
	for _, call := range calls {
		out = resp.AppendCommandStrings(out, call...)
	}
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err := c.Write(out)
	require.NoError(t, err)
	for range calls {
		r, err := readReply(c.in, nil)
		if err != nil {
			require.ErrorIs(t, err, io.EOF, "at the reply to %q, after %q", calls[len(replies)], calls[:len(replies)])
			return append(replies, []byte("(closed)"))
		}
		replies = append(replies, r)
	}
	return replies
}

// readReply appends the bytes of one reply, whatever is nested in it, to b.
func readReply(in *bufio.Reader, b []byte) ([]byte, error) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return b, err
	}
	b = append(b, line...)
	n, _ := strconv.Atoi(strings.TrimSpace(string(line[1:])))
	switch line[0] {
	case '$', '=', '!':
		if n >= 0 {
			text := make([]byte, n+2)
			if _, err := io.ReadFull(in, text); err != nil {
				return b, err
			}
			b = append(b, text...)
		}
		return b, nil
	case '%':
		n *= 2
	case '*', '~', '>':
	case '|':
		n = 2*n + 1
	default:
		return b, nil
	}
	for range n {
		if b, err = readReply(in, b); err != nil {
			return b, err
		}
	}
	return b, nil
}

// Scripts are calls, one a line; "b> call" is of another client than "> call". A line
// "raw> "bytes"" sends bytes on a connection of its own and reads until it ends. "@ ms" waits.
func TestScripts(t *testing.T) {
	ours, theirs := both(t)
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			a, b := map[string]*client{}, map[string]*client{}
			for i, line := range strings.Split(string(text), "\n") {
				who, call, ok := strings.Cut(line, "> ")
				switch {
				case line == "" || line[0] == '#':
					continue
				case line[0] == '@':
					ms, err := strconv.Atoi(line[2:])
					require.NoError(t, err, line)
					time.Sleep(time.Duration(ms) * time.Millisecond)
					continue
				}
				require.True(t, ok, "%s:%d: %s", file, i+1, line)
				words, ok := resp.SplitArgs([]byte(call), nil)
				require.True(t, ok, "%s:%d: %s", file, i+1, line)
				if who == "raw" {
					want, got := theirs.raw(t, words[0]), ours.raw(t, words[0])
					assert.Equal(t, string(want), string(got), "%s:%d: %s", file, i+1, line)
					continue
				}
				if a[who] == nil {
					a[who], b[who] = ours.dial(t), theirs.dial(t)
				}
				argv := make([]string, len(words))
				for i, w := range words {
					argv[i] = string(w)
				}
				want, got := b[who].do(t, [][]string{argv})[0], a[who].do(t, [][]string{argv})[0]
				if !equal(argv, got, want) {
					assert.Fail(t, "replies differ", "%s:%d: %s\nours:  %q\nredis: %q", file, i+1, line, got, want)
				}
			}
		})
	}
}

// raw sends bytes and returns all that comes back.
func (s *side) raw(t *testing.T, b []byte) []byte {
	c := s.dial(t)
	defer c.Close()
	_, err := c.Write(b)
	require.NoError(t, err)
	require.NoError(t, c.Conn.(*net.TCPConn).CloseWrite())
	require.NoError(t, c.SetDeadline(time.Now().Add(5*time.Second)))
	got, _ := io.ReadAll(c) // a connection that is reset has said what it had to say
	return got
}

// Generated sequences: every command that can be compared, with arguments that fit its grammar
// and some that do not, over a few keys, so that they meet each other's values.
func TestGeneratedSequences(t *testing.T) {
	ours, theirs := both(t)
	g := newGenerator(t, *seed)
	a, b := ours.dial(t), theirs.dial(t)
	calls, bad := 0, 0
	for n := range *sequences {
		seq := g.sequence()
		got, want := a.do(t, seq), b.do(t, seq)
		for i := range seq {
			calls++
			if i > 1 && i < len(got) && !queued(got[i]) {
				fits(t, seq[i], got[i], map[string]int{"2": resp.RESP2, "3": resp.RESP3}[seq[1][1]])
			}
			if i < len(got) && i < len(want) && equal(seq[i], got[i], want[i]) {
				if want[i][0] == '-' && got[i][0] != '-' {
					break // of later than 7.0: from here on the data may differ, and EXEC may
				}
				continue
			}
			bad++
			assert.Fail(t, "replies differ", "seed %d, sequence %d\n%s", *seed, n, show(seq[:i+1], got, want))
			if seq[i][0] == "DEBUG" {
				for _, key := range keysOfSequences {
					about := [][]string{{"DEBUG", "DIGEST-VALUE", key}, {"DUMP", key}, {"OBJECT", "ENCODING", key}}
					if got, want := a.do(t, about), b.do(t, about); !bytes.Equal(got[0], want[0]) {
						t.Logf("%q differs: ours:  %q %s\nredis: %q %s", key, got[1], got[2], want[1], want[2])
					}
				}
			}
			break
		}
		if bad == 20 {
			t.Fatal("too many differences")
		}
	}
	t.Logf("%d calls in %d sequences, %d of %d commands used", calls, *sequences, len(g.used), len(g.entries))
	if *sequences >= 1000 {
		assert.Len(t, g.used, len(g.entries), "every entry is used")
	}
}

func show(seq [][]string, got, want [][]byte) string {
	var b strings.Builder
	for i, call := range seq {
		fmt.Fprintf(&b, "  %q\n", call)
		if i < len(got) && i < len(want) && !equal(call, got[i], want[i]) {
			fmt.Fprintf(&b, "    ours:  %q\n    redis: %q\n", got[i], want[i])
		}
	}
	return b.String()
}
