package value

import (
	"bytes"
	"math"
	"strconv"

	"github.com/sextantdb/sextant/store/value/internal/listpack"
	"github.com/sextantdb/sextant/store/value/internal/sorted"
)

// LargeZSet is the Object of a large sorted set; ZSetOf gives its operations.
type LargeZSet struct{ s *sorted.Set }

// NewLargeZSet makes an empty one. No key may hold it before it has a member.
func NewLargeZSet() *LargeZSet { return &LargeZSet{sorted.New()} }

func (z *LargeZSet) Type() Type         { return ZSet }
func (z *LargeZSet) Encoding() Encoding { return Skiplist }
func (z *LargeZSet) Len() int           { return z.s.Len() }
func (z *LargeZSet) MemBytes() int64    { return z.s.Bytes() }

// Clone shares everything with z until one of the two changes it.
func (z *LargeZSet) Clone() Object { return &LargeZSet{z.s.Clone()} }

// Warm implements Warmer: ZADD, ZINCRBY, ZCOUNT and their like have a number before the member, others the member alone.
func (z *LargeZSet) Warm(calls []Foreseen) {
	var members [WarmMost][]byte
	n := min(len(calls), WarmMost)
	for i := range n {
		if members[i] = calls[i][1]; members[i] == nil {
			members[i] = calls[i][0]
		}
	}
	z.s.Warm(members[:n])
}

// SortedSet is a sorted set in either form: a listpack of members, each followed by its
// score, in order; or a LargeZSet. It aliases what it was made of. Exactly one of the two is
// set; the zero value is none.
type SortedSet struct {
	pack  listpack.Pack
	large *LargeZSet
}

// ZSetOf is the sorted set of a payload or, if o is not nil, of an Object. To change a payload
// in place, give a copy and store Payload afterwards.
func ZSetOf(payload []byte, o Object) SortedSet {
	if o != nil {
		return SortedSet{large: o.(*LargeZSet)}
	}
	return SortedSet{pack: payload}
}

// NewZSet is an empty sorted set, in the form that Redis chooses for a first member of that
// length and n members to come. dst is memory for a payload.
func NewZSet(dst []byte, n, memberLen int, l *Limits) SortedSet {
	if n > l.ZSetEntries || memberLen > l.ZSetValue {
		return SortedSet{large: NewLargeZSet()}
	}
	return SortedSet{pack: listpack.New(dst)}
}

// CheckZSet reports whether a listpack from outside is a sorted set: pairs of members and
// scores in order, no member twice, at least one.
func CheckZSet(payload []byte) bool {
	n, err := listpack.Check(payload)
	if err != nil || n == 0 || n%2 != 0 {
		return false
	}
	p := listpack.Pack(payload)
	seen := make(map[string]struct{}, n/2)
	var last []byte
	lastScore := math.Inf(-1)
	for at, end := p.First(), p.End(); at != end; {
		member := p.Get(at).Append(nil)
		at = p.Next(at)
		v := p.Get(at)
		score, ok := float64(v.Int), true
		if !v.IsInt {
			score, ok = parsePackScore(v.Str)
		}
		at = p.Next(at)
		if !ok || score < lastScore || score == lastScore && last != nil && bytes.Compare(last, member) >= 0 {
			return false
		}
		if _, twice := seen[string(member)]; twice {
			return false
		}
		seen[string(member)] = struct{}{}
		last, lastScore = member, score
	}
	return true
}

// Payload is the listpack, or nil for a large set.
func (z *SortedSet) Payload() []byte { return z.pack }

// Large is the Object, or nil for a payload.
func (z *SortedSet) Large() *LargeZSet { return z.large }

// Len is the number of members.
func (z *SortedSet) Len() int {
	if z.large != nil {
		return z.large.Len()
	}
	return z.pack.Len() / 2
}

// Score finds a member.
func (z *SortedSet) Score(member []byte) (float64, bool) {
	if z.large != nil {
		return z.large.s.Score(member)
	}
	at := z.pack.Find(z.pack.First(), member, 1)
	if at < 0 {
		return 0, false
	}
	return z.scoreAt(z.pack.Next(at)), true
}

// scoreAt reads the score at a position of the listpack.
func (z *SortedSet) scoreAt(at int) float64 {
	v := z.pack.Get(at)
	if v.IsInt {
		return float64(v.Int)
	}
	f, _ := parsePackScore(v.Str)
	return f
}

func parsePackScore(b []byte) (float64, bool) {
	f, err := strconv.ParseFloat(string(b), 64)
	return f, err == nil && !math.IsNaN(f)
}

// Put gives member a score, adding it if it is new, and becomes large when the limits say so.
// It reports whether the member was there. REQUIRES: score is not NaN; a payload is a copy.
func (z *SortedSet) Put(member []byte, score float64, l *Limits) (existed bool) {
	if z.large == nil {
		at := z.pack.Find(z.pack.First(), member, 1)
		switch {
		case at >= 0:
			if z.scoreAt(z.pack.Next(at)) != score {
				z.pack = z.pack.Delete(at, 2)
				z.insert(member, score)
			}
			return true
		case z.Len() < l.ZSetEntries && len(member) <= l.ZSetValue && len(z.pack)+len(member) < packMax:
			z.insert(member, score)
			return false
		}
		z.Grow()
	}
	return z.large.s.Put(member, score)
}

// insert puts a new member into the listpack at its place.
func (z *SortedSet) insert(member []byte, score float64) {
	at, end := z.pack.First(), z.pack.End()
	var tmp [20]byte
	for at != end {
		next := z.pack.Next(at)
		if s := z.scoreAt(next); s > score || s == score && bytes.Compare(z.pack.Get(at).Bytes(tmp[:]), member) > 0 {
			break
		}
		at = z.pack.Next(next)
	}
	if n := int64(score); score >= -maxPackInt && score <= maxPackInt && float64(n) == score {
		z.pack = z.pack.InsertInt(at, n)
	} else {
		var text [32]byte
		z.pack = z.pack.Insert(at, appendScore(text[:0], score))
	}
	z.pack = z.pack.Insert(at, member)
}

// maxPackInt bounds the scores that are kept as integers: Redis' bound, ±LLONG_MAX/2.
const maxPackInt = float64(math.MaxInt64 / 2)

func appendScore(dst []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

// Fits reports whether n members more fit the compact form. A set whose members do not all
// fit becomes large at once (Grow).
func (z *SortedSet) Fits(n int, l *Limits) bool { return z.large != nil || z.Len()+n <= l.ZSetEntries }

// Grow makes a listpack a LargeZSet.
func (z *SortedSet) Grow() {
	if z.large != nil {
		return
	}
	large := NewLargeZSet()
	for it := z.From(0, false); it.Next(); {
		large.s.Put(it.Member(), it.Score())
	}
	*z = SortedSet{large: large}
}

// Compact makes a large set a listpack if the limits allow it (results that are stored). dst
// is memory for the payload.
func (z *SortedSet) Compact(dst []byte, l *Limits) {
	if z.large == nil || z.Len() > l.ZSetEntries {
		return
	}
	total := 0
	for it := z.From(0, false); it.Next(); {
		if len(it.Member()) > l.ZSetValue {
			return
		}
		total += len(it.Member())
	}
	if total >= packMax {
		return
	}
	small := SortedSet{pack: listpack.New(dst)}
	for it := z.From(0, false); it.Next(); {
		small.appendPair(it.Member(), it.Score())
	}
	*z = small
}

// appendPair is insert for a member that comes last.
func (z *SortedSet) appendPair(member []byte, score float64) {
	z.pack = z.pack.Append(member)
	if n := int64(score); score >= -maxPackInt && score <= maxPackInt && float64(n) == score {
		z.pack = z.pack.AppendInt(n)
		return
	}
	var text [32]byte
	z.pack = z.pack.Append(appendScore(text[:0], score))
}

// Remove takes member out and reports whether it was there. A payload must be a copy.
func (z *SortedSet) Remove(member []byte) bool {
	if z.large != nil {
		_, ok := z.large.s.Remove(member)
		return ok
	}
	at := z.pack.Find(z.pack.First(), member, 1)
	if at >= 0 {
		z.pack = z.pack.Delete(at, 2)
	}
	return at >= 0
}

// RemoveRange takes out the members of ranks from to to-1. REQUIRES: 0 <= from <= to <= Len.
func (z *SortedSet) RemoveRange(from, to int) {
	switch {
	case z.large != nil:
		z.large.s.RemoveRange(from, to)
	case from < to:
		z.pack = z.pack.Delete(z.pack.Seek(2*from), 2*(to-from))
	}
}

// Rank is the number of members before member, and its score.
func (z *SortedSet) Rank(member []byte) (int, float64, bool) {
	if z.large != nil {
		return z.large.s.Rank(member)
	}
	rank := 0
	for it := z.From(0, false); it.Next(); rank++ {
		if it.is(member) {
			return rank, it.Score(), true
		}
	}
	return 0, 0, false
}

// ScoreBound is one end of a range of scores: at Score, which an exclusive bound leaves out.
type ScoreBound struct {
	Score     float64
	Exclusive bool
}

// ScoreRange is the ranks [from, to) of the members with scores from lo to hi.
func (z *SortedSet) ScoreRange(lo, hi ScoreBound) (from, to int) {
	from = z.countScores(lo.Score, lo.Exclusive)
	to = z.countScores(hi.Score, !hi.Exclusive)
	if lo.Score > hi.Score {
		return from, from
	}
	return from, max(from, to)
}

// countScores counts the members with scores below bound, or up to it.
func (z *SortedSet) countScores(bound float64, upTo bool) int {
	if z.large != nil {
		return z.large.s.Search(func(score float64, _ []byte) bool { return score < bound || upTo && score == bound })
	}
	n := 0
	for it := z.From(0, false); it.Next(); n++ {
		if s := it.Score(); !(s < bound || upTo && s == bound) {
			break
		}
	}
	return n
}

// LexBound is one end of a range of members of equal score. Least and Most are before and
// after all members.
type LexBound struct {
	Member      []byte
	Exclusive   bool
	Least, Most bool
}

// compare orders two bounds: below zero if b is before c.
func (b *LexBound) compare(c *LexBound) int {
	switch {
	case b.Least && c.Least || b.Most && c.Most:
		return 0
	case b.Least || c.Most:
		return -1
	case b.Most || c.Least:
		return 1
	}
	return bytes.Compare(b.Member, c.Member)
}

// LexRange is the ranks [from, to) of the members from lo to hi. REQUIRES: all scores are
// equal, else it is unspecified.
func (z *SortedSet) LexRange(lo, hi LexBound) (from, to int) {
	if c := lo.compare(&hi); c > 0 || c == 0 && (lo.Exclusive || hi.Exclusive) {
		return 0, 0
	}
	from = z.countLex(&lo, lo.Exclusive)
	return from, max(from, z.countLex(&hi, !hi.Exclusive))
}

func (z *SortedSet) countLex(b *LexBound, upTo bool) int {
	switch {
	case b.Least:
		return 0
	case b.Most:
		return z.Len()
	case z.large != nil:
		return z.large.s.Search(func(_ float64, m []byte) bool { return lexBefore(m, b.Member, upTo) })
	}
	n := 0
	for it := z.From(0, false); it.Next() && lexBefore(it.Member(), b.Member, upTo); n++ {
	}
	return n
}

func lexBefore(m, bound []byte, upTo bool) bool {
	c := bytes.Compare(m, bound)
	return c < 0 || upTo && c == 0
}

// ZSetIter walks a SortedSet. It is valid until the set changes.
type ZSetIter struct {
	pack  listpack.Pack
	at    int // position of the member in pack; -1 when done
	large sorted.Iter
	isBig bool
	back  bool
	begun bool
	tmp   [20]byte
}

// From walks from a rank on, forwards or, with back, to the front. The rank counts from the
// front in both cases. Without such a rank there is nothing to walk.
func (z *SortedSet) From(rank int, back bool) (it ZSetIter) {
	it.back, it.at = back, -1
	if rank < 0 || rank >= z.Len() {
		it.begun = true
		return it
	}
	if z.large != nil {
		it.isBig, it.at = true, 0
		it.large = z.large.s.From(rank)
		return it
	}
	it.pack, it.at = z.pack, z.pack.Seek(2*rank)
	return it
}

// Next goes to the next member, at first to the first, and reports whether there is one.
func (it *ZSetIter) Next() bool {
	if !it.begun {
		it.begun = true
		return true
	}
	switch {
	case it.at < 0:
	case it.isBig:
		if !it.large.Step(it.back) {
			it.at = -1
		}
	case it.back:
		if it.at = it.pack.Prev(it.at); it.at >= 0 {
			it.at = it.pack.Prev(it.at)
		}
	default:
		if it.at = it.pack.Next(it.pack.Next(it.at)); it.at == it.pack.End() {
			it.at = -1
		}
	}
	return it.at >= 0
}

// Member is the member the walk is at, valid until Next.
func (it *ZSetIter) Member() []byte {
	if it.isBig {
		m, _ := it.large.Here()
		return m
	}
	return it.pack.Get(it.at).Bytes(it.tmp[:])
}

// Score is its score.
func (it *ZSetIter) Score() float64 {
	if it.isBig {
		_, s := it.large.Here()
		return s
	}
	z := SortedSet{pack: it.pack}
	return z.scoreAt(it.pack.Next(it.at))
}

func (it *ZSetIter) is(member []byte) bool {
	if it.isBig {
		return bytes.Equal(it.Member(), member)
	}
	return it.pack.Get(it.at).Equal(member)
}

// Scan visits some members (ZSCAN), a compact set's all at once; see sorted.Set.Scan for what
// it promises. It returns the cursor to go on with, 0 at the end.
func (z *SortedSet) Scan(cursor uint64, count int, fn func(member []byte, score float64)) uint64 {
	if z.large != nil {
		return z.large.s.Scan(cursor, count, fn)
	}
	for it := z.From(0, false); it.Next(); {
		fn(it.Member(), it.Score())
	}
	return 0
}

// ParseScore reads b as Redis reads scores: the whole of b as strtod does (decimal,
// hexadecimal with 0x, inf, infinity), no leading space, not NaN, neither overflowing nor
// vanishing.
func ParseScore(b []byte) (float64, bool) { return parseDouble(b, false) }

// ParseScoreBound is ParseScore for the ends of ranges, where numbers may overflow, vanish or
// be missing, spaces lead, and a NUL byte ends the text: Redis reads them as C strings.
func ParseScoreBound(b []byte) (float64, bool) {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	for len(b) > 0 && (b[0] == ' ' || b[0] >= '\t' && b[0] <= '\r') {
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, true
	}
	return parseDouble(b, true)
}

func parseDouble(b []byte, lax bool) (float64, bool) {
	if n, ok := ParseInt(b); ok {
		return float64(n), true
	}
	if len(b) == 0 {
		return 0, false
	}
	body, sign := b, 1
	if body[0] == '+' || body[0] == '-' {
		if body[0] == '-' {
			sign = -1
		}
		body = body[1:]
	}
	if EqualFold(body, "inf") || EqualFold(body, "infinity") {
		return math.Inf(sign), true
	}
	if !floatSyntax(body) {
		return 0, false
	}
	text := string(b)
	if len(body) > 1 && body[1]|0x20 == 'x' && bytes.IndexByte(body, 'p') < 0 && bytes.IndexByte(body, 'P') < 0 {
		text += "p0" // Go wants the exponent
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return f, lax && math.IsInf(f, 0)
	}
	if f == 0 && !lax && !allZero(body) {
		return 0, false
	}
	return f, true
}
