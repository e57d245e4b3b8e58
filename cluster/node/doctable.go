package node

import (
	"github.com/sextantdb/sextant/cluster/repl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/admin"
	"github.com/sextantdb/sextant/resp/command/conn"
	"github.com/sextantdb/sextant/resp/command/generic"
	"github.com/sextantdb/sextant/resp/command/script"
	"github.com/sextantdb/sextant/resp/command/str"
	"github.com/sextantdb/sextant/resp/command/txn"
	"github.com/sextantdb/sextant/resp/command/users"

	"github.com/sextantdb/sextant/cluster/agent"
)

// families are the families of a server, as New puts them into the table.
func families(so str.Options, g generic.Options, c conn.Deps, a admin.Deps, r *repl.Engine, ag *agent.Agent, more collections, sc script.Deps, us users.Deps) [][]command.Command {
	return append(more.commands(),
		str.Commands(so), generic.Commands(g), txn.Commands(), conn.Commands(c), admin.Commands(a), r.Commands(), agent.Commands(ag),
		script.Commands(sc), users.Commands(us),
	)
}

// DocTable is the command table of a server, for reading only: its handlers have nothing behind
// them. The README's table and the tests of entries are made from it.
func DocTable() (*command.Table, error) {
	return command.New(nil, families(str.Options{}, generic.Options{}, conn.Deps{}, admin.Deps{}, new(repl.Engine), nil, collections{}, script.Deps{}, users.Deps{})...)
}
