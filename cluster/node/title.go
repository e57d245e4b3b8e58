package node

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"unsafe"
)

// titleSpace is where ps finds what a process is called: the memory in which the kernel has put
// its arguments and, behind them, its environment. Go reads its arguments there, so they are
// copied away first; it has copied the environment itself.
type titleSpace struct {
	own string // what the program was called as

	mu  sync.Mutex
	mem []byte // guarded by mu
}

// claimTitle makes the space ours; nil where it is not as expected. It must be called before
// anybody remembers an argument.
func claimTitle() *titleSpace {
	if len(os.Args) == 0 || os.Args[0] == "" {
		return nil
	}
	first := unsafe.StringData(os.Args[0])
	args := make([]string, len(os.Args))
	for i, a := range os.Args {
		args[i] = strings.Clone(a)
	}
	os.Args = args
	begin, end, ok := titleBounds()
	if !ok || begin != uintptr(unsafe.Pointer(first)) {
		return nil
	}
	return &titleSpace{own: args[0], mem: unsafe.Slice(first, end-begin)}
}

// titleBounds is from where to where the arguments and the environment lie, by proc(5).
func titleBounds() (begin, end uintptr, ok bool) {
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0, false
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:])) // begins with field 3
	if len(f) < 49 {
		return 0, 0, false
	}
	var at [4]uintptr // arg_start, arg_end, env_start, env_end
	for i := range at {
		n, err := strconv.ParseUint(f[45+i], 10, 64)
		if err != nil {
			return 0, 0, false
		}
		at[i] = uintptr(n)
	}
	ok = at[0] != 0 && at[0] < at[1] && at[1] == at[2] && at[2] <= at[3]
	return at[0], at[3], ok
}

func (s *titleSpace) set(title string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := copy(s.mem[:len(s.mem)-1], title)
	clear(s.mem[n:])
}

// showTitle has ps show the title that set-proc-title and proc-title-template ask for.
func (n *Node) showTitle(v *Values) {
	if n.title != nil && v.SetProcTitle {
		title, _ := expandTitle(v.ProcTitleTemplate, titleWords(v, n.title.own, n.cfg.File()))
		n.title.set(title)
	}
}

// titleWords are the variables of proc-title-template.
func titleWords(v *Values, own, file string) map[string]string {
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	if file == "" {
		file = "-"
	}
	words := map[string]string{
		"title": own, "server-mode": "", "port": number(v.Port), "tls-port": number(v.TLSPort), "unixsocket": v.UnixSocket, "config-file": file,
		"listen-addr": "unixsocket:" + v.UnixSocket,
	}
	if v.ClusterEnabled {
		words["server-mode"] = "[cluster]"
	}
	port := v.Port
	if port == 0 {
		port = v.TLSPort
	}
	if port != 0 {
		host := "*"
		if len(v.Bind) > 0 {
			host = v.Bind[0]
		}
		words["listen-addr"] = host + ":" + number(port)
	}
	return words
}

// expandTitle fills the variables in; "{{" is a brace. ok is false for a template that is none.
func expandTitle(template string, words map[string]string) (title string, ok bool) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(template, "{")
		b.WriteString(before)
		if !found {
			return strings.Trim(b.String(), " "), true
		}
		if strings.HasPrefix(rest, "{") {
			b.WriteByte('{')
			template = rest[1:]
			continue
		}
		name, after, closed := strings.Cut(rest, "}")
		word, known := words[name]
		if !closed || !known {
			return "", false
		}
		b.WriteString(word)
		template = after
	}
}
