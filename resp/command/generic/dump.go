package generic

import (
	"errors"
	"strconv"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/value"
)

func (f family) dump(c *command.Ctx) {
	e, found := c.Read(c.Argv[1])
	if !found {
		c.Out.Null()
		return
	}
	v := rdb.Value{Type: e.Type(), Encoding: e.Encoding(), Payload: e.Payload(), Object: e.Object()}
	c.Out.Bulk(rdb.AppendPayload(nil, &v, rdb.WriterOptions{Compress: f.Compress()}))
}

// restoreOptions are the words behind RESTORE's payload; idle and freq are -1 when not said.
type restoreOptions struct {
	replace, absTTL bool
	idle, freq      int64
}

func parseRestore(c *command.Ctx) (o restoreOptions, ok bool) {
	o.idle, o.freq = -1, -1
	for i := 4; i < len(c.Argv); i++ {
		word, more := c.Argv[i], i+1 < len(c.Argv)
		switch {
		case command.Is(word, "REPLACE"):
			o.replace = true
		case command.Is(word, "ABSTTL"):
			o.absTTL = true
		case command.Is(word, "IDLETIME") && more && o.freq < 0:
			i++
			if o.idle, ok = c.Int(i); !ok {
				return o, false
			}
			if o.idle < 0 {
				c.Fail(resp.ErrInvalidIdleTime)
				return o, false
			}
		case command.Is(word, "FREQ") && more && o.idle < 0:
			i++
			if o.freq, ok = c.Int(i); !ok {
				return o, false
			}
			if o.freq < 0 || o.freq > 255 {
				c.Fail(resp.ErrInvalidFreq)
				return o, false
			}
		default:
			c.Fail(resp.ErrSyntax)
			return o, false
		}
	}
	return o, true
}

func (f family) limits() value.Limits {
	if f.Limits == nil {
		return value.DefaultLimits()
	}
	return *f.Limits()
}

func (f family) restore(c *command.Ctx) {
	o, ok := parseRestore(c)
	if !ok {
		return
	}
	key := c.Argv[1]
	_, existed := c.Write(key)
	if existed && !o.replace {
		c.Fail(resp.ErrBusyKey)
		return
	}
	at, ok := c.Int(2)
	if !ok {
		return
	}
	if at < 0 {
		c.Fail(resp.ErrInvalidTTL)
		return
	}
	v, err := rdb.ParsePayload(c.Argv[3], rdb.ReaderOptions{Limits: f.limits(), SkipChecksum: f.SkipChecksum != nil && f.SkipChecksum()})
	switch {
	case errors.Is(err, rdb.ErrPayloadFooter):
		c.Fail(resp.ErrDumpPayload)
		return
	case err != nil:
		if f.Refused != nil {
			f.Refused(err)
		}
		c.Fail(resp.ErrBadDataFormat)
		return
	}
	mortal := at != 0
	if mortal && !o.absTTL {
		at += c.Txn.Now()
	}
	if mortal && at <= c.Txn.Now() && !c.Obeys() {
		if existed {
			c.Txn.Delete(key)
			c.Notify(command.EventGeneric, "del", key)
			propagateDeletion(c, key, f.LazyServerDel())
		}
		c.Out.OK()
		return
	}
	if !mortal {
		at = store.NoExpire
	}
	put(c, key, &v, at)
	if o.idle >= 0 {
		c.Txn.SetIdle(key, o.idle)
	}
	if o.freq >= 0 {
		c.Txn.SetFreq(key, uint8(o.freq))
	}
	c.Created(key)
	c.Notify(command.EventGeneric, "restore", key)
	if mortal && !o.absTTL {
		propagateRestore(c, at)
	}
	c.Out.OK()
}

// put makes key hold v, whose bytes may alias the request.
func put(c *command.Ctx, key []byte, v *rdb.Value, at int64) {
	switch {
	case v.Type == value.String:
		c.Txn.SetString(key, v.Payload, at)
	case v.Object != nil:
		c.Txn.SetObject(key, v.Object, at)
	default:
		c.Txn.SetPayload(key, v.Type, v.Encoding, v.Payload, at)
	}
}

// propagateRestore sends the call with the time at which the key dies instead of the time it
// has to live.
func propagateRestore(c *command.Ctx, at int64) {
	argv := make([][]byte, 0, len(c.Argv)+1)
	argv = append(argv, c.Argv...)
	argv[2] = strconv.AppendInt(nil, at, 10)
	c.PropagateAs(append(argv, wordAbsTTL)...)
}
