// Package geo is the family of places: GEOADD, GEOSEARCH and their like, over sorted sets whose
// scores are geohashes (package value). The node hands Commands to the table; nobody else uses
// it. It must not know the other families, dispatch or the cluster.
package geo

import (
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

// Options are what the family reads. The functions are called for single calls, on any event loop.
type Options struct {
	// ZAdd is the handler of ZADD: GEOADD is carried out, and propagated, as the ZADD of scores.
	ZAdd func(*command.Ctx)
	// Limits are the thresholds of compact forms, as CONFIG SET last said.
	Limits func() *value.Limits
}

// family is Options as the receiver of the handlers that need them.
type family struct{ Options }

// Commands are the entries of the family.
func Commands(o Options) []command.Command {
	f := family{o}
	const (
		write   = command.Write | command.DenyOOM
		look    = command.RO | command.ReadsValue
		replace = command.OW | command.Update

		unit    = "(unit=M|KM|FT|MI)"
		with    = " [WITHCOORD] [WITHDIST] [WITHHASH]"
		limit   = " [count-block=(COUNT count:int) [ANY]]"
		limit62 = " [count-block=(COUNT count:int) [ANY@6.2.0]]"
		order   = " [order=ASC|DESC]"
		store   = " [store=STORE storekey:key|STOREDIST storedistkey:key]"
		from    = "(from=FROMMEMBER member|FROMLONLAT longitude:double latitude:double)"
		by      = "(by=(circle=(BYRADIUS radius:double) " + unit + ")|(box=(BYBOX width:double) height:double " + unit + "))"
		found   = "[bulk | [bulk | int | [double, double]...]...]"
		nearby  = "O(n+log(m)) for n members in the cells around and m members in all"
		byPlace = "longitude:double latitude:double radius:double " + unit
		byName  = "member radius:double " + unit
	)
	oneLook := []command.KeySpec{command.At(1, look)}
	entries := []command.Command{
		{
			Name: "GEOADD", Since: "3.2.0", Arity: -5, Flags: write, Reply: "int", Run: f.geoadd,
			Args: "key [condition@6.2.0=NX|XX] [change@6.2.0=CH] (data=longitude:double latitude:double member)...",
			Keys: []command.KeySpec{command.At(1, command.RW|command.Update)},
			Doc: command.Doc{Summary: "Adds places to a sorted set, or moves them.", Complexity: "O(log(n)) for each place, for n members",
				History: []string{"6.2.0: CH, NX and XX"}},
		},
		{
			Name: "GEODIST", Since: "3.2.0", Arity: -4, Flags: command.ReadOnly, Reply: "bulk | nil", Run: geodist, Keys: oneLook,
			Args: "key member1 member2 [unit=M|KM|FT|MI]",
			Doc:  command.Doc{Summary: "Answers how far two places are from each other.", Complexity: "O(1)"},
		},
		{
			Name: "GEOHASH", Since: "3.2.0", Arity: -2, Flags: command.ReadOnly, Args: "key [member]...", Reply: "[bulk | nil...]", Run: geohash, Keys: oneLook,
			Doc: command.Doc{Summary: "Answers the geohashes of places, in the form that others know.", Complexity: "O(1) for each place"},
		},
		{
			Name: "GEOPOS", Since: "3.2.0", Arity: -2, Flags: command.ReadOnly, Args: "key [member]...", Reply: "[[double, double] | nil...]", Run: geopos, Keys: oneLook,
			Doc: command.Doc{Summary: "Answers longitude and latitude of places.", Complexity: "O(1) for each place"},
		},
		{
			Name: "GEOSEARCH", Since: "6.2.0", Arity: -7, Flags: command.ReadOnly, Reply: found, Run: f.geosearch, Keys: oneLook,
			Args: "key " + from + " " + by + order + limit + with,
			Doc: command.Doc{Summary: "Answers the places within a circle or a box.", Complexity: nearby,
				History: []string{"7.0.0: uppercase units"}},
		},
		{
			Name: "GEOSEARCHSTORE", Since: "6.2.0", Arity: -8, Flags: write, Reply: "int", Run: f.geosearchstore,
			Args: "destination:key source:key " + from + " " + by + order + limit + " [STOREDIST]",
			Keys: []command.KeySpec{command.At(1, replace), command.At(2, look)},
			Doc: command.Doc{Summary: "Stores the places within a circle or a box under another key.", Complexity: nearby,
				History: []string{"7.0.0: uppercase units"}},
		},
		{
			Name: "GEORADIUS", Since: "3.2.0", Arity: -6, Flags: write, Reply: "int | " + found, Run: f.georadius,
			Args: "key " + byPlace + with + limit62 + order + store,
			Keys: storeKeys(look, replace, 6),
			Doc: command.Doc{Summary: "Answers the places around coordinates, or stores them under another key.", Complexity: nearby,
				Deprecated: "6.2.0", ReplacedBy: "GEOSEARCH and GEOSEARCHSTORE with BYRADIUS", History: []string{"6.2.0: ANY", "7.0.0: uppercase units"}},
		},
		{
			Name: "GEORADIUS_RO", Since: "3.2.10", Arity: -6, Flags: command.ReadOnly, Reply: found, Run: f.georadiusRO, Keys: oneLook,
			Args: "key " + byPlace + with + limit62 + order,
			Doc: command.Doc{Summary: "Answers the places around coordinates.", Complexity: nearby,
				Deprecated: "6.2.0", ReplacedBy: "GEOSEARCH with BYRADIUS", History: []string{"6.2.0: ANY"}},
		},
		{
			Name: "GEORADIUSBYMEMBER", Since: "3.2.0", Arity: -5, Flags: write, Reply: "int | " + found, Run: f.georadiusbymember,
			Args: "key " + byName + with + limit + order + store,
			Keys: storeKeys(look, replace, 5),
			Doc: command.Doc{Summary: "Answers the places around another one, or stores them under another key.", Complexity: nearby,
				Deprecated: "6.2.0", ReplacedBy: "GEOSEARCH and GEOSEARCHSTORE with BYRADIUS and FROMMEMBER", History: []string{"7.0.0: uppercase units"}},
		},
		{
			Name: "GEORADIUSBYMEMBER_RO", Since: "3.2.10", Arity: -5, Flags: command.ReadOnly, Reply: found, Run: f.georadiusbymemberRO, Keys: oneLook,
			Args: "key " + byName + with + limit + order,
			Doc: command.Doc{Summary: "Answers the places around another one.", Complexity: nearby,
				Deprecated: "6.2.0", ReplacedBy: "GEOSEARCH with BYRADIUS and FROMMEMBER"},
		},
	}
	for i := range entries {
		entries[i].Group = command.Geo
		entries[i].ACL = command.CatGeo
	}
	return entries
}

// storeKeys are the keys of the commands that store if a word behind the first `from` says so.
// Of several such words the last one counts.
func storeKeys(look, replace command.Access, from int) []command.KeySpec {
	last := func(argv [][]byte, refs []command.KeyRef) ([]command.KeyRef, bool) {
		at := 0
		for i := from; i+1 < len(argv); i++ {
			if command.Is(argv[i], "STORE") || command.Is(argv[i], "STOREDIST") {
				i++
				at = i
			}
		}
		if at > 0 {
			refs = append(refs, command.KeyRef{Index: at, Access: replace})
		}
		return refs, true
	}
	store, storeDist := command.After("STORE", from, 0, 1, 0, replace), command.After("STOREDIST", from, 0, 1, 0, replace)
	store.Rule = last
	storeDist.Rule = func(_ [][]byte, refs []command.KeyRef) ([]command.KeyRef, bool) { return refs, true } // the rule before has it
	return []command.KeySpec{command.At(1, look), store, storeDist}
}
