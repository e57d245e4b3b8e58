package geo

import (
	"cmp"
	"slices"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

// search is one call that looks for places. The commands differ in the words they take.
type search struct {
	// what the command is
	byMember bool // GEORADIUSBYMEMBER: the center and the radius are the first words,
	byPlace  bool // GEORADIUS: as well,
	readOnly bool // and of the two with _RO: they do not store
	storing  bool // GEOSEARCHSTORE

	// what the call says
	shape               value.GeoShape
	coord, dist, hash   bool
	descending, ordered bool
	count               int64 // 0: all
	any                 bool
	to                  []byte // where the result goes; nil: to the client
	toDist              bool   // with distances as scores
	centered, shaped    bool
}

// found is one place in the shape. Its member is names[from:to] of results.
type found struct {
	at       value.GeoPoint
	score    float64
	metres   float64
	from, to int
}

type results struct {
	all   []found
	names []byte
}

func (f family) geosearch(c *command.Ctx)      { f.run(c, search{}) }
func (f family) geosearchstore(c *command.Ctx) { f.run(c, search{storing: true}) }
func (f family) georadius(c *command.Ctx)      { f.run(c, search{byPlace: true}) }
func (f family) georadiusRO(c *command.Ctx)    { f.run(c, search{byPlace: true, readOnly: true}) }
func (f family) georadiusbymember(c *command.Ctx) {
	f.run(c, search{byMember: true})
}
func (f family) georadiusbymemberRO(c *command.Ctx) {
	f.run(c, search{byMember: true, readOnly: true})
}

func (f family) run(c *command.Ctx, s search) {
	source := 1
	if s.storing {
		source, s.to = 2, c.Argv[1]
	}
	z, exists, ok := read(c, c.Argv[source])
	if !ok || !s.parse(c, &z, exists) {
		return
	}
	switch {
	case !exists && s.to != nil:
		f.store(c, &s, results{})
	case !exists:
		c.Out.Array(0)
	default:
		r := s.find(&z)
		r.cut(&s)
		if s.to != nil {
			f.store(c, &s, r)
		} else {
			s.answer(c, r)
		}
	}
}

// parse reads the words of the call, in which a member of z may be named. Without z it reads
// them as well, for what is wrong with them and for where the result would go.
func (s *search) parse(c *command.Ctx, z *value.SortedSet, exists bool) (ok bool) {
	i := 2
	switch {
	case s.byPlace:
		if s.shape.Center, ok = point(c, 2); !ok || !s.radius(c, 4) {
			return false
		}
		i = 6
	case s.byMember:
		if exists && (!s.member(c, z, c.Argv[2]) || !s.radius(c, 3)) {
			return false
		}
		i = 5
	case s.storing:
		i = 3
	}
	classic := s.byPlace || s.byMember // the form of GEORADIUS
	for ; i < len(c.Argv); i++ {
		left := len(c.Argv) - i - 1
		switch word := c.Argv[i]; {
		case command.Is(word, "WITHDIST"):
			s.dist = true
		case command.Is(word, "WITHHASH"):
			s.hash = true
		case command.Is(word, "WITHCOORD"):
			s.coord = true
		case command.Is(word, "ANY"):
			s.any = true
		case command.Is(word, "ASC"):
			s.ordered, s.descending = true, false
		case command.Is(word, "DESC"):
			s.ordered, s.descending = true, true
		case command.Is(word, "COUNT") && left >= 1:
			i++
			if s.count, ok = c.Int(i); !ok {
				return false
			}
			if s.count <= 0 {
				c.Fail(resp.ErrGeoCount)
				return false
			}
		case classic && !s.readOnly && left >= 1 && (command.Is(word, "STORE") || command.Is(word, "STOREDIST")):
			i++
			s.to, s.toDist = c.Argv[i], command.Is(word, "STOREDIST")
		case s.storing && command.Is(word, "STOREDIST"):
			s.toDist = true
		case !classic && left >= 1 && !s.centeredAt(false) && command.Is(word, "FROMMEMBER"):
			i++
			if exists && !s.member(c, z, c.Argv[i]) {
				return false
			}
			s.centered, s.byMember = true, true
		case !classic && left >= 2 && !s.centeredAt(true) && command.Is(word, "FROMLONLAT"):
			if s.shape.Center, ok = point(c, i+1); !ok {
				return false
			}
			s.centered = true
			i += 2
		case !classic && left >= 2 && !(s.shaped && s.shape.Box) && command.Is(word, "BYRADIUS"):
			if !s.radius(c, i+1) {
				return false
			}
			s.shaped = true
			i += 2
		case !classic && left >= 3 && !(s.shaped && !s.shape.Box) && command.Is(word, "BYBOX"):
			if !s.box(c, i+1) {
				return false
			}
			s.shaped = true
			i += 3
		default:
			c.Fail(resp.ErrSyntax)
			return false
		}
	}
	switch {
	case s.to != nil && (s.dist || s.hash || s.coord):
		if s.storing {
			c.Fail(resp.ErrGeoStoreWith("GEOSEARCHSTORE"))
		} else {
			c.Fail(resp.ErrGeoStoreWith("STORE option in GEORADIUS"))
		}
	case !classic && !s.centered:
		c.Fail(resp.ErrGeoFrom(string(c.Argv[0])))
	case !classic && !s.shaped:
		c.Fail(resp.ErrGeoBy(string(c.Argv[0])))
	case s.any && s.count == 0:
		c.Fail(resp.ErrGeoAny)
	default:
		if s.count > 0 && !s.any {
			s.ordered = true // the nearest ones are meant
		}
		return true
	}
	return false
}

// centeredAt reports whether the call has named a center: a member, or else coordinates.
func (s *search) centeredAt(member bool) bool { return s.centered && s.byMember == member }

func (s *search) member(c *command.Ctx, z *value.SortedSet, member []byte) (ok bool) {
	if s.shape.Center, ok = place(z, true, member); !ok {
		c.Fail(resp.ErrGeoMember)
	}
	return ok
}

// radius reads "radius unit" from argv[i:].
func (s *search) radius(c *command.Ctx, i int) (ok bool) {
	if s.shape.Radius, ok = value.ParseScore(c.Argv[i]); !ok {
		c.Fail(resp.ErrGeoRadius)
		return false
	}
	if s.shape.Radius < 0 {
		c.Fail(resp.ErrGeoRadiusNegative)
		return false
	}
	s.shape.Unit, ok = unit(c, c.Argv[i+1])
	return ok
}

// box reads "width height unit" from argv[i:].
func (s *search) box(c *command.Ctx, i int) (ok bool) {
	s.shape.Box = true
	if s.shape.Width, ok = value.ParseScore(c.Argv[i]); !ok {
		c.Fail(resp.ErrGeoWidth)
		return false
	}
	if s.shape.Height, ok = value.ParseScore(c.Argv[i+1]); !ok {
		c.Fail(resp.ErrGeoHeight)
		return false
	}
	if s.shape.Width < 0 || s.shape.Height < 0 {
		c.Fail(resp.ErrGeoBoxNegative)
		return false
	}
	s.shape.Unit, ok = unit(c, c.Argv[i+2])
	return ok
}

// find is the places of z within the shape, in the order of the cells that are looked through;
// with ANY, the first ones.
func (s *search) find(z *value.SortedSet) (r results) {
	var room [9]value.GeoRange
	for _, scores := range s.shape.Ranges(room[:0]) {
		from, to := z.ScoreRange(value.ScoreBound{Score: scores.Min}, value.ScoreBound{Score: scores.Max, Exclusive: true})
		it := z.From(from, false)
		for range to - from {
			if s.any && int64(len(r.all)) >= s.count {
				return r
			}
			it.Next()
			score := it.Score()
			p := value.GeoPointOf(score)
			if d, within := s.shape.Distance(p); within {
				n := len(r.names)
				r.names = append(r.names, it.Member()...)
				r.all = append(r.all, found{p, score, d, n, len(r.names)})
			}
		}
	}
	return r
}

// cut sorts the results as the call says and leaves as many as it wants.
func (r *results) cut(s *search) {
	if s.ordered {
		slices.SortStableFunc(r.all, func(a, b found) int {
			if s.descending {
				a, b = b, a
			}
			return cmp.Compare(a.metres, b.metres)
		})
	}
	if s.count > 0 && int64(len(r.all)) > s.count {
		r.all = r.all[:s.count]
	}
}

func (s *search) answer(c *command.Ctx, r results) {
	parts := 1
	for _, with := range []bool{s.dist, s.hash, s.coord} {
		if with {
			parts++
		}
	}
	c.Out.Array(len(r.all))
	for i := range r.all {
		e := &r.all[i]
		if parts > 1 {
			c.Out.Array(parts)
		}
		c.Out.Bulk(r.names[e.from:e.to])
		if s.dist {
			answerDistance(c, e.metres/s.shape.Unit)
		}
		if s.hash {
			c.Out.Int(int64(e.score))
		}
		if s.coord {
			answerPlace(c, e.at)
		}
	}
}

func (f family) store(c *command.Ctx, s *search, r results) {
	l := f.Limits()
	longest := 0
	for i := range r.all {
		longest = max(longest, r.all[i].to-r.all[i].from)
	}
	z := value.NewZSet(c.Scratch, len(r.all), longest, l)
	for i := range r.all {
		e := &r.all[i]
		score := e.score
		if s.toDist {
			score = e.metres / s.shape.Unit
		}
		z.Put(r.names[e.from:e.to], score, l)
	}
	event := "georadiusstore"
	if s.storing {
		event = "geosearchstore"
	}
	c.StoreZSet(s.to, &z, event)
}
