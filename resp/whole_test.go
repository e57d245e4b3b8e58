package resp

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWholeTakesTheUsualRequest(t *testing.T) {
	for _, c := range []struct {
		wire, args string // joined by spaces
		n          int
	}{
		{"*1\r\n$4\r\nPING\r\n*1", "PING", 14},
		{"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\nGARBAGE", "GET key", 22},
		{"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n", "SET k ", 26},
		{"*2\r\n$3\r\nGET\r\n$11\r\nelevenbytes\r\n", "GET elevenbytes", 31},
		{"*0\r\nx", "", 0},
		{"*2\r\n$3\r\nGET\r\n$3\r\nke", "", 0},                                     // incomplete
		{"*2\r\n$3\r\nGET\r\n$3\r\nkey\r", "", 0},                                  // incomplete
		{"*2\r\n$3\r\nGET\r\n$3", "", 0},                                           // incomplete header
		{"*2\r\n$3\r\nGET\r\n$3\r", "", 0},                                         // incomplete header
		{"*2\r\n$3\r\nGET\r\n$-1\r\n", "", 0},                                      // malformed
		{"*2\r\n$3\r\nGET\r\n$03\r\nkey\r\n", "", 0},                               // malformed
		{"*2\r\n$3\r\nGET\r\n$2\r\nkey\r\n", "", 0},                                // malformed
		{"*2\r\n$3\r\nGET\r\n$99999999999\r\n\r\n", "", 0},                         // longer than anything
		{"*2\r\n$3\r\nGET\r\n$100\r\n" + strings.Repeat("x", 100) + "\r\n", "", 0}, // above the limit
		{"*9999\r\n$3\r\nGET\r\n", "", 0},                                          // many arguments are not worth it
		{"GET key\r\n", "", 0},
		{"", "", 0},
		{"*", "", 0},
		{"*1\r", "", 0},
	} {
		before := [][]byte{[]byte("before")}
		args, n := Whole([]byte(c.wire), before, Limits{MaxBulk: 99})
		require.Equal(t, c.n, n, "%q", c.wire)
		if n == 0 {
			require.Equal(t, before, args)
			continue
		}
		require.Equal(t, "before "+c.args, string(bytes.Join(args, []byte(" "))), "%q", c.wire)
	}
}

// What Whole takes, the parser takes the same way, also when it comes byte by byte; and Whole takes what is whole.
func TestWholeAgreesWithTheParser(t *testing.T) {
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
		args, n := Whole(wire, nil, Limits{})
		var p Parser
		var argv [][]byte
		var m int
		var err Error
		for i := 1; i <= len(wire) && m == 0 && err == ""; i++ { // never whole at first: the parser proves it piece by piece
			argv, m, err = p.Next(wire[:i:i], nil, Limits{})
		}
		if n == 0 {
			require.True(t, err != "" || m == 0 || len(argv) == 0 || wire[0] != '*', "%q", wire)
			continue
		}
		agreed++
		require.Equal(t, m, n, "%q", wire)
		require.Equal(t, argv, args, "%q", wire)
	}
	require.Greater(t, agreed, 5000)
}
