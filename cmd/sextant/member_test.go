package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
	"github.com/sextantdb/sextant/store/slot"
)

// ours starts n nodes of our own.
func ours(t *testing.T, n int) (ports []int, procs []*proc.Process) {
	exe, err := os.Executable()
	require.NoError(t, err)
	ports = proc.FreePorts(t, n)
	for _, p := range ports {
		s := proc.Prepare(t, exe, "server", "--port", strconv.Itoa(p), "--bind", "127.0.0.1", "--cluster-enabled", "yes", "--dir", t.TempDir(),
			"--cluster-node-timeout", "5000", "--save", "")
		s.Serve(20*time.Second, func() bool { got, err := call(t, p, "PING"); return err == nil && got == "PONG" })
		procs = append(procs, s)
	}
	return ports, procs
}

func addrOf(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// must runs a tool that has to succeed.
func must(t *testing.T, args ...string) (out, errs string) {
	t.Helper()
	code, out, errs := sextant("", args...)
	require.Equal(t, 0, code, "%v: %s%s", args, out, errs)
	return out, errs
}

func ask(t *testing.T, port int, argv ...string) string {
	t.Helper()
	got, err := call(t, port, argv...)
	require.NoError(t, err, argv)
	return got
}

func TestNodesComeAndGo(t *testing.T) {
	ports, procs := ours(t, 6)
	first, fourth, fifth := addrOf(ports[0]), addrOf(ports[3]), addrOf(ports[4])
	must(t, "cluster", "create", "--yes", first, addrOf(ports[1]), addrOf(ports[2]))
	for i := range 200 {
		key := fmt.Sprintf("key:%d", i)
		_, err := call(t, ports[int(slot.OfString(key))*3/slot.Count], "SET", key, "v")
		require.NoError(t, err)
	}

	code, _, errs := sextant("", "cluster", "add-node", fourth, first)
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "there is no terminal to ask on")
	code, _, errs = sextant("", "cluster", "add-node", addrOf(ports[1]), first, "--yes")
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "is a node of this cluster already")
	ask(t, ports[3], "CLUSTER", "ADDSLOTS", "1")
	code, _, errs = sextant("", "cluster", "add-node", fourth, first, "--yes")
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "one thing stands in the way of joining, nothing was changed")
	assert.Contains(t, errs, "is not empty: it has 1 slots assigned")
	ask(t, ports[3], "CLUSTER", "DELSLOTS", "1")

	out, _ := must(t, "cluster", "add-node", fourth, first, "--yes")
	assert.Contains(t, out, "as a primary without slots")
	assert.Contains(t, out, "sextant cluster rebalance "+first+" --use-empty-masters")
	id := ask(t, ports[3], "CLUSTER", "MYID")
	must(t, "cluster", "reshard", first, "--to", id, "--slots", "300", "--yes")
	out, _ = must(t, "cluster", "add-node", fifth, first, "--yes", "--json", "--replica-of", id)
	var res result
	require.NoError(t, json.Unmarshal([]byte(out), &res), out)
	assert.Equal(t, []nodeResult{{Addr: fifth, ID: ask(t, ports[4], "CLUSTER", "MYID"), Role: "replica", Primary: fourth}}, res.Nodes)
	assert.Equal(t, ask(t, ports[3], "DBSIZE"), ask(t, ports[4], "DBSIZE"), "it has the data")
	out, _ = must(t, "cluster", "add-node", addrOf(ports[5]), first, "--yes", "--replica")
	assert.NotContains(t, out, "as a replica of "+fourth, "that one has a replica")
	must(t, "cluster", "check", first)

	code, _, errs = sextant("", "cluster", "del-node", first, id, "--yes")
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "serves 299 slots")
	assert.Contains(t, errs, "rebalance "+first+" --weight "+id+"=0")
	must(t, "cluster", "rebalance", first, "--yes", "--weight", id+"=0")
	_, errs = must(t, "cluster", "del-node", first, id, "--yes")
	assert.Contains(t, ask(t, ports[3], "CLUSTER", "INFO"), "cluster_known_nodes:1\r\n")
	assert.NotEqual(t, id, ask(t, ports[3], "CLUSTER", "MYID"))
	assert.NotContains(t, ask(t, ports[4], "CLUSTER", "NODES"), id)
	if strings.Contains(errs, fifth+" follows") { // unless it moved by itself to a primary without a replica, as orphans do
		assert.Contains(t, ask(t, ports[4], "INFO", "replication"), "role:slave")
	}

	procs[5].Kill()
	gone := addrOf(ports[5])
	code, _, errs = sextant("", "cluster", "del-node", first, gone)
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "it does not answer, so it is not reset")
	out, _ = must(t, "cluster", "del-node", first, gone, "--yes", "--json")
	assert.Contains(t, out, `"reset":false`)
	must(t, "cluster", "add-node", fourth, first, "--yes", "--replica")
	must(t, "cluster", "check", first)
	total := 0
	for _, p := range ports[:3] {
		n, _ := strconv.Atoi(ask(t, p, "DBSIZE"))
		total += n
	}
	assert.Equal(t, 200, total)
}

func TestFixClosesAndCovers(t *testing.T) {
	ports, procs := ours(t, 3)
	a, b, c := ports[0], ports[1], ports[2]
	must(t, "cluster", "create", "--yes", addrOf(a), addrOf(b), addrOf(c))
	_, errs := must(t, "cluster", "fix", addrOf(a), "--yes")
	assert.Contains(t, errs, "Nothing to fix")
	ids := map[int]string{}
	for _, p := range ports {
		ids[p] = ask(t, p, "CLUSTER", "MYID")
	}
	keys := map[int][]string{} // by slot
	for i := 0; len(keys[100]) < 3 || len(keys[200]) < 3 || len(keys[300]) < 3; i++ {
		key := fmt.Sprint("key", i)
		s := int(slot.OfString(key))
		if (s == 100 || s == 200 || s == 300) && len(keys[s]) < 3 {
			keys[s] = append(keys[s], key)
			ask(t, a, "SET", key, "v")
		}
	}
	// A move that was broken off with one key over there; the target's mark only; a slot that nobody has.
	ask(t, b, "CLUSTER", "SETSLOT", "100", "IMPORTING", ids[a])
	ask(t, a, "CLUSTER", "SETSLOT", "100", "MIGRATING", ids[b])
	ask(t, a, "MIGRATE", "127.0.0.1", strconv.Itoa(b), keys[100][0], "0", "1000")
	ask(t, b, "CLUSTER", "SETSLOT", "200", "IMPORTING", ids[a])
	ask(t, a, "CLUSTER", "SETSLOT", "300", "MIGRATING", ids[c])
	ask(t, c, "CLUSTER", "DELSLOTS", "16000")

	code, _, errs := sextant("", "cluster", "check", addrOf(c))
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "sextant cluster fix closes open slots")
	code, _, errs = sextant("", "cluster", "fix", addrOf(c))
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "there is no terminal to ask on; nothing was changed")
	code, out, errs := sextant("yes\n", "cluster", "fix", addrOf(c), "--json")
	require.Equal(t, 0, code, out+errs)
	var res fixed
	require.NoError(t, json.Unmarshal([]byte(out), &res), out)
	assert.ElementsMatch(t, []string{
		addrOf(c) + ": takes slot 16000, which nobody has",
		addrOf(a) + " -> " + addrOf(b) + ": slot 100, whose move was interrupted",
		addrOf(b) + ": slot 200 closed, nothing is on its way",
		addrOf(a) + ": slot 300 closed, nothing is on its way",
	}, res.Steps)
	assert.Equal(t, 2, res.Keys)
	must(t, "cluster", "check", addrOf(a))
	for _, k := range keys[100] {
		assert.Equal(t, "v", ask(t, b, "GET", k))
	}
	for _, k := range append(keys[200], keys[300]...) {
		assert.Equal(t, "v", ask(t, a, "GET", k))
	}

	// A node that is stopped is waited for, but not for long, and named.
	procs[1].Freeze()
	defer procs[1].Signal(syscall.SIGCONT)
	began := time.Now()
	code, out, errs = sextant("", "cluster", "check", addrOf(a))
	assert.Equal(t, 1, code)
	assert.Less(t, time.Since(began), askWithin+3*time.Second)
	assert.Contains(t, errs, ", waiting for "+addrOf(b)+": 2 of 3")
	assert.Contains(t, out, "[ERR] "+addrOf(b)+" cannot be asked: no answer in time")
	code, _, errs = sextant("", "cluster", "fix", addrOf(a), "--yes")
	assert.Equal(t, 1, code)
	assert.Contains(t, errs, "nothing can be fixed: "+addrOf(b))
	assert.Contains(t, errs, "start it again")
}
