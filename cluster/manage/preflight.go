package manage

import (
	"fmt"
	"sort"
	"strings"
)

// Fact is what was found out about one node before anything is written to it.
type Fact struct {
	Addr string // as the user gave it
	// Err says why the node could not be asked; the rest is empty then.
	Err     string
	NoAuth  bool // the error is that a password is needed, or that it is wrong
	Enabled bool // cluster_enabled:1
	ID      string
	CPort   int
	Known   int    // nodes it knows, itself included
	Slots   int    // slots it holds or knows of
	Keys    int64  // keys in database 0
	Loading bool   // still loads its data set
	Server  string // server_name, "redis" when it has none
	Version string // of the server
	Member  bool   // of the cluster that the others are to join: it need not be empty
	// BusErr says why its bus port cannot be reached from here, "" when it can.
	BusErr string
}

// Reach is one node's attempt to reach another's two ports.
type Reach struct {
	From, To int    // indexes of the facts
	Client   string // "ok" or why not
	Bus      string
}

// Problem is a reason not to begin, and what to do about it.
type Problem struct {
	Addr string `json:"node"`
	What string `json:"problem"`
	Do   string `json:"advice"`
}

func (p Problem) String() string { return p.Addr + ": " + p.What + "\n    " + p.Do }

// Preflight judges whether a cluster can be made of the nodes. All problems are told, not
// only the first.
func Preflight(facts []Fact, reach []Reach) (out []Problem) {
	byAddr, byID := map[string]int{}, map[string]int{}
	versions := map[string][]string{}
	for i, f := range facts {
		add := func(what, do string, args ...any) { out = append(out, Problem{f.Addr, what, fmt.Sprintf(do, args...)}) }
		if first, twice := byAddr[f.Addr]; twice {
			add("given twice", "It is already number %d in the list; name each node once.", first+1)
			continue
		}
		byAddr[f.Addr] = i
		switch {
		case f.NoAuth:
			add(f.Err, "Give the password with -a, --askpass or in the variable REDISCLI_AUTH.")
			continue
		case f.Err != "":
			add(f.Err, "Start the node, or correct the address; see that no firewall stands between.")
			continue
		}
		if !f.Enabled {
			add("is not configured as a cluster node", "Set \"cluster-enabled yes\" in its configuration and start it again.")
			continue
		}
		if first, copied := byID[f.ID]; copied {
			add("has the same node id as "+facts[first].Addr+" ("+f.ID+")",
				"Its cluster-config-file is a copy. Stop one of the two, remove its cluster-config-file, and start it again.")
		} else if f.ID != "" {
			byID[f.ID] = i
		}
		if f.Loading {
			add("is still loading its data set", "Wait until it has loaded, or start it with an empty directory.")
		}
		if !f.Member && (f.Known > 1 || f.Keys > 0 || f.Slots > 0) {
			add(notEmpty(&f), "Choose another node, or empty this one: FLUSHALL, then CLUSTER RESET HARD.")
		}
		if f.BusErr != "" {
			add(fmt.Sprintf("its bus port %d cannot be reached from here: %s", f.CPort, f.BusErr),
				"Open the port (client port + 10000 unless cluster-port says otherwise), or set cluster-port.")
		}
		key := f.Server + " " + f.Version
		versions[key] = append(versions[key], f.Addr)
	}
	if p, mixed := mixedVersions(versions); mixed {
		out = append(out, p)
	}
	for _, r := range reach {
		for _, port := range []struct{ what, got string }{{"client port", r.Client}, {"bus port", r.Bus}} {
			if port.got != "ok" {
				out = append(out, Problem{facts[r.From].Addr, fmt.Sprintf("cannot reach the %s of %s: %s", port.what, facts[r.To].Addr, port.got),
					"Every node must reach both ports of every other: look at bind, firewalls and address translation."})
			}
		}
	}
	return out
}

// notEmpty is redis-cli's reason in a node's own numbers.
func notEmpty(f *Fact) string {
	var why []string
	if f.Known > 1 {
		why = append(why, fmt.Sprintf("knows %d other nodes", f.Known-1))
	}
	if f.Slots > 0 {
		why = append(why, fmt.Sprintf("has %d slots assigned", f.Slots))
	}
	if f.Keys > 0 {
		why = append(why, fmt.Sprintf("holds %d keys in database 0", f.Keys))
	}
	return "is not empty: it " + strings.Join(why, " and ")
}

func mixedVersions(versions map[string][]string) (Problem, bool) {
	if len(versions) < 2 {
		return Problem{}, false
	}
	var all []string
	for v, addrs := range versions {
		all = append(all, strings.TrimSpace(v)+" ("+strings.Join(addrs, ", ")+")")
	}
	sort.Strings(all)
	return Problem{"all nodes", "do not run the same server: " + strings.Join(all, "; "),
		"A cluster needs one version on all its nodes; a redis-server speaks another bus protocol than Sextant."}, true
}
