// Package arch keeps the law of the house: which package may import which, what pure
// packages may not touch, and that every package says what it is. The table below is the
// law; a package that is not in it has no floor and fails the test.
package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/sextantdb/sextant/"

// pkg is the law for one package. may lists what of ours it may import; an entry ending in
// "/..." stands for everything below, "+" for the rules of a set named in sets.
type pkg struct {
	path string
	pure bool // no net, os, sync, zap, time.Now, go statement or global rand
	may  string
}

// law is the table of DESIGN.md section 2, lowest floors first.
var law = []pkg{
	{"store/slot", true, ""},
	{"store/stat", false, ""},
	{"store/arena", false, ""},
	{"store/disk", false, ""},
	{"store/disk/disktest", false, "store/disk"},
	{"store/value", true, "store/value/internal/... store/arena"},
	{"store", false, "store/slot store/stat store/arena store/value"},
	{"store/rdb", false, "store/value"},
	{"store/aof", false, "store/stat store/disk"},
	{"store/snapshot", false, "store store/slot store/value store/stat"},
	{"store/persist", false, "store store/slot store/value store/stat store/snapshot store/rdb store/aof store/disk"},

	{"resp", true, ""},
	{"resp/glob", true, ""},
	{"resp/acl", false, "resp/glob"},
	{"resp/server", false, "resp store/stat"},
	{"resp/client", false, "resp"},
	{"resp/channel", false, "resp resp/glob"},
	{"resp/tracking", false, "resp"},
	{"resp/observe", false, "store/stat"},
	{"resp/lua/vm", true, ""},
	{"resp/lua/lib", true, "resp/lua/vm"},
	{"resp/lua", false, "resp resp/lua/vm resp/lua/lib resp/observe"},
	{"resp/session", false, "resp resp/acl"},
	{"resp/command", true, "resp resp/acl resp/session store store/slot store/value"},
	{"resp/command/commandtest", false, "resp resp/acl resp/command resp/session store store/slot store/value"},
	{"resp/command/generic", false, "+family store/rdb resp/glob"},
	{"resp/command/str", false, "+family"},
	{"resp/command/bitmap", false, "+family"},
	{"resp/command/hll", false, "+family"},
	{"resp/command/geo", false, "+family"},
	{"resp/command/sorting", false, "+family"},
	{"resp/command/hash", false, "+family resp/glob"},
	{"resp/command/set", false, "+family resp/glob"},
	{"resp/command/list", false, "+family"},
	{"resp/command/zset", false, "+family resp/glob"},
	{"resp/command/stream", false, "+family"},
	{"resp/command/txn", false, "+family"},
	{"resp/command/script", false, "+family resp/lua resp/glob store/rdb"},
	{"resp/command/pubsub", false, "+family resp/channel"},
	{"resp/command/conn", false, "+family"},
	{"resp/command/users", false, "+family"},
	{"resp/command/admin", false, "+family resp/observe store/stat resp/glob store/rdb"},
	{"resp/dispatch", false, "resp resp/acl resp/server resp/command resp/session resp/channel resp/tracking resp/observe store store/slot store/stat"},

	{"bus", true, "store/slot"},
	{"bus/wire", false, ""},
	{"bus/link", false, "bus bus/wire store/stat"},

	{"cluster/topology", true, "bus store/slot"},
	{"cluster/core", true, "cluster/topology bus store/slot"},
	{"cluster/sentinel", true, ""},
	{"cluster/manage", true, "cluster/topology store/slot"},
	{"cluster/sim", true, "cluster/core cluster/topology bus store/slot"},
	{"cluster/agent", false, "cluster/core cluster/topology bus bus/link resp resp/command resp/session store store/disk store/slot store/stat"},
	{"cluster/repl", false, "store store/disk store/slot store/stat store/value store/snapshot store/rdb resp resp/client resp/command resp/session bus/wire"},
	{"cluster/fanout", false, "bus resp/channel store/stat"},
	{"cluster/migrate", false, "cluster/topology store store/rdb store/slot resp resp/client resp/command resp/session"},
	{"cluster/node", false, "..."},
	{"cmd/sextant", false, "cluster/node cluster/manage resp resp/client store/slot bus"},
}

var sets = map[string]string{
	"+family": "resp resp/acl resp/command resp/session store store/slot store/value",
}

// outside lists who may import the packages that must have one home, and why.
var outside = []struct{ pkg, homes, why string }{
	{"github.com/tidwall/redcon", "resp resp/server", "the wire format of requests is resp's"},
	{"github.com/hashicorp/go-msgpack", "bus", "the wire format of the bus is bus's"},
	{"go.uber.org/zap", "cluster/node", "packages emit typed events; node writes the log"},
	{"github.com/spf13/cobra", "cmd/sextant", "the command line is cmd's"},
	{"github.com/redis/go-redis", "", "a client for tests only"},
	{"github.com/redis/rueidis", "", "a client for tests only"},
	{"testing", "resp/command/commandtest", "test code does not belong in the product"},
}

// banned are imports a pure package may not have, and why.
var banned = map[string]string{
	"net": "no sockets: bytes in, values out", "os": "no files or environment", "sync": "no shared state",
	"sync/atomic": "no shared state", "os/exec": "no processes", "syscall": "no system calls",
	"golang.org/x/sys/unix": "no system calls", "math/rand": "randomness is seeded and passed in", "log": "events, not log calls",
}

type source struct {
	dir   string
	files map[string]*ast.File // non-test files
}

func load(t *testing.T) (fset *token.FileSet, all map[string]*source) {
	fset = token.NewFileSet()
	all = map[string]*source{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			if name := d.Name(); name == "testdata" || name == ".git" || rel == "integration" || rel == "scripts" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(rel))
		if all[dir] == nil {
			all[dir] = &source{dir: dir, files: map[string]*ast.File{}}
		}
		all[dir].files[filepath.Base(path)] = f
		return nil
	})
	require.NoError(t, err)
	return fset, all
}

func dirs(all map[string]*source) (names []string) {
	for d := range all {
		names = append(names, d)
	}
	sort.Strings(names)
	return names
}

func findLaw(dir string) (pkg, bool) {
	for _, p := range law {
		if p.path == dir || strings.HasPrefix(dir, p.path+"/internal") {
			return p, true
		}
	}
	return pkg{}, false
}

func (p pkg) allows(target string) bool {
	if strings.HasPrefix(target, p.path+"/internal") {
		return true
	}
	words := strings.Fields(p.may)
	for i := 0; i < len(words); i++ {
		w := words[i]
		if more, ok := sets[w]; ok {
			words = append(words, strings.Fields(more)...)
			continue
		}
		if w == "..." || w == target || strings.HasSuffix(w, "/...") && strings.HasPrefix(target, strings.TrimSuffix(w, "...")) {
			return true
		}
	}
	return false
}

func TestImportsKeepTheFloors(t *testing.T) {
	_, all := load(t)
	for _, dir := range dirs(all) {
		p, ok := findLaw(dir)
		if !assert.True(t, ok, "package %s has no floor: give it a line in the law", dir) {
			continue
		}
		for name, f := range all[dir].files {
			for _, imp := range f.Imports {
				path, _ := strconv.Unquote(imp.Path.Value)
				if ours, is := strings.CutPrefix(path, module); is {
					assert.True(t, p.allows(ours), "%s/%s must not import %s", dir, name, ours)
					continue
				}
				if why, bad := banned[path]; bad && p.pure {
					assert.Fail(t, "impure import", "%s/%s is pure and imports %s: %s", dir, name, path, why)
				}
				for _, o := range outside {
					if path == o.pkg || strings.HasPrefix(path, o.pkg+"/") {
						assert.Contains(t, strings.Fields(o.homes), dir, "%s/%s imports %s: %s", dir, name, path, o.why)
					}
				}
			}
		}
	}
}

// pkgOf returns the import path a selector's base names in file f, or "".
func pkgOf(f *ast.File, x ast.Expr) string {
	id, ok := x.(*ast.Ident)
	if !ok || id.Obj != nil {
		return ""
	}
	for _, imp := range f.Imports {
		path, _ := strconv.Unquote(imp.Path.Value)
		name := path[strings.LastIndexByte(path, '/')+1:]
		if name == "v2" {
			name = "rand"
		}
		if imp.Name != nil {
			name = imp.Name.Name
		}
		if name == id.Name {
			return path
		}
	}
	return ""
}

func TestPurePackagesHaveNoClockGoroutineOrDice(t *testing.T) {
	fset, all := load(t)
	for _, dir := range dirs(all) {
		p, _ := findLaw(dir)
		if !p.pure {
			continue
		}
		for _, f := range all[dir].files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					assert.Fail(t, "goroutine", "%s: a pure package starts none", fset.Position(n.Pos()))
				case *ast.SelectorExpr:
					switch path := pkgOf(f, n.X); {
					case path == "time" && (n.Sel.Name == "Now" || n.Sel.Name == "Since" || n.Sel.Name == "Sleep" || n.Sel.Name == "After"):
						assert.Fail(t, "clock", "%s: time is an argument", fset.Position(n.Pos()))
					case path == "math/rand/v2" && !strings.HasPrefix(n.Sel.Name, "New") && n.Sel.Name != "Rand" && n.Sel.Name != "PCG" && n.Sel.Name != "Source":
						assert.Fail(t, "dice", "%s: randomness is seeded and passed in", fset.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}

// mayRecover are packages whose panics of one own type are not broken invariants, and why.
var mayRecover = map[string]string{
	"resp/lua/vm": "a Lua error unwinds Go's stack to the pcall that catches it; what is no *Error, or syntaxError, is thrown on",
}

func TestNoInitAndNoRecover(t *testing.T) {
	fset, all := load(t)
	for _, dir := range dirs(all) {
		for _, f := range all[dir].files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					assert.False(t, n.Recv == nil && n.Name.Name == "init", "%s: wire by hand, no init()", fset.Position(n.Pos()))
				case *ast.CallExpr:
					if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "recover" && id.Obj == nil && mayRecover[dir] == "" {
						assert.Fail(t, "recover", "%s: a broken invariant stops the process", fset.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}

func TestEveryPackageHasOneDoc(t *testing.T) {
	_, all := load(t)
	for _, dir := range dirs(all) {
		var docs []string
		for name, f := range all[dir].files {
			if f.Doc != nil && !strings.HasPrefix(f.Doc.Text(), "//go:build") {
				docs = append(docs, name)
			}
		}
		sort.Strings(docs)
		assert.Len(t, docs, 1, "package %s: exactly one package doc, found in %v", dir, docs)
	}
}

func TestLawHasNoDeadRules(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range law {
		assert.False(t, seen[p.path], "%s stands twice", p.path)
		seen[p.path] = true
	}
	for _, p := range law {
		for _, w := range strings.Fields(p.may) {
			if !strings.HasSuffix(w, "...") && sets[w] == "" {
				assert.True(t, seen[w], "%s may import %s, which is in no line", p.path, w)
			}
		}
	}
}
