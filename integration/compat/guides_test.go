package compat

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// The guides that people follow to set up replication and a cluster, step by step, with our binary
// where they start redis-server and the redis-cli they use.

// quick is the one line that no guide has: without it every full sync waits five seconds for other
// replicas that might ask for one too.
const quick = "repl-diskless-sync-delay 0"

// primaryShows checks INFO replication of a primary against what a guide shows.
func primaryShows(t *testing.T, s *server, replicas int) {
	t.Helper()
	s.eventually(fmt.Sprint(replicas, " replicas are online"), func() bool {
		return strings.Count(s.say("INFO", "replication"), "state=online") == replicas
	})
	shown := s.info("replication")
	want := map[string]string{
		"role":                           `^master$`,
		"connected_slaves":               fmt.Sprintf("^%d$", replicas),
		"master_failover_state":          `^no-failover$`,
		"master_replid":                  `^[0-9a-f]{40}$`,
		"master_replid2":                 `^0{40}$`,
		"master_repl_offset":             `^\d+$`,
		"second_repl_offset":             `^-1$`,
		"repl_backlog_active":            `^1$`,
		"repl_backlog_size":              `^1048576$`,
		"repl_backlog_first_byte_offset": `^\d+$`,
		"repl_backlog_histlen":           `^\d+$`,
	}
	for i := range replicas {
		want["slave"+strconv.Itoa(i)] = `^ip=127\.0\.0\.1,port=\d+,state=online,offset=\d+,lag=\d+$`
	}
	shows(t, shown, want)
}

// replicaShows is the same of a replica.
func replicaShows(t *testing.T, s, primary *server) {
	t.Helper()
	s.inSync(primary)
	shows(t, s.info("replication"), map[string]string{
		"role":                           `^slave$`,
		"master_host":                    `^127\.0\.0\.1$`,
		"master_port":                    fmt.Sprintf("^%d$", primary.port),
		"master_link_status":             `^up$`,
		"master_last_io_seconds_ago":     `^\d+$`,
		"master_sync_in_progress":        `^0$`,
		"slave_read_repl_offset":         `^\d+$`,
		"slave_repl_offset":              `^\d+$`,
		"slave_priority":                 `^100$`,
		"slave_read_only":                `^1$`,
		"replica_announced":              `^1$`,
		"connected_slaves":               `^0$`,
		"master_failover_state":          `^no-failover$`,
		"master_replid":                  `^` + primary.info("replication")["master_replid"] + `$`,
		"master_replid2":                 `^[0-9a-f]{40}$`,
		"master_repl_offset":             `^\d+$`,
		"second_repl_offset":             `^-?\d+$`,
		"repl_backlog_active":            `^1$`,
		"repl_backlog_size":              `^1048576$`,
		"repl_backlog_first_byte_offset": `^\d+$`,
		"repl_backlog_histlen":           `^\d+$`,
	})
}

// shows checks that there are these fields and no other.
func shows(t *testing.T, shown, want map[string]string) {
	t.Helper()
	assert.Equal(t, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(shown)))
	for name, pattern := range want {
		assert.Regexp(t, regexp.MustCompile(pattern), shown[name], name)
	}
}

// ours is a Sextant started from a configuration file.
func ours(t *testing.T, port int, pass, file string) *server {
	s := prepare(t, "sextant", port, binary, "server", file)
	s.pass = pass
	return s
}

// Guide 1: one primary, two replicas, all from redis.conf files; then one replica becomes the
// primary of the other.
func TestGuideThreeServers(t *testing.T) {
	t.Parallel()
	ports := proc.FreePorts(t, 3)
	var files []string
	var servers []*server
	for _, port := range ports {
		file := configFile(t, "redis.conf",
			"# as Debian has it, with what the guide changes",
			"bind 127.0.0.1",
			"port "+strconv.Itoa(port),
			"dir "+t.TempDir(),
			quick)
		files, servers = append(files, file), append(servers, ours(t, port, "", file))
		servers[len(servers)-1].start()
	}
	one, two, three := servers[0], servers[1], servers[2]

	// "On the primary, set a password and let others in. Restart."
	edit(t, files[0], "bind 127.0.0.1", "bind 0.0.0.0\nprotected-mode no\nrequirepass ThePassword")
	one.stop()
	one.pass = "ThePassword"
	one.start()
	// "On both replicas, name the primary and its password. Restart."
	for i, s := range []*server{two, three} {
		edit(t, files[1+i], "bind 127.0.0.1", "bind 127.0.0.1\nprotected-mode no\nrequirepass ThePassword\nmasterauth ThePassword\nreplicaof 127.0.0.1 "+strconv.Itoa(one.port))
		s.stop()
		s.pass = "ThePassword"
		s.start()
	}

	// "INFO replication."
	replicaShows(t, two, one)
	replicaShows(t, three, one)
	primaryShows(t, one, 2)
	require.Contains(t, one.cli("info", "replication"), "NOAUTH Authentication required.")
	require.Contains(t, one.session("auth ThePassword\ninfo replication\n"), "OK\n# Replication\r\nrole:master\r\nconnected_slaves:2\r\nslave0:ip=127.0.0.1,port=")

	// "Set a key on the primary, get it on both replicas."
	auth := []string{"-a", "ThePassword", "--no-auth-warning"}
	say := func(s *server, words ...string) string { return s.cli(append(slices.Clone(auth), words...)...) }
	require.Equal(t, "OK", say(one, "set", "testkey", "testvalue"))
	two.inSync(one)
	three.inSync(one)
	require.Equal(t, "testvalue", say(two, "get", "testkey"))
	require.Equal(t, "testvalue", say(three, "get", "testkey"))

	// "Make one replica the primary; take `replicaof` out of its file, restart."
	one.stop()
	require.Equal(t, "OK", say(two, "replicaof", "no", "one"))
	require.Equal(t, "master", two.info("replication")["role"])
	edit(t, files[1], "replicaof 127.0.0.1 "+strconv.Itoa(one.port), "")
	two.restart()
	require.Equal(t, "master", two.info("replication")["role"])
	require.Equal(t, "testvalue", say(two, "get", "testkey"))
	// "Point the other to it."
	require.Equal(t, "OK", say(three, "replicaof", "127.0.0.1", strconv.Itoa(two.port)))
	replicaShows(t, three, two)
	two.eventually("its replica is online", func() bool { return strings.Contains(two.info("replication")["slave0"], "state=online") })
	require.Equal(t, "OK", say(two, "set", "testkey", "another"))
	three.inSync(two)
	require.Equal(t, "another", say(three, "get", "testkey"))
	// "CONFIG REWRITE keeps it after a restart."
	require.Equal(t, "OK", say(three, "config", "rewrite"))
	three.restart()
	replicaShows(t, three, two)
}

// Guide 2: two servers with the words of old, an append only file, and a replica that is let loose
// and taken back.
func TestGuideOldSpellings(t *testing.T) {
	t.Parallel()
	ports := proc.FreePorts(t, 2)
	dir := t.TempDir()
	master := ours(t, ports[0], "your_redis_master_password", configFile(t, "redis.conf",
		"port "+strconv.Itoa(ports[0]),
		quick,
		"dir "+dir,
		"tcp-keepalive 60",
		"#bind 127.0.0.1",
		"requirepass your_redis_master_password",
		"maxmemory-policy noeviction",
		"appendonly yes",
		`appendfilename "redis-staging-ao.aof"`))
	slave := ours(t, ports[1], "your_redis_slave_password", configFile(t, "redis.conf",
		"port "+strconv.Itoa(ports[1]),
		"dir "+t.TempDir(),
		"bind 127.0.0.1",
		"requirepass your_redis_slave_password",
		"slaveof 127.0.0.1 "+strconv.Itoa(ports[0]),
		"masterauth your_redis_master_password"))
	master.start()
	require.FileExists(t, filepath.Join(dir, "appendonlydir", "redis-staging-ao.aof.manifest"))
	slave.start()

	// "INFO replication without AUTH is refused, with it both ends show each other."
	require.Equal(t, "NOAUTH Authentication required.", strings.TrimSpace(master.cli("info", "replication")))
	require.Equal(t, "NOAUTH Authentication required.\n\nOK\n", master.session("set a 1\nauth your_redis_master_password\n")+"\n")
	replicaShows(t, slave, master)
	primaryShows(t, master, 1)
	require.Equal(t, "60\nnoeviction", lines(master.say("CONFIG", "GET", "tcp-keepalive"))[1]+"\n"+lines(master.say("CONFIG", "GET", "maxmemory-policy"))[1])

	// "A key is there after a restart of the master."
	require.Equal(t, "OK\nOK", master.session("auth your_redis_master_password\nset test 'this key was defined on the master server'\n"))
	master.restart()
	require.Equal(t, "OK\nthis key was defined on the master server", master.session("auth your_redis_master_password\nget test\n"))
	slave.inSync(master)

	// "The slave has it and takes no write."
	at := func(s *server, typed ...string) string {
		return strings.TrimPrefix(s.session("auth "+s.pass+"\n"+strings.Join(typed, "\n")+"\n"), "OK\n")
	}
	require.Equal(t, "this key was defined on the master server", at(slave, "get test"))
	require.Equal(t, "READONLY You can't write against a read only replica.", strings.TrimSpace(at(slave, "set test2 'this key was defined on the slave server'")))

	// "Let loose it takes writes; taken back it has the master's value again."
	require.Equal(t, "OK\nOK\nanother", at(slave, "slaveof no one", "set test another", "get test"))
	require.Equal(t, "master", slave.info("replication")["role"])
	require.Equal(t, "this key was defined on the master server", at(master, "get test"))
	require.Equal(t, "OK", at(slave, "slaveof 127.0.0.1 "+strconv.Itoa(master.port)))
	slave.inSync(master)
	require.Equal(t, "this key was defined on the master server", at(slave, "get test"))
	replicaShows(t, slave, master)
	primaryShows(t, master, 1)
}

// Guide 3: the primary is shut down, its replica promoted, the primary brought back as a replica.
func TestGuideManualFailover(t *testing.T) {
	t.Parallel()
	ports := proc.FreePorts(t, 2)
	pair := make([]*server, 2)
	for i, port := range ports {
		pair[i] = ours(t, port, "", configFile(t, "redis.conf", "bind 127.0.0.1", "port "+strconv.Itoa(port), "dir "+t.TempDir(), quick))
		pair[i].start()
	}
	primary, replica := pair[0], pair[1]
	require.Equal(t, "OK", replica.cli("slaveof", "127.0.0.1", strconv.Itoa(primary.port)))
	replicaShows(t, replica, primary)
	require.Equal(t, "OK", primary.cli("set", "foo", "bar"))

	require.Empty(t, primary.cli("shutdown"))
	primary.gone()
	replica.eventually("sees that the primary is gone", func() bool { return replica.info("replication")["master_link_status"] == "down" })
	require.Equal(t, "bar", replica.cli("get", "foo"), "what was written before SHUTDOWN is at the replica")
	require.Equal(t, "OK", replica.cli("slaveof", "no", "one"))
	require.Equal(t, "OK", replica.cli("set", "foo", "baz"))
	require.Equal(t, "1", replica.cli("rpush", "new", "x"))

	primary.start()
	require.Equal(t, "bar", primary.cli("get", "foo"), "it comes back with what it had")
	require.Equal(t, "OK", primary.cli("slaveof", "127.0.0.1", strconv.Itoa(replica.port)))
	replicaShows(t, primary, replica)
	require.Equal(t, "baz", primary.cli("get", "foo"))
	require.Equal(t, "x", primary.cli("lrange", "new", "0", "-1"))
	require.Contains(t, replica.info("replication")["slave0"], "port="+strconv.Itoa(primary.port)+",state=online")
}

// Guide 4: six nodes with replicas, made by redis-cli.
func TestGuideSixNodes(t *testing.T) {
	t.Parallel()
	ports := proc.FreePorts(t, 6)
	nodes := make([]*server, 6)
	create := []string{"--cluster", "create"}
	for i, port := range ports {
		nodes[i] = ours(t, port, "", configFile(t, "redis.conf",
			"bind 127.0.0.1",
			"port "+strconv.Itoa(port),
			"dir "+t.TempDir(),
			"cluster-enabled yes",
			fmt.Sprintf("cluster-config-file nodes-%d.conf", port),
			"cluster-node-timeout 2000", // the guide's 15000 is long to wait
			"appendonly yes"))
		nodes[i].start()
		create = append(create, nodes[i].addr)
	}
	require.Contains(t, nodes[0].cli(append(create, "--cluster-replicas", "1", "--cluster-yes")...), "[OK] All 16384 slots covered.")
	for _, n := range nodes {
		n.eventually("cluster_state:ok", func() bool { return strings.Contains(n.say("CLUSTER", "INFO"), "cluster_state:ok") })
		n.eventually("in sync", func() bool {
			r := n.info("replication")
			return r["role"] == "master" || r["master_link_status"] == "up"
		})
		n.eventually("its replica counts", func() bool {
			return n.info("replication")["role"] == "slave" || strings.Contains(n.say("CLUSTER", "INFO"), "in_sync:2")
		})
	}

	// "cluster nodes" shows three of each.
	view := func(n *server) (text string, masters, slaves int) {
		text = n.cli("cluster", "nodes")
		for line := range strings.Lines(text) {
			role := strings.TrimPrefix(strings.Fields(line)[2], "myself,")
			switch role {
			case "master":
				masters++
			case "slave":
				slaves++
			}
		}
		return text, masters, slaves
	}
	for _, n := range nodes {
		text, masters, slaves := view(n)
		require.Equal(t, []int{3, 3}, []int{masters, slaves}, text)
	}
	for _, n := range nodes {
		require.Equal(t, "OK", n.cli("-c", "set", "name", fmt.Sprint("of ", n.port)))
		for _, other := range nodes {
			require.Equal(t, fmt.Sprint("of ", n.port), other.cli("-c", "get", "name"))
		}
	}

	// "Stop a primary: its replica takes over." The one that has the key.
	byPort := map[string]*server{}
	for _, n := range nodes {
		byPort[strconv.Itoa(n.port)] = n
	}
	moved := ""
	for _, n := range nodes {
		if reply := n.cli("get", "name"); strings.HasPrefix(reply, "MOVED ") {
			moved = strings.TrimSpace(reply)
		}
	}
	owner := byPort[moved[strings.LastIndexByte(moved, ':')+1:]]
	require.NotNil(t, owner, moved)
	var heir *server
	for _, n := range nodes {
		if n.info("replication")["master_port"] == strconv.Itoa(owner.port) {
			heir = n
		}
	}
	require.NotNil(t, heir)
	value := owner.cli("get", "name")
	owner.stop()
	heir.eventually("takes over", func() bool { return heir.info("replication")["role"] == "master" })
	for _, n := range nodes {
		if n != owner {
			n.eventually("serves the slot again", func() bool { return n.cli("-c", "get", "name") == value })
			n.eventually("sees the one that ended", func() bool { return strings.Contains(n.say("CLUSTER", "NODES"), "fail") })
		}
	}

	// "Start it again: it is a replica."
	owner.start()
	owner.eventually("is a replica of the one that took over", func() bool {
		r := owner.info("replication")
		return r["role"] == "slave" && r["master_port"] == strconv.Itoa(heir.port) && r["master_link_status"] == "up"
	})
	require.Equal(t, "OK", heir.cli("-c", "set", "name", "later"))
	for _, n := range nodes {
		n.eventually("three of each", func() bool { _, masters, slaves := view(n); return masters == 3 && slaves == 3 })
		require.Equal(t, "later", n.cli("-c", "get", "name"))
		require.FileExists(t, filepath.Join(lines(n.say("CONFIG", "GET", "dir"))[1], fmt.Sprintf("nodes-%d.conf", n.port)))
	}
	require.Contains(t, owner.cli("--cluster", "check", owner.addr), "[OK] All 16384 slots covered.")
}

func lines(s string) []string { return strings.Split(s, "\n") }
