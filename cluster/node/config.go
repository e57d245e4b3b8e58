package node

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/admin"
	"github.com/sextantdb/sextant/resp/glob"
	"github.com/sextantdb/sextant/store/disk"
)

// CompatVersion is the version of Redis whose behaviour and texts we follow.
const CompatVersion = "7.2.4"

// Config is the configuration of a node: the directives' values now, and where they came from.
//
// # Concurrency
//
// Now may be called from any goroutine and costs one load. Get, Set, Change and Rewrite may be
// called from any goroutine; hooks run on the caller's, one change at a time. OnChange is
// called only while the node is being composed.
type Config struct {
	table  []*directive          // immutable
	byName map[string]*directive // names and aliases, lower case; immutable
	file   string                // absolute path of the configuration file, "" without one; immutable
	// Renames are the rename-command lines. Immutable.
	Renames command.Renames
	// Users are the user lines. Immutable.
	Users []acl.Declared
	// UserLines are the users of now without the word user, for CONFIG REWRITE; none: they are not kept
	// in the file. Nil: as they were. Immutable once the node serves.
	UserLines func() []string
	// Warnings are what should be logged once the log is open. Immutable.
	Warnings []string
	// Disk is where data is kept; nil: the machine's file system. Immutable once a node is made of it.
	Disk disk.FS
	// Alone says that the process is this node's, with GOMAXPROCS set for its event loops. Immutable like Disk.
	Alone bool

	now atomic.Pointer[Values]

	mu    sync.Mutex // one change or rewrite at a time
	hooks []*hook    // immutable once the node serves
}

type hook struct {
	names []string // primary names
	run   func(old, now *Values) error
}

// FatalError is why a node cannot start with its configuration. Its text is to be written to
// standard error as it is.
type FatalError struct{ text string }

func (e *FatalError) Error() string { return e.text }

// newConfig returns a configuration of defaults with dir as data folder.
func newConfig(dir string) *Config {
	c := &Config{table: directives(), byName: map[string]*directive{}, Renames: command.Renames{}}
	v := new(Values)
	for _, d := range c.table {
		for _, name := range []string{d.name, d.alias} {
			if name == "" {
				continue
			}
			if c.byName[name] != nil {
				panic("config: directive " + name + " entered twice")
			}
			c.byName[name] = d
		}
		d.initial(v)
	}
	v.Dir = dir
	c.now.Store(v)
	return c
}

// Load reads the configuration as redis-server does from its arguments (without the program's
// name): "[/path/to/redis.conf] [--directive value …] [-]", where - reads more directives from
// stdin. Relative paths are relative to cwd, which is also the default of dir. The error is
// a *FatalError.
func Load(args []string, cwd string, stdin io.Reader) (*Config, error) {
	c := newConfig(cwd)
	file, fromStdin, options := splitCommandLine(args)
	var content strings.Builder
	if file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(cwd, file)
		}
		c.file = file
		if err := readConfigFiles(&content, file, cwd); err != nil {
			return nil, err
		}
	}
	if fromStdin {
		endLine(&content)
		if _, err := io.Copy(&content, stdin); err != nil {
			return nil, &FatalError{fmt.Sprintf("Fatal error, can't read config from stdin: %v\n", err)}
		}
	}
	if options != "" {
		content.WriteString("\n" + options)
	}
	v := *c.Now()
	if err := c.parse(&v, content.String(), setting{cwd: cwd, reading: &fileState{}}); err != nil {
		return nil, err
	}
	if err := c.settle(&v); err != nil {
		return nil, err
	}
	c.now.Store(&v)
	return c, nil
}

// splitCommandLine turns arguments into the name of the file, whether stdin is to be read,
// and the options as lines of a configuration file.
func splitCommandLine(args []string) (file string, stdin bool, options string) {
	i := 0
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		file, i = args[0], 1
	}
	var b strings.Builder
	// valued says that the last option has a value, so that the next word that begins with
	// -- is an option again; until then it is a value ("--requirepass --secret").
	valued := true
	for ; i < len(args); i++ {
		a := args[i]
		last := i == len(args)-1
		switch {
		case a == "-" && (i == 0 || last):
			stdin = true
		case valued && strings.HasPrefix(a, "--"):
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(a[2:] + " ")
			words, ok := resp.SplitArgs([]byte(a), nil)
			valued = !ok || len(words) != 1
			// A list that came out empty leaves "--save" alone; it means no save points.
			if !valued && strings.EqualFold(a, "--save") && (last || strings.HasPrefix(args[i+1], "--")) {
				b.WriteString(`""`)
				valued = true
			}
		default:
			b.WriteString(quote(a) + " ")
			valued = true
		}
	}
	return file, stdin, b.String()
}

// readConfigFiles appends the files that name stands for; a pattern without matches is no error.
func readConfigFiles(b *strings.Builder, name, cwd string) error {
	if !filepath.IsAbs(name) {
		name = filepath.Join(cwd, name)
	}
	paths := []string{name}
	if strings.ContainsAny(name, "*?[") {
		var err error
		if paths, err = filepath.Glob(name); err != nil {
			paths = nil
		}
	}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			return &FatalError{fmt.Sprintf("Fatal error, can't open config file '%s': %v\n", p, reason(err))}
		}
		endLine(b)
		b.Write(text)
	}
	return nil
}

// endLine keeps a file whose last line is not ended from running into what follows.
func endLine(b *strings.Builder) {
	if b.Len() > 0 && b.String()[b.Len()-1] != '\n' {
		b.WriteByte('\n')
	}
}

// maxIncludeDepth bounds includes that include each other.
const maxIncludeDepth = 16

// parse reads the lines of text into v.
func (c *Config) parse(v *Values, text string, in setting) error {
	for i, line := range strings.Split(text, "\n") {
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		if err := c.parseLine(v, line, in); err != nil {
			var fatal *FatalError
			if errors.As(err, &fatal) {
				return fatal
			}
			return &FatalError{fatalHead + fmt.Sprintf("Reading the configuration file, at line %d\n>>> '%s'\n%v\n", i+1, line, err)}
		}
	}
	return nil
}

const fatalHead = "\n*** FATAL CONFIG FILE ERROR (Redis " + CompatVersion + ") ***\n"

// outdated are directives that Redis once had and still accepts without a word.
var outdated = []string{"list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"}

func (c *Config) parseLine(v *Values, line string, in setting) error {
	words, ok := split(line)
	if !ok {
		return errors.New("Unbalanced quotes in configuration line")
	}
	if len(words) == 0 {
		return nil // white space of a kind that Trim leaves
	}
	name, args := strings.ToLower(words[0]), words[1:]
	if d := c.byName[name]; d != nil {
		if d.flags&multi == 0 && len(args) != 1 {
			return errWrongWords
		}
		if d.flags&multi != 0 && len(args) == 1 && args[0] != "" {
			if args, ok = split(args[0]); !ok {
				return errors.New("Unbalanced quotes in configuration line")
			}
		}
		return d.set(v, args, in)
	}
	switch {
	case len(args) == 1 && contains(outdated, name):
		return nil
	case name == "include" && len(args) == 1:
		return c.include(v, args[0], in)
	case name == "rename-command" && len(args) == 2:
		c.Renames[strings.ToUpper(args[0])] = strings.ToUpper(args[1])
		return nil
	case name == "user" && len(args) >= 1:
		return c.declare(args)
	case name == "loadmodule" && len(args) >= 1:
		return errors.New("Modules are not supported: everything runs in one Go program, which cannot load them")
	case name == "sentinel":
		return errors.New("sentinel directive while not in sentinel mode")
	}
	return errors.New("Bad directive or wrong number of arguments")
}

// declare reads a user line.
func (c *Config) declare(words []string) error {
	for _, u := range c.Users {
		if u.Name == words[0] {
			return fmt.Errorf("Error in user declaration '%s': %v", words[0], acl.ErrDuplicate)
		}
	}
	u, err := acl.Declare(words)
	if err != nil {
		var rule *acl.RuleError
		if errors.As(err, &rule) {
			return fmt.Errorf("Error in user declaration '%s': %v", rule.Rule, rule.Why)
		}
		return fmt.Errorf("Error in user declaration '%s': %v", words[0], err)
	}
	c.Users = append(c.Users, u)
	return nil
}

func (c *Config) include(v *Values, name string, in setting) error {
	if in.reading.depth >= maxIncludeDepth {
		return fmt.Errorf("files include each other more than %d deep", maxIncludeDepth)
	}
	in.reading.depth++
	defer func() { in.reading.depth-- }()
	var content strings.Builder
	if err := readConfigFiles(&content, name, in.cwd); err != nil {
		return err
	}
	return c.parse(v, content.String(), in)
}

func split(line string) (words []string, ok bool) {
	parts, ok := resp.SplitArgs([]byte(line), nil)
	words = make([]string, len(parts))
	for i, p := range parts {
		words[i] = string(p)
	}
	return words, ok
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// settle checks what only the whole configuration can tell.
func (c *Config) settle(v *Values) error {
	if v.LogFile != "" {
		f, err := os.OpenFile(v.Path(v.LogFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		if err != nil {
			return &FatalError{fatalHead + fmt.Sprintf("Can't open the log file: %v\n", reason(err))}
		}
		_ = f.Close() // nothing was written
	}
	if v.ClusterEnabled && v.ReplicaOf.Host != "" {
		return &FatalError{fatalHead + "replicaof directive not allowed in cluster mode\n"}
	}
	if v.ClusterEnabled && v.Databases > 1 {
		c.Warnings = append(c.Warnings, fmt.Sprintf("WARNING: Changing databases number from %d to 1 since we are in cluster mode", v.Databases))
		v.Databases = 1
	}
	v.Hz = min(max(v.Hz, 1), 500)
	return nil
}

// Path is name as a path, relative to dir.
func (v *Values) Path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(v.Dir, name)
}

// Now is the configuration in force.
func (c *Config) Now() *Values { return c.now.Load() }

// File is the absolute path of the configuration file, "" without one.
func (c *Config) File() string { return c.file }

// OnChange has run called after CONFIG SET changed any of the named directives, with the values
// before and after; now is in force already. When run answers an error, everything that CONFIG
// SET changed is taken back: hooks that ran before are called again the other way round, and the
// client gets the error. A directive without a hook takes effect when its readers look
// at Now the next time.
func (c *Config) OnChange(run func(old, now *Values) error, names ...string) {
	h := &hook{run: run}
	for _, name := range names {
		d := c.byName[name]
		if d == nil {
			panic("config: no directive " + name)
		}
		h.names = append(h.names, d.name)
	}
	c.hooks = append(c.hooks, h)
}

// Change changes values without hooks: what the node itself decides at run time and CONFIG
// GET and REWRITE must tell, such as REPLICAOF.
func (c *Config) Change(f func(*Values)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v := *c.Now()
	f(&v)
	c.now.Store(&v)
}

// Secret reports whether the value of the directive must not be shown.
func (c *Config) Secret(name string) bool {
	d := c.byName[strings.ToLower(name)]
	return d != nil && d.flags&secret != 0
}

// Get implements admin.Config.
func (c *Config) Get(patterns [][]byte) []admin.Param {
	v := c.Now()
	found := map[string]admin.Param{} // by name; a plain name is answered as it was spelt
	add := func(name, spelt string, d *directive) {
		if _, have := found[name]; !have {
			found[name] = admin.Param{Name: spelt, Value: d.get(v)}
		}
	}
	for _, p := range patterns {
		pattern := strings.ToLower(string(p))
		if !strings.ContainsAny(pattern, "*?[") {
			if d := c.byName[pattern]; d != nil {
				add(pattern, string(p), d)
			}
			continue
		}
		for name, d := range c.byName {
			if d.flags&(hidden|unlisted) == 0 && glob.MatchFold(pattern, name) {
				add(name, name, d)
			}
		}
	}
	params := make([]admin.Param, 0, len(found))
	for _, p := range found {
		params = append(params, p)
	}
	sort.Slice(params, func(i, j int) bool { return params[i].Name < params[j].Name })
	return params
}

// Set implements admin.Config.
func (c *Config) Set(params []admin.Param, loading, local bool) resp.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.Now()
	chosen := make([]*directive, len(params))
	for i, p := range params {
		d := c.byName[strings.ToLower(p.Name)]
		switch {
		case d == nil:
			return resp.ErrUnknownConfigOption(p.Name)
		case d.flags&fixed != 0:
			return resp.ErrConfigSet(p.Name, "can't set immutable config")
		case d.flags&protected != 0 && !permitted(old.EnableProtectedConfigs, local):
			return resp.ErrConfigSet(p.Name, "can't set protected config")
		case d.flags&denyLoading != 0 && loading:
			return resp.ErrLoading
		}
		for _, before := range params[:i] {
			if strings.EqualFold(before.Name, p.Name) {
				return resp.ErrConfigSet(p.Name, "duplicate parameter")
			}
		}
		chosen[i] = d
	}
	now := *old
	changed := map[string]bool{}
	for i, d := range chosen {
		words := []string{params[i].Value}
		if d.flags&multi != 0 {
			words = splitValue(params[i].Value)
		}
		if err := d.set(&now, words, setting{cwd: old.Dir}); err != nil {
			return resp.ErrConfigSet(strings.ToLower(params[i].Name), err.Error())
		}
		if d.flags&volatile != 0 || d.get(old) != d.get(&now) {
			changed[d.name] = true
		}
	}
	now.Hz = min(max(now.Hz, 1), 500)
	c.now.Store(&now)
	if name, err := c.runHooks(old, &now, changed); err != nil {
		c.now.Store(old)
		return resp.ErrConfigSet(name, err.Error())
	}
	return ""
}

// splitValue splits CONFIG SET's one word into several, at every space; there are no quotes.
func splitValue(value string) []string {
	if value == "" {
		return nil
	}
	return strings.Split(value, " ")
}

func permitted(p Permission, local bool) bool {
	return p == admin.PermitYes || p == admin.PermitLocal && local
}

// runHooks runs the hooks of what changed. When one fails, those that ran are run backwards
// and the name of a directive it stands for is returned with its error.
func (c *Config) runHooks(old, now *Values, changed map[string]bool) (string, error) {
	var ran []*hook
	for _, h := range c.hooks {
		about := ""
		for _, name := range h.names {
			if changed[name] {
				about = name
				break
			}
		}
		if about == "" {
			continue
		}
		ran = append(ran, h)
		if err := h.run(old, now); err != nil {
			for _, back := range ran {
				if undo := back.run(now, old); undo != nil {
					err = fmt.Errorf("%w; the old value could not be restored: %v", err, undo)
				}
			}
			return about, err
		}
	}
	return "", nil
}

// Describe lists every directive for the documentation and the sample file, in the table's order.
func (c *Config) Describe() []Description {
	initial := newConfig("./").Now()
	out := make([]Description, 0, len(c.table))
	for _, d := range c.table {
		if d.flags&hidden != 0 {
			continue
		}
		out = append(out, Description{
			Name: d.name, Alias: d.alias, Default: d.get(initial), Doc: d.doc,
			Mutable: d.flags&mutable != 0, Protected: d.flags&protected != 0, NoEffect: d.flags&inert != 0,
		})
	}
	return out
}

// Description is one directive as documentation shows it.
type Description struct {
	Name, Alias, Default, Doc string
	Mutable, Protected        bool
	// NoEffect: accepted for the sake of existing files; Doc says why.
	NoEffect bool
}
