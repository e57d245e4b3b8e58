package script

import "github.com/sextantdb/sextant/resp/command"

func scriptHelp(c *command.Ctx) {
	c.Help(
		"DEBUG (YES|SYNC|NO)",
		"    Set the debug mode for the scripts that follow.",
		"EXISTS <sha1> [<sha1> ...]",
		"    Tell which of these scripts are in the script cache.",
		"FLUSH [ASYNC|SYNC]",
		"    Empty the script cache.",
		"KILL",
		"    End the Lua script that is running over its time.",
		"LOAD <script>",
		"    Put a script into the script cache without running it.",
		"SHOW <sha1>",
		"    Return the text of a script in the script cache.",
	)
}

func functionHelp(c *command.Ctx) {
	c.Help(
		"LOAD [REPLACE] <FUNCTION CODE>",
		"    Make a library of its code.",
		"DELETE <LIBRARY NAME>",
		"    Delete a library.",
		"LIST [LIBRARYNAME PATTERN] [WITHCODE]",
		"    Tell about all libraries, or those whose name matches: name, engine, functions,",
		"    and the code with WITHCODE.",
		"STATS",
		"    Tell which function is running and for how long, and how much each engine holds.",
		"KILL",
		"    End the function that is running over its time.",
		"FLUSH [ASYNC|SYNC]",
		"    Delete all libraries.",
		"DUMP",
		"    Return all libraries as one payload for FUNCTION RESTORE.",
		"RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
		"    Add the libraries of a payload. FLUSH deletes those there are first; APPEND (the default)",
		"    refuses a library that exists; REPLACE puts the new one in its place.",
	)
}
