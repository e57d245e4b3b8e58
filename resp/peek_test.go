package resp

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPeekSeesTheFirstArguments(t *testing.T) {
	for _, c := range []struct {
		wire, args string // joined by spaces
		n          int
	}{
		{"*1\r\n$4\r\nPING\r\n*1", "", 14},
		{"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\nGARBAGE", "key", 22},
		{"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nvv\r\n", "k vv", 28},
		{"*5\r\n$4\r\nHSET\r\n$1\r\nk\r\n$1\r\nf\r\n$1\r\nv\r\n$1\r\ng\r\n", "k f v", 42},
		{"*0\r\nx", "", 4},
		{"*2\r\n$3\r\nGET\r\n$3\r\nke", "", 0},             // incomplete
		{"*2\r\n$3\r\nGET\r\n$3", "", 0},                   // incomplete header
		{"*2\r\n$3\r\nGET\r\n$-1\r\n", "", 0},              // malformed
		{"*2\r\n$3\r\nGET\r\n$99999999999\r\n\r\n", "", 0}, // longer than anything
		{"*9999\r\n$3\r\nGET\r\n", "", 0},                  // many arguments are not worth it
		{"GET key\r\n", "", 0},
		{"", "", 0},
		{"*", "", 0},
		{"*1\r", "", 0},
	} {
		args, n := Peek([]byte(c.wire))
		require.Equal(t, c.n, n, "%q", c.wire)
		require.Equal(t, c.args, string(bytes.TrimRight(bytes.Join(args[:], []byte(" ")), " ")), "%q", c.wire)
	}
}

// What the parser takes as a request of few arguments, Peek sees the same way; on anything else it may say what it
// likes, but never look outside.
func TestPeekAgreesWithTheParser(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	agreed := 0
	for range 20000 {
		words := make([]string, 1+rng.IntN(5))
		for i := range words {
			words[i] = string(bytes.Repeat([]byte{'x'}, rng.IntN(12)))
		}
		wire := AppendCommandStrings(nil, words...)
		for range rng.IntN(3) {
			switch i := rng.IntN(len(wire)); rng.IntN(3) {
			case 0:
				wire = wire[:i+1]
			case 1:
				wire[i] = "*$\r\n0129x-"[rng.IntN(10)]
			default:
				wire = append(wire, wire[:i]...)
			}
		}
		wire = wire[:len(wire):len(wire)]
		args, n := Peek(wire)
		require.LessOrEqual(t, n, len(wire))
		var p Parser
		argv, m, err := p.Next(wire, nil, Limits{})
		if err != "" || m == 0 || wire[0] != '*' {
			continue
		}
		agreed++
		require.Equal(t, m, n, "%q", wire)
		for i, arg := range args {
			if i+1 < len(argv) {
				require.Equal(t, string(argv[i+1]), string(arg), "%q", wire)
			} else {
				require.Nil(t, arg)
			}
		}
	}
	require.Greater(t, agreed, 5000)
}
