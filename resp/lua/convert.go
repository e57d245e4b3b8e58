package lua

import (
	"math"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/lua/vm"
)

// maxReplyDepth bounds how deep a reply of a script may be: PUC's stack holds 8000 values, and three are used a level.
const maxReplyDepth = 2600

// line cuts the first line off a reply.
func line(b []byte) (text, rest []byte) {
	for i, c := range b {
		if c == '\r' {
			return b[:i], b[i+2:]
		}
	}
	panic("lua: a reply without its end")
}

func atoi(b []byte) (n int64) {
	neg := len(b) > 0 && b[0] == '-'
	if neg {
		b = b[1:]
	}
	for _, c := range b {
		n = n*10 + int64(c-'0')
	}
	if neg {
		return -n
	}
	return n
}

// toLua turns the first reply in b into a value and returns what is behind it.
func (in *interp) toLua(b []byte, depth int) (vm.Value, []byte) {
	m := in.vm
	kind := resp.Kind(b[0])
	head, rest := line(b[1:])
	switch kind {
	case resp.KindInt:
		return vm.Number(float64(atoi(head))), rest
	case resp.KindBulk:
		n := atoi(head)
		if n < 0 {
			return vm.False, rest
		}
		return m.NewString(string(rest[:n])), rest[n+2:]
	case resp.KindSimple:
		text := in.okText
		if string(head) != "OK" {
			text = m.NewString(string(head))
		}
		t := m.NewTable(0, 0)
		t.Set(in.okName, text)
		return t.Value(), rest
	case resp.KindError:
		t := in.errorTable("-" + string(head))
		t.SetString("ignore_error_stats_update", vm.True)
		return t.Value(), rest
	case resp.KindNull:
		return vm.Nil, rest
	case resp.KindBool:
		return vm.Bool(head[0] == 't'), rest
	case resp.KindDouble:
		f, _ := strconv.ParseFloat(string(head), 64)
		return in.tagged("double", vm.Number(f)), rest
	case resp.KindBigNumber:
		return in.tagged("big_number", m.NewString(string(head))), rest
	case resp.KindVerbatim:
		n := atoi(head)
		text := rest[:n]
		t := m.NewTable(0, 0)
		t.SetString("string", m.NewString(string(text[4:])))
		t.SetString("format", m.NewString(string(text[:3])))
		return in.tagged("verbatim_string", t.Value()), rest[n+2:]
	case resp.KindArray, resp.KindPush:
		n := atoi(head)
		if n < 0 {
			return vm.False, rest
		}
		t := m.NewTable(int(n), 0)
		for i := range n {
			var v vm.Value
			v, rest = in.toLua(rest, depth+1)
			t.SetInt(int(i)+1, v)
		}
		return t.Value(), rest
	case resp.KindMap:
		n := atoi(head)
		t := m.NewTable(0, int(n))
		for range n {
			var k, v vm.Value
			k, rest = in.toLua(rest, depth+1)
			v, rest = in.toLua(rest, depth+1)
			if !k.IsNil() {
				t.Set(k, v)
			}
		}
		return in.tagged("map", t.Value()), rest
	case resp.KindSet:
		n := atoi(head)
		t := m.NewTable(0, int(n))
		for range n {
			var k vm.Value
			k, rest = in.toLua(rest, depth+1)
			if !k.IsNil() {
				t.Set(k, vm.True)
			}
		}
		return in.tagged("set", t.Value()), rest
	case '|': // attributes are not shown to scripts
		for range 2 * atoi(head) {
			_, rest = in.toLua(rest, depth+1)
		}
		return in.toLua(rest, depth)
	}
	panic("lua: unknown kind of reply " + strconv.Quote(string(b[:1])))
}

// tagged is {name = v}.
func (in *interp) tagged(name string, v vm.Value) vm.Value {
	t := in.vm.NewTable(0, 0)
	t.SetString(name, v)
	return t.Value()
}

// failed answers an error that ended the run. name is the script's SHA1, or the function's name.
func (in *interp) failed(e *vm.Error, name string, out *resp.Writer) Outcome {
	var o Outcome
	text := ""
	if t := e.Value.AsTable(); t != nil {
		text, o.Counted = in.errorText(t)
	} else if s, ok := e.Value.ToString(); ok {
		text = "ERR " + s
	} else {
		text = "ERR " + showValue(e.Value)
	}
	text += " script: " + name + ", on " + e.Source + ":" + strconv.Itoa(e.Line) + "."
	o.Err = resp.Errorf("%s", text)
	out.Error(o.Err)
	return o
}

// showValue is tostring of what has no text.
func showValue(v vm.Value) string {
	switch b, isBool := v.AsBool(); {
	case v.IsNil():
		return "nil"
	case isBool:
		return strconv.FormatBool(b)
	}
	return v.TypeName()
}

func (in *interp) errorText(t *vm.Table) (text string, counted bool) {
	text, _ = t.GetString("err").ToString()
	b, ok := t.GetString("ignore_error_stats_update").AsBool()
	return text, ok && b
}

// reply answers the value of a run.
func (in *interp) reply(v vm.Value, out *resp.Writer) Outcome {
	if t := v.AsTable(); t != nil {
		if _, isErr := t.GetString("err").AsString(); isErr {
			text, counted := in.errorText(t)
			o := Outcome{Err: resp.Errorf("%s", text), Counted: counted}
			out.Error(o.Err)
			return o
		}
	}
	in.toRESP(v, out, 0)
	return Outcome{}
}

func oneLine(s string) string {
	if strings.ContainsAny(s, "\r\n") {
		return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
	}
	return s
}

// toInteger is C's cast.
func toInteger(f float64) int64 {
	if f >= -9223372036854775808 && f < 9223372036854775808 {
		return int64(f)
	}
	return math.MinInt64
}

// toRESP writes a value.
func (in *interp) toRESP(v vm.Value, out *resp.Writer, depth int) {
	if depth > maxReplyDepth {
		out.Error(errReplyDepth)
		return
	}
	if s, ok := v.AsString(); ok {
		out.BulkString(s)
		return
	}
	if f, ok := v.AsNumber(); ok {
		out.Int(toInteger(f))
		return
	}
	if b, ok := v.AsBool(); ok {
		switch {
		case in.proto == resp.RESP3:
			out.Bool(b)
		case b:
			out.Int(1)
		default:
			out.Null()
		}
		return
	}
	t := v.AsTable()
	if t == nil {
		out.Null()
		return
	}
	in.tableToRESP(t, out, depth)
}

const errReplyDepth resp.Error = "ERR reached lua stack limit"

func (in *interp) tableToRESP(t *vm.Table, out *resp.Writer, depth int) {
	if t.HasStrings() {
		if _, ok := t.GetString("err").AsString(); ok {
			text, _ := in.errorText(t)
			out.Error(resp.Errorf("%s", text))
			return
		}
		if s, ok := t.GetString("ok").AsString(); ok {
			out.Simple(oneLine(s))
			return
		}
		if f, ok := t.GetString("double").AsNumber(); ok {
			out.Double(f)
			return
		}
		if s, ok := t.GetString("big_number").AsString(); ok {
			out.BigNumber(oneLine(s))
			return
		}
		if u := t.GetString("verbatim_string").AsTable(); u != nil {
			format, ok1 := u.GetString("format").AsString()
			text, ok2 := u.GetString("string").AsString()
			if ok1 && ok2 {
				out.Verbatim(format, text)
				return
			}
		}
		if u := t.GetString("map").AsTable(); u != nil {
			mark, n := out.Defer(), 0
			u.Each(func(k, v vm.Value) bool {
				in.toRESP(k, out, depth+1)
				in.toRESP(v, out, depth+1)
				n++
				return true
			})
			out.EndMap(mark, n)
			return
		}
		if u := t.GetString("set").AsTable(); u != nil {
			mark, n := out.Defer(), 0
			u.Each(func(k, _ vm.Value) bool {
				in.toRESP(k, out, depth+1)
				n++
				return true
			})
			out.EndSet(mark, n)
			return
		}
	}
	mark, n := out.Defer(), 0
	for v := t.GetInt(1); !v.IsNil(); v = t.GetInt(n + 1) {
		in.toRESP(v, out, depth+1)
		n++
	}
	out.EndArray(mark, n)
}
