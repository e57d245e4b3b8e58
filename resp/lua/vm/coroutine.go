package vm

import "iter"

// coroutine is what a Thread that is not the main one has besides: a goroutine that runs only while its resumer waits.
type coroutine struct {
	fn     Value
	next   func() ([]Value, bool)
	stop   func()
	yield  func([]Value) bool
	in     []Value // for the coroutine, at a resume
	out    []Value // what it returned at its end
	err    *Error
	status string
}

func (vm *VM) openCoroutine() {
	vm.Library("coroutine", map[string]GoFunc{
		"create": func(c *Call) { c.Push1(c.create(c.Func(1))) },
		"resume": coResume, "running": coRunning, "status": coStatus, "wrap": coWrap, "yield": coYield,
	})
}

func (c *Call) create(fn Value) Value {
	if fn.AsFunc().goFn != nil {
		c.ArgError(1, "Lua function expected")
	}
	vm := c.th.vm
	vm.meter.charge(threadBytes + firstStack*valueBytes)
	t := vm.newThread()
	t.co = &coroutine{fn: fn, status: "suspended"}
	return Value{p: threadPointer(t)}
}

// resume runs t until it yields or ends. The values are the caller's.
func (th *Thread) resume(t *Thread, args []Value) ([]Value, *Error) {
	vm, co := th.vm, t.co
	if co == nil || co.status != "suspended" {
		status := "running"
		if co != nil {
			status = co.status
		}
		return nil, &Error{Value: String("cannot resume " + status + " coroutine")}
	}
	co.in = append([]Value(nil), args...)
	if co.next == nil {
		if len(vm.open) >= maxThreads {
			return nil, &Error{Value: String("too many coroutines")}
		}
		vm.open[t] = struct{}{}
		co.next, co.stop = iter.Pull(func(yield func([]Value) bool) {
			co.yield = yield
			rets, err := t.protect(co.fn, co.in, 0)
			co.out, co.err = append([]Value(nil), rets...), err
		})
	}
	t.resumer, vm.cur = th, t
	co.status = "running"
	if th.co != nil {
		th.co.status = "normal"
	}
	out, more := co.next()
	vm.cur = th
	t.resumer = nil
	if th.co != nil {
		th.co.status = "running"
	}
	if more {
		co.status = "suspended"
		return out, nil
	}
	co.status = "dead"
	delete(vm.open, t)
	t.stack, t.frames, t.top, t.depth = nil, nil, 0, 0
	if co.err != nil {
		th.caught(co.err)
	}
	return co.out, co.err
}

// CloseCoroutines ends what scripts have begun and not ended.
func (vm *VM) CloseCoroutines() {
	for t := range vm.open {
		cur := vm.cur
		vm.cur = t
		t.co.stop()
		vm.cur = cur
		t.co.status = "dead"
		delete(vm.open, t)
	}
}

func coResume(c *Call) {
	t := c.Arg(1).thread()
	if t == nil {
		c.ArgError(1, "coroutine expected")
	}
	out, err := c.th.resume(t, c.Args[1:])
	if err != nil {
		c.Push(False, err.Value)
		return
	}
	c.Push1(True)
	c.Push(out...)
}

func coYield(c *Call) {
	th := c.th
	if th.co == nil || th.goDepth > 1 {
		c.Throw(String("attempt to yield across metamethod/C-call boundary"))
	}
	if !th.co.yield(append([]Value(nil), c.Args...)) {
		panic(&Error{Value: String("coroutine closed"), Fatal: true})
	}
	c.Push(th.co.in...)
}

func coRunning(c *Call) {
	if c.th.co == nil {
		c.Push1(Nil)
		return
	}
	c.Push1(Value{p: threadPointer(c.th)})
}

func coStatus(c *Call) {
	t := c.Arg(1).thread()
	if t == nil {
		c.ArgError(1, "coroutine expected")
	}
	if t.co == nil {
		c.Push1(String("running"))
		return
	}
	c.Push1(String(t.co.status))
}

func coWrap(c *Call) {
	t := c.create(c.Func(1)).thread()
	c.Push1(c.th.vm.NewFunc("", func(c *Call) {
		out, err := c.th.resume(t, c.Args)
		if err != nil {
			v := err.Value
			if s, ok := v.ToString(); ok {
				v = String(c.th.where(1) + s)
			}
			c.th.throw(v)
		}
		c.Push(out...)
	}).Value())
}
