// Command sextant is the server and its tools in one binary: `sextant server` takes what
// redis-server takes, `sextant cluster …` makes, checks and runs whole clusters.
package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"github.com/sextantdb/sextant/cluster/node"
)

func main() {
	os.Exit(run(os.Args, &terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr,
		asks: term.IsTerminal(int(os.Stdin.Fd())), draws: term.IsTerminal(int(os.Stderr.Fd()))}))
}

// terminal is where a command talks to its user.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	asks     bool // in is a person who can answer
	draws    bool // err understands a progress bar
}

// run finds out which of the two programs is meant. A server's arguments pass as they are:
// they are directives, not flags of ours.
func run(argv []string, t *terminal) int {
	if args, server := serverArgs(argv); server {
		if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") { // only alone, as in redis-server
			_, _ = io.WriteString(t.out, serverUsage)
			return 0
		}
		return node.Main(args, t.in, t.out, t.err)
	}
	return runTools(argv[1:], t)
}

const serverUsage = `Usage: sextant server [/path/redis.conf] [--directive value ...] [-]
       sextant server -v or --version
       sextant server -h or --help
       sextant server --check-system

The arguments are those of redis-server. Later ones override earlier ones and the file.
With "-" more configuration is read from standard input.

Examples:
       sextant server                      (port 6379, everything else at its default)
       sextant server /etc/redis/6379.conf
       sextant server --port 7000 --cluster-enabled yes --dir /var/lib/node7000
       echo 'maxmemory 128mb' | sextant server -
       sextant server /etc/redis.conf --loglevel verbose -
`

// serverArgs returns the arguments of the server when argv means it: under the name
// redis-server, after the word server, or when the first word can only be redis-server's (a
// configuration file, a directive, "-" for standard input).
func serverArgs(argv []string) ([]string, bool) {
	args := argv[1:]
	if strings.HasPrefix(filepath.Base(argv[0]), "redis-server") {
		return args, true
	}
	if len(args) == 0 {
		return nil, false
	}
	first := args[0]
	switch {
	case first == "server":
		return args[1:], true
	case first == "-h" || first == "--help":
		return nil, false
	case strings.HasPrefix(first, "-"):
		return args, true
	case strings.ContainsRune(first, '/') || strings.HasSuffix(first, ".conf"):
		return args, true
	}
	return nil, false
}
