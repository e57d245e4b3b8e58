package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sextantdb/sextant/cluster/manage"
	"github.com/sextantdb/sextant/resp/client"
)

const (
	// dialWithin bounds one attempt to connect.
	dialWithin = 3 * time.Second
	// askWithin bounds how long one node is asked how it sees the cluster, dialing included.
	askWithin = 5 * time.Second
	// replyWithin bounds the wait for one reply; commands that wait for voters take longest.
	replyWithin = 20 * time.Second
	// probeMesh is the number of nodes up to which every node tries every other; above, each
	// tries the next few of the list.
	probeMesh = 24
)

// remote is one node we talk to.
type remote struct {
	addr string // host:port as given
	ip   string
	port int
	conn *client.Client
}

// resolve reads host:port and finds the ip, which CLUSTER MEET needs.
func resolve(addr string) (*remote, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		// redis-cli takes a bare IPv6 address too: the last colon is the port's.
		i := strings.LastIndexByte(addr, ':')
		if i < 1 {
			return nil, faultf("Name nodes as host:port.", "%q is not an address", addr)
		}
		host, port = addr[:i], addr[i+1:]
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 1 || n > 65535 {
		return nil, faultf("Name nodes as host:port.", "%q has no valid port", addr)
	}
	r := &remote{addr: addr, port: n}
	if ip := net.ParseIP(host); ip != nil {
		r.ip = ip.String()
		return r, nil
	}
	ips, err := net.LookupIP(host)
	if err != nil || len(ips) == 0 {
		return nil, faultf("Correct the name, or give the IP address.", "the host name %q cannot be resolved", host)
	}
	r.ip = ips[0].String()
	for _, ip := range ips { // IPv4 first, as MEET and most binds are
		if ip.To4() != nil {
			r.ip = ip.String()
			break
		}
	}
	return r, nil
}

func (r *remote) dial(ctx context.Context, l login) error {
	c, err := client.Dial(ctx, net.JoinHostPort(r.ip, strconv.Itoa(r.port)),
		client.Options{Timeout: dialWithin, IOTimeout: replyWithin, Username: l.user, Password: l.pass})
	if err != nil {
		return err
	}
	r.conn = c
	return nil
}

func (r *remote) close() {
	if r.conn != nil {
		r.conn.Close()
	}
}

// errUnreached is what a node answers that could not be connected to.
var errUnreached = errors.New("there is no connection to it")

// do runs one command; an error reply is an error.
func (r *remote) do(ctx context.Context, argv ...string) (string, error) {
	if r.conn == nil {
		return "", errUnreached
	}
	v, err := r.conn.DoContext(ctx, argv...)
	if err == nil {
		err = v.Err()
	}
	if err != nil {
		return "", err
	}
	return v.Text(), nil
}

// info runs INFO or CLUSTER INFO and returns its fields.
func (r *remote) info(ctx context.Context, argv ...string) (map[string]string, error) {
	text, err := r.do(ctx, argv...)
	if err != nil {
		return nil, err
	}
	f := map[string]string{}
	for _, line := range strings.Split(text, "\n") {
		if name, value, ok := strings.Cut(strings.TrimRight(line, "\r"), ":"); ok {
			if _, twice := f[name]; !twice {
				f[name] = value
			}
		}
	}
	return f, nil
}

// nodes runs CLUSTER NODES.
func (r *remote) nodes(ctx context.Context) ([]manage.Node, error) {
	text, err := r.do(ctx, "CLUSTER", "NODES")
	if err != nil {
		return nil, err
	}
	return manage.ParseNodes(text)
}

// each runs f for all remotes at once and waits for all.
func each(rs []*remote, f func(i int, r *remote)) {
	var wg sync.WaitGroup
	for i, r := range rs {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f(i, r)
		}()
	}
	wg.Wait()
}

// survey connects to all nodes and finds out what preflight judges by.
func survey(ctx context.Context, rs []*remote, l login) ([]manage.Fact, []manage.Reach) {
	facts := make([]manage.Fact, len(rs))
	each(rs, func(i int, r *remote) { facts[i] = fact(ctx, r, l) })
	tried := make([][]manage.Reach, len(rs))
	each(rs, func(i int, r *remote) {
		if facts[i].Err != "" || facts[i].Server != "sextant" {
			return // only our own nodes can be asked to try others
		}
		for hop := 1; hop < len(rs) && (len(rs) <= probeMesh || hop <= 8); hop++ {
			j := (i + hop) % len(rs)
			if facts[j].Err == "" && facts[j].CPort > 0 {
				if p, ok := probe(ctx, r, rs[j], facts[j].CPort); ok {
					p.From, p.To = i, j
					tried[i] = append(tried[i], p)
				}
			}
		}
	})
	var reach []manage.Reach
	for _, t := range tried {
		reach = append(reach, t...)
	}
	return facts, reach
}

func fact(ctx context.Context, r *remote, l login) manage.Fact {
	f := manage.Fact{Addr: r.addr}
	failed := func(err error) manage.Fact {
		f.Err = plain(err)
		f.NoAuth = strings.Contains(f.Err, "NOAUTH") || strings.Contains(f.Err, "WRONGPASS")
		return f
	}
	if r.conn == nil {
		if err := r.dial(ctx, l); err != nil {
			return failed(err)
		}
	}
	info, err := r.info(ctx, "INFO")
	if err != nil {
		return failed(err)
	}
	f.Enabled, f.Loading = info["cluster_enabled"] == "1", info["loading"] == "1"
	f.Server, f.Version = "redis", info["redis_version"]
	if name := info["server_name"]; name != "" {
		f.Server = name
	}
	if v := info[f.Server+"_version"]; v != "" {
		f.Version = v
	}
	if !f.Enabled {
		return f
	}
	state, err := r.info(ctx, "CLUSTER", "INFO")
	if err != nil {
		return failed(err)
	}
	f.Known, _ = strconv.Atoi(state["cluster_known_nodes"])
	f.Slots, _ = strconv.Atoi(state["cluster_slots_assigned"])
	if keys, err := r.do(ctx, "DBSIZE"); err == nil {
		f.Keys, _ = strconv.ParseInt(keys, 10, 64)
	}
	nodes, err := r.nodes(ctx)
	if err != nil {
		return failed(err)
	}
	for i := range nodes {
		if nodes[i].Has("myself") {
			f.ID, f.CPort = nodes[i].ID, nodes[i].CPort
		}
	}
	conn, err := net.DialTimeout("tcp", net.JoinHostPort(r.ip, strconv.Itoa(f.CPort)), dialWithin)
	if err != nil {
		f.BusErr = plain(err)
	} else {
		conn.Close()
	}
	return f
}

func probe(ctx context.Context, from, to *remote, cport int) (manage.Reach, bool) {
	v, err := from.conn.DoContext(ctx, "CLUSTER", "PROBE", to.ip, strconv.Itoa(to.port), strconv.Itoa(cport))
	if err != nil || v.Err() != nil || len(v.Elems) != 2 {
		return manage.Reach{}, false
	}
	return manage.Reach{Client: v.Elems[0].Text(), Bus: v.Elems[1].Text()}, true
}

// plain says what went wrong on a connection without the names of system calls.
func plain(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused: nothing listens there"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "no route to host"
	}
	return fmt.Sprint(err)
}
