package compat

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
)

// generator makes calls from the argument grammar of the entries.
type generator struct {
	rand    *rand.Rand
	entries []*command.Command
	used    map[string]bool
}

func newGenerator(t *testing.T, seed uint64) *generator {
	table, err := table()
	require.NoError(t, err)
	g := &generator{rand: rand.New(rand.NewPCG(seed, 7)), used: map[string]bool{}}
	for _, c := range table.All() {
		switch {
		case c.Run == nil || notGenerated(c.FullName()) != "":
		case c.Flags&command.Blocking != 0: // would wait; scripts compare them
		case strings.HasPrefix(c.Since, "7.2"): // the other side is 7.0
		default:
			g.entries = append(g.entries, c)
		}
	}
	require.NotEmpty(t, g.entries)
	return g
}

// sequence begins from an empty node: a few values, then whatever comes.
func (g *generator) sequence() [][]string {
	proto := "2"
	if g.rand.IntN(2) == 0 {
		proto = "3"
	}
	seq := [][]string{{"RESET"}, {"HELLO", proto}, {"FLUSHALL"}}
	for range 3 {
		seq = append(seq, []string{"SET", g.key(), g.text()})
	}
	for range 4 + g.rand.IntN(10) {
		seq = append(seq, g.call())
	}
	return seq
}

func (g *generator) call() []string {
	c := g.entries[g.rand.IntN(len(g.entries))]
	g.used[c.FullName()] = true
	words := strings.Split(c.FullName(), "|")
	for _, a := range c.Grammar() {
		words = g.arg(words, &a)
	}
	switch g.rand.IntN(25) { // now and then what does not fit
	case 0:
		words = append(words, g.text())
	case 1:
		if len(words) > 2 {
			words = words[:len(words)-1]
		}
	case 2:
		words[g.rand.IntN(len(words)-0)] = words[g.rand.IntN(len(words))]
	}
	if g.rand.IntN(4) == 0 {
		words[0] = strings.ToLower(words[0])
	}
	return words
}

func (g *generator) arg(words []string, a *command.Arg) []string {
	if a.Optional && g.rand.IntN(3) > 0 {
		return words
	}
	times := 1
	if a.Multiple {
		times = 1 + g.rand.IntN(3)
	}
	for i := range times {
		if a.Token != "" && (i == 0 || a.MultipleToken) {
			words = append(words, a.Token)
		}
		if strings.Contains(a.Name, "seconds") || a.Name == "ttl" {
			// Nothing may expire while a sequence runs: the two servers would not agree when.
			words = append(words, g.pick("-1", "0", "1000000", "99999999", "x", "1.5", "9223372036854775807"))
			continue
		}
		switch a.Type {
		case command.KeyArg:
			words = append(words, g.key())
		case command.IntegerArg:
			words = append(words, g.integer())
		case command.DoubleArg:
			words = append(words, g.double())
		case command.UnixTime:
			words = append(words, g.time())
		case command.PatternArg:
			words = append(words, g.pick("*", "k*", "[a-k]?", "{t}*", "nothing", ""))
		case command.PureToken:
		case command.OneOf:
			words = g.arg(words, &a.Args[g.rand.IntN(len(a.Args))])
		case command.Block:
			for j := range a.Args {
				words = g.arg(words, &a.Args[j])
			}
		default:
			words = append(words, g.text())
		}
	}
	return words
}

func (g *generator) pick(s ...string) string { return s[g.rand.IntN(len(s))] }

func (g *generator) key() string { return g.pick("k1", "k2", "k3", "{t}a", "{t}b", "\x00\xff") }

func (g *generator) integer() string {
	if g.rand.IntN(3) > 0 {
		return strconv.Itoa(g.rand.IntN(20) - 4)
	}
	return g.pick("0", "-1", "100000", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "+1", " 1", "1.5", "x", "", "007")
}

// time is never so near that the two servers could disagree about what has come.
func (g *generator) time() string {
	return g.pick("-1", "0", "1", "x", "99999999999", "99999999999999", "9223372036854775807", "1000000", "4000000000")
}

func (g *generator) double() string {
	return g.pick("0", "1", "-1.5", "3.0e3", "1e400", "nan", "inf", "-inf", "0.1", "5e-324", "x", "", "1 ")
}

func (g *generator) text() string {
	switch g.rand.IntN(6) {
	case 0:
		return g.integer()
	case 1:
		return g.double()
	case 2:
		return strings.Repeat("long ", 1+g.rand.IntN(60))
	}
	return g.pick("", "a", "hello world", "\x00\x01\xfe\xff", "12", "3.14", "ümlaut", "0", "OK", "string", "raw")
}
