package zset

import (
	"math"
	"slices"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

const (
	errWeight        resp.Error = "ERR weight value is not a float"
	errLimitNegative resp.Error = "ERR LIMIT can't be negative"
)

// source is one input of a combination: a sorted set, or a set whose members all count as 1.
type source struct {
	z      value.SortedSet
	set    value.SetView
	isZSet bool
	weight float64
}

func (s *source) len() int {
	if s.isZSet {
		return s.z.Len()
	}
	return s.set.Len()
}

func (s *source) score(member []byte) (float64, bool) {
	if s.isZSet {
		return s.z.Score(member)
	}
	return 1, s.set.Has(member)
}

// each visits the members until fn returns false. fn gets the score times the weight.
func (s *source) each(fn func(member []byte, score float64) bool) {
	if !s.isZSet {
		s.set.Each(func(m []byte) bool { return fn(m, weighted(1, s.weight)) })
		return
	}
	for it := s.z.From(0, false); it.Next(); {
		if !fn(it.Member(), weighted(it.Score(), s.weight)) {
			return
		}
	}
}

// weighted is score × weight, where 0 × ∞ counts as 0.
func weighted(score, weight float64) float64 {
	if p := score * weight; !math.IsNaN(p) {
		return p
	}
	return 0
}

// aggregation joins the scores that a member has in several inputs.
type aggregation func(a, b float64) float64

func sum(a, b float64) float64 {
	if s := a + b; !math.IsNaN(s) {
		return s
	}
	return 0 // ∞ and -∞
}

func lowest(a, b float64) float64 {
	if b < a {
		return b
	}
	return a
}

func highest(a, b float64) float64 {
	if b > a {
		return b
	}
	return a
}

// combination is a call of the commands that take several sets.
type combination struct {
	sources    []source // an absent key is a source without members
	join       aggregation
	withScores bool
	limit      int64 // 0: none
}

// wants says which words a command takes behind its keys.
type wants struct{ weights, scores, limit bool }

// parse reads "numkeys key..." from argv[at] on and the words behind. It reports false when it
// answered an error.
func (co *combination) parse(c *command.Ctx, at int, w wants) bool {
	n, ok := c.Int(at)
	if !ok {
		return false
	}
	if n < 1 {
		c.Fail(resp.Error("ERR at least 1 input key is needed for '" + c.Cmd.LowerName() + "' command"))
		return false
	}
	if n > int64(len(c.Argv)-at-1) {
		c.Fail(resp.ErrSyntax)
		return false
	}
	co.join = sum
	co.sources = make([]source, n)
	// An expired key is deleted when it is met, and nothing may change once the first is read.
	for _, key := range c.Argv[at+1 : at+1+int(n)] {
		c.Txn.Exists(key)
	}
	for i := range co.sources {
		s := &co.sources[i]
		s.weight = 1
		e, found := c.Read(c.Argv[at+1+i])
		switch {
		case !found:
		case e.Type() == value.ZSet:
			s.z, s.isZSet = value.ZSetOf(e.Payload(), e.Object()), true
		case e.Type() == value.Set:
			s.set = value.SetOf(e.Encoding(), e.Payload(), e.Object())
		default:
			c.Fail(resp.ErrWrongType)
			return false
		}
	}
	for i := at + 1 + int(n); i < len(c.Argv); i++ {
		left := int64(len(c.Argv) - i - 1)
		switch word := c.Argv[i]; {
		case w.weights && left >= n && command.Is(word, "WEIGHTS"):
			for k := range co.sources {
				i++
				if co.sources[k].weight, ok = value.ParseScore(c.Argv[i]); !ok {
					c.Fail(errWeight)
					return false
				}
			}
		case w.weights && left >= 1 && command.Is(word, "AGGREGATE"):
			i++
			switch how := c.Argv[i]; {
			case command.Is(how, "SUM"):
				co.join = sum
			case command.Is(how, "MIN"):
				co.join = lowest
			case command.Is(how, "MAX"):
				co.join = highest
			default:
				c.Fail(resp.ErrSyntax)
				return false
			}
		case w.scores && command.Is(word, "WITHSCORES"):
			co.withScores = true
		case w.limit && left >= 1 && command.Is(word, "LIMIT"):
			i++
			if co.limit, ok = value.ParseInt(c.Argv[i]); !ok || co.limit < 0 {
				c.Fail(errLimitNegative)
				return false
			}
		default:
			c.Fail(resp.ErrSyntax)
			return false
		}
	}
	return true
}

// bySize puts small inputs first, as Redis does: the order in which scores are added up shows
// in their last digits.
func (co *combination) bySize() {
	slices.SortStableFunc(co.sources, func(a, b source) int { return a.len() - b.len() })
}

func (co *combination) union() value.SortedSet {
	co.bySize()
	out := value.NewZSet(nil, 1, 1, &value.Limits{}) // large: the members come in any order
	for i := range co.sources {
		co.sources[i].each(func(member []byte, score float64) bool {
			if i > 0 {
				if was, there := out.Score(member); there {
					score = co.join(was, score)
				}
			}
			out.Put(member, score, &value.Limits{})
			return true
		})
	}
	return out
}

func (co *combination) inter() value.SortedSet {
	out := value.NewZSet(nil, 1, 1, &value.Limits{})
	co.eachCommon(func(member []byte, score float64) bool {
		out.Put(member, score, &value.Limits{})
		return true
	})
	return out
}

// eachCommon visits the members that all inputs have until fn returns false.
func (co *combination) eachCommon(fn func(member []byte, score float64) bool) {
	co.bySize()
	co.sources[0].each(func(member []byte, score float64) bool {
		for i := range co.sources[1:] {
			s := &co.sources[1+i]
			other, there := s.score(member)
			if !there {
				return true
			}
			score = co.join(score, other*s.weight)
		}
		return fn(member, score)
	})
}

func (co *combination) diff() value.SortedSet {
	out := value.NewZSet(nil, 1, 1, &value.Limits{})
	co.sources[0].each(func(member []byte, score float64) bool {
		for i := range co.sources[1:] {
			if _, there := co.sources[1+i].score(member); there {
				return true
			}
		}
		out.Put(member, score, &value.Limits{})
		return true
	})
	return out
}

var (
	reading = wants{weights: true, scores: true}
	storing = wants{weights: true}
)

func (f family) zunion(c *command.Ctx) { answer(c, reading, (*combination).union) }
func (f family) zinter(c *command.Ctx) { answer(c, reading, (*combination).inter) }
func (f family) zdiff(c *command.Ctx)  { answer(c, wants{scores: true}, (*combination).diff) }

func answer(c *command.Ctx, w wants, combine func(*combination) value.SortedSet) {
	var co combination
	if !co.parse(c, 1, w) {
		return
	}
	out := combine(&co)
	answerMembers(c, &out, 0, out.Len(), false, co.withScores)
}

func (f family) zunionstore(c *command.Ctx) {
	f.store(c, storing, "zunionstore", (*combination).union)
}
func (f family) zinterstore(c *command.Ctx) {
	f.store(c, storing, "zinterstore", (*combination).inter)
}
func (f family) zdiffstore(c *command.Ctx) { f.store(c, wants{}, "zdiffstore", (*combination).diff) }

func (f family) store(c *command.Ctx, w wants, event string, combine func(*combination) value.SortedSet) {
	var co combination
	if !co.parse(c, 2, w) {
		return
	}
	out := combine(&co)
	l := f.Limits()
	out.Compact(c.Scratch, l)
	c.StoreZSet(c.Argv[1], &out, event)
}

func (f family) zintercard(c *command.Ctx) {
	var co combination
	if !co.parse(c, 1, wants{limit: true}) {
		return
	}
	n := int64(0)
	co.eachCommon(func([]byte, float64) bool {
		n++
		return n != co.limit
	})
	c.Out.Int(n)
}
