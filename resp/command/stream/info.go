package stream

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/store/value"
)

// readOrFail finds the stream that XINFO is asked about; without one that is an error.
func readOrFail(c *command.Ctx) (*value.StreamLog, bool) {
	s, found, ok := read(c, c.Argv[2])
	if ok && !found {
		c.Fail(resp.ErrNoSuchKey)
	}
	return s, ok && found
}

func xinfoStream(c *command.Ctx) {
	s, ok := readOrFail(c)
	if !ok {
		return
	}
	full, count := len(c.Argv) > 3, int64(10)
	switch {
	case !full:
	case len(c.Argv) != 4 && len(c.Argv) != 6, !command.Is(c.Argv[3], "FULL"), len(c.Argv) == 6 && !command.Is(c.Argv[4], "COUNT"):
		c.Fail(resp.ErrUnknownSubcommandOrArgs("xinfo", c.Argv[1]))
		return
	case len(c.Argv) == 6:
		if count, ok = c.Int(5); !ok {
			return
		}
		if count < 0 {
			count = 10
		}
	}
	w := c.Out
	if full {
		w.Map(9)
	} else {
		w.Map(10)
	}
	w.BulkString("length")
	w.Int(int64(s.Len()))
	w.BulkString("radix-tree-keys") // of our index, which is no radix tree
	w.Int(int64(s.Nodes()))
	w.BulkString("radix-tree-nodes")
	w.Int(int64(s.Pages()) + 1)
	w.BulkString("last-generated-id")
	putID(w, s.Last)
	w.BulkString("max-deleted-entry-id")
	putID(w, s.MaxDeleted)
	w.BulkString("entries-added")
	w.Int(int64(s.Added))
	w.BulkString("recorded-first-entry-id")
	putID(w, s.First)
	if full {
		w.BulkString("entries")
		putRange(w, s, value.StreamID{}, value.StreamMaxID, count, false)
		w.BulkString("groups")
		w.Array(len(s.Groups()))
		for _, g := range s.Groups() {
			putFullGroup(w, s, g, count)
		}
		return
	}
	w.BulkString("groups")
	w.Int(int64(len(s.Groups())))
	w.BulkString("first-entry")
	putEdge(w, s, false)
	w.BulkString("last-entry")
	putEdge(w, s, true)
}

func putEdge(w *resp.Writer, s *value.StreamLog, last bool) {
	if it := s.Range(value.StreamID{}, value.StreamMaxID, last); it.Next() {
		putEntry(w, &it)
	} else {
		w.Null()
	}
}

// putProgress answers how far the group has come.
func putProgress(w *resp.Writer, s *value.StreamLog, g *value.StreamGroup) {
	w.BulkString("last-delivered-id")
	putID(w, g.Last)
	w.BulkString("entries-read")
	if g.Read != value.StreamReadUnknown {
		w.Int(g.Read)
	} else {
		w.Null()
	}
	w.BulkString("lag")
	if lag, ok := s.Lag(g); ok {
		w.Int(lag)
	} else {
		w.Null()
	}
}

func putFullGroup(w *resp.Writer, s *value.StreamLog, g *value.StreamGroup, count int64) {
	w.Map(7)
	w.BulkString("name")
	w.BulkString(g.Name)
	putProgress(w, s, g)
	w.BulkString("pel-count")
	w.Int(int64(g.Pending()))
	w.BulkString("pending")
	putPending(w, g, value.StreamNoOwner, count)
	w.BulkString("consumers")
	w.Array(len(g.Consumers()))
	for _, o := range g.Consumers() {
		c := g.Consumer(o)
		w.Map(5)
		w.BulkString("name")
		w.BulkString(c.Name)
		w.BulkString("seen-time")
		w.Int(c.Seen)
		w.BulkString("active-time")
		w.Int(c.Active)
		w.BulkString("pel-count")
		w.Int(int64(c.Pending()))
		w.BulkString("pending")
		putPending(w, g, o, count)
	}
}

// putPending answers up to count pending entries, 0 is any number; those of one consumer without
// its name.
func putPending(w *resp.Writer, g *value.StreamGroup, o value.StreamOwner, count int64) {
	mark, n := w.Defer(), 0
	for p := g.Walk(value.StreamID{}, o); (count == 0 || int64(n) < count) && p.Next(); n++ {
		if o == value.StreamNoOwner {
			w.Array(4)
			putID(w, p.ID)
			w.BulkString(g.Consumer(p.Owner).Name)
		} else {
			w.Array(3)
			putID(w, p.ID)
		}
		w.Int(p.Time)
		w.Int(int64(p.Count))
	}
	w.EndArray(mark, n)
}

func xinfoGroups(c *command.Ctx) {
	s, ok := readOrFail(c)
	if !ok {
		return
	}
	w := c.Out
	w.Array(len(s.Groups()))
	for _, g := range s.Groups() {
		w.Map(6)
		w.BulkString("name")
		w.BulkString(g.Name)
		w.BulkString("consumers")
		w.Int(int64(len(g.Consumers())))
		w.BulkString("pending")
		w.Int(int64(g.Pending()))
		putProgress(w, s, g)
	}
}

func xinfoConsumers(c *command.Ctx) {
	s, ok := readOrFail(c)
	if !ok {
		return
	}
	g := s.Group(c.Argv[3])
	if g == nil {
		c.Fail(resp.ErrNoGroup(c.Argv[3], c.Argv[2]))
		return
	}
	w, now := c.Out, c.Txn.Now()
	w.Array(len(g.Consumers()))
	for _, o := range g.Consumers() {
		c := g.Consumer(o)
		w.Map(4)
		w.BulkString("name")
		w.BulkString(c.Name)
		w.BulkString("pending")
		w.Int(int64(c.Pending()))
		w.BulkString("idle")
		w.Int(max(now-c.Seen, 0))
		w.BulkString("inactive")
		if c.Active == -1 {
			w.Int(-1)
		} else {
			w.Int(now - c.Active)
		}
	}
}

func xinfoHelp(c *command.Ctx) {
	c.Help(
		"CONSUMERS <key> <groupname>",
		"    Answer the consumers of a group.",
		"GROUPS <key>",
		"    Answer the consumer groups of a stream.",
		"STREAM <key> [FULL [COUNT <count>]]",
		"    Answer what there is to know of a stream.",
	)
}
