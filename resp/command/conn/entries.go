package conn

import "github.com/sextantdb/sextant/resp/command"

// Commands are the entries of the family.
func Commands(d Deps) []command.Command {
	f := &family{d}
	const (
		always = command.Loading | command.Stale
		own    = command.NoScript | always | command.InSentinel
		admin  = own | command.Admin
		auth   = command.NoScript | always | command.Fast | command.NoAuth | command.AllowBusy
	)
	everywhere := []string{"request_policy:all_nodes", "response_policy:all_succeeded"}
	varying := []string{"nondeterministic_output"}
	entries := []command.Command{
		{
			Name: "AUTH", Since: "1.0.0", Arity: -2, Flags: auth | command.InSentinel, Args: "[username@6.0.0] password", Reply: "OK", Run: f.auth,
			Doc: command.Doc{Summary: "Authenticates the connection.", Complexity: "O(n) for n passwords of the user",
				History: []string{"6.0.0: Added ACL style (username and password)."}},
		},
		{
			Name: "ECHO", Since: "1.0.0", Arity: 2, Flags: always | command.Fast, Args: "message", Reply: "bulk", Run: echo,
			Doc: command.Doc{Summary: "Returns the given string.", Complexity: "O(1)"},
		},
		{
			Name: "HELLO", Since: "6.0.0", Arity: -1, Flags: auth | command.InSentinel, Reply: "{bulk: any}", Run: f.hello,
			Args: "[arguments=protover:int [AUTH (auth=username password)] [SETNAME clientname]]",
			Doc: command.Doc{Summary: "Chooses the protocol, and may authenticate and name the connection.", Complexity: "O(1)",
				History: []string{"6.2.0: protover made optional; when called without arguments the command reports the current connection's context."}},
		},
		{
			Name: "PING", Since: "1.0.0", Arity: -1, Flags: command.Fast | command.InSentinel | command.WhileSubscribed, Args: "[message]",
			Reply: "PONG | bulk | [bulk, bulk]", Run: ping, Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
			Doc: command.Doc{Summary: "Answers PONG, or the given message.", Complexity: "O(1)"},
		},
		{
			Name: "QUIT", Since: "1.0.0", Arity: -1, Flags: auth | command.InMulti | command.WhileSubscribed, Reply: "OK", Run: quit,
			Doc: command.Doc{Summary: "Closes the connection.", Complexity: "O(1)", Deprecated: "7.2.0",
				ReplacedBy: "just closing the connection"},
		},
		{
			Name: "RESET", Since: "6.2.0", Arity: 1, Flags: auth | command.InMulti | command.Watched | command.WhileSubscribed, Reply: "RESET", Run: f.reset,
			Doc: command.Doc{Summary: "Makes the connection as if it had just been opened.", Complexity: "O(1)"},
		},
		{
			Name: "SELECT", Since: "1.0.0", Arity: 2, Flags: always | command.Fast, Args: "index:int", Reply: "OK", Run: f.selectDB,
			Doc: command.Doc{Summary: "Changes the database.", Complexity: "O(1)"},
		},
		{
			Name: "CLIENT", Since: "2.4.0", Arity: -2, Flags: command.InSentinel,
			Doc: command.Doc{Summary: "A container for commands about client connections.", Complexity: "Depends on subcommand."},
			Sub: []command.Command{
				{
					Name: "GETNAME", Since: "2.6.9", Arity: 2, Flags: own, Reply: "bulk | nil", Run: getName,
					Doc: command.Doc{Summary: "Returns the name of the connection.", Complexity: "O(1)"},
				},
				{
					Name: "HELP", Since: "5.0.0", Arity: 2, Flags: always | command.InSentinel, Reply: "[simple...]", Run: clientHelp,
					Doc: command.Doc{Summary: "Lists the subcommands.", Complexity: "O(1)"},
				},
				{
					Name: "ID", Since: "5.0.0", Arity: 2, Flags: own, Reply: "int", Run: clientID,
					Doc: command.Doc{Summary: "Returns the id of the connection, which is never used again.", Complexity: "O(1)"},
				},
				{
					Name: "INFO", Since: "6.2.0", Arity: 2, Flags: own, Reply: "bulk", Tips: varying, Run: f.info,
					Doc: command.Doc{Summary: "Describes this connection as CLIENT LIST does.", Complexity: "O(1)"},
				},
				{
					Name: "KILL", Since: "2.4.0", Arity: -3, Flags: admin, Reply: "OK | int", Run: f.kill,
					Args: "(filter=old-format@-2.8.12|(new-format=ID client-id:int@2.8.12|TYPE (client-type@2.8.12=NORMAL|MASTER@3.2.0|SLAVE|REPLICA@5.0.0|PUBSUB)|USER username|ADDR addr|LADDR laddr@6.2.0|SKIPME (skipme=YES|NO)|MAXAGE maxage:int)...)",
					Doc: command.Doc{Summary: "Closes connections, by address or by filters that must all fit.", Complexity: "O(n) for n connections",
						History: []string{"2.8.12: Added new filter format.", "2.8.12: ID option.", "3.2.0: Added MASTER type in for TYPE option.",
							"5.0.0: Replaced SLAVE TYPE with REPLICA. SLAVE still supported for backward compatibility.", "6.2.0: LADDR option."}},
				},
				{
					Name: "LIST", Since: "2.4.0", Arity: -2, Flags: admin, Reply: "bulk", Tips: varying, Run: f.list,
					Args: "[TYPE (client-type@5.0.0=NORMAL|MASTER|REPLICA|PUBSUB)] [ID client-id:int@6.2.0...]",
					Doc: command.Doc{Summary: "Describes the connections, one a line.", Complexity: "O(n) for n connections",
						History: []string{"2.8.12: Added unique client id field.", "5.0.0: Added optional TYPE filter.",
							"6.0.0: Added user field.", "6.2.0: Added argv-mem, tot-mem, laddr and redir fields and the optional ID filter.",
							"7.0.0: Added resp, multi-mem, rbs and rbp fields.", "7.0.3: Added ssub field."}},
				},
				{
					Name: "NO-EVICT", Since: "7.0.0", Arity: 3, Flags: admin, Args: "(enabled=ON|OFF)", Reply: "OK", Run: flagCommand(noEvict),
					Doc: command.Doc{Summary: "Keeps the connection from being closed for the memory it uses.", Complexity: "O(1)"},
				},
				{
					Name: "NO-TOUCH", Since: "7.2.0", Arity: 3, Flags: command.NoScript | always, Args: "(enabled=ON|OFF)", Reply: "OK", Run: flagCommand(noTouch),
					Doc: command.Doc{Summary: "Lets the connection's commands leave the access time of keys as it is.", Complexity: "O(1)"},
				},
				{
					Name: "PAUSE", Since: "3.0.0", Arity: -3, Flags: admin, Args: "timeout:int [mode@6.2.0=WRITE|ALL]", Reply: "OK", Run: f.pause,
					Doc: command.Doc{Summary: "Holds back requests, or only those that write, for some milliseconds.", Complexity: "O(1)",
						History: []string{"6.2.0: CLIENT PAUSE WRITE mode added along with the mode option."}},
				},
				{
					Name: "REPLY", Since: "3.2.0", Arity: 3, Flags: own, Args: "(action=ON|OFF|SKIP)", Reply: "OK | none", Run: reply,
					Doc: command.Doc{Summary: "Says whether replies are sent, or the next one is left out.", Complexity: "O(1)"},
				},
				{
					Name: "SETINFO", Since: "7.2.0", Arity: 4, Flags: own, Args: "(attr=LIB-NAME libname|LIB-VER libver)", Reply: "OK", Tips: everywhere, Run: setInfo,
					Doc: command.Doc{Summary: "Tells the name or version of the client library.", Complexity: "O(1)"},
				},
				{
					Name: "SETNAME", Since: "2.6.9", Arity: 3, Flags: own, Args: "connection-name", Reply: "OK", Tips: everywhere, Run: setName,
					Doc: command.Doc{Summary: "Names the connection.", Complexity: "O(1)"},
				},
				{
					Name: "CAPA", Since: "8.0.0", Arity: -3, Flags: own | command.Loading | command.Stale, Args: "capability:string...", Reply: "OK", Run: capa,
					Doc: command.Doc{Summary: "Tells what the client can do. Of Valkey; it knows redirect: a replica answers REDIRECT with its primary's address.", Complexity: "O(n) for n capabilities"},
				},
				{
					Name: "CACHING", Since: "6.0.0", Arity: 3, Flags: own, Args: "(mode=YES|NO)", Reply: "OK", Run: caching,
					Doc: command.Doc{Summary: "Says whether the keys of the next command are tracked.", Complexity: "O(1)"},
				},
				{
					Name: "GETREDIR", Since: "6.0.0", Arity: 2, Flags: own, Reply: "int", Run: getRedir,
					Doc: command.Doc{Summary: "Returns the client that invalidations are redirected to.", Complexity: "O(1)"},
				},
				{
					Name: "TRACKING", Since: "6.0.0", Arity: -3, Flags: own, Reply: "OK", Run: f.tracking,
					Args: "(status=ON|OFF) [REDIRECT client-id:int] [PREFIX prefix]... [BCAST=BCAST] [OPTIN=OPTIN] [OPTOUT=OPTOUT] [NOLOOP=NOLOOP]",
					Doc:  command.Doc{Summary: "Tells the connection when keys that it has read change.", Complexity: "O(n) for n prefixes of the connection"},
				},
				{
					Name: "TRACKINGINFO", Since: "6.2.0", Arity: 2, Flags: own, Reply: "{bulk: any}", Run: f.trackingInfo,
					Doc: command.Doc{Summary: "Tells how the connection is tracking.", Complexity: "O(n) for n prefixes of the connection"},
				},
				{
					Name: "UNBLOCK", Since: "5.0.0", Arity: -3, Flags: admin, Args: "client-id:int [unblock-type=TIMEOUT|ERROR]", Reply: "int", Run: f.unblock,
					Doc: command.Doc{Summary: "Wakes a connection that waits in a blocking command.", Complexity: "O(1)"},
				},
				{
					Name: "UNPAUSE", Since: "6.2.0", Arity: 2, Flags: admin, Reply: "OK", Run: f.unpause,
					Doc: command.Doc{Summary: "Ends CLIENT PAUSE.", Complexity: "O(n) for n paused connections"},
				},
			},
		},
	}
	for i := range entries {
		adopt(&entries[i])
		for j := range entries[i].Sub {
			adopt(&entries[i].Sub[j])
			entries[i].Sub[j].Flags |= command.KeepsCaching
		}
	}
	return entries
}

func adopt(c *command.Command) {
	c.Group = command.Connection
	if c.Run != nil {
		c.ACL = command.CatConnection
	}
}
