package value

import (
	"math"
	"strconv"
)

// A place on earth is a member of a sorted set whose score is its geohash: longitude and
// latitude in steps of 1/2^26 of their ranges, bit by bit in turn, 52 bits. Places near each
// other mostly have scores near each other, so a search looks through a few ranges of scores.
// All numbers come out as in Redis: the operations on floating point numbers are in its order.

// GeoPoint is a place in degrees.
type GeoPoint struct{ Lon, Lat float64 }

// Bounds of what can be a place, those of Web Mercator: the poles are out of reach.
const (
	GeoLonMax = 180.0
	GeoLatMax = 85.05112878
)

const (
	geoSteps      = 26
	earthRadius   = 6372797.560856 // in metres
	mercatorMax   = 20037726.37
	degree        = math.Pi / 180
	geohashDigits = "0123456789bcdefghjkmnpqrstuvwxyz"
)

// Valid reports whether p lies within the bounds.
func (p GeoPoint) Valid() bool {
	return p.Lon >= -GeoLonMax && p.Lon <= GeoLonMax && p.Lat >= -GeoLatMax && p.Lat <= GeoLatMax
}

// geoCell is the part of the world whose geohashes begin with the same 2*steps bits. The zero
// value is none.
type geoCell struct {
	bits  uint64
	steps uint8
}

func geoEncode(p GeoPoint, steps uint8, lonMax, latMax float64) geoCell {
	lat := (p.Lat + latMax) / (latMax + latMax) * float64(uint64(1)<<steps)
	lon := (p.Lon + lonMax) / (lonMax + lonMax) * float64(uint64(1)<<steps)
	return geoCell{spread(uint32(lat)) | spread(uint32(lon))<<1, steps}
}

func cellOf(p GeoPoint, steps uint8) geoCell { return geoEncode(p, steps, GeoLonMax, GeoLatMax) }

// spread puts a zero before each bit.
func spread(v uint32) uint64 {
	x := uint64(v)
	x = (x | x<<16) & 0x0000FFFF0000FFFF
	x = (x | x<<8) & 0x00FF00FF00FF00FF
	x = (x | x<<4) & 0x0F0F0F0F0F0F0F0F
	x = (x | x<<2) & 0x3333333333333333
	return (x | x<<1) & 0x5555555555555555
}

// gather is the reverse of spread; it leaves out every second bit.
func gather(x uint64) uint32 {
	x &= 0x5555555555555555
	x = (x | x>>1) & 0x3333333333333333
	x = (x | x>>2) & 0x0F0F0F0F0F0F0F0F
	x = (x | x>>4) & 0x00FF00FF00FF00FF
	x = (x | x>>8) & 0x0000FFFF0000FFFF
	return uint32(x | x>>16)
}

// corners are the south-western and the north-eastern one.
func (c geoCell) corners() (sw, ne GeoPoint) {
	lat, lon := gather(c.bits), gather(c.bits>>1)
	n := float64(uint64(1) << c.steps)
	at := func(i uint32, most float64) float64 { return -most + float64(float64(i)/n*(most+most)) }
	return GeoPoint{at(lon, GeoLonMax), at(lat, GeoLatMax)}, GeoPoint{at(lon+1, GeoLonMax), at(lat+1, GeoLatMax)}
}

// scores is the range [min, max) of the scores in the cell.
func (c geoCell) scores() GeoRange {
	shift := 2 * (geoSteps - c.steps)
	return GeoRange{float64(c.bits << shift), float64((c.bits + 1) << shift)}
}

// neighbour is the cell so many cells to the east and north, each -1, 0 or 1, around the world.
func (c geoCell) neighbour(east, north int) geoCell {
	const latBits = 0x5555555555555555
	unused := 64 - 2*c.steps
	move := func(mask, others uint64, by int) uint64 {
		mine := c.bits & mask
		switch others >>= unused; by {
		case 0:
			return mine
		case 1: // the carry runs through the bits of the other one
			mine += others + 1
		case -1:
			mine = mine | others - (others + 1)
		}
		return mine & (mask >> unused)
	}
	return geoCell{move(^uint64(latBits), latBits, east) | move(latBits, ^uint64(latBits), north), c.steps}
}

// GeoScore is the score of a place.
func GeoScore(p GeoPoint) float64 { return float64(cellOf(p, geoSteps).bits) }

// GeoPointOf is the place of a score: the middle of the smallest cell.
func GeoPointOf(score float64) GeoPoint {
	sw, ne := geoCell{uint64(int64(score)), geoSteps}.corners()
	clamp := func(v, most float64) float64 { return max(min(v, most), -most) }
	return GeoPoint{clamp((sw.Lon+ne.Lon)/2, GeoLonMax), clamp((sw.Lat+ne.Lat)/2, GeoLatMax)}
}

// AppendGeohash appends the geohash that others know, of eleven characters, whose latitudes
// reach to the poles. The last one is always 0: there are 52 bits.
func AppendGeohash(dst []byte, p GeoPoint) []byte {
	bits := geoEncode(p, geoSteps, 180, 90).bits
	for i := 47; i > 0; i -= 5 {
		dst = append(dst, geohashDigits[bits>>i&31])
	}
	return append(dst, geohashDigits[0])
}

// GeoDistance is the way from a to b along the earth's surface, in metres.
func GeoDistance(a, b GeoPoint) float64 {
	v := math.Sin((b.Lon*degree - a.Lon*degree) / 2)
	if v == 0 {
		return latDistance(a.Lat, b.Lat)
	}
	latA, latB := a.Lat*degree, b.Lat*degree
	u := math.Sin((latB - latA) / 2)
	h := float64(u*u) + float64(math.Cos(latA)*math.Cos(latB)*v*v)
	return 2.0 * earthRadius * math.Asin(math.Sqrt(h))
}

func latDistance(a, b float64) float64 { return earthRadius * math.Abs(b*degree-a*degree) }

// AppendDistance appends a distance with four decimals.
func AppendDistance(dst []byte, d float64) []byte {
	return strconv.AppendFloat(dst, math.RoundToEven(d*10000)/10000, 'f', 4, 64)
}

// AppendDegrees appends a coordinate: 17 decimals, trailing zeros cut.
func AppendDegrees(dst []byte, d float64) []byte {
	from := len(dst)
	dst = strconv.AppendFloat(dst, d, 'f', 17, 64)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	if string(dst[from:]) == "-0" {
		dst = append(dst[:from], '0')
	}
	return dst
}

// GeoShape is what a search looks for: the places around Center within Radius, or within a box
// of Width and Height, all in units of Unit metres.
type GeoShape struct {
	Center        GeoPoint
	Unit          float64
	Radius        float64
	Box           bool
	Width, Height float64
}

// Distance is how far p is from the center, in metres, and whether p is within the shape.
func (s *GeoShape) Distance(p GeoPoint) (d float64, within bool) {
	if s.Box {
		if latDistance(p.Lat, s.Center.Lat) > s.Height*s.Unit/2 ||
			GeoDistance(p, GeoPoint{s.Center.Lon, p.Lat}) > s.Width*s.Unit/2 {
			return 0, false
		}
		return GeoDistance(s.Center, p), true
	}
	d = GeoDistance(s.Center, p)
	return d, d <= s.Radius*s.Unit
}

// GeoRange is the scores from Min on, below Max.
type GeoRange struct{ Min, Max float64 }

// Ranges appends ranges of scores that have all places within the shape: a cell of about its
// size, which has its center, and those of the eight around that it reaches into.
func (s *GeoShape) Ranges(dst []GeoRange) []GeoRange {
	width, height, reach := s.Radius, s.Radius, s.Radius
	if s.Box {
		width, height = s.Width/2, s.Height/2
		reach = math.Sqrt(float64(width*width) + float64(height*height))
	}
	dLat := height * s.Unit / earthRadius / degree
	// The nearer to a pole, the more degrees a width has: the edge on the pole's side counts.
	edge := s.Center.Lat + dLat
	if s.Center.Lat < 0 {
		edge = s.Center.Lat - dLat
	}
	dLon := width * s.Unit / earthRadius / math.Cos(edge*degree) / degree
	least := GeoPoint{s.Center.Lon - dLon, s.Center.Lat - dLat}
	most := GeoPoint{s.Center.Lon + dLon, s.Center.Lat + dLat}

	steps := geoStepsFor(reach*s.Unit, s.Center.Lat)
	cell := cellOf(s.Center, steps)
	if steps > 1 && !cell.surrounds(least, most) {
		steps--
		cell = cellOf(s.Center, steps)
	}
	sw, ne := cell.corners()
	last, seen := geoCell{}, 0
	for _, to := range geoDirections {
		outside := to.north < 0 && sw.Lat < least.Lat || to.north > 0 && ne.Lat > most.Lat ||
			to.east < 0 && sw.Lon < least.Lon || to.east > 0 && ne.Lon > most.Lon
		if steps >= 2 && outside {
			continue
		}
		n := cell.neighbour(to.east, to.north)
		// Around a small world neighbours in opposite directions are the same.
		if seen > 1 && n == last {
			continue
		}
		last, seen = n, seen+1
		dst = append(dst, n.scores())
	}
	return dst
}

// geoDirections is the order in which Redis looks through the cells, which is the order of
// results that are not sorted.
var geoDirections = [9]struct{ east, north int }{
	{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1},
}

// surrounds reports whether the cells around c reach beyond the box.
func (c geoCell) surrounds(least, most GeoPoint) bool {
	_, north := c.neighbour(0, 1).corners()
	south, _ := c.neighbour(0, -1).corners()
	_, east := c.neighbour(1, 0).corners()
	west, _ := c.neighbour(-1, 0).corners()
	// In this form what is not a number, near the poles, is surrounded.
	return !(north.Lat < most.Lat || south.Lat > least.Lat || east.Lon < most.Lon || west.Lon > least.Lon)
}

// geoStepsFor estimates how small cells may be for nine of them to cover a search.
func geoStepsFor(metres, lat float64) uint8 {
	if metres == 0 {
		return geoSteps
	}
	steps := -1
	for ; metres < mercatorMax; metres *= 2 {
		steps++
	}
	if lat = math.Abs(lat); lat > 66 { // cells are narrower there
		steps--
		if lat > 80 {
			steps--
		}
	}
	return uint8(max(1, min(steps, geoSteps)))
}
