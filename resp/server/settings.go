package server

import (
	"fmt"
	"io/fs"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/store/stat"
)

// Options are what a Server is built with and keeps.
type Options struct {
	// Bind lists addresses as in redis.conf: IPs or names, "*" for all of IPv4, "::*" for all of IPv6, "-" before
	// an address that may be missing. Empty means "127.0.0.1" and "-::1". Port 0 listens on no TCP port at all; −1 on a
	// free one (tests; see TCPAddrs).
	Bind []string
	Port int

	// UnixSocket is the path of a unix socket, or empty; UnixGroup the group it is given to, or empty; UnixPerm its mode, or 0
	// for what umask leaves.
	UnixSocket string
	UnixGroup  string
	UnixPerm   fs.FileMode

	// Loops is the number of event loops; 0 means one up to three cores and half the cores above.
	Loops int
	// Brisk lets each loop keep its processor of Go's scheduler while it waits for a moment: no round costs a change of
	// goroutines then. GOMAXPROCS must have one for each loop on top of what everybody else is to have.
	Brisk bool

	// Clock returns wall time in milliseconds and nanoseconds of CLOCK_BOOTTIME; nil means the system's.
	Clock func() (nowMs, mono int64)

	// Events receives what happens to connections; nil means nobody listens. It is called on the loop's goroutine, and must
	// not block and not call back into the server.
	Events func(Event)

	Settings Settings
}

// Settings may change while the server runs; see Server.Apply. The zero value of a bound means "no bound" unless said
// otherwise.
type Settings struct {
	MaxClients     int        // maxclients; 0 = no bound
	MaxClientsText resp.Error // what a rejected client reads; empty = resp.ErrMaxClients
	IdleTimeout    int        // timeout, seconds, of normal clients that are not paused; 0 = never
	UnauthTimeout  int        // seconds until an unauthenticated client is closed; 0 = never
	TCPKeepAlive   int        // tcp-keepalive, seconds; 0 = off
	TCPBacklog     int        // tcp-backlog; 0 = 511
	MaxBulk        int        // proto-max-bulk-len; 0 = resp.DefaultMaxBulk
	QueryBuffer    int        // client-query-buffer-limit, bytes; 0 = 1 GiB
	ClientMemory   int64      // maxmemory-clients: bytes that all clients together may cost; 0 = no bound
	CountMemory    bool       // count what clients cost, for Server.ClientBytes, also without that bound
	UnauthQuery    int        // client-query-buffer-limit before AUTH; 0 = 1 MiB
	UnauthOutput   int        // unsent output before AUTH at which the client is closed; 0 = 64 KiB
	Hz             int        // ticks of Housekeeping a second; 0 = 10
	Output         [NumClasses]OutputLimit
}

func (s *Settings) counts() bool { return s.ClientMemory > 0 || s.CountMemory }

// OutputLimit is one class of client-output-buffer-limit. A client is closed at Hard bytes, or after SoftSeconds
// without a break above Soft bytes; 0 bytes = no bound.
type OutputLimit struct {
	Hard, Soft  int64
	SoftSeconds int
}

// DefaultSettings are Redis' defaults.
func DefaultSettings() Settings {
	return Settings{
		MaxClients:   10000,
		TCPKeepAlive: 300,
		TCPBacklog:   511,
		MaxBulk:      resp.DefaultMaxBulk,
		QueryBuffer:  1 << 30,
		Hz:           10,
		Output: [NumClasses]OutputLimit{
			ClassReplica: {Hard: 256 << 20, Soft: 64 << 20, SoftSeconds: 60},
			ClassPubSub:  {Hard: 32 << 20, Soft: 8 << 20, SoftSeconds: 60},
		},
	}
}

// withDefaults fills in what zero stands for.
func (s Settings) withDefaults() Settings {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	def(&s.TCPBacklog, 511)
	def(&s.MaxBulk, resp.DefaultMaxBulk)
	def(&s.QueryBuffer, 1<<30)
	def(&s.UnauthQuery, 1<<20)
	def(&s.UnauthOutput, 64<<10)
	def(&s.Hz, 10)
	if s.MaxClientsText == "" {
		s.MaxClientsText = resp.ErrMaxClients
	}
	return s
}

// Validate refuses settings that make no sense.
func (s Settings) Validate() error {
	for _, n := range []int{s.MaxClients, s.IdleTimeout, s.UnauthTimeout, s.TCPKeepAlive, s.TCPBacklog, s.MaxBulk,
		s.QueryBuffer, s.UnauthQuery, s.UnauthOutput, s.Hz} {
		if n < 0 {
			return fmt.Errorf("server: negative setting in %+v", s)
		}
	}
	if s.ClientMemory < 0 {
		return fmt.Errorf("server: negative setting in %+v", s)
	}
	if s.Hz > 500 {
		return fmt.Errorf("server: hz %d is above 500", s.Hz)
	}
	return nil
}

// Stats are the numbers the server counts; the node registers them under the names INFO gives them. All may be read from
// any goroutine; byte counts are added once a round.
type Stats struct {
	Accepted  stat.Counter // total_connections_received
	Rejected  stat.Counter // rejected_connections
	NetInput  stat.Counter // total_net_input_bytes
	NetOutput stat.Counter // total_net_output_bytes
	Reads     stat.Counter // total_reads_processed
	Writes    stat.Counter // total_writes_processed
	Rounds    stat.Counter // eventloop_cycles
	RoundNs   stat.Counter // time between polls; a second is a second of one loop
	TickNs    stat.Counter // the share of it spent in periodic work

	LongestRoundNs stat.Level
	MostCommands   stat.Level   // requests of one round
	QueryLimit     stat.Counter // client_query_buffer_limit_disconnections
	Evicted        stat.Counter // evicted_clients: closed for ClientMemory
	OutputLimit    stat.Counter // client_output_buffer_limit_disconnections
	UnauthLimit    stat.Counter // closed for unsent output or time before AUTH
	IdleClosed     stat.Counter // closed by timeout
	BadProtocol    stat.Counter // closed after a protocol error
	AcceptFails    stat.Counter // failed accepts
	PushDropped    stat.Counter // pushes to connections that were closing
	Connected      stat.Level   // open connections
}
