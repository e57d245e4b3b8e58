package zset

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

const (
	errLimitByRank resp.Error = "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"
	errScoresByLex resp.Error = "ERR syntax error, WITHSCORES not supported in combination with BYLEX"
)

// rangeKind says what the ends of a range are.
type rangeKind uint8

const (
	byWord rangeKind = iota // the words of the call say it
	byRank
	byScore
	byLex
)

// bounds are the ends of a range, of one kind.
type bounds struct {
	by                 rangeKind
	first, last        int64
	minScore, maxScore value.ScoreBound
	minLex, maxLex     value.LexBound
}

// parse reads the ends from argv[lo] and argv[hi]. It reports false when it answered an error.
func (r *bounds) parse(c *command.Ctx, by rangeKind, lo, hi int) (ok bool) {
	r.by = by
	switch by {
	case byScore:
		var ok1, ok2 bool
		r.minScore, ok1 = parseScoreBound(c.Argv[lo])
		r.maxScore, ok2 = parseScoreBound(c.Argv[hi])
		if ok = ok1 && ok2; !ok {
			c.Fail(resp.ErrMinMaxNotFloat)
		}
	case byLex:
		var ok1, ok2 bool
		r.minLex, ok1 = parseLexBound(c.Argv[lo])
		r.maxLex, ok2 = parseLexBound(c.Argv[hi])
		if ok = ok1 && ok2; !ok {
			c.Fail(resp.ErrMinMaxNotString)
		}
	default:
		if r.first, ok = c.Int(lo); ok {
			r.last, ok = c.Int(hi)
		}
	}
	return ok
}

func parseScoreBound(b []byte) (s value.ScoreBound, ok bool) {
	if len(b) > 0 && b[0] == '(' {
		s.Exclusive = true
		b = b[1:]
	}
	s.Score, ok = value.ParseScoreBound(b)
	return s, ok
}

func parseLexBound(b []byte) (l value.LexBound, ok bool) {
	if len(b) == 0 {
		return l, false
	}
	switch b[0] {
	case '-':
		l.Least, l.Exclusive = true, true
		return l, len(b) == 1
	case '+':
		l.Most, l.Exclusive = true, true
		return l, len(b) == 1
	case '(':
		l.Exclusive = true
	case '[':
	default:
		return l, false
	}
	l.Member = b[1:]
	return l, true
}

// ranks are the ranks [from, to) of the members within.
func (r *bounds) ranks(z *value.SortedSet) (from, to int) {
	switch r.by {
	case byScore:
		return z.ScoreRange(r.minScore, r.maxScore)
	case byLex:
		return z.LexRange(r.minLex, r.maxLex)
	}
	n := int64(z.Len())
	first, last := r.first, r.last
	if first < 0 {
		first = max(first+n, 0)
	}
	if last < 0 {
		last += n
	}
	last = min(last, n-1)
	if first > last {
		return 0, 0
	}
	return int(first), int(last) + 1
}

// rangeCall is a call of the ZRANGE commands.
type rangeCall struct {
	bounds
	reverse, withScores bool
	limited             bool
	offset, limit       int64
}

// parse reads "key min max" at argv[at] and the words behind. by is the kind that the command's
// name says, or byWord, and reverse its direction. It reports false when it answered an error.
func (r *rangeCall) parse(c *command.Ctx, at int, by rangeKind, reverse, store bool) bool {
	auto, turned := by == byWord, false // auto: the words may choose
	r.reverse, r.limit = reverse, -1
	for i := at + 3; i < len(c.Argv); i++ {
		switch word := c.Argv[i]; {
		case !store && command.Is(word, "WITHSCORES"):
			r.withScores = true
		case command.Is(word, "LIMIT") && i+2 < len(c.Argv):
			var ok bool
			if r.offset, ok = c.Int(i + 1); !ok {
				return false
			}
			if r.limit, ok = c.Int(i + 2); !ok {
				return false
			}
			r.limited = true
			i += 2
		case auto && !turned && command.Is(word, "REV"):
			r.reverse, turned = true, true
		case by == byWord && command.Is(word, "BYLEX"):
			by = byLex
		case by == byWord && command.Is(word, "BYSCORE"):
			by = byScore
		default:
			c.Fail(resp.ErrSyntax)
			return false
		}
	}
	if by == byWord {
		by = byRank
	}
	switch {
	case by == byRank && r.limit != -1:
		c.Fail(errLimitByRank)
		return false
	case by == byLex && r.withScores:
		c.Fail(errScoresByLex)
		return false
	}
	lo, hi := at+1, at+2
	if r.reverse && by != byRank {
		lo, hi = hi, lo
	}
	return r.bounds.parse(c, by, lo, hi)
}

// selected is where the walk over the members begins, and how many there are.
func (r *rangeCall) selected(z *value.SortedSet) (start, n int) {
	if r.by == byRank && r.reverse {
		// Ranks count from the end.
		from, to := r.ranks(z)
		return z.Len() - 1 - from, to - from
	}
	from, to := r.ranks(z)
	n = to - from
	if r.limited && r.by != byRank {
		if r.offset < 0 || r.offset >= int64(n) {
			return 0, 0
		}
		n -= int(r.offset)
		if r.limit >= 0 {
			n = int(min(int64(n), r.limit))
		}
		if r.reverse {
			to -= int(r.offset)
		} else {
			from += int(r.offset)
		}
	}
	if r.reverse {
		return to - 1, n
	}
	return from, n
}

func zrange(c *command.Ctx)           { answerRange(c, byWord, false) }
func zrevrange(c *command.Ctx)        { answerRange(c, byRank, true) }
func zrangebyscore(c *command.Ctx)    { answerRange(c, byScore, false) }
func zrevrangebyscore(c *command.Ctx) { answerRange(c, byScore, true) }
func zrangebylex(c *command.Ctx)      { answerRange(c, byLex, false) }
func zrevrangebylex(c *command.Ctx)   { answerRange(c, byLex, true) }

func answerRange(c *command.Ctx, by rangeKind, reverse bool) {
	var r rangeCall
	if !r.parse(c, 1, by, reverse, false) {
		return
	}
	z, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	if !found {
		c.Out.Array(0)
		return
	}
	start, n := r.selected(&z)
	answerMembers(c, &z, start, n, r.reverse, r.withScores)
}

// answerMembers answers n members from a rank on.
func answerMembers(c *command.Ctx, z *value.SortedSet, start, n int, reverse, withScores bool) {
	beginMembers(c, n, withScores)
	if n == 0 {
		return
	}
	it := z.From(start, reverse)
	for ; n > 0 && it.Next(); n-- {
		if !withScores {
			c.Out.Bulk(it.Member())
		} else {
			answerPair(c, it.Member(), it.Score())
		}
	}
}

// beginMembers begins a reply of n members: with scores flat in RESP2, in pairs in RESP3.
func beginMembers(c *command.Ctx, n int, withScores bool) {
	if withScores && c.Out.Proto < resp.RESP3 {
		n *= 2
	}
	c.Out.Array(n)
}

func answerPair(c *command.Ctx, member []byte, score float64) {
	if c.Out.Proto >= resp.RESP3 {
		c.Out.Array(2)
	}
	c.Out.Bulk(member)
	c.Out.Double(score)
}

func (f family) zrangestore(c *command.Ctx) {
	var r rangeCall
	if !r.parse(c, 2, byWord, false, true) {
		return
	}
	src, found, ok := read(c, c.Argv[2])
	if !ok {
		return
	}
	var dst value.SortedSet
	n, start := 0, 0
	if found {
		start, n = r.selected(&src)
	}
	l := f.Limits()
	dst = value.NewZSet(c.Scratch, n, 0, l)
	if n > 0 {
		it := src.From(start, r.reverse)
		for ; n > 0 && it.Next(); n-- {
			dst.Put(it.Member(), it.Score(), l)
		}
	}
	c.StoreZSet(c.Argv[1], &dst, "zrangestore")
}
