package compat

import (
	"math/rand/v2"
	"slices"
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
	streams []*command.Command // those of them that are about streams
	used    map[string]bool
}

func newGenerator(t *testing.T, seed uint64) *generator {
	table, err := table()
	require.NoError(t, err)
	g := &generator{rand: rand.New(rand.NewPCG(seed, 7)), used: map[string]bool{}}
	for _, c := range table.All() {
		switch {
		case c.Run == nil || notGenerated(c.FullName()) != "":
		case c.Flags&command.Blocking != 0 && c.Group != command.Stream: // would wait; scripts compare them
		case !since70(c.Since): // the other side is 7.0
		case c.Flags&command.PubSub != 0: // changes what is read next; scripts compare them
		default:
			g.entries = append(g.entries, c)
			if c.Group == command.Stream {
				g.streams = append(g.streams, c)
			}
		}
	}
	require.NotEmpty(t, g.entries)
	return g
}

// since70 reports whether Redis 7.0 has what came with a version.
func since70(version string) bool {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	return len(major) == 1 && (major < "7" || major == "7" && minor == "0")
}

// sequence begins from an empty node: a few values, then whatever comes.
func (g *generator) sequence() [][]string {
	proto := "2"
	if g.rand.IntN(2) == 0 {
		proto = "3"
	}
	seq := [][]string{{"RESET"}, {"HELLO", proto}, {"FLUSHALL"}}
	if g.rand.IntN(4) == 0 {
		return g.streamSequence(seq)
	}
	for range 3 {
		seq = append(seq, []string{"SET", g.key(), g.text()})
	}
	for range 4 + g.rand.IntN(10) {
		seq = append(seq, g.call(g.entries))
	}
	if slices.ContainsFunc(seq, byChance) {
		return seq
	}
	return append(seq, []string{"DEBUG", "DIGEST"})
}

// byChance reports whether a call may leave what differs from server to server: values, as SPOP does, or a
// key that has expired at its birth and is there until somebody looks for it.
func byChance(call []string) bool {
	cmd := entryOf(call)
	if cmd == nil || cmd.Flags&command.Write == 0 {
		return false
	}
	born := func(word string) bool { return strings.EqualFold(word, "EXAT") || strings.EqualFold(word, "PXAT") }
	return slices.Contains(cmd.Tips, "nondeterministic_output") || slices.ContainsFunc(call, born)
}

// streamSequence is about a few streams with groups, or chance alone would hardly ever make any.
func (g *generator) streamSequence(seq [][]string) [][]string {
	for _, k := range []string{"k1", "k2", "k3", "{t}a"} {
		seq = append(seq, []string{"XGROUP", "CREATE", k, "g", "0", "MKSTREAM"})
		for i := range 1 + g.rand.IntN(6) {
			seq = append(seq, []string{"XADD", k, strconv.Itoa(1+i/3) + "-" + strconv.Itoa(1+i%3), "field", g.text()})
		}
	}
	for range 10 + g.rand.IntN(20) {
		seq = append(seq, g.call(g.streams))
	}
	return append(seq, []string{"DEBUG", "DIGEST"})
}

func (g *generator) call(of []*command.Command) []string {
	c := of[g.rand.IntN(len(of))]
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
	switch a.Token {
	case "BLOCK":
		return words // nobody comes
	case "STREAMS":
		return g.streamsAndIDs(words)
	case "*": // the clocks differ
		return append(words, g.ofStream("id"))
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
			if word := g.ofStream(a.Name); word != "" {
				words = append(words, word)
			} else {
				words = append(words, g.text())
			}
		}
	}
	return words
}

// ofStream is a word for an argument by its name, where any text would hardly ever do; "" for other
// arguments. Ids are never left to the servers: their clocks differ.
func (g *generator) ofStream(name string) string {
	switch name {
	case "id", "id-selector", "last-id", "lastid", "max-deleted-id", "threshold":
		return g.pick("0", "1", "1-1", "1-2", "1-3", "2", "2-1", "2-2", "2-3", "3-1", "9-9", "10-*", "5", "-", "+", ">", "$", "x", "4-4")
	case "start", "end":
		return g.pick("-", "+", "0", "1", "1-1", "(1-2", "1-3", "2", "(2-2", "2-3", "3-1", "9-9", "(0-0", "x", "(-", "-1")
	case "group":
		return g.pick("g", "g", "g", "g", "g", "h", "none")
	case "consumer":
		return g.pick("alice", "bob", "carol")
	case "min-idle-time":
		return g.pick("0", "0", "0", "1000000", "-1", "x")
	}
	return ""
}

// streamsAndIDs are as many ids as streams, nearly always.
func (g *generator) streamsAndIDs(words []string) []string {
	words = append(words, "STREAMS")
	n := 1 + g.rand.IntN(3)
	for range n {
		words = append(words, g.key())
	}
	if g.rand.IntN(30) == 0 {
		n++
	}
	for range n {
		words = append(words, g.pick(g.ofStream("id"), ">", "0", "1-2"))
	}
	return words
}

func (g *generator) pick(s ...string) string { return s[g.rand.IntN(len(s))] }

var keysOfSequences = []string{"k1", "k2", "k3", "{t}a", "{t}b", "\x00\xff"}

func (g *generator) key() string { return g.pick(keysOfSequences...) }

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
