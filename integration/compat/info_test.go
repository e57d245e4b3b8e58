package compat

import (
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lacking are fields of 7.0's INFO everything that we do not say, and why.
var lacking = map[string]string{
	"gcc_version":   "we say go_version",
	"atomicvar_api": "of C compilers",
}

// since72 are fields that 7.2.5 says and 7.0 does not. They must be there, next to 7.0's.
var since72 = []string{
	"server_name", "listener0", "pubsub_clients", "watching_clients", "total_watched_keys", "total_blocking_keys", "total_blocking_keys_on_nokey",
	"evicted_scripts", "eventloop_cycles", "eventloop_duration_sum", "eventloop_duration_cmd_sum", "instantaneous_eventloop_cycles_per_sec",
	"instantaneous_eventloop_duration_usec", "client_query_buffer_limit_disconnections", "client_output_buffer_limit_disconnections",
	"acl_access_denied_auth", "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel",
}

// own are fields of our own, and why.
var own = map[string]string{
	"sextant_version": "the version that is not Redis'", "go_version": "in place of gcc_version", "event_loops": "of our network", "mem_go_heap": "of our memory",
	"accept_failures": "counter of a bound", "client_idle_disconnections": "counter of a bound", "client_protocol_errors": "counter of a bound",
	"client_unauthenticated_disconnections": "counter of a bound", "dropped_pushes": "counter of a bound", "pubsub_subscription_bytes": "gauge of a bound",
	"repl_apply_errors": "counter", "repl_buffer_bytes": "gauge of a bound", "repl_handshakes_evicted": "counter of a bound", "repl_link_attempts": "counter",
	"repl_replicas_dropped": "counter", "expired_subkeys": "fields that expired, as Redis 7.4 and Valkey 9 count them",
}

// kinds are the forms that values have, most special first.
var kinds = []struct {
	name string
	form *regexp.Regexp
}{
	{"integer", regexp.MustCompile(`^-?\d+$`)},
	{"decimal", regexp.MustCompile(`^-?\d+\.\d+$`)},
	{"percent", regexp.MustCompile(`^\d+\.\d+%$`)},
	{"bytes", regexp.MustCompile(`^\d+(\.\d+)?[BKMGTP]$`)},
	{"fields", regexp.MustCompile(`^\w+=[^,]*(,[\w.]+=[^,]*)*$`)},
	{"text", regexp.MustCompile(``)},
}

func kind(value string) string {
	for _, k := range kinds {
		if k.form.MatchString(value) {
			return k.name
		}
	}
	return ""
}

// info is INFO everything as section to field to value. Rows that are counted (slave0, db0) and of
// commands count as one.
func (s *side) info(t *testing.T) map[string]map[string]string {
	text := s.ask(t, "INFO", "everything").Text()
	all := map[string]map[string]string{}
	section := ""
	for _, line := range strings.Split(text, "\r\n") {
		if name, ok := strings.CutPrefix(line, "# "); ok {
			require.NotContains(t, all, name)
			section, all[name] = name, map[string]string{}
		} else if field, value, ok := strings.Cut(line, ":"); ok {
			all[section][field] = value
		}
	}
	return all
}

// TestInfo compares INFO of a primary with an append only file and of its replica, fields and the
// kinds of their values.
func TestInfo(t *testing.T) {
	program := realRedis(t)
	pair := func(name string, words ...string) (primary, replica *side) {
		primary = launch(t, name, append(words, "--repl-diskless-sync-delay", "0")...)
		host, port, _ := net.SplitHostPort(primary.addr)
		replica = launch(t, name+"'s replica", append(words, "--replicaof", host+" "+port)...)
		c := primary.dial(t)
		c.do(t, [][]string{{"CONFIG", "SET", "appendonly", "yes", "min-replicas-to-write", "1", "latency-tracking", "yes"}, {"NOSUCH"}, {"EVAL", "return 1", "0"}})
		require.Eventually(t, func() bool {
			main, link := primary.info(t), replica.info(t)["Replication"]
			return strings.Contains(main["Replication"]["slave0"], "state=online") && main["Persistence"]["aof_rewrite_in_progress"] == "0" &&
				main["Persistence"]["aof_enabled"] == "1" && link["master_link_status"] == "up"
		}, 20*time.Second, 20*time.Millisecond, name)
		require.Eventually(t, func() bool { return primary.ask(t, "SET", "k", "v", "EX", "1000").Text() == "OK" }, // min-replicas-to-write is met, or will be soon
			20*time.Second, 20*time.Millisecond, name)
		require.Eventually(t, func() bool { return replica.info(t)["Keyspace"]["db0"] != "" }, 20*time.Second, 20*time.Millisecond, name)
		return primary, replica
	}
	ours, oursReplica := pair("sextant", binary, "server")
	theirs, theirsReplica := pair("redis", program)
	for _, sides := range [][2]*side{{ours, theirs}, {oursReplica, theirsReplica}} {
		mine, want := sides[0].info(t), sides[1].info(t)
		for section, fields := range want {
			if slices.Contains([]string{"Commandstats", "Latencystats"}, section) {
				for field, value := range fields {
					if got := mine[section][field]; got != "" {
						assert.Equal(t, names(value), names(got), "%s: the fields of %s", sides[0].name, field)
					}
				}
				continue
			}
			for field, value := range fields {
				got, there := mine[section][field]
				if assert.Equal(t, lacking[field] == "", there, "%s: %s in %s", sides[0].name, field, section) && there {
					assert.Equal(t, kind(value), kind(got), "%s: %s is %q, and %q at redis-server", sides[0].name, field, got, value)
				}
			}
		}
		known := func(section, field string) bool {
			_, theirs := want[section][field]
			return theirs || own[field] != "" || slices.Contains(since72, field)
		}
		for section, fields := range mine {
			if section == "Commandstats" || section == "Latencystats" || section == "Errorstats" {
				continue
			}
			for field := range fields {
				assert.True(t, known(section, field), "%s: %s in %s is neither Redis' nor listed", sides[0].name, field, section)
			}
		}
		for _, field := range since72 {
			assert.True(t, slices.ContainsFunc(sections(mine), func(s map[string]string) bool { _, ok := s[field]; return ok }), "%s: %s", sides[0].name, field)
		}
	}
}

func sections(info map[string]map[string]string) (all []map[string]string) {
	for _, s := range info {
		all = append(all, s)
	}
	return all
}

// names are the names of "a=1,b=2", in their order.
func names(row string) (all []string) {
	for _, part := range strings.Split(row, ",") {
		name, _, _ := strings.Cut(part, "=")
		all = append(all, name)
	}
	return all
}
