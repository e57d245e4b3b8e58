package manage

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/slot"
)

// redises starts n real redis-servers in cluster mode that answer on every loopback address.
func redises(t *testing.T, n int) (ports []int) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("no redis-server")
	}
	for len(ports) < n {
		p := 20000 + rand.IntN(1300)*2
		taken := false
		for _, at := range []int{p, p + 10000} {
			l, err := net.Listen("tcp", ":"+strconv.Itoa(at))
			if taken = taken || err != nil; err == nil {
				l.Close()
			}
		}
		if taken {
			continue
		}
		cmd := exec.Command("redis-server", "--port", strconv.Itoa(p), "--bind", "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4",
			"--cluster-enabled", "yes", "--dir", t.TempDir(), "--save", "", "--protected-mode", "no")
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		lines := bufio.NewScanner(out)
		for lines.Scan() && !strings.Contains(lines.Text(), "Ready to accept connections") {
		}
		ports = append(ports, p)
	}
	return ports
}

var (
	colours     = regexp.MustCompile("\x1b\\[[0-9;]*m")
	primaryLine = regexp.MustCompile(`(?m)^M: \w+ (\S+)\n +slots:\[(\d+)-(\d+)\]`)
	replicaLine = regexp.MustCompile(`(?m)^S: \w+ (\S+)\n +replicates (\w+)`)
	idLine      = regexp.MustCompile(`(?m)^M: (\w+) (\S+)`)
)

// TestCreateAgainstRedisCLI compares plans with those that redis-cli 7.0 prints. Primaries
// and slots must be the same. Replicas redis-cli shuffles at random whenever hosts are
// shared, so there the score decides: ours is never worse.
func TestCreateAgainstRedisCLI(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real servers")
	}
	ports := redises(t, 12)
	for _, c := range []struct {
		nodes, replicas, hosts int
	}{
		{3, 0, 1}, {4, 0, 1}, {5, 0, 1}, {7, 0, 1}, {11, 0, 1}, {12, 0, 3},
		{6, 1, 1}, {6, 1, 2}, {6, 1, 3}, {7, 1, 1}, {8, 1, 3}, {9, 1, 4}, {9, 2, 3}, {10, 2, 3}, {12, 2, 4}, {12, 3, 3}, {12, 1, 4},
	} {
		t.Run(fmt.Sprintf("%d nodes, %d replicas, %d hosts", c.nodes, c.replicas, c.hosts), func(t *testing.T) {
			var places []Place
			args := []string{"--cluster", "create"}
			at := map[string]int{}
			for i, p := range ports[:c.nodes] {
				place := Place{fmt.Sprintf("127.0.0.%d", 1+i*c.hosts/c.nodes), p}
				addr := place.Host + ":" + strconv.Itoa(p)
				at[addr] = i
				places, args = append(places, place), append(args, addr)
			}
			cmd := exec.Command("redis-cli", append(args, "--cluster-replicas", strconv.Itoa(c.replicas))...)
			cmd.Stdin = strings.NewReader("no\n")
			out, _ := cmd.Output()
			theirs := colours.ReplaceAllString(string(out), "")
			require.Contains(t, theirs, "Can I set the above configuration?")

			plan, err := Create(places, c.replicas)
			require.NoError(t, err)
			got := primaryLine.FindAllStringSubmatch(theirs, -1)
			require.Len(t, plan.Primaries, len(got))
			for _, m := range got {
				r, ok := plan.SlotsOf(at[m[1]])
				require.True(t, ok, "%s is a primary there", m[1])
				assert.Equal(t, fmt.Sprintf("%s-%s", m[2], m[3]), slot.Range{First: r.First, Last: r.Last}.String(), m[1])
			}
			ids := map[string]int{}
			for _, m := range idLine.FindAllStringSubmatch(theirs, -1) {
				ids[m[1]] = at[m[2]]
			}
			var assigned []Assignment
			for _, m := range replicaLine.FindAllStringSubmatch(theirs, -1) {
				assigned = append(assigned, Assignment{Replica: at[m[1]], Primary: ids[m[2]]})
			}
			assert.Len(t, plan.Replicas, len(assigned))
			assert.LessOrEqual(t, plan.Score, score(places, assigned), "anti-affinity")
		})
	}
}

func TestRefusalAgainstRedisCLI(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real servers")
	}
	ports := redises(t, 4)
	args := []string{"--cluster", "create"}
	var places []Place
	for _, p := range ports {
		args, places = append(args, "127.0.0.1:"+strconv.Itoa(p)), append(places, Place{"127.0.0.1", p})
	}
	cmd := exec.Command("redis-cli", append(args, "--cluster-replicas", "1")...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	_, ours := Create(places, 1)
	require.Error(t, ours)
	for _, line := range strings.Split(ours.Error(), "\n") {
		assert.Contains(t, string(out), line)
	}
}
