package vm

import (
	"math"
	"strings"
)

func (vm *VM) openTable() {
	vm.Library("table", map[string]GoFunc{
		"concat": tabConcat, "foreach": tabForeach, "foreachi": tabForeachi, "getn": func(c *Call) { c.Push1(Int(c.Table(1).Len())) },
		"insert": tabInsert, "maxn": tabMaxn, "remove": tabRemove, "setn": func(c *Call) { c.Table(1); c.Errorf("'setn' is obsolete") },
		"sort": tabSort,
	})
}

// writable returns argument 1, a table scripts may change.
func (c *Call) writable() *Table {
	t := c.Table(1)
	if t.readOnly {
		c.Throw(String(readOnlyText))
	}
	return t
}

func tabConcat(c *Call) {
	t := c.Table(1)
	sep := c.OptStr(2, "")
	i := c.OptInt(3, 1)
	last := c.OptInt(4, math.MinInt64)
	if c.Arg(4).IsNil() {
		last = t.Len()
	}
	// First the length alone: what a builder grows to is not weighed while it grows.
	vm, size, first := c.th.vm, 0, i
	for ; i <= last; i++ {
		if vm.ticks--; vm.ticks < 0 {
			vm.tick()
		}
		v := t.GetInt(i)
		s, ok := v.ToString()
		if !ok {
			c.Errorf("invalid value (%s) at index %d in table for 'concat'", v.TypeName(), i)
		}
		if size += len(s) + len(sep); size < 0 {
			vm.throwFatal(ErrMemory)
		}
	}
	vm.Reserve(size)
	var b strings.Builder
	b.Grow(size)
	for i = first; i <= last; i++ {
		if vm.ticks--; vm.ticks < 0 {
			vm.tick()
		}
		s, _ := t.GetInt(i).ToString()
		b.WriteString(s)
		if i != last {
			b.WriteString(sep)
		}
	}
	c.Push1(String(b.String()))
}

func tabForeach(c *Call) {
	t, fn := c.Table(1), c.Func(2)
	for key := Nil; ; {
		k, v, ok := t.Next(key)
		if !ok {
			c.Throw(String("invalid key to 'next'"))
		}
		if k.IsNil() {
			return
		}
		if rets := c.Call(fn, k, v); len(rets) > 0 && !rets[0].IsNil() {
			c.Push1(rets[0])
			return
		}
		key = k
	}
}

func tabForeachi(c *Call) {
	t, fn := c.Table(1), c.Func(2)
	for i, n := 1, t.Len(); i <= n; i++ {
		if rets := c.Call(fn, Int(i), t.GetInt(i)); len(rets) > 0 && !rets[0].IsNil() {
			c.Push1(rets[0])
			return
		}
	}
}

func tabInsert(c *Call) {
	t := c.writable()
	e := t.Len() + 1
	switch len(c.Args) {
	case 2:
		t.SetInt(e, c.Arg(2))
	case 3:
		pos := c.Int(2)
		e = max(e, pos)
		vm := c.th.vm
		if vm.ticks -= (e - pos) / 16; vm.ticks < 0 {
			vm.tick()
		}
		for i := e; i > pos; i-- {
			t.SetInt(i, t.GetInt(i-1))
		}
		t.SetInt(pos, c.Arg(3))
	default:
		c.Errorf("wrong number of arguments to 'insert'")
	}
}

func tabRemove(c *Call) {
	t := c.writable()
	e := t.Len()
	pos := c.OptInt(2, e)
	if pos < 1 || pos > e {
		return
	}
	vm := c.th.vm
	if vm.ticks -= (e - pos) / 16; vm.ticks < 0 {
		vm.tick()
	}
	c.Push1(t.GetInt(pos))
	for ; pos < e; pos++ {
		t.SetInt(pos, t.GetInt(pos+1))
	}
	t.SetInt(e, Nil)
}

func tabMaxn(c *Call) {
	most := 0.0
	c.Table(1).Each(func(k, _ Value) bool {
		if n, ok := k.AsNumber(); ok && n > most {
			most = n
		}
		return true
	})
	c.Push1(Number(most))
}

// tabSort is PUC's quicksort: with an invalid order function scripts see the same result or the same error.
func tabSort(c *Call) {
	t := c.writable()
	n := t.Len()
	s := sorter{c: c, t: t, cmp: c.Arg(2)}
	if !s.cmp.IsNil() {
		c.Func(2)
	}
	s.sort(1, n)
}

type sorter struct {
	c   *Call
	t   *Table
	cmp Value
}

func (s *sorter) less(a, b Value) bool {
	if s.cmp.IsNil() {
		th := s.c.th
		if a.isNumber() && b.isNumber() {
			return a.num() < b.num()
		}
		// The messages of failed comparisons have the position of sort's caller, as in PUC.
		x, y := a.str(), b.str()
		if x != nil && y != nil {
			return x.s < y.s
		}
		if a.Kind() == b.Kind() {
			if h := th.orderMeta(a, b, strLt); !h.IsNil() {
				return th.invoke(h, a, b).Truthy()
			}
		}
		if k, l := a.TypeName(), b.TypeName(); k == l {
			th.throw(String("attempt to compare two " + k + " values"))
		} else {
			th.throw(String("attempt to compare " + k + " with " + l))
		}
	}
	rets := s.c.Call(s.cmp, a, b)
	return len(rets) > 0 && rets[0].Truthy()
}

func (s *sorter) swap(i, j int, a, b Value) {
	s.t.SetInt(i, a)
	s.t.SetInt(j, b)
}

func (s *sorter) sort(l, u int) {
	t := s.t
	vm := s.c.th.vm
	for l < u {
		if vm.ticks -= 1 + (u-l)/16; vm.ticks < 0 {
			vm.tick()
		}
		if a, b := t.GetInt(l), t.GetInt(u); s.less(b, a) {
			s.swap(l, u, b, a)
		}
		if u-l == 1 {
			break
		}
		i := (l + u) / 2
		if a, b := t.GetInt(i), t.GetInt(l); s.less(a, b) {
			s.swap(i, l, b, a)
		} else if b := t.GetInt(u); s.less(b, a) {
			s.swap(i, u, b, a)
		}
		if u-l == 2 {
			break
		}
		pivot := t.GetInt(i)
		s.swap(i, u-1, t.GetInt(u-1), pivot)
		i = l
		j := u - 1
		for {
			for i++; s.less(t.GetInt(i), pivot); i++ {
				if i > u {
					s.c.Errorf("invalid order function for sorting")
				}
			}
			for j--; s.less(pivot, t.GetInt(j)); j-- {
				if j < l {
					s.c.Errorf("invalid order function for sorting")
				}
			}
			if j < i {
				break
			}
			a, b := t.GetInt(i), t.GetInt(j)
			s.swap(i, j, b, a)
		}
		a, b := t.GetInt(u-1), t.GetInt(i)
		s.swap(u-1, i, b, a)
		if i-l < u-i {
			j, i, l = l, i-1, i+1
			s.sort(j, i)
		} else {
			j, i, u = i+1, u, i-1
			s.sort(j, i)
		}
	}
}
