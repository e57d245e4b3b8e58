package generic

import (
	"bytes"
	"math"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
)

func rename(c *command.Ctx) {
	if done, ok := renameGeneric(c, true); ok && done {
		c.Out.OK()
	}
}

func renamenx(c *command.Ctx) {
	done, ok := renameGeneric(c, false)
	if !ok {
		return
	}
	n := int64(0)
	if done && !bytes.Equal(c.Argv[1], c.Argv[2]) {
		n = 1
	}
	c.Out.Int(n)
}

// renameGeneric renames argv[1] to argv[2]. done is false when a key of that name is in the
// way; ok is false when the error is answered. A key renamed to its own name is done.
func renameGeneric(c *command.Ctx, overwrite bool) (done, ok bool) {
	from, to := c.Argv[1], c.Argv[2]
	if _, found := c.Write(from); !found {
		c.Fail(resp.ErrNoSuchKey)
		return false, false
	}
	if bytes.Equal(from, to) {
		return true, true
	}
	if _, taken := c.Write(to); taken && !overwrite {
		return false, true
	}
	c.Txn.Rename(from, to)
	c.Created(to)
	c.Notify(command.EventGeneric, "rename_from", from)
	c.Notify(command.EventGeneric, "rename_to", to)
	return true, true
}

// database reads argv[i] as the number of a database.
func database(c *command.Ctx, i int) (int, bool) {
	n, ok := c.IntIn(i, math.MinInt32, math.MaxInt32)
	if ok && (n < 0 || n >= int64(c.Txn.Store().Databases())) {
		c.Fail(resp.ErrDBIndexOutOfRange)
		return 0, false
	}
	return int(n), ok
}

// in runs do with another database selected. The same stripes guard a slot in every database.
func in(c *command.Ctx, db int, do func()) {
	here := c.Txn.DB()
	c.Txn.SelectDB(db)
	do()
	c.Txn.SelectDB(here)
}

func (f family) move(c *command.Ctx) {
	if f.Cluster {
		c.Fail(resp.ErrMoveInCluster)
		return
	}
	db, ok := database(c, 2)
	if !ok {
		return
	}
	if db == c.Txn.DB() {
		c.Fail(resp.ErrSameObject)
		return
	}
	key := c.Argv[1]
	_, found := c.Write(key)
	if !found || !c.Txn.Move(key, db) {
		c.Out.Int(0)
		return
	}
	in(c, db, func() { c.Created(key) })
	c.Notify(command.EventGeneric, "move_from", key)
	in(c, db, func() { c.Notify(command.EventGeneric, "move_to", key) })
	c.Out.Int(1)
}

func (f family) copy(c *command.Ctx) {
	here := c.Txn.DB()
	db, replace := here, false
	for i := 3; i < len(c.Argv); i++ {
		switch word := c.Argv[i]; {
		case command.Is(word, "REPLACE"):
			replace = true
		case command.Is(word, "DB") && i+1 < len(c.Argv):
			i++
			var ok bool
			if db, ok = database(c, i); !ok {
				return
			}
		default:
			c.Fail(resp.ErrSyntax)
			return
		}
	}
	from, to := c.Argv[1], c.Argv[2]
	switch {
	case f.Cluster && (here != 0 || db != 0):
		c.Fail(resp.ErrCopyDBInCluster)
		return
	case here == db && bytes.Equal(from, to):
		c.Fail(resp.ErrSameObject)
		return
	}
	if _, found := c.Read(from); !found {
		c.Out.Int(0)
		return
	}
	taken := false
	in(c, db, func() { _, taken = c.Write(to) })
	if taken && !replace {
		c.Out.Int(0)
		return
	}
	c.Txn.Copy(from, to, db)
	in(c, db, func() {
		c.Created(to)
		c.Notify(command.EventGeneric, "copy_to", to)
	})
	c.Out.Int(1)
}
