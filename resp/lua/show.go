package lua

import (
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/lua/vm"
	"github.com/sextantdb/sextant/resp/observe"
)

// maxShownDepth is how deep tables are shown.
const maxShownDepth = 10

// showForPeople shows a value as the debugger does.
func showForPeople(v vm.Value) string { return string(appendShown(nil, v, 0)) }

func appendShown(b []byte, v vm.Value, depth int) []byte {
	if depth == maxShownDepth {
		return append(b, "<max recursion level reached! Nested table?>"...)
	}
	if s, ok := v.AsString(); ok {
		return observe.AppendQuoted(b, []byte(s))
	}
	if f, ok := v.AsNumber(); ok {
		return append(b, vm.FormatG(f, 6)...)
	}
	if yes, ok := v.AsBool(); ok {
		return strconv.AppendBool(b, yes)
	}
	if v.IsNil() {
		return append(b, "nil"...)
	}
	if t := v.AsTable(); t != nil {
		return appendTable(b, t, depth)
	}
	name := v.TypeName()
	if name == "userdata" {
		name = "light-userdata"
	}
	b = append(append(b, '"'), name...)
	b = append(b, "@0x"...)
	b = strconv.AppendUint(b, uint64(uintptr(v.Pointer())), 16)
	return append(b, '"')
}

// appendTable shows {1; 2} or {["a"]=1}.
func appendTable(b []byte, t *vm.Table, depth int) []byte {
	next, array := 1, true
	t.Each(func(k, _ vm.Value) bool {
		f, ok := k.AsNumber()
		array = ok && f == float64(next)
		next++
		return array
	})
	b = append(b, '{')
	first := true
	t.Each(func(k, v vm.Value) bool {
		if !first {
			b = append(b, "; "...)
		}
		first = false
		if !array {
			b = append(appendShown(append(b, '['), k, depth+1), "]="...)
		}
		b = appendShown(b, v, depth+1)
		return true
	})
	return append(b, '}')
}

// appendReply shows the first reply in reply and returns what is behind it.
func appendReply(b, reply []byte) (shown, rest []byte) {
	head, rest := line(reply[1:])
	n := atoi(head)
	list := func(open, closing string, each int64, between string) {
		if n < 0 {
			b = append(b, "NULL"...)
			return
		}
		b = append(b, open...)
		for i := range n * each {
			if i > 0 {
				if i%each == 0 {
					b = append(b, ',')
				} else {
					b = append(b, between...)
				}
			}
			b, rest = appendReply(b, rest)
		}
		b = append(b, closing...)
	}
	switch resp.Kind(reply[0]) {
	case resp.KindInt:
		b = append(b, head...)
	case resp.KindBulk, resp.KindVerbatim:
		if n < 0 {
			b = append(b, "NULL"...)
			break
		}
		b, rest = observe.AppendQuoted(b, rest[:n]), rest[n+2:]
	case resp.KindSimple, resp.KindError:
		b = observe.AppendQuoted(b, reply[:len(head)+1])
	case resp.KindArray, resp.KindPush:
		list("[", "]", 1, "")
	case resp.KindSet:
		list("~(", ")", 1, "")
	case resp.KindMap:
		list("{", "}", 2, " => ")
	case resp.KindNull:
		b = append(b, "(null)"...)
	case resp.KindBool:
		b = append(b, "#true"...)
		if head[0] != 't' {
			b = append(b[:len(b)-len("#true")], "#false"...)
		}
	case resp.KindDouble:
		b = append(append(b, "(double) "...), head...)
	default:
		b = append(b, head...)
	}
	return b, rest
}
