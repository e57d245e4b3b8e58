package commandtest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/session"
	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/value"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts in testdata print into them; review the difference")

// Settings are what a script says with "%": the test's families read them.
type Settings map[string]string

// On reports whether a setting is on.
func (s Settings) On(name string) bool { return s[name] == "on" }

// Int puts a setting that is a number into to; without one, to stays as it is.
func (s Settings) Int(name string, to *int) {
	if text, said := s[name]; said {
		n, err := strconv.Atoi(text)
		if err != nil {
			panic(err)
		}
		*to = n
	}
}

// Scripts runs each file that matches pattern as a test. A script is a list of calls, each
// followed by everything it did:
//
//	# a comment
//	> SET k v EX 10        a call of the client "main"; words are quoted as in redis-cli
//	b> GET k               a call of the client b; the client "primary" is the replication
//	                       stream of our primary
//	OK                     the reply: OK, "bulk", 12, nil, nil array, -ERR ..., [..], {..}
//	RESP3 ...              the reply in RESP3, when that is another
//	~ SET k v PXAT 17...   a command of the replication stream; "1 ~" for database 1
//	! set k                a keyspace event; "1 !" for database 1
//	@ 100                  100 ms go by
//	% name on              a setting, for the families
//
// With -rewrite the output is written into the files. setup makes the families; each entry of
// the first must succeed somewhere in the scripts.
func Scripts(t *testing.T, pattern string, setup func(Settings) [][]command.Command) {
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files, "no scripts match %s", pattern)
	succeeded := map[string]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			require.NoError(t, err)
			settings := Settings{}
			families := setup(settings)
			b := New(t, append(families, stage(families))...)
			b.succeeded = succeeded
			got := runScript(t, b, settings, string(src))
			if *rewrite {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(src), got)
		})
	}
	t.Run("every entry succeeds once", func(t *testing.T) {
		for _, c := range setup(Settings{})[0] {
			if c.Run != nil {
				assert.True(t, succeeded[c.Name], c.Name)
			}
			for _, sub := range c.Sub {
				assert.True(t, succeeded[c.Name+"|"+sub.Name], "%s %s", c.Name, sub.Name)
			}
		}
	})
}

func runScript(t *testing.T, b *Bench, settings Settings, src string) string {
	clients := map[string]*Client{}
	var out strings.Builder
	for line := range strings.Lines(src) {
		line = strings.TrimRight(line, "\n")
		who, call, isCall := strings.Cut(line, "> ")
		switch {
		case strings.HasPrefix(line, "#") || line == "":
			fmt.Fprintln(&out, line)
		case strings.HasPrefix(line, "@ "):
			ms, err := strconv.ParseInt(line[2:], 10, 64)
			require.NoError(t, err, line)
			b.Now += ms
			fmt.Fprintln(&out, line)
		case strings.HasPrefix(line, "% "):
			name, val, _ := strings.Cut(line[2:], " ")
			settings[name] = val
			fmt.Fprintln(&out, line)
		case isCall && !strings.ContainsAny(who, " \"~!"):
			if clients[who] == nil {
				f := session.Flags(0)
				if who == "primary" {
					f = session.Primary
				}
				clients[who] = b.Client(f)
			}
			argv, ok := resp.SplitArgs([]byte(call), nil)
			require.True(t, ok, line)
			args := make([]string, len(argv))
			for i, a := range argv {
				args[i] = string(a)
			}
			fmt.Fprintln(&out, line)
			out.WriteString(clients[who].Do(args...).String())
		}
	}
	return out.String()
}

// String renders r as scripts show it.
func (r Result) String() string {
	var out strings.Builder
	two, three := render(r.Reply), render(r.Reply3)
	if r.NullArray {
		two, three = "nil array", "nil array"
	}
	fmt.Fprintln(&out, two)
	if three != two {
		fmt.Fprintln(&out, "RESP3", three)
	}
	for _, e := range r.Effects {
		fmt.Fprintln(&out, e)
	}
	for _, e := range r.Events {
		fmt.Fprintln(&out, e)
	}
	return out.String()
}

func (e Effect) String() string {
	var out strings.Builder
	if e.DB != 0 {
		fmt.Fprint(&out, e.DB, " ")
	}
	out.WriteString("~")
	for _, a := range e.Argv {
		out.WriteString(" " + word(a))
	}
	return out.String()
}

func (e Event) String() string {
	db := ""
	if e.DB != 0 {
		db = fmt.Sprint(e.DB, " ")
	}
	return db + "! " + e.Name + " " + word(e.Key)
}

// word leaves plain words as they are and quotes the others.
func word(s string) string {
	if q := quote([]byte(s)); s == "" || len(q) != len(s)+2 || strings.Contains(s, " ") {
		return q
	}
	return s
}

// quote quotes as redis-cli does, byte by byte.
func quote(s []byte) string {
	b := []byte{'"'}
	for _, c := range s {
		if i := strings.IndexByte("\"\\\n\r\t\a\b", c); i >= 0 {
			b = append(b, '\\', "\"\\nrtab"[i])
		} else if c < ' ' || c > '~' {
			b = fmt.Appendf(b, "\\x%02x", c)
		} else {
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

func render(v resp.Value) string {
	parts := make([]string, len(v.Elems))
	for i, e := range v.Elems {
		parts[i] = render(e)
	}
	switch v.Kind {
	case resp.KindSimple:
		return string(v.Str)
	case resp.KindError:
		return "-" + string(v.Str)
	case resp.KindBulk:
		return quote(v.Str)
	case resp.KindNull:
		return "nil"
	case resp.KindArray:
		return "[" + strings.Join(parts, ", ") + "]"
	case resp.KindSet:
		return "<" + strings.Join(parts, ", ") + ">"
	case resp.KindMap:
		for i := 0; i < len(parts); i += 2 {
			parts[i/2] = parts[i] + ": " + parts[i+1]
		}
		return "{" + strings.Join(parts[:len(parts)/2], ", ") + "}"
	case resp.KindDouble:
		return "," + v.Text()
	}
	return v.Text()
}

// stage is what scripts need besides the family under test: a way into other databases, and
// values of another type. They stand in for commands of families that a script's test cannot
// import. A family that has such a command itself gets on without.
func stage(families [][]command.Command) []command.Command {
	staged := []command.Command{
		{
			Name: "SELECT", Since: "1.0.0", Group: command.Connection, Arity: 2, Args: "index:int", Reply: "OK",
			Doc: command.Doc{Summary: "Changes the database."},
			Run: func(c *command.Ctx) {
				if n, ok := c.IntIn(1, 0, int64(c.Txn.Store().Databases()-1)); ok {
					c.Sess.Select(int(n))
					c.Txn.SelectDB(int(n))
					c.Out.OK()
				}
			},
		},
		{
			Name: "RPUSH", Since: "1.0.0", Group: command.List, Arity: 3, Flags: command.Write, Args: "key element", Reply: "int",
			Keys: []command.KeySpec{command.At(1, command.RW|command.Insert)},
			Doc:  command.Doc{Summary: "Makes a key a list of one element."},
			Run: func(c *command.Ctx) {
				c.Txn.SetPayload(c.Argv[1], value.List, value.Listpack, c.Argv[2], store.NoExpire)
				c.Created(c.Argv[1])
				c.Notify(command.EventList, "rpush", c.Argv[1])
				c.Out.Int(1)
			},
		},
	}
	return slices.DeleteFunc(staged, func(c command.Command) bool {
		return slices.ContainsFunc(families, func(f []command.Command) bool {
			return slices.ContainsFunc(f, func(has command.Command) bool { return has.Name == c.Name })
		})
	})
}
