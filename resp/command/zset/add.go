package zset

import (
	"math"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

const (
	errNXAndXX    resp.Error = "ERR XX and NX options at the same time are not compatible"
	errGTLTNX     resp.Error = "ERR GT, LT, and/or NX options at the same time are not compatible"
	errIncrPairs  resp.Error = "ERR INCR option supports a single increment-element pair"
	errScoreIsNaN resp.Error = "ERR resulting score is not a number (NaN)"
)

// addOptions are the words between ZADD's key and its scores.
type addOptions struct{ nx, xx, gt, lt, ch, incr bool }

// parseAdd reads them and says where the scores begin.
func parseAdd(argv [][]byte) (o addOptions, i int) {
	for i = 2; i < len(argv); i++ {
		switch word := argv[i]; {
		case command.Is(word, "NX"):
			o.nx = true
		case command.Is(word, "XX"):
			o.xx = true
		case command.Is(word, "GT"):
			o.gt = true
		case command.Is(word, "LT"):
			o.lt = true
		case command.Is(word, "CH"):
			o.ch = true
		case command.Is(word, "INCR"):
			o.incr = true
		default:
			return o, i
		}
	}
	return o, i
}

func (f family) zadd(c *command.Ctx) {
	o, i := parseAdd(c.Argv)
	pairs := c.Argv[i:]
	switch {
	case len(pairs) == 0 || len(pairs)%2 != 0:
		c.Fail(resp.ErrSyntax)
	case o.nx && o.xx:
		c.Fail(errNXAndXX)
	case o.nx && (o.gt || o.lt) || o.gt && o.lt:
		c.Fail(errGTLTNX)
	case o.incr && len(pairs) > 2:
		c.Fail(errIncrPairs)
	default:
		f.add(c, o, pairs)
	}
}

func (f family) zincrby(c *command.Ctx) { f.add(c, addOptions{incr: true}, c.Argv[2:]) }

// add carries ZADD and ZINCRBY out; pairs are scores and members in turn.
func (f family) add(c *command.Ctx, o addOptions, pairs [][]byte) {
	var few [32]float64
	scores := few[:0]
	for i := 0; i < len(pairs); i += 2 {
		score, ok := value.ParseScore(pairs[i])
		if !ok {
			c.Fail(resp.ErrNotFloat)
			return
		}
		scores = append(scores, score)
	}
	ed, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	l := f.Limits()
	added, updated := int64(0), int64(0)
	processed, result := false, 0.0
	switch {
	case ed.found:
		if len(scores) > l.ZSetEntries && ed.z.Large() == nil {
			ed.begin()
			ed.z.Grow()
		}
	case !o.xx:
		ed.create(len(scores), len(pairs[1]), l)
	default:
		scores = nil // no key, and none to be made
	}
	for i, score := range scores {
		member := pairs[2*i+1]
		old, exists := ed.z.Score(member)
		if exists && o.nx || !exists && o.xx {
			continue
		}
		if exists {
			if o.incr {
				if score += old; math.IsNaN(score) {
					c.Fail(errScoreIsNaN)
					return
				}
			}
			if o.gt && score <= old || o.lt && score >= old {
				continue
			}
		}
		processed, result = true, score
		switch {
		case !exists:
			added++
		case score != old:
			updated++
		default:
			continue
		}
		ed.begin()
		ed.z.Put(member, score, l)
	}
	ed.end()
	if added+updated > 0 {
		if !ed.found {
			c.Created(ed.key)
		}
		if o.incr {
			c.Notify(command.EventZSet, "zincr", ed.key)
		} else {
			c.Notify(command.EventZSet, "zadd", ed.key)
		}
	}
	switch {
	case o.incr && processed:
		c.Out.Double(result)
	case o.incr:
		c.Out.Null()
	case o.ch:
		c.Out.Int(added + updated)
	default:
		c.Out.Int(added)
	}
}

func (f family) zrem(c *command.Ctx) {
	ed, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	n := int64(0)
	if ed.found {
		for _, member := range c.Argv[2:] {
			if _, there := ed.z.Score(member); there {
				ed.begin()
				ed.z.Remove(member)
				n++
			}
			if ed.z.Len() == 0 {
				break
			}
		}
		ed.finish(n > 0, "zrem")
	}
	c.Out.Int(n)
}

// finish ends a removal: it writes back and publishes.
func (ed *edit) finish(changed bool, event string) {
	if !changed {
		return
	}
	gone := ed.end()
	ed.c.Notify(command.EventZSet, event, ed.key)
	if gone {
		ed.c.Notify(command.EventGeneric, "del", ed.key)
	}
}

func (f family) zremrangebyrank(c *command.Ctx)  { f.removeRange(c, byRank, "zremrangebyrank") }
func (f family) zremrangebyscore(c *command.Ctx) { f.removeRange(c, byScore, "zremrangebyscore") }
func (f family) zremrangebylex(c *command.Ctx)   { f.removeRange(c, byLex, "zremrangebylex") }

func (f family) removeRange(c *command.Ctx, by rangeKind, event string) {
	var r bounds
	if !r.parse(c, by, 2, 3) {
		return
	}
	ed, ok := open(c, c.Argv[1])
	if !ok {
		return
	}
	n := 0
	if ed.found {
		from, to := r.ranks(&ed.z)
		if n = to - from; n > 0 {
			ed.begin()
			ed.z.RemoveRange(from, to)
		}
		ed.finish(n > 0, event)
	}
	c.Out.Int(int64(n))
}
