package geo

import (
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

// read finds the sorted set at key. found is false when there is none; ok is false when the key
// holds something else and the error is answered.
func read(c *command.Ctx, key []byte) (z value.SortedSet, found, ok bool) {
	e, found := c.Read(key)
	if !c.Typed(e, found, value.ZSet) {
		return z, found, false
	}
	if found {
		z = value.ZSetOf(e.Payload(), e.Object())
	}
	return z, found, true
}

// point reads longitude and latitude from argv[i:]; it reports false when it answered an error.
func point(c *command.Ctx, i int) (p value.GeoPoint, ok bool) {
	if p.Lon, ok = value.ParseScore(c.Argv[i]); ok {
		p.Lat, ok = value.ParseScore(c.Argv[i+1])
	}
	switch {
	case !ok:
		c.Fail(resp.ErrNotFloat)
	case !p.Valid():
		c.Fail(resp.ErrInvalidPlace(p.Lon, p.Lat))
		ok = false
	}
	return p, ok
}

// unit reads a unit of length, as metres.
func unit(c *command.Ctx, word []byte) (metres float64, ok bool) {
	switch {
	case command.Is(word, "M"):
		return 1, true
	case command.Is(word, "KM"):
		return 1000, true
	case command.Is(word, "FT"):
		return 0.3048, true
	case command.Is(word, "MI"):
		return 1609.34, true
	}
	c.Fail(resp.ErrGeoUnit)
	return 0, false
}

func (f family) geoadd(c *command.Ctx) {
	nx, xx := false, false
	i := 2
options:
	for ; i < len(c.Argv); i++ {
		switch word := c.Argv[i]; {
		case command.Is(word, "NX"):
			nx = true
		case command.Is(word, "XX"):
			xx = true
		case !command.Is(word, "CH"):
			break options
		}
	}
	if (len(c.Argv)-i)%3 != 0 || nx && xx {
		c.Fail(resp.ErrSyntax)
		return
	}
	argv := append(make([][]byte, 0, len(c.Argv)), wordZAdd)
	argv = append(argv, c.Argv[1:i]...)
	for ; i < len(c.Argv); i += 3 {
		p, ok := point(c, i)
		if !ok {
			return
		}
		argv = append(argv, strconv.AppendUint(nil, uint64(value.GeoScore(p)), 10), c.Argv[i+2])
	}
	dirty, said := c.Txn.Dirty(), c.Argv
	c.Argv = argv
	f.ZAdd(c)
	c.Argv = said // for MONITOR and SLOWLOG
	if c.Txn.Dirty() != dirty {
		c.PropagateAs(argv...)
	}
}

var wordZAdd = []byte("zadd") // as Redis writes it

func geohash(c *command.Ctx) {
	z, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Argv) - 2)
	for _, member := range c.Argv[2:] {
		if p, ok := place(&z, found, member); ok {
			var text [11]byte
			c.Out.Bulk(value.AppendGeohash(text[:0], p))
		} else {
			c.Out.Null()
		}
	}
}

// place is where a member of a sorted set that is found is.
func place(z *value.SortedSet, found bool, member []byte) (p value.GeoPoint, ok bool) {
	if !found {
		return p, false
	}
	score, ok := z.Score(member)
	return value.GeoPointOf(score), ok
}

func geopos(c *command.Ctx) {
	z, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	c.Out.Array(len(c.Argv) - 2)
	for _, member := range c.Argv[2:] {
		if p, ok := place(&z, found, member); ok {
			answerPlace(c, p)
		} else {
			c.Out.NullArray()
		}
	}
}

func answerPlace(c *command.Ctx, p value.GeoPoint) {
	var text [32]byte
	c.Out.Array(2)
	c.Out.DoubleText(value.AppendDegrees(text[:0], p.Lon))
	c.Out.DoubleText(value.AppendDegrees(text[:0], p.Lat))
}

func answerDistance(c *command.Ctx, d float64) {
	var text [32]byte
	c.Out.Bulk(value.AppendDistance(text[:0], d))
}

func geodist(c *command.Ctx) {
	metres := 1.0
	switch {
	case len(c.Argv) > 5:
		c.Fail(resp.ErrSyntax)
		return
	case len(c.Argv) == 5:
		var ok bool
		if metres, ok = unit(c, c.Argv[4]); !ok {
			return
		}
	}
	z, found, ok := read(c, c.Argv[1])
	if !ok {
		return
	}
	from, ok1 := place(&z, found, c.Argv[2])
	to, ok2 := place(&z, found, c.Argv[3])
	if !ok1 || !ok2 {
		c.Out.Null()
		return
	}
	answerDistance(c, value.GeoDistance(from, to)/metres)
}
