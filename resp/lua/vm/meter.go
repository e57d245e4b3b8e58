package vm

import "math"

// Meter bounds the memory of a VM. Everything a script makes is charged; once more than the budget was made, what is
// reachable is weighed and a new budget given, so that what counts is what lives, and garbage is at most a quarter of the
// limit. One object larger than what is left is refused before it is made.
type Meter struct {
	vm     *VM
	limit  int64 // bytes
	made   int64 // since the last weighing
	budget int64
	round  uint16
	live   int64 // at the last weighing
}

// ErrMemory is the text of the error a script gets at its memory limit.
const ErrMemory = "not enough memory"

func (m *Meter) setLimit(bytes int64) {
	if bytes <= 0 {
		bytes = math.MaxInt64 / 2
	}
	m.limit = bytes
	m.budget = bytes / 4
}

// charge counts n bytes that are about to be made, or throws.
func (m *Meter) charge(n int64) {
	if m.made += n; m.made > m.budget {
		m.weigh(n)
	}
}

func (m *Meter) weigh(n int64) {
	if n > m.limit {
		m.made -= n
		m.vm.throwFatal(ErrMemory)
	}
	m.live = m.vm.measure()
	m.made = 0
	if m.live+n > m.limit {
		m.budget = 0
		m.vm.throwFatal(ErrMemory)
	}
	m.budget = max(m.limit/4, n)
	m.made = n
}

// UsedBytes is about how much the VM holds.
func (vm *VM) UsedBytes() int64 { return vm.meter.live + vm.meter.made }

// MadeBytes is how much of that was made since the last weighing, garbage or not.
func (vm *VM) MadeBytes() int64 { return vm.meter.made }

// Settle weighs what is left after a run, so that garbage of one does not count for the next.
func (vm *VM) Settle() {
	vm.meter.live = vm.measure()
	vm.meter.made, vm.meter.budget = 0, vm.meter.limit/4
}

// measure weighs what can be reached: globals, libraries' roots, the stacks of the running threads.
func (vm *VM) measure() int64 {
	m := &vm.meter
	m.round++
	w := weigher{round: m.round}
	w.table(vm.Globals)
	w.table(vm.stringMeta)
	for _, v := range vm.Roots {
		w.value(v)
	}
	for t := vm.cur; t != nil; t = t.resumer {
		w.value(Value{p: threadPointer(t)})
	}
	w.value(Value{p: threadPointer(vm.main)})
	for len(w.todo) > 0 {
		last := len(w.todo) - 1
		v := w.todo[last]
		w.todo = w.todo[:last]
		w.open(v)
	}
	return w.sum
}

type weigher struct {
	round uint16
	sum   int64
	todo  []Value
}

func (w *weigher) table(t *Table) {
	if t != nil && t.seen != w.round {
		t.seen = w.round
		w.todo = append(w.todo, tableValue(t))
	}
}

func (w *weigher) value(v Value) {
	switch v.Kind() {
	case KindString:
		if s := (*Str)(v.p); !s.hashed || s.seen != math.MaxUint16 {
			if s.seen != w.round {
				s.seen = w.round
				w.sum += strBytes + int64(len(s.s))
			}
		}
	case KindTable:
		w.table((*Table)(v.p))
	case KindFunction:
		if f := (*Func)(v.p); f.seen != w.round {
			f.seen = w.round
			w.todo = append(w.todo, v)
		}
	case KindThread:
		if t := (*Thread)(v.p); t.seen != w.round {
			t.seen = w.round
			w.todo = append(w.todo, v)
		}
	case kindCell:
		if c := (*cell)(v.p); c.seen != w.round {
			c.seen = w.round
			w.todo = append(w.todo, v)
		}
	}
}

func (w *weigher) open(v Value) {
	switch v.Kind() {
	case KindTable:
		t := (*Table)(v.p)
		w.sum += tableBytes + int64(len(t.arr))*valueBytes + int64(len(t.nodes))*nodeBytes
		w.table(t.meta)
		for _, e := range t.arr {
			w.value(e)
		}
		for i := range t.nodes {
			if n := &t.nodes[i]; !n.val.IsNil() {
				w.value(n.key)
				w.value(n.val)
			}
		}
	case KindFunction:
		f := (*Func)(v.p)
		w.sum += funcBytes + int64(len(f.upvals))*8
		w.table(f.env)
		for _, c := range f.upvals {
			w.value(Value{p: cellPointer(c)})
		}
	case kindCell:
		w.sum += cellBytes
		w.value((*cell)(v.p).v)
	case KindThread:
		t := (*Thread)(v.p)
		w.sum += threadBytes + int64(len(t.stack))*valueBytes
		for _, e := range t.stack[:t.top] {
			w.value(e)
		}
		for _, fr := range t.frames[:t.depth] {
			w.sum += frameBytes
			for _, e := range fr.regs {
				w.value(e)
			}
			for _, e := range fr.varargs {
				w.value(e)
			}
			for _, e := range fr.call.rets {
				w.value(e)
			}
			for _, e := range fr.call.Args {
				w.value(e)
			}
			if fr.fn != nil {
				w.value(funcValue(fr.fn))
			}
		}
	}
}
