package node

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/admin"
	"github.com/sextantdb/sextant/store"
)

func load(t *testing.T, args ...string) *Config {
	t.Helper()
	c, err := Load(args, t.TempDir(), strings.NewReader(""))
	require.NoError(t, err)
	return c
}

// conf writes a configuration file and returns its path.
func conf(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "redis.conf")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
	return path
}

func valueOf(t *testing.T, c *Config, name string) string {
	t.Helper()
	got := c.Get([][]byte{[]byte(name)})
	require.Len(t, got, 1, name)
	require.Equal(t, name, got[0].Name)
	return got[0].Value
}

func set(c *Config, pairs ...string) error {
	var params []admin.Param
	for i := 0; i < len(pairs); i += 2 {
		params = append(params, admin.Param{Name: pairs[i], Value: pairs[i+1]})
	}
	if err := c.Set(params, false, true); err != "" {
		return err
	}
	return nil
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args    []string
		file    string
		stdin   bool
		options string
	}{
		{nil, "", false, ""},
		{[]string{"a.conf"}, "a.conf", false, ""},
		{[]string{"a.conf", "--port", "7000", "-"}, "a.conf", true, `port "7000" `},
		{[]string{"-", "--port", "7000"}, "", true, `port "7000" `},
		{[]string{"--port 7000", "--bind", "a", "b"}, "", false, "port 7000 \nbind \"a\" \"b\" "},
		{[]string{"--save", "--port", "1"}, "", false, "save \"\"\nport \"1\" "},
		{[]string{"--save"}, "", false, "save \"\""},
		{[]string{"--save", ""}, "", false, `save "" `},
		{[]string{"--requirepass", "--odd"}, "", false, `requirepass "--odd" `},
		{[]string{"--port", "-", "--dir", "x"}, "", false, "port \"-\" \ndir \"x\" "},
	} {
		file, stdin, options := splitCommandLine(test.args)
		require.Equal(t, test.file, file, "%q", test.args)
		require.Equal(t, test.stdin, stdin, "%q", test.args)
		require.Equal(t, test.options, options, "%q", test.args)
	}
}

func TestFileThenStdinThenOptionsTheLastOneWins(t *testing.T) {
	path := conf(t, "port 1", "timeout 1", "hz 20", "# port 9", "", "  APPENDONLY   yes  ")
	c, err := Load([]string{path, "--timeout", "3", "-"}, "/", strings.NewReader("timeout 2\nport 2\n"))
	require.NoError(t, err)
	v := c.Now()
	require.EqualValues(t, 2, v.Port)
	require.EqualValues(t, 3, v.Timeout)
	require.EqualValues(t, 20, v.Hz)
	require.True(t, v.AppendOnly)
	require.Equal(t, path, c.File())
}

func TestWordsOfAFile(t *testing.T) {
	c := load(t, conf(t,
		`requirepass "a \x41\n'"`,
		`masterauth ''`,
		`bind 127.0.0.1 -::1`,
		`client-output-buffer-limit replica 1gb 2m 3`,
		`client-output-buffer-limit "pubsub 1 2 3 normal 4 5 6"`,
		`maxmemory 100mb`,
		`maxmemory-policy ALLKEYS-lfu`,
		`maxmemory-clients 7%`,
		`unixsocketperm 700`,
		`notify-keyspace-events KEA`,
		`shutdown-on-sigterm nosave now`,
		`oom-score-adj-values -1 2 3`,
		`latency-tracking-info-percentiles 50 99.5`,
		`slave-priority 7`,
		`hash-max-ziplist-entries 9`,
		`replicaof example.org 6380`,
		`list-max-ziplist-entries 4`,
		`rename-command config ""`,
		`rename-command Get Fetch`,
		`dir ..`,
	))
	v := c.Now()
	require.Equal(t, "a A\n'", v.RequirePass)
	require.Equal(t, []string{"127.0.0.1", "-::1"}, v.Bind)
	require.Equal(t, OutputLimits{
		Normal: OutputLimit{4, 5, 6}, Replica: OutputLimit{1 << 30, 2_000_000, 3}, Pubsub: OutputLimit{1, 2, 3},
	}, v.ClientOutputBufferLimit)
	require.EqualValues(t, 100<<20, v.MaxMemory)
	require.Equal(t, store.AllKeysLFU, v.MaxMemoryPolicy)
	require.EqualValues(t, -7, v.MaxMemoryClients)
	require.EqualValues(t, 0o700, v.UnixSocketPerm)
	require.Equal(t, eventAll|command.EventKeyspace|command.EventKeyevent, v.NotifyKeyspaceEvents)
	require.Equal(t, admin.ShutdownOptions{Save: admin.SaveNever, Now: true}, v.ShutdownOnSigterm.Options())
	require.Equal(t, [3]int{-1, 2, 3}, v.OOMScoreAdjValues)
	require.Equal(t, []float64{50, 99.5}, v.LatencyTrackingInfoPercentiles)
	require.EqualValues(t, 7, v.ReplicaPriority)
	require.EqualValues(t, 9, v.HashMaxListpackEntries)
	require.Equal(t, HostPort{"example.org", 6380}, v.ReplicaOf)
	require.Equal(t, command.Renames{"CONFIG": "", "GET": "FETCH"}, c.Renames)

	for name, want := range map[string]string{
		"client-output-buffer-limit": "normal 4 5 6 slave 1073741824 2000000 3 pubsub 1 2 3",
		"maxmemory-clients":          "7%",
		"unixsocketperm":             "700",
		"notify-keyspace-events":     "AKE",
		"shutdown-on-sigterm":        "nosave now",
		"slave-priority":             "7",
		"replicaof":                  "example.org 6380",
		"maxmemory-policy":           "allkeys-lfu",
	} {
		require.Equal(t, want, valueOf(t, c, name))
	}
	require.Empty(t, c.Get([][]byte{[]byte("rdb-key-save-dela?")}), "hidden from patterns")
	require.Equal(t, "0", valueOf(t, c, "rdb-key-save-delay"), "but not from its name")
}

func TestSavePoints(t *testing.T) {
	require.Equal(t, []SavePoint{{3600, 1}, {300, 100}, {60, 10000}}, load(t).Now().Save, "the default")
	require.Equal(t, []SavePoint{{1, 2}, {3, 4}}, load(t, conf(t, "save 1 2", "save 3 4")).Now().Save, "lines add up")
	require.Equal(t, []SavePoint{{5, 6}}, load(t, conf(t, "save 1 2", `save ""`, "save 5 6")).Now().Save, `"" starts anew`)
	require.Empty(t, load(t, "--save", "").Now().Save)
	c := load(t)
	require.NoError(t, set(c, "save", "10 20 30 40"))
	require.NoError(t, set(c, "save", "1 2"))
	require.Equal(t, []SavePoint{{1, 2}}, c.Now().Save, "CONFIG SET replaces")
	require.NoError(t, set(c, "save", ""))
	require.Empty(t, valueOf(t, c, "save"))
}

func TestDirIsRelativeToTheWorkingDirectory(t *testing.T) {
	cwd := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(cwd, "a", "b"), 0o700))
	c, err := Load([]string{"--dir", "./a", "--dir", "b"}, cwd, nil)
	require.NoError(t, err)
	require.Equal(t, filepath.Join(cwd, "a", "b"), c.Now().Dir, "as if the process had changed its directory twice")
	require.Equal(t, filepath.Join(cwd, "a", "b", "x"), c.Now().Path("x"))
	require.Equal(t, "/x", c.Now().Path("/x"))
}

func TestInclude(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	write("main.conf", "port 1\ninclude "+dir+"/sub*.conf\ninclude "+dir+"/none*.conf\ntimeout 9\n")
	write("sub1.conf", "port 2\ntimeout 2\n")
	write("sub2.conf", "hz 3\nport 3\n")
	v := load(t, filepath.Join(dir, "main.conf")).Now()
	require.EqualValues(t, []int64{3, 9, 3}, []int64{v.Port, v.Timeout, v.Hz})

	write("sub2.conf", "\nport x")
	_, err := Load([]string{filepath.Join(dir, "main.conf")}, dir, nil)
	require.ErrorContains(t, err, "at line 4\n>>> 'port x'\n", "files of a pattern are read as one")

	write("loop.conf", "include "+dir+"/loop.conf")
	_, err = Load([]string{filepath.Join(dir, "loop.conf")}, dir, nil)
	require.ErrorContains(t, err, "include each other")

	_, err = Load([]string{"gone.conf"}, dir, nil)
	require.EqualError(t, err, "Fatal error, can't open config file '"+dir+"/gone.conf': No such file or directory\n")
}

func TestRefusalsHaveRedisText(t *testing.T) {
	_, err := Load([]string{conf(t, "# one", "", "  nosuch thing  ")}, t.TempDir(), nil)
	require.EqualError(t, err, "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\n"+
		"Reading the configuration file, at line 3\n>>> 'nosuch thing'\nBad directive or wrong number of arguments\n")

	for line, why := range map[string]string{
		"port 07":                               "argument couldn't be parsed into an integer",
		"port +1":                               "argument couldn't be parsed into an integer",
		"port 65536":                            "argument must be between 0 and 65535 inclusive",
		"port":                                  "wrong number of arguments",
		"port 1 2":                              "wrong number of arguments",
		"appendonly maybe":                      "argument must be 'yes' or 'no'",
		"save 1":                                "Invalid save parameters",
		"save 0 1":                              "Invalid save parameters",
		"maxclients -1":                         "argument must be between 1 and 4294967295 inclusive",
		"appendfsync foo":                       "argument(s) must be one of the following: everysec, always, no",
		"unixsocketperm 9":                      "argument couldn't be parsed as an octal number",
		"unixsocketperm 1000":                   "argument must be between 0 and 777 inclusive",
		"maxmemory 1x":                          "argument must be a memory value",
		"maxmemory -1":                          "argument must be a memory value",
		"maxmemory-clients x":                   "argument must be a memory or percent value",
		"maxmemory-clients 101%":                "percentage argument must be less or equal to 100",
		"client-output-buffer-limit normal 1 2": "Wrong number of arguments in buffer limit configuration.",
		"client-output-buffer-limit x 1 2 3":    "Invalid client class specified in buffer limit configuration.",
		"client-output-buffer-limit normal a 2 3":        "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
		"dir /nonexistent":                               "No such file or directory",
		"dir /dev/null":                                  "Not a directory",
		"shutdown-on-sigterm save nosave":                "shutdown options SAVE and NOSAVE can't be used simultaneously",
		"shutdown-on-sigint later":                       "argument(s) must be one of the following: default, save, nosave, now, force",
		`port "1`:                                        "Unbalanced quotes in configuration line",
		"dbfilename a/b":                                 "dbfilename can't be a path, just a filename",
		`appendfilename ""`:                              "appendfilename can't be empty",
		"appenddirname a/b":                              "appenddirname can't be a path, just a dirname",
		"latency-tracking-info-percentiles 101":          "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]",
		"latency-tracking-info-percentiles x":            "Invalid latency-tracking-info-percentiles parameters",
		"replicaof localhost foo":                        "Invalid master port",
		"replicaof localhost":                            "wrong number of arguments",
		"notify-keyspace-events q":                       "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
		"oom-score-adj-values 1 2":                       "wrong number of arguments",
		"oom-score-adj-values 1 2 3000":                  "Invalid oom-score-adj-values, elements must be between -2000 and 2000.",
		"cluster-announce-hostname a_b":                  "Hostnames may only contain alphanumeric characters, hyphens or dots",
		"cluster-announce-human-nodename a:b":            "Announced human node name contained invalid character",
		"proc-title-template {x}":                        "template format is invalid or contains unknown variables",
		"proc-title-template {title}":                    "template format is invalid or contains unknown variables",
		"proc-title-template {port":                      "template format is invalid or contains unknown variables",
		"bind 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17": "Too many bind addresses specified.",
		"user alice xyz":                                 "Error in user declaration 'xyz': Syntax error",
		"loadmodule /x.so":                               "Modules are not supported: everything runs in one Go program, which cannot load them",
		"sentinel monitor":                               "sentinel directive while not in sentinel mode",
		"include":                                        "Bad directive or wrong number of arguments",
	} {
		_, err := Load([]string{conf(t, line)}, t.TempDir(), nil)
		var fatal *FatalError
		require.ErrorAs(t, err, &fatal, line)
		require.True(t, strings.HasSuffix(err.Error(), ">>> '"+line+"'\n"+why+"\n"), "%s: %v", line, err)
	}

	_, err = Load([]string{"--logfile", "/nonexistent/x"}, t.TempDir(), nil)
	require.EqualError(t, err, "\n*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***\nCan't open the log file: No such file or directory\n")
	_, err = Load([]string{"--cluster-enabled", "yes", "--replicaof", "h", "1"}, t.TempDir(), nil)
	require.ErrorContains(t, err, "replicaof directive not allowed in cluster mode\n")
	c := load(t, "--cluster-enabled", "yes")
	require.EqualValues(t, 1, c.Now().Databases)
	require.Len(t, c.Warnings, 1)
}

func TestConfigSet(t *testing.T) {
	c := load(t)
	require.NoError(t, set(c, "MAXMEMORY", "1gb", "slave-priority", "5"))
	require.EqualValues(t, 1<<30, c.Now().MaxMemory)
	require.EqualValues(t, 5, c.Now().ReplicaPriority)

	require.NoError(t, set(c, "replica-priority", "1", "slave-priority", "5"), "two names of one directive; the last wins, as in Redis")
	require.EqualValues(t, 5, c.Now().ReplicaPriority)
	require.Equal(t, []admin.Param{{Name: "TIMEOUT", Value: "0"}}, c.Get([][]byte{[]byte("TIMEOUT"), []byte("timeou?")}))

	before := c.Now()
	for want, pairs := range map[string][]string{
		"ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'":                                                         {"maxmemory", "1", "nosuch", "1"},
		"ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config":                               {"maxmemory", "1", "databases", "1"},
		"ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config":                                     {"maxmemory", "1", "dir", "/"},
		"ERR CONFIG SET failed (possibly related to argument 'Timeout') - duplicate parameter":                                        {"timeout", "1", "Timeout", "1"},
		"ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer":                {"maxmemory", "1", "timeout", "x"},
		"ERR CONFIG SET failed (possibly related to argument 'slave-priority') - argument must be between 0 and 2147483647 inclusive": {"maxmemory", "1", "slave-priority", "-1"},
	} {
		require.EqualError(t, set(c, pairs...), want)
	}
	require.Same(t, before, c.Now(), "a refused CONFIG SET changes nothing")
	require.EqualValues(t, "LOADING Redis is loading the dataset in memory", c.Set([]admin.Param{{Name: "appendonly", Value: "yes"}}, true, true))

	open := load(t, "--enable-protected-configs", "local")
	require.NoError(t, set(open, "dir", "/"))
	require.NotEmpty(t, open.Set([]admin.Param{{Name: "dbfilename", Value: "x"}}, false, false), "local only")
	require.True(t, open.Secret("RequirePass"))
	require.False(t, open.Secret("port"))
	require.False(t, open.Secret("nosuch"))
}

func TestHooksRunOncePerChangeAndAreTakenBack(t *testing.T) {
	c := load(t)
	var calls []string
	c.OnChange(func(old, now *Values) error {
		calls = append(calls, fmt.Sprintf("memory %d→%d %s", old.MaxMemory, now.MaxMemory, now.MaxMemoryPolicy))
		require.Same(t, now, c.Now(), "the new values are in force")
		return nil
	}, "maxmemory", "maxmemory-policy")
	c.OnChange(func(old, now *Values) error {
		calls = append(calls, fmt.Sprintf("port %d→%d", old.Port, now.Port))
		if now.Port == 1 {
			return errors.New("Unable to listen on this port. Check server logs.")
		}
		return nil
	}, "port")

	require.NoError(t, set(c, "maxmemory", "5", "maxmemory-policy", "allkeys-lru"))
	require.NoError(t, set(c, "maxmemory", "5", "timeout", "3"))
	require.Equal(t, []string{"memory 0→5 allkeys-lru"}, calls, "once, and not for what stayed the same")

	calls = nil
	c.hooks[0].run = func(old, now *Values) error {
		calls = append(calls, fmt.Sprintf("memory %d→%d", old.MaxMemory, now.MaxMemory))
		return nil
	}
	require.EqualError(t, set(c, "port", "1", "maxmemory", "6"),
		"ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs.")
	require.Equal(t, []string{"memory 5→6", "port 6379→1", "memory 6→5", "port 1→6379"}, calls)
	require.EqualValues(t, 5, c.Now().MaxMemory)
	require.EqualValues(t, 6379, c.Now().Port)
	require.Panics(t, func() { c.OnChange(nil, "misspelt") })
}

func TestRewriteKeepsTheFileAndAppendsWhatChanged(t *testing.T) {
	path := conf(t,
		"# my node", "port 7000", "", "", "# old name", "slave-priority 10", "save 1 2", "save 3 4",
		"maxmemory 100mb", "include /nonexistent/*.conf", "timeout 5 ", "hz 10", "rename-command FLUSHALL \"\"")
	c := load(t, path)
	require.NoError(t, set(c, "timeout", "6", "save", "9 9", "maxmemory", "1000000", "requirepass", "s \"x\"", "appendonly", "yes"))
	require.Empty(t, c.Rewrite())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	dir := c.Now().Dir
	require.Equal(t, strings.Join([]string{
		"# my node", "port 7000", "", "# old name", "replica-priority 10", "save 9 9", "",
		"maxmemory 1000000", "include /nonexistent/*.conf", "timeout 6", "hz 10", "rename-command FLUSHALL \"\"",
		"# Generated by CONFIG REWRITE", `requirepass "s \"x\""`, "latency-tracking-info-percentiles 50 99 99.9",
		`dir "` + dir + `"`, "appendonly yes", "",
	}, "\n"), string(text))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	again, err := Load([]string{path}, dir, nil)
	require.NoError(t, err)
	require.Equal(t, *c.Now(), *again.Now(), "the file says what was in force")
	require.Equal(t, string(text), again.rewritten(string(text), false), "a second rewrite changes nothing")

	require.NoError(t, set(again, "requirepass", "", "appendonly", "no"))
	require.NotContains(t, again.rewritten(string(text), false), "requirepass")
	require.Contains(t, again.rewritten("port 1\nno such\nport \"2", false), "port 7000\n# ??? no such\n# ??? port \"2\n")

	require.EqualValues(t, "ERR The server is running without a config file", load(t).Rewrite())
	require.NoError(t, os.Remove(path))
	require.Empty(t, again.Rewrite(), "a file that is gone is written anew")
	again.file = "/nonexistent/dir/x.conf"
	require.EqualValues(t, "ERR Rewriting config file: No such file or directory", again.Rewrite())
}

func TestChangeIsSeenByGetAndRewrite(t *testing.T) {
	c := load(t)
	c.Change(func(v *Values) { v.ReplicaOf = HostPort{"h", 1} })
	require.Equal(t, "h 1", valueOf(t, c, "slaveof"))
	require.Contains(t, c.rewritten("", false), "replicaof h 1\n")
	c.Change(func(v *Values) { v.ReplicaOf = HostPort{} })
	require.NotContains(t, c.rewritten("slaveof h 1", false), "h 1")
}

// Every value CONFIG GET shows can be given to CONFIG SET and to a file, and means the same there.
func TestValuesSurviveTextRoundTrips(t *testing.T) {
	c := load(t)
	for _, d := range c.table {
		if d.name == "replicaof" {
			continue // no value is the empty word, which is no value
		}
		v := *c.Now()
		words := []string{d.get(&v)}
		if d.flags&multi != 0 {
			words = splitValue(words[0])
		}
		require.NoError(t, d.set(&v, words, setting{}), d.name)
		require.Equal(t, *c.Now(), v, d.name)
	}
	require.NotEmpty(t, c.Describe())
	for _, d := range c.Describe() {
		require.NotEmpty(t, d.Doc, d.Name)
		require.True(t, d.NoEffect == strings.HasPrefix(d.Doc, "Accepted;") || d.Name == "socket-mark-id", d.Name)
	}
}

// A directive does what its doc says or says that it does nothing: every value is read somewhere
// outside the configuration itself. TLS and the strict mode are refused at the start as long as they
// are not served; so nobody reads what belongs to them yet.
func TestDirectivesAreNotIgnored(t *testing.T) {
	read := map[string]bool{}
	for _, dir := range []string{".", "../../cmd/sextant"} {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		for _, name := range names {
			if base := filepath.Base(name); strings.HasSuffix(base, "_test.go") || strings.HasPrefix(base, "config_") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					read[s.Sel.Name] = true
				}
				return true
			})
		}
	}
	table, err := parser.ParseFile(token.NewFileSet(), "config_table.go", nil, 0)
	require.NoError(t, err)
	effect := map[string]bool{}
	for _, d := range load(t).table {
		effect[d.name] = d.flags&inert == 0
	}
	checked := 0
	ast.Inspect(table, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		lit, ok := call.Args[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		name := strings.Trim(lit.Value, `"`)
		ast.Inspect(call, func(n ast.Node) bool {
			if f, ok := n.(*ast.FuncLit); ok && len(f.Body.List) == 1 {
				ret := f.Body.List[0].(*ast.ReturnStmt)
				if at, ok := ret.Results[0].(*ast.UnaryExpr); ok {
					checked++
					if !strings.HasPrefix(name, "tls-") && !strings.HasPrefix(name, "cluster-strict-") && name != "cluster-voters" {
						require.Equal(t, effect[name], read[at.X.(*ast.SelectorExpr).Sel.Name], "%s is read, and is not said to be without an effect", name)
					}
				}
			}
			return true
		})
		return false
	})
	require.Greater(t, checked, 180)
}

// Whatever stands in a file, it is read or refused with a reason, and what was read survives
// a rewrite.
func FuzzParse(f *testing.F) {
	f.Add("port 1\nsave 1 2\nbind a b\n# x")
	f.Add("\v\n\x00port\nsave \" \"\nuser")
	f.Add("client-output-buffer-limit \"normal 1 2 3\"\nlatency-tracking-info-percentiles \"\"\nrename-command a b")
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "include") || strings.Contains(strings.ToLower(text), "logfile") {
			t.Skip("no files but our own")
		}
		c := newConfig(dir)
		v := *c.Now()
		if err := c.parse(&v, text, setting{cwd: dir, reading: &fileState{}}); err != nil {
			var fatal *FatalError
			require.ErrorAs(t, err, &fatal)
			return
		}
		c.now.Store(&v)
		again := newConfig(dir)
		w := *again.Now()
		require.NoError(t, again.parse(&w, c.rewritten(text, false), setting{cwd: dir, reading: &fileState{}}))
		for _, d := range c.table {
			require.Equal(t, d.get(&v), d.get(&w), d.name)
		}
	})
}
