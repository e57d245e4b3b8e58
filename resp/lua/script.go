package lua

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"sync/atomic"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/lua/vm"
)

// Flags are what a script or function declares about itself.
type Flags uint8

const (
	NoWrites Flags = 1 << iota
	AllowOOM
	AllowStale
	NoCluster
	AllowCrossSlot
	// Compat: a script without shebang line, which declares nothing and is trusted as of old.
	Compat
)

var flagNames = []struct {
	flag Flags
	name string
}{
	{NoWrites, "no-writes"}, {AllowOOM, "allow-oom"}, {AllowStale, "allow-stale"}, {NoCluster, "no-cluster"},
	{AllowCrossSlot, "allow-cross-slot-keys"},
}

// Names are the flags as FUNCTION LIST shows them.
func (f Flags) Names() (names []string) {
	for _, d := range flagNames {
		if f&d.flag != 0 {
			names = append(names, d.name)
		}
	}
	return names
}

func flagOf(name string) (Flags, bool) {
	for _, d := range flagNames {
		if d.name == name {
			return d.flag, true
		}
	}
	return 0, false
}

// Script is a compiled script of EVAL. Immutable but for what Engine.mu guards.
type Script struct {
	SHA   string
	Body  string
	Flags Flags
	proto *vm.Proto

	strays atomic.Bool // it touched slots other than that of its keys

	// Guarded by Engine.mu.
	loaded     bool    // by SCRIPT LOAD: never evicted
	prev, next *Script // in the order of last use, when not loaded
}

// Strays reports whether the script touched slots other than that of its keys.
func (s *Script) Strays() bool { return s.strays.Load() }

// MarkStray notes it.
func (e *Engine) MarkStray(s *Script) {
	s.strays.Store(true)
	e.anyStrays.Store(true)
}

// AnyStrays reports whether any script does. Any goroutine.
func (e *Engine) AnyStrays() bool { return e.anyStrays.Load() }

func (s *Script) bytes() int64 { return int64(len(s.Body) + s.proto.Bytes() + len(s.SHA) + 128) }

// Digest is the SHA1 of a script in hex.
func Digest(body []byte) string {
	sum := sha1.Sum(body)
	return hex.EncodeToString(sum[:])
}

// compile makes a script of its text.
func compile(sha string, body []byte) (*Script, resp.Error) {
	s := &Script{SHA: sha, Body: string(body)}
	flags, code, err := shebang(s.Body)
	if err != "" {
		return nil, err
	}
	s.Flags = flags
	p, cerr := vm.Compile(code, "@user_script")
	if cerr != nil {
		return nil, resp.Errorf("ERR Error compiling script (new function): %s", cerr.Error())
	}
	s.proto = p
	return s, ""
}

// Declared are the flags in the first line of a script; ok is false when that line is wrong.
func Declared(body []byte) (flags Flags, ok bool) {
	if len(body) < 2 || body[0] != '#' || body[1] != '!' {
		return Compat, true
	}
	flags, _, err := shebang(string(body))
	return flags, err == ""
}

// shebang reads the first line of a script. What is left keeps its line end, and so its line numbers.
func shebang(body string) (Flags, string, resp.Error) {
	if !strings.HasPrefix(body, "#!") {
		return Compat, body, ""
	}
	line, _, found := strings.Cut(body, "\n")
	if !found {
		return 0, "", errBadShebang
	}
	parts, ok := resp.SplitArgs([]byte(line), nil)
	if !ok || len(parts) == 0 {
		return 0, "", errBadShebangEngine
	}
	if string(parts[0]) != "#!lua" {
		return 0, "", resp.Errorf("ERR Unexpected engine in script shebang: %s", parts[0])
	}
	var flags Flags
	for _, p := range parts[1:] {
		list, isFlags := strings.CutPrefix(string(p), "flags=")
		if !isFlags {
			return 0, "", resp.Errorf("ERR Unknown lua shebang option: %s", p)
		}
		if list == "" {
			continue
		}
		for _, name := range strings.Split(list, ",") {
			f, known := flagOf(name)
			if !known {
				return 0, "", resp.Errorf("ERR Unexpected flag in script shebang: %s", name)
			}
			flags |= f
		}
	}
	return flags, body[len(line):], ""
}

const (
	errBadShebang       resp.Error = "ERR Invalid script shebang"
	errBadShebangEngine resp.Error = "ERR Invalid engine in script shebang"
)
