package zset

import (
	"math"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/glob"
	"github.com/sextantdb/sextant/store/value"
)

func zcard(c *command.Ctx) {
	if z, found, ok := read(c, c.Argv[1]); ok {
		n := 0
		if found {
			n = z.Len()
		}
		c.Out.Int(int64(n))
	}
}

func zcount(c *command.Ctx)    { countRange(c, byScore) }
func zlexcount(c *command.Ctx) { countRange(c, byLex) }

func countRange(c *command.Ctx, by rangeKind) {
	var r bounds
	if !r.parse(c, by, 2, 3) {
		return
	}
	if z, found, ok := read(c, c.Argv[1]); ok {
		n := 0
		if found {
			from, to := r.ranks(&z)
			n = to - from
		}
		c.Out.Int(int64(n))
	}
}

func zscore(c *command.Ctx) {
	z, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	if found {
		if score, there := z.Score(c.Argv[2]); there {
			c.Out.Double(score)
			return
		}
	}
	c.Out.Null()
}

func zmscore(c *command.Ctx) {
	z, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Argv) - 2)
	for _, member := range c.Argv[2:] {
		if found {
			if score, there := z.Score(member); there {
				c.Out.Double(score)
				continue
			}
		}
		c.Out.Null()
	}
}

func zrank(c *command.Ctx)    { rank(c, false) }
func zrevrank(c *command.Ctx) { rank(c, true) }

func rank(c *command.Ctx, reverse bool) {
	withScore := false
	switch {
	case len(c.Argv) > 4:
		c.Fail(resp.ErrWrongArgs(c.Cmd.LowerName()))
		return
	case len(c.Argv) == 4:
		if withScore = command.Is(c.Argv[3], "WITHSCORE"); !withScore {
			c.Fail(resp.ErrSyntax)
			return
		}
	}
	z, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	if found {
		if n, score, there := z.Rank(c.Argv[2]); there {
			if reverse {
				n = z.Len() - 1 - n
			}
			if withScore {
				c.Out.Array(2)
			}
			c.Out.Int(int64(n))
			if withScore {
				c.Out.Double(score)
			}
			return
		}
	}
	if withScore {
		c.Out.NullArray()
	} else {
		c.Out.Null()
	}
}

func zscan(c *command.Ctx) {
	cursor, ok := c.Cursor(2)
	if !ok {
		return
	}
	z, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	if !found {
		c.Out.Array(2)
		c.Out.BulkString("0")
		c.Out.Array(0)
		return
	}
	count, pattern, noScores, ok := c.ScanFieldWords(3, "NOSCORES")
	if !ok {
		return
	}
	large := z.Large() != nil
	mark := c.Out.Len()
	c.Out.Array(2)
	c.Out.BulkUint(0)
	list := c.Out.Defer()
	n := 0
	next := z.Scan(cursor, count, func(member []byte, score float64) {
		if pattern != nil && !glob.Match(pattern, member) {
			return
		}
		c.Out.Bulk(member)
		n++
		if !noScores {
			var text [32]byte
			c.Out.Bulk(appendScanScore(text[:0], score, large))
			n++
		}
	})
	c.Out.EndArray(list, n)
	if next != 0 {
		// The cursor stands before what it took to find it.
		found := append([]byte(nil), c.Out.From(mark)...)
		c.Out.Truncate(mark)
		c.Out.Array(2)
		c.Out.BulkUint(next)
		c.Out.Raw(found[len("*2\r\n$1\r\n0\r\n"):])
	}
}

// appendScanScore prints a score as ZSCAN does: those of large sets with 17 digits.
func appendScanScore(dst []byte, score float64, large bool) []byte {
	if !large || math.IsInf(score, 0) {
		return resp.AppendDouble(dst, score)
	}
	return strconv.AppendFloat(dst, score, 'g', 17, 64)
}

const errOutOfRange resp.Error = "ERR value is out of range"

func (f family) zrandmember(c *command.Ctx) {
	if len(c.Argv) == 2 {
		z, found, ok := read(c, c.Argv[1])
		switch {
		case !ok:
		case !found:
			c.Out.Null()
		default:
			it := z.From(f.pick(z.Len()), false)
			it.Next()
			c.Out.Bulk(it.Member())
		}
		return
	}
	count, ok := c.IntIn(2, -math.MaxInt64, math.MaxInt64)
	if !ok {
		return
	}
	withScores := len(c.Argv) == 4 && command.Is(c.Argv[3], "WITHSCORES")
	switch {
	case len(c.Argv) > 3 && !withScores:
		c.Fail(resp.ErrSyntax)
		return
	case withScores && (count < -math.MaxInt64/2 || count > math.MaxInt64/2):
		c.Fail(errOutOfRange)
		return
	}
	z, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	if !found || count == 0 {
		c.Out.Array(0)
		return
	}
	n := int64(z.Len())
	answer := func(member []byte, score float64) {
		if withScores {
			answerPair(c, member, score)
		} else {
			c.Out.Bulk(member)
		}
	}
	switch {
	case count >= n:
		answerMembers(c, &z, int(n)-1, int(n), true, withScores) // from the last, as Redis does
	case count < 0:
		f.withRepetition(c, &z, -count, withScores, answer)
	case count*3 > n:
		// Every member is chosen with the chance that is left for it: one walk, no memory.
		beginMembers(c, int(count), withScores)
		it := z.From(0, false)
		for left := n; count > 0 && it.Next(); left-- {
			if int64(f.Rand()%uint64(left)) < count {
				answer(it.Member(), it.Score())
				count--
			}
		}
	default:
		beginMembers(c, int(count), withScores)
		chosen := make(map[int]struct{}, count)
		for int64(len(chosen)) < count {
			i := f.pick(int(n))
			if _, twice := chosen[i]; twice {
				continue
			}
			chosen[i] = struct{}{}
			it := z.From(i, false)
			it.Next()
			answer(it.Member(), it.Score())
		}
	}
}

func (f family) pick(n int) int { return int(f.Rand() % uint64(n)) }

// repeatedMax bounds the reply of a ZRANDMEMBER that repeats members, in bytes: Redis closes
// the connection when its output buffer is beyond its limits; here the call fails.
const repeatedMax = 1 << 30

const errReplyTooLong resp.Error = "ERR reply is too long"

// withRepetition answers count members, each chosen anew.
func (f family) withRepetition(c *command.Ctx, z *value.SortedSet, count int64, withScores bool, answer func([]byte, float64)) {
	begin := c.Out.Len()
	if count > repeatedMax {
		c.Fail(errReplyTooLong)
		return
	}
	beginMembers(c, int(count), withScores)
	for ; count > 0 && !c.Out.Full(); count-- {
		it := z.From(f.pick(z.Len()), false)
		it.Next()
		answer(it.Member(), it.Score())
		if c.Out.Len()-begin > repeatedMax {
			c.Out.Truncate(begin)
			c.Fail(errReplyTooLong)
			return
		}
	}
}
