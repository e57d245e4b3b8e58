package compat

import (
	"bufio"
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sextantdb/sextant/cluster/node"
	"github.com/sextantdb/sextant/resp/command"
)

// notGenerated says why an entry cannot be compared with random arguments; "" when it can.
func notGenerated(name string) string {
	for prefix, why := range map[string]string{
		"BGSAVE": "background work", "SAVE": "the disk", "BGREWRITEAOF": "background work", "LASTSAVE": "the clock",
		"SHUTDOWN": "ends the server", "DEBUG": "looks into the server", "QUIT": "ends the connection",
		"REPLICAOF": "makes a replica", "SLAVEOF": "makes a replica", "PSYNC": "makes a replica", "SYNC": "makes a replica",
		"REPLCONF": "makes a replica", "MIGRATE": "needs a target; TestMigrate compares it", "ROLE": "replication", "FAILOVER": "replication", "WAIT": "waits", "WAITAOF": "of 7.2; waits",
		"MONITOR": "changes what is read", "CLIENT|": "about connections; scripts compare it", "HELLO": "tells the version", "CONFIG|": "configuration; scripts compare it",
		"INFO": "about the server", "MEMORY|": "about the server", "SLOWLOG|": "about the server", "LATENCY|": "about the server",
		"COMMAND": "tells of all commands and in our own words; the table's tests compare it", "COMMAND|": "as COMMAND", "LOLWUT": "art", "TIME": "the clock", "MODULE|": "none",
		"CLUSTER|": "cluster mode", "READONLY": "cluster mode", "READWRITE": "cluster mode", "ASKING": "cluster mode",
		"AUTH": "password", "RANDOMKEY": "random",
		"|HELP": "our own words", "PFSELFTEST": "half a second of work each time", "SCRIPT|DEBUG": "no debugger", "RESET": "stands at the beginning of every sequence",
		"ACL|CAT": "lists all commands of a category: ours has more, and 7.2's", "ACL|GENPASS": "random", "ACL|LOG": "tells ages", "ACL|SAVE": "no file", "ACL|LOAD": "no file", "ACL|HELP": "our own words",
	} {
		if name == prefix || prefix == "|HELP" && strings.HasSuffix(name, prefix) || strings.HasSuffix(prefix, "|") && strings.HasPrefix(name, prefix) || name == prefix+"|HELP" {
			return why
		}
	}
	return ""
}

// near are commands whose reply depends on the moment the call arrived: numbers may differ a
// little.
var near = []string{"TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"}

// exact are commands that may answer what cannot be told beforehand, but not to the words that are
// generated here.
var exact = []string{"XADD", "XTRIM", "XCLAIM", "XAUTOCLAIM"}

// differences are replies that may differ, each with its reason: the call, ours and theirs must
// match.
var differences = []struct {
	call         *regexp.Regexp // of the words, upper case, with spaces between
	ours, theirs *regexp.Regexp
	why          string
}{
	{regexp.MustCompile(`^HELLO `), regexp.MustCompile(`7\.2`), regexp.MustCompile(`7\.0`), "the version; ids of connections"},
	{regexp.MustCompile(`^HSCAN .*NOVALUES|^ZSCAN .*NOSCORES`), regexp.MustCompile(``), regexp.MustCompile(`syntax error`), "of 7.4 and Valkey 8.1"},
	{regexp.MustCompile(`^LPOS .*-9223372036854775808`), regexp.MustCompile(`value must|greater`), regexp.MustCompile(``), "7.2 refuses the rank that has no opposite"},
	{regexp.MustCompile(`^LREM \S+ -9223372036854775808 `), regexp.MustCompile(`value must between`), regexp.MustCompile(``), "7.2 refuses the one count that has no opposite"},
	{regexp.MustCompile(`^SET .*IFEQ`), regexp.MustCompile(``), regexp.MustCompile(`syntax error`), "later than 7.0"},
	{regexp.MustCompile(`^XREAD`), regexp.MustCompile(`^-ERR Unbalanced 'xread`), regexp.MustCompile(`^-ERR Unbalanced XREAD`), "7.2 names the command"},
	{regexp.MustCompile(`^XREAD.* \+( |$)`), regexp.MustCompile(``), regexp.MustCompile(`^-ERR Invalid stream ID`), "the last entry, of 7.4"},
	{regexp.MustCompile(`^XINFO GROUPS|^XINFO CONSUMERS|^XINFO STREAM .*FULL`), regexp.MustCompile(`^[*%]`), regexp.MustCompile(`^[*%]`), "7.0 makes a consumer only when there is something for it, and does not say when it was active"},
	{regexp.MustCompile(`^XGROUP CREATECONSUMER`), regexp.MustCompile(`^:0`), regexp.MustCompile(`^:1`), "7.0 makes a consumer only when there is something for it"},
	{regexp.MustCompile(`^XSETID`), regexp.MustCompile(`current max_deleted_entry_id`), regexp.MustCompile(``), "7.2 keeps the last id above what was deleted"},
	{regexp.MustCompile(`^B(L|R|Z).* 1E30$|^B(Z|L)MPOP 1E30 `), regexp.MustCompile(`timeout is out of range`), regexp.MustCompile(`timeout is negative`), "7.0 computes with a timeout beyond 64 bits"},
	{regexp.MustCompile(`^RESTORE`), regexp.MustCompile(`DUMP payload`), regexp.MustCompile(`Bad data format|DUMP payload`), "a payload of rubbish is refused at another point"},
}

func equal(call []string, ours, theirs []byte) bool {
	if bytes.Equal(ours, theirs) {
		return true
	}
	name := strings.ToUpper(call[0])
	if slices.Contains(near, name) && ours[0] == ':' && theirs[0] == ':' {
		a, err1 := strconv.ParseInt(strings.TrimSpace(string(ours[1:])), 10, 64)
		b, err2 := strconv.ParseInt(strings.TrimSpace(string(theirs[1:])), 10, 64)
		return err1 == nil && err2 == nil && a > 0 && b > 0 && max(a, b)-min(a, b) < 3000
	}
	if cut, _, ok := bytes.Cut(ours, []byte{0}); ok && ours[0] == '-' && string(theirs) == string(cut)+"\r\n" {
		return true // Redis' error texts end at a NUL byte of what they quote
	}
	if name == "DUMP" && bytes.IndexByte(ours, lzf) > 0 && bytes.IndexByte(theirs, lzf) > 0 {
		return true // our compressor finds other matches; what it says is the same
	}
	words := strings.ToUpper(strings.Join(call, " "))
	if strings.Contains(words, " \x00") && ours[0] == '-' {
		return true // Redis reads scores and cursors as C strings: one that begins with NUL is 0 there, and no number here
	}
	for _, d := range differences {
		if d.call.MatchString(words) && d.ours.Match(ours) && d.theirs.Match(theirs) {
			return true
		}
	}
	cmd := entryOf(call)
	if cmd == nil {
		return false
	}
	if strings.HasPrefix(cmd.FullName(), "ACL|") && bytes.Equal(sanitized(ours), sanitized(theirs)) {
		return true
	}
	switch tips := cmd.Tips; {
	case cmd.Group == command.SortedSet && sameScores(ours, theirs):
		return true // since 7.2 scores are printed with the fewest digits that say them
	case newer(cmd) && theirs[0] == '-':
		return true // Redis 7.0 does not know an option that came with 7.2
	case slices.Contains(tips, "nondeterministic_output") && !slices.Contains(exact, name):
		return ours[0] == theirs[0]
	case slices.Contains(tips, "nondeterministic_output_order"):
		return slices.Equal(sorted(ours), sorted(theirs))
	}

	return false
}

// sanitized is what is told of users without the flag sanitize-payload, which 7.0 does not print,
// without command rules, which 7.2 keeps as they were given while 7.0 prints the shortest that do the
// same, and without the lengths that these change.
func sanitized(reply []byte) []byte {
	return sanitizeFlag.ReplaceAll(reply, nil)
}

var sanitizeFlag = regexp.MustCompile(`\$16\r\nsanitize-payload\r\n| sanitize-payload| ?[+-]@?[a-z0-9|]+|\$\d+\r\n|[*~]\d+\r\n`)

// lzf is the byte before a compressed string in an RDB payload.
const lzf = 0xc3

// sorted are the elements of a reply, a map's in pairs, in an order of their own.
func sorted(reply []byte) []string {
	line, rest, _ := bytes.Cut(reply, []byte("\r\n"))
	elements := []string{string(line)}
	each := 1
	if reply[0] == '%' {
		each = 2
	}
	for in := bufio.NewReader(bytes.NewReader(rest)); ; {
		var element []byte
		for range each {
			var err error
			if element, err = readReply(in, element); err != nil {
				slices.Sort(elements)
				return elements
			}
		}
		elements = append(elements, string(element))
	}
}

// table is the command table, for the tips of entries.
var table = sync.OnceValues(node.DocTable)

// sameScores reports whether two replies differ only in how numbers are written.
func sameScores(ours, theirs []byte) bool {
	a, b := bytes.Split(ours, []byte("\r\n")), bytes.Split(theirs, []byte("\r\n"))
	if len(a) != len(b) {
		return false
	}
	number := func(line []byte) (float64, error) {
		return strconv.ParseFloat(strings.TrimPrefix(string(line), ","), 64)
	}
	for i := range a {
		if bytes.Equal(a[i], b[i]) || bytes.HasPrefix(a[i], []byte("$")) && bytes.HasPrefix(b[i], []byte("$")) {
			continue // the length goes with the digits
		}
		x, err1 := number(a[i])
		y, err2 := number(b[i])
		if err1 != nil || err2 != nil || x != y {
			return false
		}
	}
	return true
}

// newer reports whether 7.2 gave the command something that 7.0 has not.
func newer(cmd *command.Command) bool {
	return slices.ContainsFunc(cmd.Doc.History, func(h string) bool { return strings.HasPrefix(h, "7.2") })
}

func entryOf(call []string) *command.Command {
	t, err := table()
	if err != nil {
		panic(err)
	}
	argv := make([][]byte, len(call))
	for i, word := range call {
		argv[i] = []byte(word)
	}
	cmd, _ := t.Find(argv)
	return cmd
}
