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
	reached map[*command.Arg]bool // of the grammars
}

func newGenerator(t *testing.T, seed uint64) *generator {
	table, err := table()
	require.NoError(t, err)
	g := &generator{rand: rand.New(rand.NewPCG(seed, 7)), used: map[string]bool{}, reached: map[*command.Arg]bool{}}
	for _, c := range table.All() {
		switch {
		case c.Run == nil || notGenerated(c.FullName()) != "":
		case !since70(c.Since): // the other side is 7.0
		case subscribes(c): // changes what is read next; scripts compare them
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

// subscribes reports whether a command may go without a reply of its own.
func subscribes(c *command.Command) bool {
	return c.Flags&command.PubSub != 0 && slices.ContainsFunc(c.Schema().Elem, func(s *command.Schema) bool { return s.Kind == command.None })
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
	for i := range c.Grammar() {
		words = g.arg(words, &c.Grammar()[i])
	}
	twist := g.rand.IntN(25) // now and then what does not fit
	if c.Flags&command.Blocking != 0 {
		twist = -1 // any word could become the timeout
	}
	switch twist {
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
	if a.Optional && g.rand.IntN(2) > 0 {
		return words
	}
	g.reached[a] = true
	times := 1
	if a.Multiple {
		times = 1 + g.rand.IntN(3)
	}
	switch a.Token {
	case "BLOCK": // nobody comes
		return append(words, "BLOCK", g.pick("1", "5", "10", "-1", "x", "9223372036854775807000"))
	case "STREAMS":
		g.reach(a.Args)
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
		if a.Name == "timeout" {
			words = append(words, g.pick("0.001", "0.005", "0.01", "-1", "x", "nan", "1e30"))
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
	case "username":
		return g.pick("alice", "bob", "alice", "bob", "carol")
	case "rule":
		return g.pick("on", "off", "nopass", ">word", "<word", "!nohash", "resetpass", "reset", "+@all", "-@all", "allcommands", "nocommands", "+get", "-set", "+config|get", "-config|set", "+select|0", "+nosuch",
			"+@hash", "-@dangerous", "+@nosuch", "~*", "~k*", "allkeys", "resetkeys", "%R~k*", "%W~{t}*", "%RW~x", "%X~y", "&*", "&news", "allchannels", "resetchannels", "sanitize-payload",
			"skip-sanitize-payload", "(+get ~x)", "(+set", "clearselectors", "")
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

// reach notes arguments that are made otherwise than by walking the grammar.
func (g *generator) reach(args []command.Arg) {
	for i := range args {
		g.reached[&args[i]] = true
		g.reach(args[i].Args)
	}
}

// unreached names the arguments of entries that no call has had.
func (g *generator) unreached() (names []string) {
	var look func(path string, args []command.Arg)
	look = func(path string, args []command.Arg) {
		for i := range args {
			at := path + " " + args[i].Name
			if !g.reached[&args[i]] {
				names = append(names, at)
			}
			look(at, args[i].Args)
		}
	}
	for _, c := range g.entries {
		look(c.FullName(), c.Grammar())
	}
	return names
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

// The sequences that are compared reach every option of every command: a generator that never says one
// compares nothing of it.
func TestGeneratorReachesEveryOption(t *testing.T) {
	g := newGenerator(t, *seed)
	for range 3000 {
		g.sequence()
	}
	require.Len(t, g.used, len(g.entries))
	require.Empty(t, g.unreached(), "arguments that no call had")
}
