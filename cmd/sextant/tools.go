package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// fault is an error with what to do about it. Every error a user sees is one, or names its
// own remedy.
type fault struct {
	What string `json:"error"`
	Do   string `json:"advice,omitempty"`
}

func (f *fault) Error() string { return f.What }

func faultf(do, what string, args ...any) error { return &fault{fmt.Sprintf(what, args...), do} }

// errTold ends a command that has said everything already.
var errTold = errors.New("")

// runTools runs everything but the server.
func runTools(args []string, t *terminal) int {
	root := tools(t)
	root.SetArgs(args)
	root.SetIn(t.in)
	root.SetOut(t.out)
	root.SetErr(t.err)
	cmd, err := root.ExecuteC()
	if err == nil {
		return 0
	}
	if errors.Is(err, errTold) {
		return 1
	}
	var f *fault
	if !errors.As(err, &f) {
		f = &fault{What: err.Error(), Do: "See " + cmd.CommandPath() + " --help."} // cobra's own
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		printJSON(t, f)
	} else {
		fmt.Fprintln(t.err, "sextant: "+f.What)
		if f.Do != "" {
			fmt.Fprintln(t.err, f.Do)
		}
	}
	return 1
}

func printJSON(t *terminal, v any) {
	e := json.NewEncoder(t.out)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // our own types; a closed pipe is nobody's loss
}

func tools(t *terminal) *cobra.Command {
	root := &cobra.Command{
		Use:   "sextant",
		Short: "A datastore that speaks Redis Cluster",
		Long: "sextant is a server that Redis clients and redis-cli use, alone or as a cluster.\n\n" +
			"  sextant cluster up                        six nodes on this machine, to try\n" +
			"  sextant server /path/redis.conf           one node, as redis-server is started\n" +
			"  sextant cluster create a:6379 b:6379 ...  a cluster of nodes that run already",
		SilenceUsage: true, SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.AddCommand(&cobra.Command{
		Use:   "server [/path/redis.conf] [--directive value ...] [-]",
		Short: "Run one node; takes exactly what redis-server takes",
		Long: "Run one node. The arguments are those of redis-server: a configuration file, directives\n" +
			"with two dashes before them, and \"-\" to read more configuration from standard input.",
		DisableFlagParsing: true, // main passes the words on before they get here
		Run:                func(*cobra.Command, []string) {},
	})
	cluster := &cobra.Command{Use: "cluster", Short: "Make, check and run clusters",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return faultf("There are create, check, fix, add-node, del-node, reshard, rebalance and up: see sextant cluster --help.", "unknown command %q", "cluster "+args[0])
			}
			return c.Help()
		}}
	cluster.AddCommand(createCommand(t), checkCommand(t), fixCommand(t), addNodeCommand(t), delNodeCommand(t), reshardCommand(t), rebalanceCommand(t), upCommand(t))
	root.AddCommand(cluster)
	return root
}

// login is how connections authenticate.
type login struct {
	user, pass string
	ask        bool
}

func (l *login) flags(c *cobra.Command) {
	c.Flags().StringVarP(&l.pass, "pass", "a", "", "password of the nodes (better: the variable REDISCLI_AUTH)")
	c.Flags().StringVar(&l.user, "user", "", "user to authenticate as, with a password")
	c.Flags().BoolVar(&l.ask, "askpass", false, "ask for the password on the terminal")
}

// complete fills the password in from the terminal or the environment.
func (l *login) complete(t *terminal) error {
	if l.ask {
		f, ok := t.in.(*os.File)
		if !ok || !t.asks {
			return faultf("Use the variable REDISCLI_AUTH instead.", "--askpass needs a terminal")
		}
		fmt.Fprint(t.err, "Please input password: ")
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(t.err)
		if err != nil {
			return faultf("", "reading the password: %v", err)
		}
		l.pass = string(b)
	}
	if l.pass == "" {
		l.pass = os.Getenv("REDISCLI_AUTH")
	}
	return nil
}

func createCommand(t *terminal) *cobra.Command {
	var l login
	var replicas int
	var o createOptions
	c := &cobra.Command{
		Use:   "create host:port ... [--replicas N]",
		Short: "Make a cluster of nodes that run already",
		Long: "Make a cluster of nodes that run already, are empty and have cluster-enabled yes. Everything\n" +
			"is checked before anything is written: that all nodes answer, differ, are empty, and reach\n" +
			"each other's client and bus ports. Then the plan is shown, and asked about.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, addrs []string) error {
			if err := l.complete(t); err != nil {
				return err
			}
			o.replicas, o.login = replicas, l
			return create(t, addrs, o)
		},
	}
	l.flags(c)
	c.Flags().IntVar(&replicas, "replicas", 0, "replicas of each primary")
	c.Flags().IntVar(&replicas, "cluster-replicas", 0, "the same, as redis-cli calls it")
	_ = c.Flags().MarkHidden("cluster-replicas")
	c.Flags().BoolVarP(&o.yes, "yes", "y", false, "do not ask, accept the plan")
	c.Flags().DurationVar(&o.limit, "timeout", time.Minute, "give up after this time, with the reason")
	c.Flags().BoolVar(&o.json, "json", false, "print the result as JSON")
	return c
}

func checkCommand(t *terminal) *cobra.Command {
	var l login
	var asJSON bool
	c := &cobra.Command{
		Use:   "check host:port",
		Short: "Check a cluster: agreement, coverage, open slots, failed nodes",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := l.complete(t); err != nil {
				return err
			}
			return check(t, args[0], l, asJSON)
		},
	}
	l.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return c
}

func upCommand(t *terminal) *cobra.Command {
	o := upOptions{limit: 45 * time.Second}
	c := &cobra.Command{
		Use:   "up [-- --directive value ...]",
		Short: "Run a whole cluster on this machine, each node a process of its own",
		Long: "Run a whole cluster on this machine, each node a process of its own, until Ctrl-C. Data stays\n" +
			"in the directory: the same command brings the same cluster back. Directives after -- are\n" +
			"given to every node.",
		RunE: func(c *cobra.Command, directives []string) error {
			for _, name := range []string{"nodes", "replicas", "port"} {
				o.given = o.given || c.Flags().Changed(name)
			}
			if len(directives) > 0 && !strings.HasPrefix(directives[0], "--") {
				return faultf("Directives begin with two dashes: sextant cluster up -- --maxmemory 1gb", "unexpected argument %q", directives[0])
			}
			o.directives = directives
			return up(t, o)
		},
	}
	c.Flags().IntVar(&o.nodes, "nodes", 6, "number of nodes")
	c.Flags().IntVar(&o.replicas, "replicas", 1, "replicas of each primary")
	c.Flags().IntVar(&o.port, "port", 7000, "client port of the first node; bus ports are 10000 above")
	c.Flags().StringVar(&o.dir, "dir", "", "where data and logs are kept (default: up-<port> in the user's state directory)")
	c.Flags().DurationVar(&o.limit, "timeout", o.limit, "give up after this time, with the reason")
	c.Flags().BoolVar(&o.json, "json", false, "print one JSON line when the cluster is up, and one for each event after")
	return c
}
