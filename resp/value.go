package resp

import (
	"strconv"
)

// Kind is the type of a Value: the byte it begins with on the wire.
type Kind byte

// The kinds of RESP2 and RESP3. Both nulls of RESP2 are read as KindNull.
const (
	KindSimple    Kind = '+'
	KindError     Kind = '-'
	KindInt       Kind = ':'
	KindBulk      Kind = '$'
	KindArray     Kind = '*'
	KindNull      Kind = '_'
	KindDouble    Kind = ','
	KindBool      Kind = '#'
	KindBigNumber Kind = '('
	KindBulkError Kind = '!'
	KindVerbatim  Kind = '='
	KindMap       Kind = '%'
	KindSet       Kind = '~'
	KindPush      Kind = '>'
)

// Value is one reply, as a client sees it.
type Value struct {
	Kind   Kind
	Str    []byte  // text of every kind that has one; also the digits of a double or big number as they came
	Int    int64   // KindInt; KindBool: 0 or 1
	Float  float64 // KindDouble
	Format string  // KindVerbatim: "txt", "mkd"
	Elems  []Value // KindArray, KindSet, KindPush: elements; KindMap: key, value, key, value, …
	Attrs  []Value // attributes that stood before the value: key, value, …
}

// IsNull reports whether the value is a null of any kind.
func (v Value) IsNull() bool { return v.Kind == KindNull }

// Err returns the error that v is, or nil.
func (v Value) Err() error {
	if v.Kind == KindError || v.Kind == KindBulkError {
		return Error(v.Str)
	}
	return nil
}

// Text returns the text of a scalar: of a string as it is, of a number in decimal, of a null "".
func (v Value) Text() string {
	switch v.Kind {
	case KindInt:
		return strconv.FormatInt(v.Int, 10)
	case KindBool:
		return strconv.FormatBool(v.Int != 0)
	}
	return string(v.Str)
}

// Number returns v as an integer: an integer, a boolean, or text that is one.
func (v Value) Number() (int64, bool) {
	switch v.Kind {
	case KindInt, KindBool:
		return v.Int, true
	case KindSimple, KindBulk, KindBigNumber, KindVerbatim:
		return strictInt(v.Str)
	}
	return 0, false
}

// Get finds a key in a map, or in the array of pairs that stands for a map in RESP2.
func (v Value) Get(key string) (Value, bool) {
	for i := 0; i+1 < len(v.Elems); i += 2 {
		if v.Elems[i].Text() == key {
			return v.Elems[i+1], true
		}
	}
	return Value{}, false
}

// Texts returns the texts of the elements.
func (v Value) Texts() []string {
	out := make([]string, len(v.Elems))
	for i, e := range v.Elems {
		out[i] = e.Text()
	}
	return out
}

// AppendTo writes the value in the writer's protocol; what RESP2 does not know takes its RESP2 form.
func (v Value) AppendTo(w *Writer) {
	if len(v.Attrs) > 0 && w.Attribute(len(v.Attrs)/2) {
		for _, a := range v.Attrs {
			a.AppendTo(w)
		}
	}
	switch v.Kind {
	case KindSimple:
		w.Simple(string(v.Str))
	case KindError:
		w.Error(Error(v.Str))
	case KindBulkError:
		if w.Proto < RESP3 {
			w.Error(oneLine(string(v.Str)))
			return
		}
		w.header('!', int64(len(v.Str)))
		w.Raw(v.Str)
		w.RawString("\r\n")
	case KindInt:
		w.Int(v.Int)
	case KindBulk:
		w.Bulk(v.Str)
	case KindNull:
		w.Null()
	case KindDouble:
		w.Double(v.Float)
	case KindBool:
		w.Bool(v.Int != 0)
	case KindBigNumber:
		w.BigNumber(string(v.Str))
	case KindVerbatim:
		w.Verbatim(v.Format, string(v.Str))
	case KindArray:
		w.Array(len(v.Elems))
	case KindMap:
		w.Map(len(v.Elems) / 2)
	case KindSet:
		w.Set(len(v.Elems))
	case KindPush:
		w.Push(len(v.Elems))
	}
	for _, e := range v.Elems {
		e.AppendTo(w)
	}
}
