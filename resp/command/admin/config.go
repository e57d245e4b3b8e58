package admin

import (
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
)

func (f *family) configEntry() command.Command {
	return container("CONFIG", "2.0.0", "the configuration",
		command.Command{
			Name: "GET", Since: "2.0.0", Arity: -3, Flags: operator | always, Args: "parameter...", Reply: "{bulk: bulk}", Run: f.configGet,
			Doc: command.Doc{Summary: "Returns the values of the directives that match the patterns.", Complexity: "O(n) for n directives",
				History: []string{"7.0.0: Added the ability to pass multiple pattern parameters in one call"}},
		},
		help("5.0.0", 0,
			"GET <pattern> [<pattern> ...]",
			"    Return the directives that match a <pattern>, with their values.",
			"SET <directive> <value> [<directive> <value> ...]",
			"    Change directives, all or none.",
			"RESETSTAT",
			"    Set the numbers that INFO counts to zero.",
			"REWRITE",
			"    Write the configuration to its file."),
		command.Command{
			Name: "RESETSTAT", Since: "2.0.0", Arity: 2, Flags: operator | always, Reply: "OK", Tips: everyNode,
			Run: func(c *command.Ctx) { f.Stats.Reset(); c.Out.OK() },
			Doc: doc("Sets the numbers that INFO counts to zero.", "O(1)"),
		},
		command.Command{
			Name: "REWRITE", Since: "2.8.0", Arity: 2, Flags: operator | always, Reply: "OK", Tips: everyNode, Run: f.configRewrite,
			Doc: doc("Writes the configuration in force to its file.", "O(1)"),
		},
		command.Command{
			Name: "SET", Since: "2.0.0", Arity: -4, Flags: operator | always, Args: "(data=parameter value)...", Reply: "OK", Tips: everyNode, Run: f.configSet,
			Doc: command.Doc{Summary: "Changes directives, all or none.", Complexity: "O(n) for n directives",
				History: []string{"7.0.0: Added the ability to set multiple parameters in one call."}},
		},
	)
}

func (f *family) configGet(c *command.Ctx) {
	params := f.Config.Get(c.Argv[2:])
	c.Out.Map(len(params))
	for _, p := range params {
		c.Out.BulkString(p.Name)
		c.Out.BulkString(p.Value)
	}
}

func (f *family) configSet(c *command.Ctx) {
	if len(c.Argv)%2 != 0 {
		c.Fail(resp.ErrSyntax)
		return
	}
	var params []Param
	for i := 2; i < len(c.Argv); i += 2 {
		p := Param{string(c.Argv[i]), string(c.Argv[i+1])}
		if f.Config.Secret(p.Name) {
			c.Redact(i+1, i+2)
		}
		params = append(params, p)
	}
	if err := f.Config.Set(params, f.Loading != nil && f.Loading(), local(c)); err != "" {
		c.Fail(err)
		return
	}
	c.Out.OK()
}

func (f *family) configRewrite(c *command.Ctx) {
	if err := f.Config.Rewrite(); err != "" {
		c.Fail(err)
		return
	}
	c.Out.OK()
}

func (f *family) moduleEntry() command.Command {
	load := func(name, since, args string, arity int, summary string, err resp.Error) command.Command {
		return command.Command{
			Name: name, Since: since, Arity: arity, Flags: disk | command.Protected, Args: args, Reply: "OK",
			Doc: doc(summary, "O(1)"),
			Run: func(c *command.Ctx) {
				if permitted(c, f.AllowModule, "MODULE", "enable-module-command") {
					c.Fail(err)
				}
			},
		}
	}
	const unsupported resp.Error = "ERR Modules are not supported: everything runs in one Go program, which cannot load them"
	return container("MODULE", "4.0.0", "modules",
		help("5.0.0", 0,
			"LIST",
			"    Return the loaded modules: none, they are not supported."),
		command.Command{
			Name: "LIST", Since: "4.0.0", Arity: 2, Flags: operator, Reply: "[any...]", Tips: varyingOrder,
			Run: func(c *command.Ctx) { c.Out.Array(0) },
			Doc: doc("Returns the loaded modules: none.", "O(1)"),
		},
		load("LOAD", "4.0.0", "path [arg...]", -3, "Refused: modules are not supported.", unsupported),
		load("LOADEX", "7.0.0", "path [CONFIG (configs=name value)]... [ARGS args...]", -3, "Refused: modules are not supported.", unsupported),
		load("UNLOAD", "4.0.0", "name", 3, "Refused: modules are not supported.", "ERR Error unloading module: no such module with that name"),
	)
}
