package compat

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
)

// What COMMAND tells of every command that redis-server knows, ours against theirs. The entries'
// own test (integration/readme) holds them against 7.2; this one holds what leaves the server
// against a server.

// described are differences between 7.0's and our description of a command, and why. The key is a
// path of "command field".
var described = map[string]string{
	"acl|deluser tips": "of 7.2", "acl|save tips": "of 7.2", "acl|setuser tips": "of 7.2", "client|setname tips": "of 7.2",
	"config|resetstat tips": "of 7.2", "config|rewrite tips": "of 7.2", "latency|reset tips": "of 7.2", "msetnx tips": "of 7.2",
	"randomkey tips": "of 7.2", "scan tips": "of 7.2",
	"blmove flags": "scripts may call it since 7.2", "blpop flags": "scripts may call it since 7.2", "brpop flags": "scripts may call it since 7.2",
	"brpoplpush flags": "scripts may call it since 7.2", "bzpopmax flags": "scripts may call it since 7.2", "bzpopmin flags": "scripts may call it since 7.2",
	"wait flags":           "scripts may call it since 7.2",
	"cluster|shards flags": "of 7.2", "cluster|slots flags": "of 7.2",
	"command|getkeys arity": "of 7.2", "command|getkeysandflags arity": "of 7.2",
	"client|pause docs since": "of 7.2", "bgsave docs tokens": "CANCEL, of Valkey 8.1",
	"psetex docs doc_flags": "of 7.2", "psetex docs deprecated_since": "of 7.2", "setex docs doc_flags": "of 7.2", "setex docs deprecated_since": "of 7.2",
	"setnx docs doc_flags": "of 7.2", "setnx docs deprecated_since": "of 7.2", "quit docs doc_flags": "of 7.2", "quit docs deprecated_since": "of 7.2",
	"zrank arity": "WITHSCORE, of 7.2", "zrank docs tokens": "WITHSCORE, of 7.2", "zrevrank arity": "WITHSCORE, of 7.2", "zrevrank docs tokens": "WITHSCORE, of 7.2",
	"bitop docs tokens": "7.2 lists the operations", "migrate docs tokens": "of 7.2",
	"client|kill docs tokens": "7.2 lists YES and NO; MAXAGE of 7.4",
	"hscan docs tokens":       "NOVALUES of 7.4", "zscan docs tokens": "NOSCORES of Valkey 8.1", "set docs tokens": "IFEQ of Valkey 8.1",
	"sort docs keys": "ours are told for arguments that are keys, not for patterns of keys", "sort_ro docs keys": "as SORT",
}

// ask sends one call in RESP3.
func (s *side) ask(t *testing.T, words ...string) resp.Value {
	replies := s.dial(t).do(t, [][]string{{"HELLO", "3"}, words})
	v, err := resp.NewReader(bytes.NewReader(replies[1]), resp.ReadLimits{}).ReadValue()
	require.NoError(t, err)
	return v
}

// flatten puts v's parts into to, by their path. Sets, and maps by nature, have no order.
func flatten(to map[string]string, path string, v resp.Value) {
	switch v.Kind {
	case resp.KindMap:
		for i := 0; i < len(v.Elems); i += 2 {
			if v.Elems[i].Text() == "notes" {
				continue // of a key specification: texts
			}
			flatten(to, path+" "+v.Elems[i].Text(), v.Elems[i+1])
		}
	case resp.KindSet:
		var parts []string
		for _, e := range v.Elems {
			if e.Kind == resp.KindMap || e.Kind == resp.KindArray {
				in := map[string]string{}
				flatten(in, "", e)
				parts = append(parts, fmt.Sprint(in))
			} else {
				parts = append(parts, e.Text())
			}
		}
		slices.Sort(parts)
		to[path] = strings.Join(parts, " ")
	case resp.KindArray:
		for i, e := range v.Elems {
			flatten(to, path+" "+strconv.Itoa(i), e)
		}
	default:
		to[path] = v.Text()
	}
}

// documented is a part of a command's documentation. Texts are our own, and 7.2 wrote the names and
// shapes of all arguments anew; of these, tokens and places of keys are looked at.
func documented(doc resp.Value, part string) resp.Value {
	field := map[string]string{"tokens": "token", "keys": "key_spec_index"}[part]
	if field == "" {
		v, _ := doc.Get(part)
		return v
	}
	all := resp.Value{Kind: resp.KindArray}
	var collect func(args resp.Value)
	collect = func(args resp.Value) {
		for _, a := range args.Elems {
			if v, ok := a.Get(field); ok {
				all.Elems = append(all.Elems, v)
			}
			if inner, ok := a.Get("arguments"); ok {
				collect(inner)
			}
		}
	}
	args, _ := doc.Get("arguments")
	collect(args)
	return resp.Value{Kind: resp.KindBulk, Str: []byte(strings.Join(all.Texts(), " "))}
}

func TestCommandInfoAndDocs(t *testing.T) {
	ours, theirs := both(t)
	seen := map[string]bool{}
	differ := func(path, mine, want string) {
		seen[path] = seen[path] || mine != want
		if mine != want && described[path] == "" {
			assert.Fail(t, path, "ours:  %s\nredis: %s", mine, want)
		}
	}
	compare := func(name string, mine, want resp.Value) {
		a, b := map[string]string{}, map[string]string{}
		flatten(a, name, mine)
		flatten(b, name, want)
		for path := range b {
			differ(path, a[path], b[path])
		}
		for path := range a {
			if _, known := b[path]; !known {
				differ(path, a[path], "(nothing)")
			}
		}
	}
	var names []string
	for _, v := range theirs.ask(t, "COMMAND", "LIST").Elems {
		names = append(names, v.Text())
	}
	slices.Sort(names)
	require.Greater(t, len(names), 230)
	for _, name := range names {
		mine, want := ours.ask(t, "COMMAND", "INFO", name), theirs.ask(t, "COMMAND", "INFO", name)
		if mine.Elems[0].IsNull() {
			differ(name, "(unknown)", "known")
			continue
		}
		label := []string{"name", "arity", "flags", "first", "last", "step", "categories", "tips", "keys", "subcommands"}
		for i, field := range label {
			if field == "subcommands" && mine.Elems[0].Elems[i].Kind == want.Elems[0].Elems[i].Kind {
				continue // they are in the list themselves
			}
			compare(name+" "+field, mine.Elems[0].Elems[i], want.Elems[0].Elems[i])
		}
		a, b := ours.ask(t, "COMMAND", "DOCS", name).Elems[1], theirs.ask(t, "COMMAND", "DOCS", name).Elems[1]
		for _, part := range []string{"since", "group", "doc_flags", "deprecated_since", "tokens", "keys"} {
			compare(name+" docs "+part, documented(a, part), documented(b, part))
		}
	}
	for path := range described {
		assert.True(t, seen[path], "%s: no difference any more", path)
	}
}

// keyed are calls by the places of whose keys clients route, scripts lock and ACLs judge: one for each
// way of finding keys, and some from which they cannot be told.
var keyed = []string{
	"GET k", "MGET a b c", "MSET a 1 b 2", "MSET a 1 b", "SET k v GET", "SET k v EX 10", "SET k v PX 1 GET", "BITFIELD k GET u8 0", "BITFIELD k SET u8 0 1",
	"BITFIELD k OVERFLOW WRAP GET u8 0", "BITOP AND d a b", "EVAL x 2 a b c", "EVAL x 0", "EVAL x 3 a b", "EVAL x -1 a", "EVAL x y a", "EVALSHA x 1 a", "FCALL f 2 a b c", "FCALL_RO f 1 a",
	"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "ZUNIONSTORE d 0", "ZUNIONSTORE d 3 a b", "ZINTER 2 a b", "ZDIFF 1 a WITHSCORES", "ZRANGESTORE d s 0 1", "ZMPOP 2 a b MIN", "BZMPOP 0 2 a b MAX", "BLMPOP 1 1 a LEFT", "LMPOP 2 a b LEFT",
	"SINTERCARD 2 a b LIMIT 1", "SMOVE a b m", "RENAME a b", "COPY a b DB 1", "SORT k", "SORT k BY w_* GET o_*", "SORT k STORE d", "SORT k LIMIT 0 1 STORE d STORE e", "SORT_RO k GET #",
	"GEORADIUS k 1 1 1 m STORE d", "GEORADIUS k 1 1 1 m STOREDIST d", "GEORADIUS k 1 1 1 m STORE d STOREDIST e", "GEORADIUS k 1 1 1 m", "GEORADIUSBYMEMBER k m 1 m STORE d", "GEOSEARCHSTORE d s FROMMEMBER m BYBOX 1 1 m", "GEORADIUS_RO k 1 1 1 m",
	"XREAD STREAMS a b 0 0", "XREAD COUNT 1 BLOCK 0 STREAMS a 0", "XREAD COUNT STREAMS", "XREADGROUP GROUP g c STREAMS a b > >", "XREADGROUP GROUP STREAMS c STREAMS a 0", "XREAD STREAMS a b 0",
	"XGROUP CREATE k g 0", "XINFO STREAM k", "XADD k * f v", "OBJECT ENCODING k", "MEMORY USAGE k", "DEBUG OBJECT k", "MIGRATE h 1 k 0 1", "MIGRATE h 1 \"\" 0 1 KEYS a b", "MIGRATE h 1 \"\" 0 1 AUTH KEYS KEYS a", "MIGRATE h 1 k 0 1 KEYS a",
	"BLPOP a b 0", "BRPOPLPUSH a b 0", "LMOVE a b LEFT LEFT", "PFCOUNT a b", "PFMERGE d", "PFMERGE d a b", "PFDEBUG GETREG k", "RESTORE k 0 x", "RESTORE-ASKING k 0 x", "WATCH a b", "TOUCH a b", "DEL a b c", "EXISTS a a",
	"LCS a b", "PING", "ECHO k", "PUBLISH c m", "SPUBLISH c m", "SSUBSCRIBE a b", "SUBSCRIBE a", "COMMAND GETKEYS GET k", "CLUSTER KEYSLOT k", "NOSUCH k", "GET", "GET a b", "XGROUP NOSUCH k", "XGROUP CREATE", "CONFIG GET k", "KEYS *", "SWAPDB 0 1",
	"FLUSHALL", "MOVE k 1", "LPOS k e", "ZADD k 1 m", "HSET k f v", "DUMP k", "SINTERSTORE d a b", "ZDIFFSTORE d 1 a", "ZINTERSTORE d 2 a b AGGREGATE MAX", "ZUNION 1 a",
}

func TestCommandGetKeys(t *testing.T) {
	ours, theirs := both(t)
	a, b := ours.dial(t), theirs.dial(t)
	for _, call := range keyed {
		words, ok := resp.SplitArgs([]byte(call), nil)
		require.True(t, ok)
		for _, what := range []string{"GETKEYS", "GETKEYSANDFLAGS"} {
			argv := []string{"COMMAND", what}
			for _, w := range words {
				argv = append(argv, string(w))
			}
			for _, proto := range []string{"2", "3"} {
				calls := [][]string{{"HELLO", proto}, argv}
				mine, want := a.do(t, calls)[1], b.do(t, calls)[1]
				if why := keysOtherwise[call]; equal(argv, mine, want) != (why == "") {
					assert.Fail(t, strings.Join(argv, " "), "ours:  %q\nredis: %q\nwhy: %s", mine, want, why)
				}
			}
		}
	}
}

// keysOtherwise are calls whose keys 7.0 tells otherwise, and why.
var keysOtherwise = map[string]string{
	"PING": "arity of COMMAND GETKEYS, of 7.2", "GET": "arity of COMMAND GETKEYS, of 7.2", "FLUSHALL": "arity of COMMAND GETKEYS, of 7.2",
	"PFMERGE d":                               "7.0 does not find the destination if nothing is behind it",
	"MIGRATE h 1 k 0 1 KEYS a":                "a syntax error: the key is told all the same",
	"GEORADIUS k 1 1 1 m STORE d STOREDIST e": "only the last one is written, and no other is locked",
}

func TestCommandList(t *testing.T) {
	ours, theirs := both(t)
	for _, filter := range [][]string{{"ACLCAT", "hash"}, {"ACLCAT", "HASH"}, {"ACLCAT", "blocking"}, {"ACLCAT", "dangerous"}, {"ACLCAT", "keyspace"}, {"ACLCAT", "none"}, {"PATTERN", "xgroup*"}, {"PATTERN", "*et"}, {"PATTERN", "GE?"}, {"MODULE", "none"}} {
		list := func(s *side) (names []string) {
			for _, v := range s.ask(t, append([]string{"COMMAND", "LIST", "FILTERBY"}, filter...)...).Elems {
				if name := v.Text(); described[name] == "" && since70(of(t, name)) {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			return names
		}
		assert.Equal(t, list(theirs), list(ours), filter)
	}
}

// of is the version that brought a command.
func of(t *testing.T, name string) string {
	tab, err := table()
	require.NoError(t, err)
	if c := tab.Get(name); c != nil {
		return c.Since
	}
	return "1.0.0"
}
