package server

// interlude is what a loop works with while a command that runs further up the stack has its usual buffers.
type interlude struct {
	rbuf  []byte
	argv  [][]byte
	ahead ahead
	deep  ahead
	group []reading
	ready []*Conn
}

// Interlude serves the loop's other connections once, without waiting, while a command of the loop is still running
// further up the stack: a script over its time lets others ask for its end so. The handler must be able to run
// commands within a command, must refuse what needs what the running one holds, and calls this only from inside its
// Command, or a function given to Do.
//
// Connections whose requests are being executed further up (the script's own) are left alone: not read, not written, not
// executed. Functions given to Do and Post wait, and so do closings and housekeeping: all of them may need what the running
// command holds.
func (l *Loop) Interlude() {
	if l.stopping {
		return
	}
	in := l.inner
	if in == nil {
		in = &interlude{rbuf: make([]byte, 2*readRoom), argv: make([][]byte, 0, 64)}
		l.inner = in
	}
	// What was read for others before the running command began comes first.
	for i := range l.group {
		if r := l.group[i]; r.c != nil {
			l.group[i] = reading{known: r.known}
			if c := r.c; !c.gone && c.closeWhy == nil && c.afterReply == nil {
				c.in = append(c.in[:0:0], r.buf...)
				l.makeReady(c)
			}
		}
	}
	rbuf, rused, group, argv, first, deep, readyNow := l.rbuf, l.rused, l.group, l.argv, l.ahead, l.deep, l.readyNow
	l.poll.setAside()
	l.rbuf, l.rused, l.group, l.argv, l.ahead, l.deep, l.readyNow = in.rbuf, 0, in.group[:0], in.argv, in.ahead, in.deep, in.ready[:0]
	nowMs, mono, turn := l.NowMs, l.Mono, l.Turn
	l.NowMs, l.Mono = l.srv.opts.Clock()

	l.poll.wait(false)
	if l.poll.takeWake() {
		l.takeConns()
	}
	l.poll.serve()
	l.takeReady()
	l.srv.handler.BeforeWrite(l)
	l.releaseHolds()
	l.flushDirty()

	in.group, in.argv, in.ahead, in.deep, in.ready = l.group, l.argv, l.ahead, l.deep, l.readyNow
	l.rbuf, l.rused, l.group, l.argv, l.ahead, l.deep, l.readyNow = rbuf, rused, group, argv, first, deep, readyNow
	l.NowMs, l.Mono, l.Turn = nowMs, mono, turn
	l.poll.takeUp()
}

// takeConns is takeMail for connections, new ones and others, only. The round that follows looks at the rest.
func (l *Loop) takeConns() {
	l.mailbox.Lock()
	conns, opens := l.mailbox.conns, l.mailbox.opens
	l.mailbox.conns, l.mailbox.opens = nil, nil
	more := len(l.mailbox.posts) > 0
	l.mailbox.Unlock()
	for _, f := range opens {
		f()
	}
	for _, c := range conns {
		if c.gone {
			continue
		}
		if why := c.asyncWhy.Load(); why != nil {
			c.Close(*why)
			continue
		}
		if s, ok := c.sock.(*streamSocket); ok && !c.busy() {
			l.serveStream(c, s)
		}
		l.touched(c)
	}
	if more {
		l.leftPosts = true
	}
}
