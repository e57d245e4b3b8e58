package conn

import (
	"math"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
)

// family are the handlers that need something of the node. Immutable.
type family struct{ Deps }

const (
	errAuthNoPassword resp.Error = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	errBadName        resp.Error = "ERR Client names cannot contain spaces, newlines or special characters."
	errNotNormal      resp.Error = "ERR can only reset normal client connections"
)

func (f *family) auth(c *command.Ctx) {
	words := c.Redact(1, len(c.Argv))
	name, password := []byte(acl.DefaultName), words[0]
	switch {
	case len(words) > 2:
		c.Fail(resp.ErrSyntax)
		return
	case len(words) == 2:
		name, password = words[0], words[1]
	case f.Users.Default().User().NoPass:
		c.Fail(errAuthNoPassword)
		return
	}
	if f.authenticate(c, name, password) {
		c.Out.OK()
	}
}

// authenticate makes the client the named user, or answers the error.
func (f *family) authenticate(c *command.Ctx, name, password []byte) bool {
	u, ok := f.Users.Authenticate(name, password)
	if !ok {
		f.Clients.AuthFailed(c, name)
		c.Fail(resp.ErrWrongPass)
		return false
	}
	c.Sess.SetAccount(u)
	return true
}

func echo(c *command.Ctx) { c.Out.Bulk(c.Argv[1]) }

func ping(c *command.Ctx) {
	switch {
	case len(c.Argv) > 2:
		c.Fail(resp.ErrWrongArgs(c.Cmd.LowerName()))
	case c.Sess.Has(session.Subscribed) && c.Sess.Proto() == resp.RESP2:
		// A RESP2 client with subscriptions expects nothing but messages.
		c.Out.Array(2)
		c.Out.BulkString("pong")
		if len(c.Argv) == 2 {
			c.Out.Bulk(c.Argv[1])
		} else {
			c.Out.Bulk(nil)
		}
	case len(c.Argv) == 2:
		c.Out.Bulk(c.Argv[1])
	default:
		c.Out.Simple("PONG")
	}
}

func quit(c *command.Ctx) {
	c.Out.OK()
	closeAfterReply(c)
}

func closeAfterReply(c *command.Ctx) {
	c.Sess.Set(session.Closing)
	if c.Conn != nil {
		c.Conn.CloseAfterReply()
	}
}

func (f *family) selectDB(c *command.Ctx) {
	n, ok := c.IntIn(1, math.MinInt32, math.MaxInt32)
	switch {
	case !ok:
	case f.ClusterMode && n != 0:
		c.Fail(resp.ErrSelectInCluster)
	case n < 0 || n >= int64(f.Databases):
		c.Fail(resp.ErrDBIndexOutOfRange)
	default:
		c.Sess.Select(int(n))
		c.Txn.SelectDB(int(n)) // what follows in the same EXEC or script
		c.Out.OK()
	}
}

// reset leaves nothing of what the connection's commands made of it, but its library's name.
func (f *family) reset(c *command.Ctx) {
	if c.Sess.Any(session.Replica | session.Primary) {
		c.Fail(errNotNormal)
		return
	}
	c.Sess.EndMulti()
	c.DropWatches()
	f.Clients.Reset(c)
	c.Sess.Clear(session.ReadOnly | session.AskingOnce | session.NoEvict | session.NoTouch | session.Redirect | session.ReplyOff | session.ReplySkip | session.ReplySkipping)
	c.Sess.Select(0)
	c.Sess.SetName("")
	setProto(c, resp.RESP2)
	if a := f.Users.Default(); a.User().Open() {
		c.Sess.SetAccount(a)
	} else {
		c.Sess.SetAccount(nil)
	}
	c.Out.Simple("RESET")
}

// setProto changes the protocol: what was pushed to the client before comes before the reply.
func setProto(c *command.Ctx, proto int) {
	c.Sess.SetProto(proto)
	c.Out.Proto = proto
	if c.Conn != nil {
		if c.Nested == 0 {
			c.Conn.TakePushes()
		}
		c.Conn.SetProto(proto)
	}
}

// hello checks all its words before it changes anything but the user.
func (f *family) hello(c *command.Ctx) {
	proto, rest := c.Sess.Proto(), c.Argv[1:]
	if len(rest) > 0 {
		n, ok := parseInt(rest[0])
		switch {
		case !ok:
			c.Fail(resp.ErrProtoNotInteger)
			return
		case n < resp.RESP2 || n > resp.RESP3:
			c.Fail(resp.ErrNoProto)
			return
		}
		proto, rest = int(n), rest[1:]
	}
	var user, password []byte
	var name *string
	for len(rest) > 0 {
		switch {
		case command.Is(rest[0], "AUTH") && len(rest) > 2:
			at := len(c.Argv) - len(rest) + 1
			secret := c.Redact(at, at+2)
			user, password, rest = secret[0], secret[1], rest[3:]
		case command.Is(rest[0], "SETNAME") && len(rest) > 1:
			if !validName(rest[1]) {
				c.Fail(errBadName)
				return
			}
			given := string(rest[1])
			name, rest = &given, rest[2:]
		default:
			c.Fail(resp.ErrHelloOption(string(rest[0])))
			return
		}
	}
	if user != nil && !f.authenticate(c, user, password) {
		return
	}
	if c.Sess.User() == nil {
		c.Fail(resp.ErrHelloNoAuth)
		return
	}
	if name != nil {
		c.Sess.SetName(*name)
	}
	setProto(c, proto)
	f.greet(c)
}

func (f *family) greet(c *command.Ctx) {
	w := c.Out
	sentinel := f.Node.Mode == "sentinel"
	fields := 7
	if sentinel {
		fields--
	}
	w.Map(fields)
	w.BulkString("server")
	w.BulkString("redis") // clients choose their behaviour by it
	w.BulkString("version")
	w.BulkString(f.Node.Version)
	w.BulkString("proto")
	w.Int(int64(c.Sess.Proto()))
	w.BulkString("id")
	w.Int(c.Sess.ID)
	w.BulkString("mode")
	w.BulkString(f.Node.Mode)
	if !sentinel {
		w.BulkString("role")
		w.BulkString(f.Node.Role())
	}
	w.BulkString("modules")
	w.Array(0)
}

// validName reports whether s holds printable ASCII without spaces, so that a line of CLIENT
// LIST stays a line of fields.
func validName(s []byte) bool {
	for _, b := range s {
		if b < '!' || b > '~' {
			return false
		}
	}
	return true
}

func getName(c *command.Ctx) {
	if name := c.Sess.Name(); name != "" {
		c.Out.BulkString(name)
	} else {
		c.Out.Null()
	}
}

func setName(c *command.Ctx) {
	if !validName(c.Argv[2]) {
		c.Fail(errBadName)
		return
	}
	c.Sess.SetName(string(c.Argv[2]))
	c.Out.OK()
}

func setInfo(c *command.Ctx) {
	attr, val := c.Argv[2], c.Argv[3]
	set := c.Sess.SetLibName
	switch {
	case command.Is(attr, "LIB-NAME"):
	case command.Is(attr, "LIB-VER"):
		set = c.Sess.SetLibVersion
	default:
		c.Fail(resp.Errorf("ERR Unrecognized option '%s'", attr))
		return
	}
	if !validName(val) {
		c.Fail(resp.Errorf("ERR %s cannot contain spaces, newlines or special characters.", attr))
		return
	}
	set(string(val))
	c.Out.OK()
}

func clientID(c *command.Ctx) { c.Out.Int(c.Sess.ID) }

func reply(c *command.Ctx) {
	switch mode := c.Argv[2]; {
	case command.Is(mode, "ON"):
		c.Sess.Clear(session.ReplyOff | session.ReplySkip | session.ReplySkipping)
		c.Out.OK()
	case command.Is(mode, "OFF"):
		c.Sess.Set(session.ReplyOff)
	case command.Is(mode, "SKIP"):
		if !c.Sess.Has(session.ReplyOff) {
			c.Sess.Set(session.ReplySkip)
		}
	default:
		c.Fail(resp.ErrSyntax)
	}
}

const (
	noEvict = session.NoEvict
	noTouch = session.NoTouch
)

// capa takes what the client says it can do. What is unknown is ignored.
func capa(c *command.Ctx) {
	for _, word := range c.Argv[2:] {
		if command.Is(word, "REDIRECT") {
			c.Sess.Set(session.Redirect)
		}
	}
	c.Out.OK()
}

// flagCommand switches one flag ON or OFF.
func flagCommand(flag session.Flags) func(*command.Ctx) {
	return func(c *command.Ctx) {
		switch {
		case command.Is(c.Argv[2], "ON"):
			c.Sess.Set(flag)
		case command.Is(c.Argv[2], "OFF"):
			c.Sess.Clear(flag)
		default:
			c.Fail(resp.ErrSyntax)
			return
		}
		c.Out.OK()
	}
}
