package compat

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// Three real Sentinels watch one Sextant primary with two Sextant replicas, all with passwords, as
// their guide has it: quorum 2. The primary is killed; a replica takes its place, the other is
// pointed to it, the old one comes back as a replica, and clients that ask Sentinel find the way.
func TestRealSentinelFailsOver(t *testing.T) {
	t.Parallel()
	sentinel := realRedis(t)
	const pass = "secret"
	ports := proc.FreePorts(t, 6)
	var nodes, watchers []*server
	files := map[*server]string{}
	for i, port := range ports[:3] {
		conf := []string{"bind 127.0.0.1", "port " + strconv.Itoa(port), "dir " + t.TempDir(), "requirepass " + pass, "masterauth " + pass, quick}
		if i > 0 {
			conf = append(conf, "replicaof 127.0.0.1 "+strconv.Itoa(ports[0]))
		}
		file := configFile(t, "redis.conf", conf...)
		n := ours(t, port, pass, file)
		n.start()
		nodes, files[n] = append(nodes, n), file
	}
	primary := nodes[0]
	require.Equal(t, "OK", primary.say("SET", "before", "1"))
	for _, n := range nodes[1:] {
		n.inSync(primary)
	}
	for _, port := range ports[3:] {
		w := prepare(t, "sentinel", port, sentinel, configFile(t, "sentinel.conf",
			"bind 127.0.0.1",
			"port "+strconv.Itoa(port),
			"dir "+t.TempDir(),
			fmt.Sprintf("sentinel monitor mymaster 127.0.0.1 %d 2", primary.port),
			"sentinel auth-pass mymaster "+pass,
			"sentinel down-after-milliseconds mymaster 1500",
			"sentinel failover-timeout mymaster 10000",
			"sentinel parallel-syncs mymaster 1"), "--sentinel")
		w.start()
		// Sentinel's own switch to look and tell more often than every ten and two seconds. Four publish periods are also how
		// long a Sentinel looks on before it makes a replica of one that another is just promoting: not too short.
		require.Equal(t, "OK", w.say("SENTINEL", "DEBUG", "info-period", "300", "publish-period", "1000", "ask-period", "300", "slave-reconf-timeout", "3000"))
		watchers = append(watchers, w)
	}
	watch := watchers[0]
	state := func(w *server, words ...string) map[string]string {
		f := map[string]string{}
		all := lines(w.say(append([]string{"SENTINEL"}, words...)...))
		for i := 0; i+1 < len(all); i += 2 {
			f[all[i]] = all[i+1]
		}
		return f
	}
	for _, w := range watchers {
		w.eventually("knows the replicas and the others", func() bool {
			m := state(w, "MASTER", "mymaster")
			return m["num-slaves"] == "2" && m["num-other-sentinels"] == "2" && m["flags"] == "master"
		})
		w.eventually("sees the replicas in order", func() bool {
			text := w.say("SENTINEL", "REPLICAS", "mymaster")
			return strings.Count(text, "master-link-status\nok") == 2 && strings.Count(text, "flags\nslave\n") == 2
		})
	}
	m := state(watch, "MASTER", "mymaster")
	assert.Equal(t, primary.info("server")["run_id"], m["runid"])
	assert.Equal(t, "master", m["role-reported"])
	require.Contains(t, watch.say("SENTINEL", "CKQUORUM", "mymaster"), "OK 3 usable Sentinels")
	require.Equal(t, 3, strings.Count(primary.say("CLIENT", "LIST"), "-pubsub"), "each Sentinel listens to the others here")

	// A client of the kind applications use.
	var addrs []string
	for _, w := range watchers {
		addrs = append(addrs, w.addr)
	}
	app := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "mymaster", SentinelAddrs: addrs, Password: pass,
		DialTimeout: time.Second, ReadTimeout: time.Second, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = app.Close() })
	ctx := context.Background()
	require.NoError(t, app.Set(ctx, "app", "1", 0).Err())
	for _, n := range nodes[1:] {
		n.inSync(primary)
	}

	primary.kill()
	master := func(w *server) string { return w.say("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "mymaster") }
	old := "127.0.0.1\n" + strconv.Itoa(primary.port)
	for _, w := range watchers {
		w.eventually("names another master", func() bool { return master(w) != old && master(w) != "" })
	}
	var heir, other *server
	for i, n := range nodes[1:] {
		if master(watch) == "127.0.0.1\n"+strconv.Itoa(n.port) {
			heir, other = n, nodes[2-i]
		}
	}
	require.NotNil(t, heir, master(watch))
	require.Equal(t, "master", heir.info("replication")["role"])
	require.Equal(t, "1", heir.say("GET", "app"))
	require.Equal(t, "1", heir.say("GET", "before"))
	other.inSync(heir)
	heir.eventually("takes the application's writes", func() bool {
		return app.Set(ctx, "app", "2", 0).Err() == nil && heir.say("GET", "app") == "2"
	})
	other.inSync(heir)
	require.Equal(t, "2", other.say("GET", "app"))
	require.Equal(t, "0", heir.info("stats")["sync_full"], "the other went on from where it was")
	require.NotEqual(t, "0", heir.info("stats")["sync_partial_ok"])

	// The old one comes back as the primary it was and is told better, and so is its file.
	primary.start()
	primary.eventually("is a replica now", func() bool {
		return primary.info("replication")["master_port"] == strconv.Itoa(heir.port)
	})
	primary.inSync(heir)
	require.Equal(t, "2", primary.say("GET", "app"))
	for _, n := range []*server{primary, other} {
		fileSays(t, files[n], "replicaof 127.0.0.1 "+strconv.Itoa(heir.port), true)
	}
	fileSays(t, files[heir], "replicaof", false)
	for _, w := range watchers {
		w.eventually("sees two replicas in order", func() bool {
			return strings.Count(w.say("SENTINEL", "REPLICAS", "mymaster"), "flags\nslave\n") == 2
		})
	}

	// What is asked for by hand: a failover back, with everyone alive.
	require.Equal(t, "OK", primary.say("CONFIG", "SET", "replica-priority", "1"))
	watch.eventually("knows the priority", func() bool {
		return strings.Contains(watch.say("SENTINEL", "REPLICAS", "mymaster"), "slave-priority\n1\n")
	})
	for attempt := 1; master(watch) != old; attempt++ { // Sentinel gives one up after failover-timeout, should the machine be slow
		require.LessOrEqual(t, attempt, 3)
		watch.eventually("begins a failover", func() bool { return watch.say("SENTINEL", "FAILOVER", "mymaster") == "OK" })
		for end := time.Now().Add(20 * time.Second); master(watch) != old && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond) // the event is in another process
		}
	}
	heir.inSync(primary)
	other.inSync(primary)
	require.Equal(t, "2", primary.say("GET", "app"))
}
