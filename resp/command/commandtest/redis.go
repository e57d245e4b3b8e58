package commandtest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
)

// AgainstRedis plays the scripts that match pattern, but those named *_ours.txt, to the real
// redis-server of this machine and compares everything they print: replies in both protocols,
// what goes into the append only file, keyspace events. A setting ("% name on") sets Redis'
// directive by directives[name]. Calls in known are not compared; the value says why. If it begins
// with "~", only their effects are not.
//
// It is skipped with -short and where there is no redis-server.
func AgainstRedis(t *testing.T, pattern string, directives, known map[string]string) {
	program, err := exec.LookPath("redis-server")
	if err != nil || testing.Short() {
		t.Skip("no redis-server, or -short")
	}
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		if strings.HasSuffix(name, "_ours") {
			continue
		}
		src, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, proto := range []int{resp.RESP2, resp.RESP3} {
			t.Run(fmt.Sprintf("%s/RESP%d", name, proto), func(t *testing.T) {
				t.Parallel()
				r := startRedis(t, program)
				for _, s := range steps(string(src)) {
					r.play(s, proto, directives, known)
				}
			})
		}
	}
}

// step is one line of a script with what it prints.
type step struct {
	number int
	line   string
	who    string
	call   string // empty: a directive of the script
	prints []string
}

func steps(src string) (all []step) {
	for i, line := range strings.Split(src, "\n") {
		who, call, isCall := strings.Cut(line, "> ")
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '@' || line[0] == '%':
			all = append(all, step{number: i + 1, line: line})
		case isCall && !strings.ContainsAny(who, " \"~!"):
			all = append(all, step{number: i + 1, line: line, who: who, call: call})
		default:
			last := &all[len(all)-1]
			last.prints = append(last.prints, line)
		}
	}
	return all
}

// redis is a running redis-server and what is connected to it.
type redis struct {
	t       *testing.T
	addr    string
	control *wire
	events  *wire
	clients map[string]*wire
	aof     *os.File
	aofDB   int
}

type wire struct {
	net.Conn
	in *resp.Reader
}

func (w *wire) do(t *testing.T, args ...string) resp.Value {
	_, err := w.Write(resp.AppendCommandStrings(nil, args...))
	require.NoError(t, err)
	v, err := w.in.ReadValue()
	require.NoError(t, err)
	return v
}

func (r *redis) dial() *wire {
	conn, err := net.Dial("tcp", r.addr)
	require.NoError(r.t, err)
	r.t.Cleanup(func() { conn.Close() })
	return &wire{conn, resp.NewReader(conn, resp.ReadLimits{})}
}

func startRedis(t *testing.T, program string) *redis {
	dir := t.TempDir()
	r := &redis{t: t, clients: map[string]*wire{}}
	for range 5 { // a port may be taken
		port := strconv.Itoa(20000 + rand.IntN(9999))
		r.addr = "127.0.0.1:" + port
		server := exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--logfile", dir+"/log",
			"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--notify-keyspace-events", "EAmn",
			"--enable-debug-command", "yes")
		require.NoError(t, server.Start())
		ended := make(chan struct{})
		go func() {
			_ = server.Wait()
			close(ended)
		}()
		t.Cleanup(func() {
			_ = server.Process.Kill()
			<-ended
		})
		if r.up(ended) {
			break
		}
	}
	r.control = r.dial()
	r.control.do(t, "DEBUG", "SET-ACTIVE-EXPIRE", "0")
	r.events = r.dial()
	r.events.do(t, "PSUBSCRIBE", "__keyevent@*__:*")
	aof, err := filepath.Glob(dir + "/appendonlydir/*.incr.aof")
	require.NoError(t, err)
	require.Len(t, aof, 1)
	r.aof, err = os.Open(aof[0])
	require.NoError(t, err)
	t.Cleanup(func() { r.aof.Close() })
	return r
}

// up waits until the server accepts connections; false if it ended instead.
func (r *redis) up(ended chan struct{}) bool {
	for {
		if conn, err := net.Dial("tcp", r.addr); err == nil {
			conn.Close()
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (r *redis) play(s step, proto int, directives, known map[string]string) {
	switch {
	case s.line[0] == '@':
		ms, err := strconv.Atoi(s.line[2:])
		require.NoError(r.t, err)
		time.Sleep(time.Duration(ms) * time.Millisecond) // its clock is not ours to wind
		return
	case s.line[0] == '%':
		name, val, _ := strings.Cut(s.line[2:], " ")
		if d := directives[name]; d != "" {
			switch val {
			case "on":
				val = "yes"
			case "off":
				val = "no"
			}
			r.control.do(r.t, "CONFIG", "SET", d, val)
		}
		return
	}
	client := r.clients[s.who]
	if client == nil {
		client = r.dial()
		r.clients[s.who] = client
		if proto == resp.RESP3 {
			client.do(r.t, "HELLO", "3")
		}
	}
	argv, _ := resp.SplitArgs([]byte(s.call), nil)
	args := make([]string, len(argv))
	for i, a := range argv {
		args[i] = string(a)
	}
	got := []string{render(client.do(r.t, args...))}
	got = append(got, r.effects()...)
	got = append(got, r.published()...)
	want := expected(s.prints, proto)
	if why, differs := known[s.call]; strings.HasPrefix(why, "~") {
		isEffect := func(line string) bool { return strings.HasPrefix(line, "~") }
		want, got = slices.DeleteFunc(want, isEffect), slices.DeleteFunc(got, isEffect)
	} else if differs {
		return
	}
	assert.Equal(r.t, alike(want), alike(got), "line %d: %s", s.number, s.line)
}

// expected is what a script prints as seen in one protocol.
func expected(prints []string, proto int) []string {
	out := []string{strings.Replace(prints[0], "nil array", "nil", 1)}
	rest := prints[1:]
	if len(rest) > 0 && strings.HasPrefix(rest[0], "RESP3 ") {
		if proto == resp.RESP3 {
			out[0] = strings.TrimPrefix(rest[0], "RESP3 ")
		}
		rest = rest[1:]
	}
	return append(out, rest...)
}

// effects is what was appended to the file since the last time: it is written before the
// reply is.
func (r *redis) effects() (out []string) {
	var buf bytes.Buffer
	_, err := buf.ReadFrom(r.aof)
	require.NoError(r.t, err)
	in := resp.NewReader(&buf, resp.ReadLimits{})
	for buf.Len() > 0 || in.Buffered() > 0 {
		v, err := in.ReadValue()
		require.NoError(r.t, err)
		argv := v.Texts()
		if strings.EqualFold(argv[0], "SELECT") {
			r.aofDB, err = strconv.Atoi(argv[1])
			require.NoError(r.t, err)
			continue
		}
		out = append(out, Effect{r.aofDB, argv}.String())
	}
	return out
}

// published is the events since the last time: a PING's answer comes behind them.
func (r *redis) published() (out []string) {
	v := r.events.do(r.t, "PING")
	for ; v.Elems[0].Text() != "pong"; v = r.next() {
		db, name, _ := strings.Cut(strings.TrimPrefix(v.Elems[2].Text(), "__keyevent@"), "__:")
		n, err := strconv.Atoi(db)
		require.NoError(r.t, err)
		out = append(out, Event{Name: name, DB: n, Key: v.Elems[3].Text()}.String())
	}
	return out
}

func (r *redis) next() resp.Value {
	v, err := r.events.in.ReadValue()
	require.NoError(r.t, err)
	return v
}

var aTime = regexp.MustCompile(`\b1[6-9]\d{11}\b`)

// alike makes times of today alike, which no two clocks agree about.
func alike(lines []string) string {
	return aTime.ReplaceAllString(strings.Join(lines, "\n"), "<time>")
}
