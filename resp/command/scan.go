package command

import (
	"math"
	"strconv"

	"github.com/sextantdb/sextant/resp"
)

// Cursor reads argv[i] as the cursor of a scan, as C's strtoul reads it, for cursors are sent
// back as they came: a sign is allowed, and nothing at all is 0. It answers the error.
func (c *Ctx) Cursor(i int) (uint64, bool) {
	b := c.Argv[i]
	if len(b) == 0 {
		return 0, true
	}
	neg := b[0] == '-'
	if neg || b[0] == '+' {
		b = b[1:]
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		c.Fail(resp.ErrInvalidCursor)
		return 0, false
	}
	if neg {
		n = -n
	}
	return n, true
}

// ScanWords reads the words COUNT and MATCH of HSCAN, SSCAN and ZSCAN from argv[from] on; a nil
// pattern stands for everything. It answers the error.
func (c *Ctx) ScanWords(from int) (count int, pattern []byte, ok bool) {
	return c.scanWords(from, "", nil)
}

// ScanFieldWords is ScanWords for HSCAN and ZSCAN, which know a word that leaves the values away.
func (c *Ctx) ScanFieldWords(from int, noValuesWord string) (count int, pattern []byte, noValues, ok bool) {
	count, pattern, ok = c.scanWords(from, noValuesWord, &noValues)
	return count, pattern, noValues, ok
}

func (c *Ctx) scanWords(from int, noValuesWord string, noValues *bool) (count int, pattern []byte, ok bool) {
	n := int64(10)
	for i := from; i < len(c.Argv); i++ {
		switch word := c.Argv[i]; {
		case noValues != nil && Is(word, noValuesWord):
			*noValues = true
		case i+1 < len(c.Argv) && Is(word, "COUNT"):
			i++
			if n, ok = c.Int(i); !ok {
				return 0, nil, false
			}
			if n < 1 {
				c.Fail(resp.ErrSyntax)
				return 0, nil, false
			}
		case i+1 < len(c.Argv) && Is(word, "MATCH"):
			i++
			if pattern = c.Argv[i]; len(pattern) == 1 && pattern[0] == '*' {
				pattern = nil
			} else if pattern == nil {
				pattern = []byte{}
			}
		default:
			c.Fail(resp.ErrSyntax)
			return 0, nil, false
		}
	}
	return int(min(n, math.MaxInt32)), pattern, true
}
