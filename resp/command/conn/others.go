package conn

import (
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store/value"
)

const (
	errClientID      resp.Error = "ERR client-id should be greater than 0"
	errMaxAgeInt     resp.Error = "ERR maxage is not an integer or out of range"
	errMaxAge        resp.Error = "ERR maxage should be greater than 0"
	errInvalidClient resp.Error = "ERR Invalid client ID"
	errUnblockReason resp.Error = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
	errPauseMode     resp.Error = "ERR CLIENT PAUSE mode must be WRITE or ALL"
)

// kind is a client's type as CLIENT LIST TYPE and KILL TYPE name it.
type kind uint8

const (
	anyKind kind = iota
	normalKind
	primaryKind
	replicaKind
	pubsubKind
)

func parseKind(word []byte) (kind, bool) {
	switch {
	case command.Is(word, "NORMAL"):
		return normalKind, true
	case command.Is(word, "MASTER"):
		return primaryKind, true
	case command.Is(word, "SLAVE"), command.Is(word, "REPLICA"):
		return replicaKind, true
	case command.Is(word, "PUBSUB"):
		return pubsubKind, true
	}
	return anyKind, false
}

func (i *Info) kind() kind {
	switch s := i.Sess; {
	case s.Has(session.Primary):
		return primaryKind
	case s.Has(session.Replica) && !s.Has(session.Monitor):
		return replicaKind
	case s.Has(session.Subscribed):
		return pubsubKind
	}
	return normalKind
}

func parseInt(word []byte) (int64, bool) { return value.ParseInt(word) }

func errUnknownKind(word []byte) resp.Error {
	return resp.Errorf("ERR Unknown client type '%s'", word)
}

// list answers CLIENT LIST [TYPE type | ID id ...].
func (f *family) list(c *command.Ctx) {
	var lines []byte
	args := c.Argv[2:]
	switch {
	case len(args) == 0:
		lines = f.lines(c, anyKind)
	case len(args) == 2 && command.Is(args[0], "TYPE"):
		k, ok := parseKind(args[1])
		if !ok {
			c.Fail(errUnknownKind(args[1]))
			return
		}
		lines = f.lines(c, k)
	case len(args) > 1 && command.Is(args[0], "ID"):
		for _, word := range args[1:] {
			id, ok := parseInt(word)
			if !ok {
				c.Fail(errInvalidClient)
				return
			}
			var info Info
			if f.Clients.Get(id, &info) {
				f.running(c, &info)
				lines = append(info.appendLine(lines), '\n')
			}
		}
	default:
		c.Fail(resp.ErrSyntax)
		return
	}
	c.Out.Verbatim("txt", string(lines))
}

func (f *family) lines(c *command.Ctx, k kind) (lines []byte) {
	f.Clients.Each(func(info *Info) bool {
		if k == anyKind || info.kind() == k {
			f.running(c, info)
			lines = append(info.appendLine(lines), '\n')
		}
		return true
	})
	return lines
}

func (f *family) info(c *command.Ctx) {
	var info Info
	if !f.Clients.Get(c.Sess.ID, &info) {
		info = Info{Sess: c.Sess, FD: -1} // a client without a connection
	}
	f.running(c, &info)
	c.Out.Verbatim("txt", string(info.appendLine(nil))+"\n")
}

// running tells of the caller's own request: Info is what was when its last turn ended.
func (f *family) running(c *command.Ctx, i *Info) {
	if i.Sess != c.Sess {
		return
	}
	for _, word := range c.Argv {
		i.ArgvBytes += int64(len(word))
	}
}

// Line is the client as CLIENT INFO tells it, without the end of line.
func (i *Info) Line() string { return string(i.appendLine(nil)) }

// appendLine appends one line of CLIENT LIST.
func (i *Info) appendLine(b []byte) []byte {
	s := i.Sess
	num := func(field string, n int64) {
		b = append(b, field...)
		b = strconv.AppendInt(b, n, 10)
	}
	str := func(field, text string) {
		b = append(b, field...)
		b = append(b, text...)
	}
	num("id=", s.ID)
	str(" addr=", i.Addr)
	str(" laddr=", i.LocalAddr)
	num(" fd=", int64(i.FD))
	str(" name=", s.Name())
	num(" age=", i.AgeSeconds)
	num(" idle=", i.IdleSeconds)
	str(" flags=", i.flags())
	num(" db=", int64(s.DB()))
	num(" sub=", int64(i.Channels))
	num(" psub=", int64(i.Patterns))
	num(" ssub=", int64(i.ShardChannels))
	if s.Has(session.Multi) {
		num(" multi=", int64(s.QueueLen()))
	} else {
		str(" multi=", "-1")
	}
	num(" qbuf=", i.QueryBytes)
	num(" qbuf-free=", i.QueryFree)
	num(" argv-mem=", i.ArgvBytes)
	num(" multi-mem=", s.QueueBytes())
	num(" rbs=", i.ReplyBufBytes)
	num(" rbp=", i.ReplyPeakBytes)
	num(" obl=", i.OutBytes)
	num(" oll=", i.QueuedReplies)
	num(" omem=", i.QueuedBytes)
	num(" tot-mem=", i.TotalBytes)
	str(" events=", "r")
	if i.WantsWrite {
		b = append(b, 'w')
	}
	last := s.LastCommand()
	if last == "" {
		last = "NULL"
	}
	str(" cmd=", last)
	user := acl.DefaultName
	if a := s.Account(); a != nil {
		user = a.Name
	}
	str(" user=", user)
	num(" redir=", redirect(s))
	num(" resp=", int64(s.Proto()))
	lib, version := s.Lib()
	str(" lib-name=", lib)
	str(" lib-ver=", version)
	return b
}

// flagLetters are the letters of the flags field, in order. Monitors are told apart from
// replicas by a letter of their own.
var flagLetters = []struct {
	flag   session.Flags
	letter byte
}{
	{session.Monitor, 'O'}, {session.Replica, 'S'}, {session.Primary, 'M'}, {session.Subscribed, 'P'},
	{session.Multi, 'x'}, {session.Blocked, 'b'},
	{session.Tracking, 't'}, {session.TrackBroken, 'R'}, {session.TrackBroadcast, 'B'}, {session.DirtyCAS, 'd'}, {session.Closing, 'c'},
}

var laterLetters = []struct {
	flag   session.Flags
	letter byte
}{
	{session.Unix, 'U'}, {session.ReadOnly, 'r'}, {session.NoEvict, 'e'}, {session.NoTouch, 'T'},
}

func (i *Info) flags() string {
	var letters []byte
	for _, l := range flagLetters {
		if i.Sess.Has(l.flag) && (l.letter != 'S' || !i.Sess.Has(session.Monitor)) {
			letters = append(letters, l.letter)
		}
	}
	if i.Closing {
		letters = append(letters, 'A')
	}
	for _, l := range laterLetters {
		if i.Sess.Has(l.flag) {
			letters = append(letters, l.letter)
		}
	}
	if len(letters) == 0 {
		return "N"
	}
	return string(letters)
}

// killFilter is what must be true of a client for CLIENT KILL to close it.
type killFilter struct {
	id          int64 // 0: any
	kind        kind
	user        string // "": any
	addr, laddr []byte // nil: any
	skipMe      bool
	maxAge      int64 // seconds since it connected; 0: any
}

func (k *killFilter) fits(i *Info, me int64) bool {
	switch {
	case k.addr != nil && string(k.addr) != i.Addr,
		k.laddr != nil && string(k.laddr) != i.LocalAddr,
		k.kind != anyKind && k.kind != i.kind(),
		k.id != 0 && k.id != i.Sess.ID,
		k.skipMe && me == i.Sess.ID,
		k.maxAge != 0 && i.AgeSeconds < k.maxAge:
		return false
	}
	if k.user != "" {
		a := i.Sess.Account()
		return a != nil && a.Name == k.user
	}
	return true
}

// kill answers CLIENT KILL in its old form, one address, and its new one, filters.
func (f *family) kill(c *command.Ctx) {
	filter := killFilter{addr: c.Argv[2]}
	old := len(c.Argv) == 3
	if !old {
		var err resp.Error
		if filter, err = f.parseKill(c.Argv[2:]); err != "" {
			c.Fail(err)
			return
		}
	}
	var ids []int64
	f.Clients.Each(func(info *Info) bool {
		if filter.fits(info, c.Sess.ID) {
			ids = append(ids, info.Sess.ID)
		}
		return true
	})
	killed, me := int64(0), false
	for _, id := range ids {
		if id == c.Sess.ID {
			me = true
			killed++
		} else if f.Clients.Kill(id) {
			killed++
		}
	}
	switch {
	case !old:
		c.Out.Int(killed)
	case killed == 0:
		c.Fail(resp.ErrNoSuchClient)
	default:
		c.Out.OK()
	}
	if me {
		closeAfterReply(c)
	}
}

func (f *family) parseKill(words [][]byte) (k killFilter, err resp.Error) {
	k.skipMe = true
	for ; len(words) > 0; words = words[2:] {
		if len(words) == 1 {
			return k, resp.ErrSyntax
		}
		val, ok := words[1], true
		switch word := words[0]; {
		case command.Is(word, "ID"):
			if k.id, ok = parseInt(val); !ok || k.id < 1 {
				return k, errClientID
			}
		case command.Is(word, "TYPE"):
			if k.kind, ok = parseKind(val); !ok {
				return k, errUnknownKind(val)
			}
		case command.Is(word, "MAXAGE"):
			if k.maxAge, ok = parseInt(val); !ok {
				return k, errMaxAgeInt
			}
			if k.maxAge < 1 {
				return k, errMaxAge
			}
		case command.Is(word, "ADDR"):
			k.addr = val
		case command.Is(word, "LADDR"):
			k.laddr = val
		case command.Is(word, "USER"):
			if f.Users.Get(string(val)) == nil {
				return k, resp.Errorf("ERR No such user '%s'", val)
			}
			k.user = string(val)
		case command.Is(word, "SKIPME") && command.Is(val, "YES"):
			k.skipMe = true
		case command.Is(word, "SKIPME") && command.Is(val, "NO"):
			k.skipMe = false
		default:
			return k, resp.ErrSyntax
		}
	}
	return k, ""
}

func (f *family) unblock(c *command.Ctx) {
	withError := false
	if len(c.Argv) > 4 {
		c.Fail(resp.ErrUnknownSubcommandOrArgs("client", c.Argv[1]))
		return
	}
	if len(c.Argv) == 4 {
		switch {
		case command.Is(c.Argv[3], "TIMEOUT"):
		case command.Is(c.Argv[3], "ERROR"):
			withError = true
		default:
			c.Fail(errUnblockReason)
			return
		}
	}
	id, ok := c.Int(2)
	if !ok {
		return
	}
	if f.Clients.Unblock(id, withError) {
		c.Out.Int(1)
	} else {
		c.Out.Int(0)
	}
}

func (f *family) pause(c *command.Ctx) {
	writesOnly := false
	if len(c.Argv) > 4 {
		c.Fail(resp.ErrUnknownSubcommandOrArgs("client", c.Argv[1]))
		return
	}
	if len(c.Argv) == 4 {
		switch {
		case command.Is(c.Argv[3], "WRITE"):
			writesOnly = true
		case command.Is(c.Argv[3], "ALL"):
		default:
			c.Fail(errPauseMode)
			return
		}
	}
	ms, ok := c.TimeoutMs(2)
	if !ok {
		return
	}
	if ms > 0 {
		f.Clients.Pause(c.Txn.Now()+ms, writesOnly)
	}
	c.Out.OK()
}

func (f *family) unpause(c *command.Ctx) {
	f.Clients.Unpause()
	c.Out.OK()
}

func clientHelp(c *command.Ctx) {
	c.Help(
		"CACHING (YES|NO)",
		"    Say whether the keys of the next command are tracked, in OPTIN and OPTOUT mode.",
		"GETREDIR",
		"    Return the client that invalidations of this connection go to.",
		"GETNAME",
		"    Return the name of this connection.",
		"ID",
		"    Return the id of this connection.",
		"INFO",
		"    Describe this connection.",
		"KILL <ip:port>",
		"    Close the connection from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]",
		"    Close the connections that all options fit:",
		"    * ADDR (<ip:port>|<unixsocket>:0)",
		"      Connections from this address.",
		"    * LADDR (<ip:port>|<unixsocket>:0)",
		"      Connections to this local address.",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
		"      Connections of this type.",
		"    * USER <username>",
		"      Connections authenticated as <username>.",
		"    * SKIPME (YES|NO)",
		"    * MAXAGE <seconds>",
		"      Leave out this connection (default: yes).",
		"LIST [options ...]",
		"    Describe connections. Options are:",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
		"      Connections of this type.",
		"    * ID <id> [<id> ...]",
		"      Connections with these ids.",
		"UNPAUSE",
		"    End the pause.",
		"PAUSE <timeout> [WRITE|ALL]",
		"    Hold back all requests, or those that write, for <timeout> milliseconds.",
		"REPLY (ON|OFF|SKIP)",
		"    Say whether this connection gets replies.",
		"SETNAME <name>",
		"    Give this connection the name <name>.",
		"SETINFO <option> <value>",
		"    Tell about the client library. Options are:",
		"    * LIB-NAME: its name.",
		"    * LIB-VER: its version.",
		"CAPA <option> [<option> ...]",
		"    Tell what this client can do. Options are:",
		"    * REDIRECT: it goes where a REDIRECT error of a replica sends it.",
		"TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
		"         [OPTIN] [OPTOUT] [NOLOOP]",
		"    Tell this connection when keys that it has read change.",
		"TRACKINGINFO",
		"    Tell how this connection is tracking.",
		"UNBLOCK <clientid> [TIMEOUT|ERROR]",
		"    Wake a blocked connection.",
		"NO-EVICT (ON|OFF)",
		"    Keep this connection from being closed for its memory.",
		"NO-TOUCH (ON|OFF)",
		"    Leave the access time of keys as it is.",
	)
}
