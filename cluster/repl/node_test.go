package repl

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/stat"
	"github.com/sextantdb/sextant/store/value"
)

const databases = 16

// testNode is the smallest server around an Engine: maps under one lock for a keyspace, a
// goroutine per connection for a server, a dozen commands for dispatch.
type testNode struct {
	t      testing.TB
	e      *Engine
	l      net.Listener
	port   int
	table  *command.Table
	info   *stat.Registry
	nextID atomic.Int64
	wg     sync.WaitGroup

	mu   sync.Mutex // all stripes
	data [databases]map[string]string

	saveGate atomic.Pointer[chan struct{}] // a Save waits for it after its cut
	saves    atomic.Int32
	failSave atomic.Bool

	logMu sync.Mutex
	log   []Event
	conns map[net.Conn]bool

	apply *testApplier
}

type nodeOption func(*Options)

func fast(o *Options) {
	o.DisklessSyncDelay = 0
	o.PingPeriod = 200 * time.Millisecond
	o.Timeout = 5 * time.Second
	o.BacklogBytes = 1 << 20
}

// freshNode makes a node that is not started: replication begins with start.
func freshNode(t testing.TB, opts ...nodeOption) *testNode {
	t.Helper()
	n := &testNode{t: t, conns: map[net.Conn]bool{}}
	for i := range n.data {
		n.data[i] = map[string]string{}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	n.l = l
	n.port = l.Addr().(*net.TCPAddr).Port
	o := DefaultOptions()
	fast(&o)
	o.ListenPort = n.port
	o.TempDir = t.TempDir()
	for _, f := range opts {
		f(&o)
	}
	n.apply = &testApplier{n: n}
	n.e, err = New(Deps{
		Listen: func(ev Event) {
			n.logMu.Lock()
			n.log = append(n.log, ev)
			n.logMu.Unlock()
		},
		Rand: rand.Reader, Now: func() int64 { return time.Now().UnixMilli() },
		Detach:    n.detach,
		Exclusive: func(f func()) { n.mu.Lock(); defer n.mu.Unlock(); f() },
		Save:      n.save, Target: testTarget{n}, Apply: n.apply,
	}, o)
	require.NoError(t, err)
	n.table, err = command.New(nil, n.e.Commands())
	require.NoError(t, err)
	n.info = &stat.Registry{}
	n.e.Register(n.info.Section("replication", "Replication", stat.Default))
	n.e.RegisterStats(n.info.Section("stats", "Stats", stat.Default))
	return n
}

func (n *testNode) start() *testNode {
	n.e.Start()
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		for {
			c, err := n.l.Accept()
			if err != nil {
				return
			}
			n.logMu.Lock()
			n.conns[c] = true
			n.logMu.Unlock()
			n.wg.Add(1)
			go func() {
				defer n.wg.Done()
				n.serve(c)
			}()
		}
	}()
	n.t.Cleanup(func() {
		n.stop()
		if n.t.Failed() {
			for _, ev := range n.log[:min(len(n.log), 200)] {
				n.t.Logf("%d: %s", n.port, ev.Text)
			}
		}
	})
	return n
}

func newNode(t testing.TB, opts ...nodeOption) *testNode { return freshNode(t, opts...).start() }

func (n *testNode) stop() {
	n.l.Close()
	n.logMu.Lock()
	for c := range n.conns {
		c.Close()
	}
	n.logMu.Unlock()
	n.e.Close()
	n.wg.Wait()
}

func (n *testNode) addr() string { return n.l.Addr().String() }

// logged waits for a log line that contains text.
func (n *testNode) logged(text string) {
	n.t.Helper()
	require.Eventually(n.t, func() bool { return n.has(text) }, 15*time.Second, 5*time.Millisecond, "no log line has %q", text)
}

func (n *testNode) has(text string) bool { return n.count(text) > 0 }

func (n *testNode) count(text string) (c int) {
	n.logMu.Lock()
	defer n.logMu.Unlock()
	for _, ev := range n.log {
		if strings.Contains(ev.Text, text) {
			c++
		}
	}
	return c
}

func (n *testNode) field(name string) string {
	for _, line := range strings.Split(string(n.info.Info("all")), "\r\n") {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return v
		}
	}
	return ""
}

// testConn is one client's connection.
type testConn struct {
	net.Conn
	n        *testNode
	sess     *session.Session
	out      *resp.Writer
	detached bool
	unread   []byte
}

func (c *testConn) Addr() string      { return c.RemoteAddr().String() }
func (c *testConn) LocalAddr() string { return c.Conn.LocalAddr().String() }
func (c *testConn) CloseAfterReply()  {}
func (c *testConn) Push([]byte)       {}
func (c *testConn) TakePushes()       {}
func (c *testConn) SetProto(int)      {}
func (c *testConn) SetPubSub(bool)    {}

func (n *testNode) detach(c *command.Ctx) (net.Conn, []byte, []byte, error) {
	tc, ok := c.Conn.(*testConn)
	if !ok {
		return nil, nil, nil, errors.New("no connection")
	}
	tc.detached = true
	return tc.Conn, tc.unread, append([]byte(nil), c.Out.Bytes()...), nil
}

type testHost struct {
	c *testConn
	p command.Park
	t *testTicket
}

type testTicket struct {
	done atomic.Bool
	ch   chan func(*resp.Writer)
}

func (t *testTicket) Finish(f func(*resp.Writer)) bool {
	if t.done.Swap(true) {
		return false
	}
	t.ch <- f
	return true
}

func (h *testHost) Call(*command.Ctx, *command.Command, [][]byte)           {}
func (h *testHost) Notify(*command.Ctx, command.EventClass, string, []byte) {}
func (h *testHost) Park(_ *command.Ctx, p command.Park) command.Ticket {
	h.p = p
	h.t = &testTicket{ch: make(chan func(*resp.Writer), 1)}
	return h.t
}

func (n *testNode) serve(raw net.Conn) {
	c := &testConn{Conn: raw, n: n, sess: session.New(n.nextID.Add(1), nil, 0), out: &resp.Writer{}}
	defer func() {
		if !c.detached {
			raw.Close()
		}
	}()
	var buf []byte
	var p resp.Parser
	var eff command.Effects
	chunk := make([]byte, 64<<10)
	for {
		args, k, bad := p.Next(buf, nil, resp.Limits{})
		if bad != "" {
			return
		}
		if k == 0 {
			if c.out.Len() > 0 {
				if _, err := raw.Write(c.out.Bytes()); err != nil {
					return
				}
				c.out.Truncate(0)
			}
			m, err := raw.Read(chunk)
			if err != nil {
				return
			}
			buf = append(buf, chunk[:m]...)
			continue
		}
		c.unread = buf[k:]
		if len(args) > 0 {
			n.request(c, &eff, args)
		}
		if c.detached {
			return
		}
		buf = append([]byte(nil), buf[k:]...)
	}
}

func (n *testNode) request(c *testConn, eff *command.Effects, args [][]byte) {
	name := strings.ToUpper(string(args[0]))
	if cmd, err := n.table.Find(args); err == "" {
		h := &testHost{c: c}
		ctx := &command.Ctx{Cmd: cmd, Argv: args, Sess: c.sess, Out: c.out, Conn: c, Host: h}
		cmd.Run(ctx)
		if h.t != nil {
			timeout := time.Duration(1 << 40)
			if h.p.TimeoutMs > 0 {
				timeout = time.Duration(h.p.TimeoutMs) * time.Millisecond
			}
			select {
			case f := <-h.t.ch:
				f(c.out)
			case <-time.After(timeout):
				if h.t.done.Swap(true) {
					(<-h.t.ch)(c.out)
				} else {
					h.p.TimedOut(c.out)
					h.p.Gone()
				}
			}
		}
		return
	}
	switch name {
	case "PING":
		c.out.Simple("PONG")
		return
	case "INFO":
		c.out.Bulk(n.info.Info("all"))
		return
	case "SELECT":
		db, _ := strconv.Atoi(string(args[1]))
		c.sess.Select(db)
		c.out.OK()
		return
	case "GET":
		n.mu.Lock()
		v, ok := n.data[c.sess.DB()][string(args[1])]
		n.mu.Unlock()
		if !ok {
			c.out.Null()
		} else {
			c.out.BulkString(v)
		}
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.e.IsReplica() {
		c.out.Error(resp.ErrReadOnly)
		return
	}
	eff.Clear()
	if !n.e.Stream.Active() {
		eff.Off = true
	} else {
		eff.Off = false
	}
	db := c.sess.DB()
	if name == "MSETTX" { // two commands of one unit
		for i := 1; i+1 < len(args); i += 2 {
			n.exec(db, [][]byte{[]byte("SET"), args[i], args[i+1]})
			eff.Append(db, []byte("SET"), args[i], args[i+1])
		}
	} else {
		if err := n.exec(db, args); err != nil {
			c.out.Error(resp.Error(err.Error()))
			return
		}
		eff.Append(db, args...)
	}
	c.sess.WriteOffset = n.e.Stream.Append(eff)
	c.out.OK()
}

// exec changes the data. REQUIRES: n.mu.
func (n *testNode) exec(db int, args [][]byte) error {
	d := n.data[db]
	switch name := strings.ToUpper(string(args[0])); name {
	case "SET":
		d[string(args[1])] = string(args[2])
	case "MSET":
		for i := 1; i+1 < len(args); i += 2 {
			d[string(args[i])] = string(args[i+1])
		}
	case "INCR":
		v, _ := strconv.ParseInt(d[string(args[1])], 10, 64)
		d[string(args[1])] = strconv.FormatInt(v+1, 10)
	case "APPEND":
		d[string(args[1])] += string(args[2])
	case "DEL":
		for _, k := range args[1:] {
			delete(d, string(k))
		}
	case "FLUSHALL":
		for i := range n.data {
			n.data[i] = map[string]string{}
		}
	default:
		return fmt.Errorf("ERR unknown command '%s'", name)
	}
	return nil
}

// testApplier executes a primary's stream. One goroutine.
type testApplier struct {
	n     *testNode
	db    int
	multi bool
	queue [][][]byte
}

func (a *testApplier) Reset()        { a.db, a.multi, a.queue = 0, false, nil }
func (a *testApplier) Select(db int) { a.db = db }

func (a *testApplier) Lasting() bool { return true }

func (a *testApplier) Ahead([]byte, int) {}

func (a *testApplier) Apply(argv [][]byte, ran func()) error {
	if ran == nil {
		ran = func() {}
	}
	switch {
	case is(argv[0], "MULTI"):
		a.multi = true
		return nil
	case is(argv[0], "EXEC"):
		a.multi = false
		q := a.queue
		a.queue = nil
		a.n.mu.Lock()
		defer a.n.mu.Unlock()
		for _, args := range q {
			if is(args[0], "SELECT") {
				a.db, _ = strconv.Atoi(string(args[1]))
				continue
			}
			if err := a.n.exec(a.db, args); err != nil {
				return err
			}
		}
		ran()
		return nil
	case a.multi:
		own := make([][]byte, len(argv))
		for i := range argv {
			own[i] = append([]byte(nil), argv[i]...)
		}
		a.queue = append(a.queue, own)
		return nil
	case is(argv[0], "SELECT"):
		a.db, _ = strconv.Atoi(string(argv[1]))
		return nil
	}
	a.n.mu.Lock()
	defer a.n.mu.Unlock()
	err := a.n.exec(a.db, argv)
	ran()
	return err
}

func (n *testNode) save(ctx context.Context, w io.Writer, req SaveRequest) error {
	n.saves.Add(1)
	if n.failSave.Load() {
		return errors.New("no snapshot today")
	}
	release := req.Quiesce()
	n.mu.Lock()
	at := req.Cut()
	var image [databases]map[string]string
	for i := range n.data {
		image[i] = map[string]string{}
		for k, v := range n.data[i] {
			image[i][k] = v
		}
	}
	n.mu.Unlock()
	release()
	out := rdb.NewWriter(w, rdb.WriterOptions{})
	out.Begin(rdb.Info{CreatedUnix: time.Now().Unix(), Replication: &at})
	for db := range image {
		if len(image[db]) == 0 || req.SkipData {
			continue
		}
		out.Select(db, uint64(len(image[db])), 0)
		for k, v := range image[db] {
			out.Entry(rdb.Attributes{}, []byte(k), &rdb.Value{Type: value.String, Encoding: value.Raw, Payload: []byte(v)})
			if out.Err() != nil {
				return out.Err()
			}
			if gate := n.saveGate.Load(); gate != nil && out.Bytes() > 600<<10 { // half of it has left
				select {
				case <-*gate:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
	}
	if err := out.End(); err != nil {
		return err
	}
	if err := req.Whole(); err != nil || req.Rename == nil {
		return err
	}
	return req.Rename()
}

type testTarget struct{ n *testNode }

func (t testTarget) Databases() int       { return databases }
func (t testTarget) CanShadow(int64) bool { return true }
func (t testTarget) Empty() bool {
	t.n.mu.Lock()
	defer t.n.mu.Unlock()
	for i := range t.n.data {
		if len(t.n.data[i]) > 0 {
			return false
		}
	}
	return true
}

func (t testTarget) Begin(how LoadHow) (Dataset, error) {
	inPlace := how == LoadInPlace
	ds := &testDataset{n: t.n, inPlace: inPlace}
	for i := range ds.data {
		ds.data[i] = map[string]string{}
	}
	if inPlace {
		t.n.mu.Lock()
		t.n.data = ds.data
		t.n.mu.Unlock()
	}
	return ds, nil
}

type testDataset struct {
	n       *testNode
	inPlace bool
	data    [databases]map[string]string
}

func (d *testDataset) Put(rec *rdb.Record) error {
	if rec.Kind == rdb.KindKey {
		d.n.mu.Lock()
		d.data[rec.DB][string(rec.Key)] = string(rec.Value.Payload)
		d.n.mu.Unlock()
	}
	return nil
}

func (d *testDataset) Install(at func()) error {
	d.n.mu.Lock()
	defer d.n.mu.Unlock()
	d.n.data = d.data
	at()
	return nil
}

func (d *testDataset) Discard() {
	if d.inPlace {
		d.n.mu.Lock()
		defer d.n.mu.Unlock()
		for i := range d.n.data {
			d.n.data[i] = map[string]string{}
		}
	}
}

func (n *testNode) dump() map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := map[string]string{}
	for i := range n.data {
		for k, v := range n.data[i] {
			all[strconv.Itoa(i)+"/"+k] = v
		}
	}
	return all
}

// client is a synchronous connection to any server.
type client struct {
	t    testing.TB
	conn net.Conn
	buf  []byte
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	var conn net.Conn
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", addr)
		conn = c
		return err == nil
	}, 10*time.Second, 20*time.Millisecond)
	t.Cleanup(func() { conn.Close() })
	return &client{t: t, conn: conn}
}

func (c *client) send(words ...string) {
	c.t.Helper()
	_, err := c.conn.Write(resp.AppendCommandStrings(nil, words...))
	require.NoError(c.t, err)
}

// do sends and returns the reply: strings, int64, nil, []any; errors as strings with "-".
func (c *client) do(words ...string) any {
	c.t.Helper()
	c.send(words...)
	return c.reply()
}

func (c *client) line() string {
	for {
		if i := strings.Index(string(c.buf), "\r\n"); i >= 0 {
			s := string(c.buf[:i])
			c.buf = c.buf[i+2:]
			return s
		}
		c.more()
	}
}

func (c *client) more() {
	c.t.Helper()
	tmp := make([]byte, 64<<10)
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(20*time.Second)))
	n, err := c.conn.Read(tmp)
	require.NoError(c.t, err)
	c.buf = append(c.buf, tmp[:n]...)
}

func (c *client) reply() any {
	c.t.Helper()
	s := c.line()
	switch s[0] {
	case '+':
		return s[1:]
	case '-':
		return s
	case ':':
		n, _ := strconv.ParseInt(s[1:], 10, 64)
		return n
	case '$':
		n, _ := strconv.Atoi(s[1:])
		if n < 0 {
			return nil
		}
		for len(c.buf) < n+2 {
			c.more()
		}
		v := string(c.buf[:n])
		c.buf = c.buf[n+2:]
		return v
	case '*':
		n, _ := strconv.Atoi(s[1:])
		if n < 0 {
			return nil
		}
		list := make([]any, 0, n)
		for range n {
			list = append(list, c.reply())
		}
		return list
	}
	c.t.Fatalf("reply %q", s)
	return nil
}

func (c *client) field(name string) string {
	c.t.Helper()
	text, _ := c.do("INFO", "everything").(string)
	for _, line := range strings.Split(text, "\r\n") {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return v
		}
	}
	return ""
}

// realRedis starts redis-server 7.0.15 and returns a client and its port.
func realRedis(t testing.TB, args ...string) (*client, int) {
	t.Helper()
	port := proc.FreePort(t)
	addr := "127.0.0.1:" + strconv.Itoa(port)
	proc.Prepare(t, append([]string{proc.Redis(t), "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", t.TempDir(), "--save", "",
		"--logfile", "redis.log", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1", "--enable-debug-command", "yes"}, args...)...).
		Serve(time.Minute, func() bool { return proc.Listens(addr) })
	return dial(t, addr), port
}

// newFakePrimary answers a handshake and then sends payload as the full sync.
func newFakePrimary(t *testing.T, payload string) (port int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var p resp.Parser
			var buf []byte
			chunk := make([]byte, 4096)
			for open := true; open; {
				n, err := c.Read(chunk)
				if err != nil {
					break
				}
				buf = append(buf, chunk[:n]...)
				for {
					args, k, _ := p.Next(buf, nil, resp.Limits{})
					if k == 0 {
						break
					}
					buf = buf[k:]
					answer := "+OK\r\n"
					if string(args[0]) == "PSYNC" {
						answer = "+FULLRESYNC " + strings.Repeat("a", 40) + " 100\r\n\n\n" + payload
						open = false
					}
					if _, err := c.Write([]byte(answer)); err != nil {
						open = false
					}
				}
			}
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return l.Addr().(*net.TCPAddr).Port
}
