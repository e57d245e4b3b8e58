package node

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// redisConfig is CONFIG GET * of a redis-server 7.0 that was given nothing but a socket.
func redisConfig(t *testing.T) map[string]string {
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	server := proc.Prepare(t, proc.Redis(t), "--port", "0", "--unixsocket", socket, "--dir", dir)
	server.Serve(patience, func() bool { return strings.Contains(server.Out.String(), "accept connections at") })
	text, err := exec.Command("redis-cli", "-s", socket, "config", "get", "*").Output()
	require.NoError(t, err)
	words := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	require.Greater(t, len(words), 300)
	config := map[string]string{}
	for i := 0; i < len(words); i += 2 {
		config[words[i]] = words[i+1]
	}
	return config
}

// only7_2 are directives that came after 7.0.
var only7_2 = []string{
	"cluster-announce-human-nodename", "locale-collate", "set-max-listpack-entries", "set-max-listpack-value",
	"hide-user-data-from-log", // later still, but in the configurations of test suites we want to run
}

// notInTheirs are directives of our own, and aliases that later versions have.
func notInTheirs(name string) bool {
	switch name {
	case "server-cpulist", "bio-cpulist", "aof-rewrite-cpulist", "bgsave-cpulist":
		return true // names of 7.4 and later; 7.0 has them with an underscore
	case "primaryauth", "primaryuser", "unixsocketgroup":
		return true // Valkey's: names of masterauth and masteruser, and the group beside unixsocketperm
	}
	return strings.HasPrefix(name, "cluster-strict-") || contains([]string{
		"cluster-consistency", "cluster-voters", "cluster-witness", "cluster-max-clock-drift-ppm",
		"cluster-bus-auth", "cluster-bus-secret", "script-memory-limit",
	}, name)
}

// otherValues are directives whose value differs from a redis-server's, and why.
var otherValues = map[string]string{
	"port":                "the test gave it one",
	"unixsocket":          "the test gave it one",
	"dir":                 "the test gave it one",
	"aof-disable-auto-gc": "hidden since 7.2",
}

func TestDirectivesAndDefaultsAreRedis(t *testing.T) {
	theirs := redisConfig(t)
	ours := map[string]string{}
	for _, p := range load(t).Get([][]byte{[]byte("*")}) {
		ours[p.Name] = p.Value
	}
	for name, value := range theirs {
		if otherValues[name] == "" {
			mine, known := ours[name]
			require.True(t, known, "directive %s is missing", name)
			require.Equal(t, value, mine, name)
		}
	}
	for name := range ours {
		_, known := theirs[name]
		require.True(t, known || contains(only7_2, name) || notInTheirs(name), "directive %s is unknown to Redis", name)
	}
}

// notBuilt are directives that only special builds of 7.2 have, and why.
var notBuilt = map[string]string{
	"client-default-resp": "of builds that log requests for tests of reply schemas",
	"req-res-logfile":     "of builds that log requests for tests of reply schemas",
}

// testdata/directives-7.2.txt are the names and aliases in 7.2.5's config.c, hidden ones too.
func TestEveryDirectiveOf72IsKnown(t *testing.T) {
	text, err := os.ReadFile("testdata/directives-7.2.txt")
	require.NoError(t, err)
	names := strings.Fields(string(text))
	require.Len(t, names, 204)
	config := load(t)
	for _, name := range names {
		got := config.Get([][]byte{[]byte(name)})
		require.Equal(t, notBuilt[name] == "", len(got) == 1, name)
	}
	for _, lines := range [][]string{{"user alice on nopass +@all ~*"}, {"rename-command KEYS \"\""}, {"include " + conf(t, "maxclients 77")}} {
		_, err := Load([]string{conf(t, lines...)}, t.TempDir(), strings.NewReader(""))
		require.NoError(t, err, lines)
	}
	for _, refused := range []string{"loadmodule /x.so", "sentinel monitor a 127.0.0.1 1 1"} {
		_, err := Load([]string{conf(t, refused)}, t.TempDir(), strings.NewReader(""))
		require.Error(t, err, refused)
		require.NotContains(t, err.Error(), "Bad directive", "%s: the reason is told", refused)
	}
}
