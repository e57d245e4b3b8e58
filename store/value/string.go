package value

// EmbstrMax is the longest string with the encoding embstr.
const EmbstrMax = 44

// StringEncoding is the encoding SET gives to the string b: Int with its value when b is
// the canonical decimal form of an int64, else Embstr or Raw by length.
func StringEncoding(b []byte) (Encoding, int64) {
	if n, ok := ParseInt(b); ok {
		return Int, n
	}
	return TextEncoding(len(b)), 0
}

// TextEncoding is the encoding of a new string of n bytes that is not to be made an
// integer (INCRBYFLOAT's result): Embstr or Raw.
func TextEncoding(n int) Encoding {
	if n <= EmbstrMax {
		return Embstr
	}
	return Raw
}

// ParseInt reads b exactly as Redis' string2ll: only the canonical decimal form of an
// int64 is a number (no spaces, no plus sign, no leading zeros, no "-0").
func ParseInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	if len(b) == 1 && b[0] == '0' {
		return 0, true
	}
	neg := b[0] == '-'
	if neg {
		b = b[1:]
	}
	if len(b) == 0 || b[0] < '1' || b[0] > '9' {
		return 0, false
	}
	var u uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if u > (1<<64-1-d)/10 {
			return 0, false
		}
		u = u*10 + d
	}
	if neg {
		if u > 1<<63 {
			return 0, false
		}
		return int64(-u), true
	}
	if u > 1<<63-1 {
		return 0, false
	}
	return int64(u), true
}

// AddInt is n+delta; false means that it leaves the range of an int64, where INCRBY
// answers "increment or decrement would overflow".
func AddInt(n, delta int64) (int64, bool) {
	sum := n + delta
	return sum, (sum > n) == (delta > 0)
}

// Range is GETRANGE's and SUBSTR's choice: the bounds [from, to) within a string of n
// bytes for the inclusive, possibly negative start and end.
func Range(n int, start, end int64) (from, to int) {
	if start < 0 && end < 0 && start > end {
		return 0, 0
	}
	size := int64(n)
	if start < 0 {
		start = max(start+size, 0)
	}
	if end < 0 {
		end = max(end+size, 0)
	}
	end = min(end, size-1)
	if start > end || n == 0 {
		return 0, 0
	}
	return int(start), int(end) + 1
}

// Match is one common stretch of LCS: inclusive positions in both strings, its length.
type Match struct{ AStart, AEnd, BStart, BEnd, Len int }

// LCS returns the longest common subsequence of a and b, which Redis picks among equals,
// and its matches from the last to the first (LCS … IDX). It takes 4·(len(a)+1)·(len(b)+1)
// bytes; the caller refuses what LCSBytes says is too much.
func LCS(a, b []byte) (seq []byte, matches []Match) {
	// length[j+i*w] is the length for the first i bytes of a and the first j of b.
	w := len(b) + 1
	length := make([]uint32, (len(a)+1)*w)
	for i := 1; i <= len(a); i++ {
		row, above := length[i*w:(i+1)*w], length[(i-1)*w:i*w]
		for j := 1; j <= len(b); j++ {
			if a[i-1] == b[j-1] {
				row[j] = above[j-1] + 1
			} else {
				row[j] = max(above[j], row[j-1])
			}
		}
	}
	left := int(length[len(length)-1])
	seq = make([]byte, left)
	open := false // the last match may still grow to the left
	for i, j := len(a), len(b); i > 0 && j > 0; {
		if a[i-1] != b[j-1] {
			// On equal lengths Redis drops b's byte; clients see the choice.
			if length[(i-1)*w+j] > length[i*w+j-1] {
				i--
			} else {
				j--
			}
			open = false
			continue
		}
		i, j, left = i-1, j-1, left-1
		seq[left] = a[i]
		if open {
			m := &matches[len(matches)-1]
			m.AStart, m.BStart, m.Len = i, j, m.Len+1
		} else {
			matches = append(matches, Match{i, i, j, j, 1})
			open = true
		}
	}
	return seq, matches
}

// LCSBytes is the working memory LCS takes for strings of these lengths.
func LCSBytes(a, b int) int64 { return 4 * int64(a+1) * int64(b+1) }
