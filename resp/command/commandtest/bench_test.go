package commandtest

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Errorf(string, ...any) { r.failed = true }
func (r *recorder) Helper()               {}
func (r *recorder) FailNow() {
	r.failed = true
	runtime.Goexit()
}

// fails reports whether a bench complains about a call of a command with this handler, whose
// entry promises OK.
func fails(t *testing.T, run func(*command.Ctx)) bool {
	r := &recorder{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		New(r, []command.Command{{
			Name: "C", Since: "1", Group: command.Generic, Arity: 2, Args: "key", Reply: "OK", Flags: command.Write,
			Keys: []command.KeySpec{command.At(1, command.RW)}, Doc: command.Doc{Summary: "Does."}, Run: run,
		}}).Client(0).Do("C", "k")
	}()
	<-ended
	return r.failed
}

func TestABenchBites(t *testing.T) {
	three := func(c *command.Ctx) bool { return c.Out.Proto == resp.RESP3 }
	for name, c := range map[string]struct {
		bad bool
		run func(*command.Ctx)
	}{
		"a good command": {false, func(c *command.Ctx) { c.Out.OK() }},
		"an error":       {false, func(c *command.Ctx) { c.Fail(resp.ErrSyntax) }},
		"another reply":  {true, func(c *command.Ctx) { c.Out.Int(1) }},
		"no reply":       {true, func(*command.Ctx) {}},
		"two replies":    {true, func(c *command.Ctx) { c.Out.OK(); c.Out.OK() }},
		"half a reply":   {true, func(c *command.Ctx) { c.Out.Array(1) }},
		"only wrong in RESP3": {true, func(c *command.Ctx) {
			if c.Out.OK(); three(c) {
				c.Out.Truncate(0)
				c.Out.Null()
			}
		}},
		"effects that differ": {true, func(c *command.Ctx) {
			if c.Out.OK(); three(c) {
				c.Propagate()
			}
		}},
		"events that differ": {true, func(c *command.Ctx) {
			if c.Out.OK(); three(c) {
				c.Notify(command.EventGeneric, "done", c.Argv[1])
			}
		}},
	} {
		assert.Equal(t, c.bad, fails(t, c.run), name)
	}
}
