package admin

import (
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/glob"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

// debugEntry is one command and no container, as in Redis. It always holds every stripe: its
// subcommands look at whole databases, or stop the node on purpose.
func (f *family) debugEntry() command.Command {
	return command.Command{
		Name: "DEBUG", Since: "1.0.0", Arity: -2, Flags: operator | always | command.Protected | command.WholeDB,
		Args: "subcommand [arg...]", Reply: "any | none", Run: f.debug,
		Doc: command.Doc{Summary: "Looks into the node, and breaks it on purpose, for tests.", Complexity: "Depends on subcommand.", SysCmd: true},
	}
}

// debugVerb is a subcommand of DEBUG. least and most count the words behind it; most -1 is
// no bound.
type debugVerb struct {
	name        string
	least, most int
	run         func(*family, *command.Ctx, [][]byte)
	usage       []string
}

// debugVerbs are the subcommands in the order HELP lists them.
var debugVerbs = []debugVerb{
	{"AOF-FLUSH-SLEEP", 1, 1, (*family).debugFlushSleep, []string{"AOF-FLUSH-SLEEP <microseconds>", "    Wait before every write to the append only file."}},
	{"ASSERT", 0, -1, crash(CrashAssert), []string{"ASSERT", "    End the process by a failed assertion."}},
	{"CHANGE-REPL-ID", 0, 0, func(f *family, c *command.Ctx, _ [][]byte) { f.Debug.ChangeReplicationID(); c.Out.OK() },
		[]string{"CHANGE-REPL-ID", "    Give the node another replication id."}},
	{"CLOSE-CLUSTER-LINK-ON-PACKET-DROP", 1, 1, toggle(func(d Debug, on bool) { d.CloseOnDrop(on) }), []string{"CLOSE-CLUSTER-LINK-ON-PACKET-DROP <0|1>",
		"    Close the link as well over which DROP-CLUSTER-PACKET-FILTER dropped a message."}},
	{"CLUSTERLINK", 3, 3, (*family).debugClusterLink, []string{"CLUSTERLINK KILL <to|from|all> <node-id>", "    Close the links with a node."}},
	{"CONFIG-REWRITE-FORCE-ALL", 0, 0, (*family).debugRewriteAll, []string{"CONFIG-REWRITE-FORCE-ALL", "    Rewrite the configuration file with every directive."}},
	{"CRASH-AND-RECOVER", 0, 1, restart(false), []string{"CRASH-AND-RECOVER [<milliseconds>]", "    End the process at once and start it again after a delay."}},
	{"DELAY-RDB-CLIENT-FREE-SECONDS", 1, 1, (*family).debugSideGrace, []string{"DELAY-RDB-CLIENT-FREE-SECONDS <seconds>",
		"    Say how long the snapshot of a dual channel sync keeps its place in the stream once it has been sent."}},
	{"DICT-RESIZING", 1, 1, (*family).debugIgnored, []string{"DICT-RESIZING <0|1>", "    Accepted; tables grow by themselves."}},
	{"DIGEST", 0, 0, (*family).debugDigest, []string{"DIGEST", "    Return a signature of all data that does not depend on its order."}},
	{"DIGEST-VALUE", 0, -1, (*family).debugDigestValue, []string{"DIGEST-VALUE <key> [<key> ...]", "    Return a signature of each value."}},
	{"DROP-CLUSTER-PACKET-FILTER", 1, 1, func(f *family, c *command.Ctx, args [][]byte) { answer(c, f.Debug.DropBusPackets(string(args[0]))) },
		[]string{"DROP-CLUSTER-PACKET-FILTER <packet-type>", "    Drop messages of a type: a number of Redis' bus, or a name of ours; -1 drops none."}},
	{"ERROR", 1, 1, debugError, []string{"ERROR <string>", "    Answer the error <string>."}},
	{"HTSTATS", 1, 2, debugHTStats, []string{"HTSTATS <dbid> [full]", "    Return the size of a database's tables."}},
	{"HTSTATS-KEY", 1, 2, debugHTStatsKey, []string{"HTSTATS-KEY <key> [full]", "    Return the size of the hash table that is the value of <key>."}},
	{"LISTPACK", 1, 1, (*family).debugListpack, []string{"LISTPACK <key>", "    Write the compact encoding of a value to the log."}},
	{"LOADAOF", 0, 0, func(f *family, c *command.Ctx, _ [][]byte) { wait(c, f.Saver.LoadAOF) },
		[]string{"LOADAOF", "    Empty the node and load the append only file."}},
	{"LOG", 1, 1, func(f *family, c *command.Ctx, args [][]byte) {
		f.Debug.Log("DEBUG LOG: " + string(args[0]))
		c.Out.OK()
	},
		[]string{"LOG <message>", "    Write <message> to the log."}},
	{"OBJECT", 1, 1, debugObject, []string{"OBJECT <key>", "    Return how a value is kept."}},
	{"OOM", 0, -1, crash(CrashOOM), []string{"OOM", "    End the process as if there were no more memory."}},
	{"PANIC", 0, -1, crash(CrashPanic), []string{"PANIC", "    End the process by a panic."}},
	{"PAUSE-AFTER-FORK", 1, 1, toggle(func(d Debug, on bool) { d.PauseSyncs(on) }), []string{"PAUSE-AFTER-FORK <0|1>",
		"    Stop the process by SIGSTOP once a snapshot for replicas has begun, and before asking for the stream behind one."}},
	{"PAUSE-CRON", 1, 1, toggle(func(d Debug, on bool) { d.PauseCron(on) }), []string{"PAUSE-CRON <0|1>", "    Stop periodic work."}},
	{"POPULATE", 1, 3, debugPopulate, []string{"POPULATE <count> [<prefix>] [<size>]",
		"    Create <count> strings key:<n>, or <prefix>:<n>, that are not sent to replicas."}},
	{"PROTOCOL", 1, 1, debugProtocol, []string{"PROTOCOL <type>", "    Answer a value of a type: string, integer, double, bignum, null, array, set, map,",
		"    attrib, push, verbatim, true, false."}},
	{"QUICKLIST-PACKED-THRESHOLD", 1, 1, (*family).debugIgnored, []string{"QUICKLIST-PACKED-THRESHOLD <size>", "    Accepted; list nodes have no such threshold."}},
	{"RELOAD", 0, -1, (*family).debugReload, []string{"RELOAD [option ...]", "    Save, empty the node and load the snapshot. Options:",
		"    * MERGE: keys of the snapshot replace existing ones.", "    * NOFLUSH: do not empty the node.", "    * NOSAVE: do not save."}},
	{"REPLICATE", 1, -1, func(_ *family, c *command.Ctx, args [][]byte) { debugReplicate(c, args) }, []string{"REPLICATE <string>", "    Send a command to the replicas only, whatever it is."}},
	{"REPLYBUFFER", 2, 2, (*family).debugReplyBuffer, []string{"REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|milliseconds>",
		"    Say how long the peak of a reply buffer is remembered.", "REPLYBUFFER RESIZING <0|1>", "    Let reply buffers shrink and grow."}},
	{"RESTART", 0, 1, restart(true), []string{"RESTART [<milliseconds>]", "    End the node orderly and start it again after a delay."}},
	{"SEGFAULT", 0, -1, crash(CrashSegfault), []string{"SEGFAULT", "    End the process by a memory fault."}},
	{"SET-ACTIVE-EXPIRE", 1, 1, toggle(func(d Debug, on bool) { d.SetActiveExpire(on) }), []string{"SET-ACTIVE-EXPIRE <0|1>", "    Look for expired keys in the background, or not."}},
	{"SET-DISABLE-DENY-SCRIPTS", 1, 1, toggle(func(d Debug, on bool) { d.SetDenyScripts(!on) }), []string{"SET-DISABLE-DENY-SCRIPTS <0|1>", "    Let scripts call what they must not."}},
	{"SET-SKIP-CHECKSUM-VALIDATION", 1, 1, toggle(func(d Debug, on bool) { d.SetSkipChecksum(on) }), []string{"SET-SKIP-CHECKSUM-VALIDATION <0|1>", "    Do not check the checksums of snapshots and of RESTORE."}},
	{"SLEEP", 1, 1, (*family).debugSleep, []string{"SLEEP <seconds>", "    Stop the node for <seconds>, which may have decimals."}},
	{"STRINGMATCH-LEN", 2, 2, debugMatch, []string{"STRINGMATCH-LEN <pattern> <string>", "    Return whether the glob <pattern> matches."}},
	{"STRUCTSIZE", 0, 0, debugStructSize, []string{"STRUCTSIZE", "    Return the size of some structures."}},
}

func debugReplicate(c *command.Ctx, args [][]byte) {
	c.Effects.Withhold |= command.ToAOF
	c.PropagateAs(args...)
	c.Effects.Withhold &^= command.ToAOF
	c.Out.OK()
}

func (f *family) debug(c *command.Ctx) {
	if !permitted(c, f.AllowDebug, "DEBUG", "enable-debug-command") {
		return
	}
	verb, args := c.Argv[1], c.Argv[2:]
	if command.Is(verb, "HELP") && len(args) == 0 {
		debugHelp(c)
		return
	}
	for i := range debugVerbs {
		v := &debugVerbs[i]
		if command.Is(verb, v.name) && len(args) >= v.least && (v.most < 0 || len(args) <= v.most) {
			c.DontPropagate()
			v.run(f, c, args)
			return
		}
	}
	c.Fail(resp.ErrUnknownSubcommandOrArgs("debug", verb))
}

// debugHelp is Ctx.Help for a command that is no container.
func debugHelp(c *command.Ctx) {
	lines := []string{"DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"}
	for _, v := range debugVerbs {
		lines = append(lines, v.usage...)
	}
	lines = append(lines, "HELP", "    Print this help.")
	c.Out.Array(len(lines))
	for _, l := range lines {
		c.Out.Simple(l)
	}
}

func crash(how Crash) func(*family, *command.Ctx, [][]byte) {
	return func(f *family, c *command.Ctx, _ [][]byte) { f.Debug.Crash(how) }
}

func restart(graceful bool) func(*family, *command.Ctx, [][]byte) {
	return func(f *family, c *command.Ctx, args [][]byte) {
		ms := int64(0)
		if len(args) > 0 {
			var ok bool
			if ms, ok = c.Int(2); !ok {
				return
			}
		}
		c.Fail(f.Debug.Restart(graceful, time.Duration(max(ms, 0))*time.Millisecond))
	}
}

// toggle reads 0 or 1 as C's atoi does: what is no number is 0.
func toggle(set func(Debug, bool)) func(*family, *command.Ctx, [][]byte) {
	return func(f *family, c *command.Ctx, args [][]byte) {
		n, _ := value.ParseInt(args[0])
		set(f.Debug, n != 0)
		c.Out.OK()
	}
}

func (f *family) debugSideGrace(c *command.Ctx, args [][]byte) {
	n, ok := value.ParseInt(args[0])
	if !ok || n < 0 || n > math.MaxInt32 {
		c.Fail(resp.ErrNotInteger)
		return
	}
	f.Debug.SetSideGrace(time.Duration(n) * time.Second)
	c.Out.OK()
}

func (f *family) debugIgnored(c *command.Ctx, _ [][]byte) { c.Out.OK() }

func debugError(_ *family, c *command.Ctx, args [][]byte) { c.Fail(resp.Errorf("%s", args[0])) }

// answer is OK unless there is an error.
func answer(c *command.Ctx, err resp.Error) {
	if err != "" {
		c.Fail(err)
		return
	}
	c.Out.OK()
}

func (f *family) debugClusterLink(c *command.Ctx, args [][]byte) {
	if !command.Is(args[0], "KILL") {
		c.Fail(resp.ErrUnknownSubcommandOrArgs("debug", c.Argv[1]))
		return
	}
	answer(c, f.Debug.KillBusLinks(string(args[1]), string(args[2])))
}

func (f *family) debugRewriteAll(c *command.Ctx, _ [][]byte) {
	answer(c, f.Config.RewriteAll())
}

// maxSleep bounds DEBUG SLEEP.
const maxSleep = 24 * time.Hour

func (f *family) debugFlushSleep(c *command.Ctx, args [][]byte) {
	us, err := strconv.ParseInt(string(args[0]), 10, 64)
	if err != nil || us < 0 {
		c.Fail(resp.ErrNotInteger)
		return
	}
	f.Debug.SetAOFFlushSleep(time.Duration(us) * time.Microsecond)
	c.Out.OK()
}

func (f *family) debugSleep(c *command.Ctx, args [][]byte) {
	seconds, _ := strconv.ParseFloat(string(args[0]), 64)
	if seconds > 0 && !math.IsInf(seconds, 0) {
		f.Debug.Sleep(time.Duration(min(seconds, maxSleep.Seconds()) * float64(time.Second)))
	}
	c.Out.OK()
}

func (f *family) debugReload(c *command.Ctx, args [][]byte) {
	var o ReloadOptions
	for _, word := range args {
		switch {
		case command.Is(word, "MERGE"):
			o.Merge = true
		case command.Is(word, "NOFLUSH"):
			o.NoFlush = true
		case command.Is(word, "NOSAVE"):
			o.NoSave = true
		default:
			c.Fail("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
			return
		}
	}
	wait(c, func(done func(resp.Error)) { f.Saver.Reload(o, done) })
}

func (f *family) debugReplyBuffer(c *command.Ctx, args [][]byte) {
	switch {
	case command.Is(args[0], "PEAK-RESET-TIME"):
		ms := int64(defaultPeakResetMs)
		switch {
		case command.Is(args[1], "NEVER"):
			ms = -1
		case command.Is(args[1], "RESET"):
		default:
			var ok bool
			if ms, ok = c.Int(3); !ok {
				return
			}
		}
		f.Debug.SetReplyBuffer(&ms, nil)
	case command.Is(args[0], "RESIZING"):
		n, _ := value.ParseInt(args[1])
		on := n != 0
		f.Debug.SetReplyBuffer(nil, &on)
	default:
		c.Fail(resp.ErrUnknownSubcommandOrArgs("debug", c.Argv[1]))
		return
	}
	c.Out.OK()
}

// defaultPeakResetMs is how long Redis remembers the peak of a reply buffer.
const defaultPeakResetMs = 5000

func debugMatch(_ *family, c *command.Ctx, args [][]byte) {
	n := int64(0)
	if glob.Match(args[0], args[1]) {
		n = 1
	}
	c.Out.Int(n)
}

func debugStructSize(_ *family, c *command.Ctx, _ [][]byte) {
	c.Out.BulkString("bits:" + strconv.Itoa(strconv.IntSize))
}

// peek finds a key, expired or not, without touching or counting it.
func peek(c *command.Ctx, key []byte) (store.Entry, bool) {
	view := c.Txn.View()
	c.Txn.SetView(store.ViewStream)
	defer c.Txn.SetView(view)
	return c.Txn.Lookup(key, store.NoTouch|store.NoStats)
}

func debugObject(_ *family, c *command.Ctx, args [][]byte) {
	e, ok := peek(c, args[0])
	if !ok {
		c.Fail(resp.ErrNoSuchKey)
		return
	}
	idle := e.IdleSeconds()
	lru := (c.Txn.Now()/1000 - idle) & (1<<24 - 1)
	c.Out.Simple(fmt.Sprintf("Value at:0x0 refcount:1 encoding:%s serializedlength:%d lru:%d lru_seconds_idle:%d",
		e.Encoding(), serializedLen(e), lru, idle))
}

// serializedLen is about what the value takes in a snapshot, uncompressed.
func serializedLen(e store.Entry) int64 {
	if e.Type() == value.String {
		return int64(e.StrLen()) + 1
	}
	if o := e.Object(); o != nil {
		return o.MemBytes()
	}
	return int64(len(e.Payload())) + 1
}

func (f *family) debugListpack(c *command.Ctx, args [][]byte) {
	e, ok := peek(c, args[0])
	switch {
	case !ok:
		c.Fail(resp.ErrNoSuchKey)
	case e.Encoding() != value.Listpack:
		c.Fail("ERR Not a listpack encoded object.")
	default:
		f.Debug.Log(fmt.Sprintf("DEBUG LISTPACK %q: % x", args[0], e.Payload()))
		c.Out.Simple("Listpack structure printed on stdout")
	}
}

func debugHTStats(_ *family, c *command.Ctx, args [][]byte) {
	db, ok := c.Int(2)
	if !ok {
		return
	}
	st := c.Txn.Store()
	if db < 0 || db >= int64(st.Databases()) {
		c.Fail("ERR Out of range database")
		return
	}
	table := func(n int64) string {
		if n == 0 {
			return "No stats available for empty dictionaries\n"
		}
		return fmt.Sprintf("Hash table 0 stats (main hash table):\n number of elements: %d\n", n)
	}
	c.Out.Verbatim("txt", "[Dictionary HT]\n"+table(st.DBSize(int(db)))+"[Expires HT]\n"+table(st.Expires(int(db))))
}

func debugHTStatsKey(_ *family, c *command.Ctx, args [][]byte) {
	e, ok := peek(c, args[0])
	switch {
	case !ok:
		c.Fail(resp.ErrNoSuchKey)
	case e.Encoding() != value.Hashtable && e.Encoding() != value.Skiplist:
		c.Fail("ERR The value stored at the specified key is not represented using an hash table")
	default:
		c.Out.Verbatim("txt", fmt.Sprintf("Hash table 0 stats (main hash table):\n number of elements: %d\n", e.Object().Len()))
	}
}

// maxPopulateBytes bounds one value of DEBUG POPULATE.
const maxPopulateBytes = 512 << 20

func debugPopulate(_ *family, c *command.Ctx, args [][]byte) {
	n, ok := value.ParseInt(args[0])
	if !ok || n < 0 {
		c.Fail(resp.ErrMustBePositive)
		return
	}
	prefix := "key"
	if len(args) > 1 {
		prefix = string(args[1])
	}
	size := int64(0)
	if len(args) > 2 {
		if size, ok = value.ParseInt(args[2]); !ok || size < 0 || size > maxPopulateBytes {
			c.Fail(resp.ErrMustBePositive)
			return
		}
	}
	val := make([]byte, size)
	var key []byte
	for i := range n {
		key = strconv.AppendInt(append(append(key[:0], prefix...), ':'), i, 10)
		if c.Txn.Exists(key) {
			continue
		}
		text := strconv.AppendInt([]byte("value:"), i, 10)
		if size == 0 {
			c.Txn.SetString(key, text, store.NoExpire)
			continue
		}
		clear(val)
		copy(val, text)
		c.Txn.SetString(key, val, store.NoExpire)
	}
	c.Out.OK()
}

// digest is an order-independent signature, computed as Redis computes it so that two nodes,
// ours or Redis, can be compared.
type digest [sha1.Size]byte

// xor adds data so that the order of additions does not matter.
func (d *digest) xor(data []byte) {
	sum := sha1.Sum(data)
	for i := range d {
		d[i] ^= sum[i]
	}
}

// mix adds data so that the order of additions matters.
func (d *digest) mix(data []byte) {
	d.xor(data)
	*d = sha1.Sum(d[:])
}

func (d *digest) mixInt(n uint32) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	d.mix(b[:])
}

// redisType is the number Redis mixes in for a type, its order of object types.
func redisType(t value.Type) uint32 {
	if t == value.Stream {
		return 6
	}
	return uint32(t)
}

// value mixes in what e holds. Values of types that are not named are mixed as they are
// encoded, so equal ones with different encodings differ.
func (d *digest) value(e store.Entry) {
	d.mixInt(redisType(e.Type()))
	switch o := e.Object(); {
	case e.Type() == value.String:
		d.mix(e.Bytes(make([]byte, 0, 20)))
	case e.Type() == value.Hash:
		value.HashOf(e.Encoding(), e.Payload(), o, 0).Each(func(field, val []byte) bool {
			var one digest
			one.mix(field)
			one.mix(val)
			d.xor(one[:])
			return true
		})
	case e.Type() == value.Set:
		value.SetOf(e.Encoding(), e.Payload(), o).Each(func(m []byte) bool {
			d.xor(m)
			return true
		})
	case e.Type() == value.List:
		l := value.ListOf(e.Payload(), o)
		for it := l.From(0, false); it.Next(); {
			d.mix(it.Element())
		}
	case e.Type() == value.ZSet:
		z := value.ZSetOf(e.Payload(), o)
		for it := z.From(0, false); it.Next(); {
			var one digest
			one.mix(it.Member())
			one.mix(digestScore(it.Score()))
			d.xor(one[:])
		}
	case e.Type() == value.Stream:
		for it := o.(*value.StreamLog).Range(value.StreamID{}, value.StreamMaxID, false); it.Next(); {
			d.mix(fmt.Appendf(nil, "%d.%d", it.ID.Ms, it.ID.Seq))
			for range it.N {
				field, val := it.Field()
				d.mix(field)
				d.mix(val)
			}
		}
	default:
		d.mix(e.Payload())
	}
	if e.ExpireAt() != store.NoExpire {
		d.xor([]byte("!!expire!!"))
	}
}

// digestScore writes a score as C's %.17g does.
func digestScore(f float64) []byte {
	if math.IsInf(f, 0) {
		return []byte(strings.ToLower(strings.TrimPrefix(fmt.Sprint(f), "+")))
	}
	return strconv.AppendFloat(nil, f, 'g', 17, 64)
}

func (d *digest) String() string { return hex.EncodeToString(d[:]) }

func (f *family) debugDigest(c *command.Ctx, _ [][]byte) {
	var all digest
	st := c.Txn.Store()
	now := c.Txn.DB()
	for db := range st.Databases() {
		if st.DBSize(db) == 0 {
			continue
		}
		all.mixInt(uint32(db))
		c.Txn.SelectDB(db)
		c.Txn.Keys(func(e store.Entry) bool {
			var one digest
			one.mix(e.Key())
			one.value(e)
			all.xor(one[:])
			return true
		})
	}
	c.Txn.SelectDB(now)
	c.Out.Simple(all.String())
}

func (f *family) debugDigestValue(c *command.Ctx, keys [][]byte) {
	c.Out.Array(len(keys))
	for _, key := range keys {
		var d digest
		if e, ok := peek(c, key); ok {
			d.value(e)
		}
		c.Out.Simple(d.String())
	}
}

func debugProtocol(_ *family, c *command.Ctx, args [][]byte) {
	w := c.Out
	switch strings.ToLower(string(args[0])) {
	case "string":
		w.BulkString("Hello World")
	case "integer":
		w.Int(12345)
	case "double":
		w.Double(3.141)
	case "bignum":
		w.BigNumber("1234567999999999999999999999999999999")
	case "null":
		w.Null()
	case "array", "set":
		if args[0][0]|0x20 == 'a' {
			w.Array(3)
		} else {
			w.Set(3)
		}
		for i := range int64(3) {
			w.Int(i)
		}
	case "map":
		w.Map(3)
		for i := range int64(3) {
			w.Int(i)
			w.Bool(i == 1)
		}
	case "attrib":
		if w.Attribute(1) {
			w.BulkString("key-popularity")
			w.Array(2)
			w.BulkString("key:123")
			w.Int(90)
		}
		w.BulkString("Some real reply following the attribute")
	case "push":
		if w.Proto < resp.RESP3 {
			c.Fail("ERR RESP2 is not supported by this command")
			return
		}
		w.Push(2)
		w.BulkString("server-cpu-usage")
		w.Int(42)
		w.BulkString("Some real reply following the push reply")
	case "true":
		w.Bool(true)
	case "false":
		w.Bool(false)
	case "verbatim":
		w.Verbatim("txt", "This is a verbatim\nstring")
	default:
		c.Fail("ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false")
	}
}
