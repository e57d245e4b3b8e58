package repl

import (
	"math"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
)

// Commands is the replication family of the command table.
func (e *Engine) Commands() []command.Command {
	const replicaofArgs = "(args=(host-port=host port:int)|(no-one=NO ONE))"
	return []command.Command{
		{
			Name: "PSYNC", Since: "2.8.0", Group: command.Server, Arity: -3,
			Flags: command.NoAsyncLoading | command.Admin | command.NoMulti | command.NoScript,
			Args:  "replicationid offset:int", Reply: "none",
			Doc: command.Doc{Summary: "Asks for the replication stream, from a place in it or with a whole copy first. Replicas send it.", Complexity: "O(n) for n bytes to send"},
			Run: e.psync,
		},
		{
			Name: "SYNC", Since: "1.0.0", Group: command.Server, Arity: 1,
			Flags: command.NoAsyncLoading | command.Admin | command.NoMulti | command.NoScript,
			Reply: "none",
			Doc:   command.Doc{Summary: "Asks for a whole copy and then the replication stream, in the oldest form. Replicas send it.", Complexity: "O(n) for n bytes to send"},
			Run:   e.psync,
		},
		{
			Name: "REPLCONF", Since: "3.0.0", Group: command.Server, Arity: -1,
			Flags: command.Admin | command.NoScript | command.Loading | command.Stale | command.AllowBusy,
			Reply: "OK",
			Doc:   command.Doc{Summary: "Tells a primary about a replica, and how far it is. Replicas send it.", Complexity: "O(1)", SysCmd: true},
			Run:   e.replconf,
		},
		{
			Name: "ROLE", Since: "2.8.12", Group: command.Server, Arity: 1,
			Flags: command.NoScript | command.Loading | command.Stale | command.Fast | command.InSentinel,
			Reply: "['master', int, [[bulk, bulk, bulk]...]] | " +
				"['slave', bulk, int, 'connect' | 'connecting' | 'handshake' | 'sync' | 'connected', int]",
			ACL: command.CatAdmin | command.CatDangerous,
			Doc: command.Doc{Summary: "Tells whether the node is a primary or a replica, and how its replication stands.", Complexity: "O(1)"},
			Run: e.role,
		},
		{
			Name: "REPLICAOF", Since: "5.0.0", Group: command.Server, Arity: 3,
			Flags: command.NoAsyncLoading | command.Admin | command.NoScript | command.Stale,
			Args:  replicaofArgs, Reply: "simple",
			Doc: command.Doc{Summary: "Makes the node a replica of another, or with NO ONE a primary.", Complexity: "O(1)"},
			Run: e.replicaof,
		},
		{
			Name: "SLAVEOF", Since: "1.0.0", Group: command.Server, Arity: 3,
			Flags: command.NoAsyncLoading | command.Admin | command.NoScript | command.Stale,
			Args:  replicaofArgs, Reply: "simple",
			Doc: command.Doc{Summary: "Makes the node a replica of another, or with NO ONE a primary.", Complexity: "O(1)", Deprecated: "5.0.0", ReplacedBy: "`REPLICAOF`"},
			Run: e.replicaof,
		},
		{
			Name: "FAILOVER", Since: "6.2.0", Group: command.Server, Arity: -1,
			Flags: command.Admin | command.NoScript | command.Stale,
			Args:  "[target=TO host port:int [FORCE]] [ABORT] [TIMEOUT milliseconds:int]", Reply: "OK",
			Doc: command.Doc{Summary: "Makes one of the replicas the primary, and this node its replica, without losing a write.", Complexity: "O(1)"},
			Run: e.failoverCommand,
		},
		{
			Name: "WAIT", Since: "3.0.0", Group: command.Generic, Arity: 3,
			Args: "numreplicas:int timeout:int", Reply: "int", ACL: command.CatConnection,
			Tips: []string{"request_policy:all_shards", "response_policy:agg_min"},
			Doc:  command.Doc{Summary: "Waits until so many replicas have received all earlier writes of this connection.", Complexity: "O(1)"},
			Run:  e.waitCommand,
		},
		{
			Name: "WAITAOF", Since: "7.2.0", Group: command.Generic, Arity: 4, Flags: command.NoScript,
			Args: "numlocal:int numreplicas:int timeout:int", Reply: "[int, int]", ACL: command.CatConnection,
			Tips: []string{"request_policy:all_shards", "response_policy:agg_min"},
			Doc:  command.Doc{Summary: "Waits until all earlier writes of this connection are in the append-only files of this node and so many replicas.", Complexity: "O(1)"},
			Run:  e.waitaofCommand,
		},
	}
}

// shakeOf is the handshake of a client, made if it is new. REQUIRES: e.mu.
func (e *Engine) shakeOf(id int64) *handshake {
	if h := e.handshakes[id]; h != nil {
		return h
	}
	if len(e.shakeOrder) >= maxHandshakes {
		delete(e.handshakes, e.shakeOrder[0])
		e.shakeOrder = e.shakeOrder[1:]
		e.Counters.HandshakesEvicted.Inc()
	}
	h := new(handshake)
	e.handshakes[id] = h
	e.shakeOrder = append(e.shakeOrder, id)
	return h
}

// Forget drops what a client said with REPLCONF; the node may call it when one disconnects.
func (e *Engine) Forget(sessionID int64) {
	e.mu.Lock()
	e.takeShake(sessionID)
	e.mu.Unlock()
}

// takeShake removes and returns a client's handshake. REQUIRES: e.mu.
func (e *Engine) takeShake(id int64) (h handshake) {
	if p := e.handshakes[id]; p != nil {
		h = *p
		delete(e.handshakes, id)
		for i := range e.shakeOrder {
			if e.shakeOrder[i] == id {
				e.shakeOrder = append(e.shakeOrder[:i:i], e.shakeOrder[i+1:]...)
				break
			}
		}
	}
	return h
}

const (
	errFailoverToPrimary resp.Error = "ERR PSYNC FAILOVER can't be sent to a master."
	errFailoverReplID    resp.Error = "ERR PSYNC FAILOVER replid must match my replid."
	errFilterNeedsEOF    resp.Error = "ERR Filtered replica requires EOF capability"
	errFilterMissing     resp.Error = "ERR Missing rdb-filter-only values"
	errReplicaClient     resp.Error = "ERR Command is not valid when client is a replica."
	errMasterPort        resp.Error = "ERR Invalid master port"
)

// psync runs PSYNC and SYNC: it takes the connection over.
func (e *Engine) psync(c *command.Ctx) {
	if c.Sess.Any(session.Replica | session.Monitor) {
		return
	}
	partial := len(c.Argv) > 1
	var id string
	var asked int64
	if partial {
		id = string(c.Argv[1])
		if len(c.Argv) > 3 && equalFold(string(c.Argv[3]), "failover") {
			e.emit(EvRole, "Failover request received for replid %s.", id)
			h, _ := e.Stream.History()
			switch {
			case !e.replica.Load():
				c.Fail(errFailoverToPrimary)
				return
			case e.deps.ClusterMode || !equalFold(id, h.ID):
				c.Fail(errFailoverReplID)
				return
			}
			e.Promote(laterThan(c))
			e.emit(EvRole, "MASTER MODE enabled (failover request from '%s')", clientOf(c))
		}
	}
	e.mu.Lock()
	ready := !e.replica.Load() || e.link != nil && linkState(e.link.state.Load()) == linkConnected
	h := handshake{}
	if p := e.handshakes[c.Sess.ID]; p != nil {
		h = *p
	}
	e.mu.Unlock()
	switch {
	case e.failingOver():
		c.Fail(resp.ErrNoMasterLinkFailing)
		return
	case !ready:
		c.Fail(resp.ErrNoMasterLink)
		return
	case (h.skipData || h.skipFunc || h.side) && !h.eof:
		c.Fail(errFilterNeedsEOF)
		return
	}
	if partial {
		n, err := strconv.ParseInt(string(c.Argv[2]), 10, 64)
		if err != nil {
			e.warn(EvReplicaAsks, "Replica %s asks for synchronization but with a wrong offset", clientOf(c))
			c.Fail(resp.ErrNotInteger)
			return
		}
		asked = n
	}
	h.side = h.side && !partial
	h.sess = c.Sess
	remote := ""
	if c.Conn != nil {
		remote = hostOf(c.Conn.Addr())
	}
	name := (&Replica{handshake: h, remoteIP: remote}).name()
	e.emit(EvReplicaAsks, "Replica %s asks for synchronization", name)
	var cursor *Cursor
	now := "" // the id under which cursor's history goes on
	if partial {
		if cursor, now = e.tryPartial(name, id, asked); cursor == nil {
			if id == "" || id[0] != '?' {
				e.Counters.SyncPartialErr.Inc()
			}
			if h.split(e.opts.Load()) {
				e.emit(EvFullSync, "Replica %s is capable of dual channel synchronization, and partial sync isn't possible. "+
					"Full sync will continue with dedicated RDB channel.", name)
				c.Out.Simple(dualSyncReply)
				return
			}
		}
	}
	conn, unread, unsent, err := e.deps.Detach(c)
	if err != nil {
		if cursor != nil {
			cursor.Close()
		}
		c.Fail(resp.Errorf("ERR %v", err))
		return
	}
	e.mu.Lock()
	e.takeShake(c.Sess.ID)
	e.mu.Unlock()
	c.Sess.Set(session.Replica)
	if cursor != nil {
		line := "+CONTINUE\r\n"
		if h.psync2 {
			line = "+CONTINUE " + now + "\r\n"
		}
		e.Counters.SyncPartialOK.Inc()
		length := e.Stream.Offset() - (asked - 1)
		e.admit(conn, unread, unsent, h, false, cursor, line)
		e.emit(EvPartialOK, "Partial resynchronization request from %s accepted. Sending %d bytes of backlog starting from offset %d.", name, length, asked)
		return
	}
	e.Counters.SyncFull.Inc()
	e.tellWait()
	e.admit(conn, unread, unsent, h, !partial, nil, "")
	e.ensureBacklog()
	e.kickSyncs()
}

// tellWait says what a replica that is to be sent everything waits for.
func (e *Engine) tellWait() {
	e.mu.Lock()
	g := e.syncing
	e.mu.Unlock()
	switch {
	case g == nil:
		e.emit(EvFullSync, "Delay next BGSAVE for diskless SYNC")
	case g.file == nil:
		e.emit(EvFullSync, "Current BGSAVE has socket target. Waiting for next BGSAVE for SYNC")
	default:
		e.emit(EvFullSync, "Can't attach the replica to the current BGSAVE. Waiting for next BGSAVE for SYNC")
	}
}

// tryPartial returns a cursor at what a replica asks for, if its history is ours and the bytes are still here, and the
// history's id of now.
func (e *Engine) tryPartial(name, id string, asked int64) (cursor *Cursor, now string) {
	if id != "" && id[0] == '?' {
		e.emit(EvPartialRefused, "Full resync requested by replica %s", name)
		return nil, ""
	}
	cursor, now, why := e.Stream.resume(id, asked-1, asked)
	switch {
	case cursor != nil:
		return cursor, now
	case why != lackOfBacklog:
		e.emit(EvPartialRefused, "%s", why)
		return nil, ""
	}
	e.emit(EvPartialRefused, "Unable to partial resync with replica %s for lack of backlog (Replica request was: %d).", name, asked)
	if asked > e.Stream.Offset() {
		e.warn(EvPartialRefused, "Warning: replica %s tried to PSYNC with an offset that is greater than the master replication offset.", name)
	}
	return nil, ""
}

func clientOf(c *command.Ctx) string {
	if c.Conn == nil {
		return "id=" + strconv.FormatInt(c.Sess.ID, 10)
	}
	return "id=" + strconv.FormatInt(c.Sess.ID, 10) + " addr=" + c.Conn.Addr()
}

func (e *Engine) replconf(c *command.Ctx) {
	if len(c.Argv)%2 == 0 {
		c.Fail(resp.ErrSyntax)
		return
	}
	for i := 1; i < len(c.Argv); i += 2 {
		option, value := string(c.Argv[i]), c.Argv[i+1]
		switch {
		case equalFold(option, "ack"):
			return // only a replica's own connection may say this; it is answered with silence
		case equalFold(option, "getack"):
			e.mu.Lock()
			l := e.link
			e.mu.Unlock()
			if l != nil {
				l.askAck()
			}
			return
		case equalFold(option, memberOption):
			if err := e.vouch(string(value)); err != "" {
				c.Fail(err)
				return
			}
			continue
		}
		e.mu.Lock()
		h := e.shakeOf(c.Sess.ID)
		err := h.set(option, value)
		if h.sideID != 0 && e.sideLocked(h.sideID) == nil {
			err = resp.Errorf("ERR Unrecognized RDB client id %d", h.sideID)
			h.sideID = 0
		}
		e.mu.Unlock()
		if err != "" {
			c.Fail(err)
			return
		}
	}
	c.Out.OK()
}

// setFlag takes an option that is 0 or 1.
func setFlag(flag *bool, value []byte) resp.Error {
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return resp.ErrNotInteger
	}
	if n != 0 && n != 1 {
		return resp.ErrRange(0, 1)
	}
	*flag = n == 1
	return ""
}

// set takes one option of REPLCONF.
func (h *handshake) set(option string, value []byte) resp.Error {
	switch {
	case equalFold(option, "listening-port"):
		port, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return resp.ErrNotInteger
		}
		h.port = int(port)
	case equalFold(option, "ip-address"):
		if len(value) >= 256 {
			return resp.Errorf("ERR REPLCONF ip-address provided by replica instance is too long: %d bytes", len(value))
		}
		h.ip = string(value)
	case equalFold(option, "capa"):
		h.eof = h.eof || equalFold(string(value), "eof")
		h.psync2 = h.psync2 || equalFold(string(value), "psync2")
		h.dual = h.dual || equalFold(string(value), "dual-channel")
	case equalFold(option, "set-rdb-client-id"):
		id, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return resp.ErrNotInteger
		}
		h.sideID = id
	case equalFold(option, "version"):
		h.version = string(value)
	case equalFold(option, "rdb-only"):
		return setFlag(&h.rdbOnly, value)
	case equalFold(option, "rdb-channel"):
		return setFlag(&h.side, value)
	case equalFold(option, "rdb-filter-only"):
		words, ok := resp.SplitArgs(value, nil)
		if !ok {
			return errFilterMissing
		}
		h.skipData, h.skipFunc = true, true
		for _, w := range words {
			if !equalFold(string(w), "functions") {
				return resp.Errorf("ERR Unsupported rdb-filter-only option: %s", w)
			}
			h.skipFunc = false
		}
	default:
		return resp.Errorf("ERR Unrecognized REPLCONF option: %s", option)
	}
	return ""
}

// laterThan is how a role change asked for by c waits for the stripes that EXEC holds; nil when
// nothing is held.
func laterThan(c *command.Ctx) func(func()) {
	if c.Nested > 0 {
		return c.AfterUnlock
	}
	return nil
}

func (e *Engine) replicaof(c *command.Ctx) {
	if e.deps.ClusterMode {
		c.Fail(resp.ErrReplicaofInCluster)
		return
	}
	if e.failingOver() {
		c.Fail(resp.ErrReplicaofFailing)
		return
	}
	host := string(c.Argv[1])
	later := laterThan(c)
	if equalFold(host, "no") && equalFold(string(c.Argv[2]), "one") {
		if e.Promote(later) {
			e.emit(EvRole, "MASTER MODE enabled (user request from '%s')", clientOf(c))
		}
		c.Out.OK()
		return
	}
	if c.Sess.Has(session.Replica) {
		c.Fail(errReplicaClient)
		return
	}
	port, err := strconv.ParseInt(string(c.Argv[2]), 10, 64)
	if err != nil || port < 0 || port > 65535 {
		c.Fail(errMasterPort)
		return
	}
	if !e.Follow(host, int(port), later) {
		e.emit(EvRole, "REPLICAOF would result into synchronization with the master we are already connected with. No operation performed.")
		c.Out.Simple("OK Already connected to specified master")
		return
	}
	e.emit(EvRole, "REPLICAOF %s:%d enabled (user request from '%s')", host, port, clientOf(c))
	c.Out.OK()
}

func (e *Engine) role(c *command.Ctx) {
	out := c.Out
	offset := e.Stream.Offset()
	e.mu.Lock()
	defer e.mu.Unlock()
	if l := e.toldLinkLocked(); l != nil {
		out.Array(5)
		out.BulkString("slave")
		out.BulkString(l.host)
		out.Int(int64(l.port))
		state := linkState(l.state.Load())
		out.BulkString(state.role())
		if state != linkConnected {
			offset = -1
		}
		out.Int(offset)
		return
	}
	out.Array(3)
	out.BulkString("master")
	out.Int(offset)
	m := out.Defer()
	n := 0
	for _, r := range e.replicas {
		if r.state != replicaOnline {
			continue
		}
		n++
		out.Array(3)
		out.BulkString(r.address())
		out.BulkString(strconv.Itoa(r.port))
		out.BulkInt(r.ackOff)
	}
	out.EndArray(m, n)
}

// timeoutOf reads a timeout in milliseconds as Redis does.
func timeoutOf(b []byte) (int64, resp.Error) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	switch {
	case err != nil:
		return 0, resp.ErrTimeoutNotInteger
	case n < 0:
		return 0, resp.ErrTimeoutNegative
	case n > math.MaxInt64/2:
		return 0, resp.ErrTimeoutOutOfRange
	}
	return n, ""
}

func (e *Engine) waitCommand(c *command.Ctx) {
	if e.toldReplica() {
		c.Fail(resp.ErrWaitOnReplica)
		return
	}
	n, err := strconv.ParseInt(string(c.Argv[1]), 10, 64)
	if err != nil {
		c.Fail(resp.ErrNotInteger)
		return
	}
	timeout, bad := timeoutOf(c.Argv[2])
	if bad != "" {
		c.Fail(bad)
		return
	}
	e.wait(c, &waiter{replicas: int(min(n, math.MaxInt32))}, timeout)
}

func (e *Engine) waitaofCommand(c *command.Ctx) {
	local, err := strconv.ParseInt(string(c.Argv[1]), 10, 64)
	if err != nil {
		c.Fail(resp.ErrNotInteger)
		return
	}
	if local < 0 || local > 1 {
		c.Fail(resp.ErrRange(0, 1))
		return
	}
	n, err := strconv.ParseInt(string(c.Argv[2]), 10, 64)
	if err != nil || n < 0 {
		c.Fail(resp.ErrMustBePositive)
		return
	}
	timeout, bad := timeoutOf(c.Argv[3])
	if bad != "" {
		c.Fail(bad)
		return
	}
	if e.toldReplica() {
		c.Fail(resp.ErrWaitAOFOnReplica)
		return
	}
	if _, on := e.fsynced(); local > 0 && !on {
		c.Fail(resp.ErrWaitAOFNoAOF)
		return
	}
	e.wait(c, &waiter{aof: true, local: int(local), replicas: int(min(n, math.MaxInt32))}, timeout)
}
