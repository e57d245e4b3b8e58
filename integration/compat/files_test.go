package compat

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/integration/proc"
)

// here is a Sextant or a Redis in a given directory.
func here(t *testing.T, ours bool, dir string, directives ...string) *server {
	directives = append([]string{"--dir", dir}, directives...)
	if ours {
		return sextantServer(t, directives...)
	}
	return redisServer(t, directives...)
}

// content is everything that must come back from a file.
type content struct{ digest, functions, groups string }

func contentOf(s *server) content {
	c := content{digest: s.say("DEBUG", "DIGEST"), functions: s.say("FUNCTION", "LIST", "WITHCODE")}
	for _, about := range [][]string{{"XPENDING", "stream", "group"}, {"XLEN", "stream:empty"}, {"PTTL", "zset:ints:129"}} {
		reply := s.say(about...)
		if about[0] == "PTTL" {
			reply = strconv.Itoa(len(reply)) // the time goes on
		}
		c.groups += reply + "\n"
	}
	return c
}

// check runs redis-check-aof or redis-check-rdb and returns what it printed.
func check(t *testing.T, tool string, answer string, args ...string) (out string, ok bool) {
	t.Helper()
	cmd := exec.Command(tool, args...)
	cmd.Stdin = strings.NewReader(answer)
	text, err := cmd.CombinedOutput()
	if err != nil && !assert.IsType(t, (*exec.ExitError)(nil), err) {
		t.FailNow()
	}
	return string(text), err == nil
}

// TestAppendOnlyDirectoriesOfBoth: all types, scripts and functions, with rewrites in between, killed at the end.
// redis-check-aof accepts what is there, and the other server starts from it with the same data, goes on writing, and
// hands it back.
func TestAppendOnlyDirectoriesOfBoth(t *testing.T) {
	realRedis(t)
	for first, preamble := range map[bool]string{true: "yes", false: "no"} { // each server reads what the other wrote, in both forms
		t.Run(fmt.Sprintf("sextant first %v, preamble %s", first, preamble), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			directives := []string{"--appendonly", "yes", "--appendfsync", "always", "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", "yes"}
			manifest := filepath.Join(dir, "appendonlydir", "appendonly.aof.manifest")
			var want content
			for turn, ours := range []bool{first, !first, first} {
				s := here(t, ours, dir, directives...)
				c := s.dial(t)
				if turn == 0 {
					c.do(t, append(values(), []string{"FUNCTION", "LOAD", library}))
				} else {
					require.Equal(t, want, contentOf(s), "turn %d", turn)
				}
				for i := range 60 {
					c.do(t, writes(turn*1000+i))
					if i == 30 {
						require.Contains(t, s.say("BGREWRITEAOF"), "rewriting started")
					}
				}
				s.eventually("rewritten", func() bool { return s.info("persistence")["aof_rewrite_in_progress"] == "0" })
				require.Equal(t, "ok", s.info("persistence")["aof_last_bgrewrite_status"])
				want = contentOf(s)
				s.kill()
				out, ok := check(t, "redis-check-aof", "", manifest)
				require.True(t, ok, "turn %d: %s", turn, out)
				require.Contains(t, out, "All AOF files and manifest are valid")
			}
		})
	}
}

// TestTornAppendOnlyFile: a file of ours that ends in the middle of a command, or has rubbish in it. redis-check-aof
// finds and mends it as it does Redis' own, and we start as Redis does: with what is whole (aof-load-truncated), or
// not at all.
func TestTornAppendOnlyFile(t *testing.T) {
	t.Parallel()
	realRedis(t)
	dir := t.TempDir()
	directives := []string{"--appendonly", "yes", "--appendfsync", "always", "--aof-timestamp-enabled", "yes"}
	s := here(t, true, dir, directives...)
	for i := range 100 {
		require.Equal(t, "OK", s.say("SET", fmt.Sprint("k", i), "v"))
	}
	whole := contentOf(s)
	s.kill()
	manifest := filepath.Join(dir, "appendonlydir", "appendonly.aof.manifest")
	incr := filepath.Join(dir, "appendonlydir", "appendonly.aof.1.incr.aof")
	good, err := os.ReadFile(incr)
	require.NoError(t, err)
	require.Contains(t, string(good), "#TS:")
	write := func(b string) { require.NoError(t, os.WriteFile(incr, []byte(b), 0o644)) }

	write(string(good) + "*3\r\n$3\r\nSET\r\n$4\r\nto")
	out, ok := check(t, "redis-check-aof", "", manifest)
	require.False(t, ok, out)
	for _, ours := range []bool{true, false} {
		copied := t.TempDir()
		require.NoError(t, os.CopyFS(copied, os.DirFS(dir)))
		s := here(t, ours, copied, directives...)
		require.Equal(t, whole, contentOf(s), "ours: %v", ours)
		s.kill()
		refuses(t, ours, copied, "*3\r\n$3\r\nSET\r\n$4\r\nto", append(directives, "--aof-load-truncated", "no")...)
	}
	out, ok = check(t, "redis-check-aof", "y\n", "--fix", manifest)
	require.True(t, ok, out)
	require.Contains(t, out, "Successfully truncated AOF")
	mended, err := os.ReadFile(incr)
	require.NoError(t, err)
	require.Equal(t, good, mended)

	// A byte that is not the protocol's, in the middle: neither starts.
	middle := len(good)/2 + strings.Index(string(good[len(good)/2:]), "\r\n*3") + 2
	write(string(good[:middle]) + "!" + string(good[middle+1:]))
	out, ok = check(t, "redis-check-aof", "", manifest)
	require.False(t, ok, out)
	for _, ours := range []bool{true, false} {
		refuses(t, ours, dir, "", directives...)
	}
	write(string(good))

	// Back to a moment: only what was written up to it stays.
	s = here(t, true, dir, directives...)
	time.Sleep(1100 * time.Millisecond) // the marks are seconds
	moment := time.Now().Unix() - 1
	require.Equal(t, "OK", s.say("SET", "later", "1"))
	s.kill()
	out, ok = check(t, "redis-check-aof", "", "--truncate-to-timestamp", strconv.FormatInt(moment, 10), manifest)
	require.True(t, ok, out)
	require.Contains(t, out, "Successfully truncated AOF")
	s = here(t, true, dir, directives...)
	require.Equal(t, whole, contentOf(s))
}

// refuses starts a server that must not come up from a directory to whose last file text is appended, and that
// must leave the files as they are.
func refuses(t *testing.T, ours bool, dir, text string, directives ...string) {
	t.Helper()
	if text != "" {
		files, err := filepath.Glob(filepath.Join(dir, "appendonlydir", "*.incr.aof"))
		require.NoError(t, err)
		f, err := os.OpenFile(files[len(files)-1], os.O_APPEND|os.O_WRONLY, 0)
		require.NoError(t, err)
		_, err = f.WriteString(text)
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
	before := snapshotOf(t, dir)
	argv := []string{"redis-server"}
	if ours {
		argv = []string{binary, "server"}
	}
	port := proc.FreePort(t)
	argv = append(argv, "--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", "")
	s := prepare(t, "one that must not start", port, append(argv, directives...)...)
	s.Start()
	require.Equal(t, 1, s.Code(patience), "%s", s.Out)
	require.Equal(t, before, snapshotOf(t, dir))
}

// snapshotOf is every file below a directory.
func snapshotOf(t *testing.T, dir string) map[string]string {
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		files[path] = string(b)
		return err
	}))
	return files
}

// TestRDBFilesOfBoth: the same with dump.rdb, compressed and not, through redis-check-rdb; a damaged one is refused by the
// tool and by both servers.
func TestRDBFilesOfBoth(t *testing.T) {
	realRedis(t)
	for _, compression := range []string{"yes", "no"} {
		t.Run("rdbcompression "+compression, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "dump.rdb")
			var want content
			for turn, ours := range []bool{true, false, true} {
				s := here(t, ours, dir, "--rdbcompression", compression)
				c := s.dial(t)
				if turn == 0 {
					c.do(t, append(values(), []string{"FUNCTION", "LOAD", library}))
				} else {
					require.Equal(t, want, contentOf(s), "turn %d", turn)
				}
				for i := range 60 {
					c.do(t, writes(turn*1000+i))
				}
				want = contentOf(s)
				require.Equal(t, "OK", s.say("SAVE"))
				s.kill()
				out, ok := check(t, "redis-check-rdb", "", file)
				require.True(t, ok, "turn %d: %s", turn, out)
				require.Contains(t, out, "RDB looks OK!")
				require.Contains(t, out, "Checksum OK")
			}
			if compression == "no" {
				return
			}
			good, err := os.ReadFile(file)
			require.NoError(t, err)
			for _, damaged := range []string{string(good[:len(good)/2]), string(good[:len(good)-4]), string(good[:9]) + "\x0f" + string(good[10:]), string(good[:len(good)-1]) + "!"} {
				require.NoError(t, os.WriteFile(file, []byte(damaged), 0o644))
				out, ok := check(t, "redis-check-rdb", "", file)
				require.False(t, ok, out)
				for _, ours := range []bool{true, false} {
					refuses(t, ours, dir, "")
				}
			}
		})
	}
}
