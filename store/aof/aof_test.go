package aof

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store/disk"
	"github.com/sextantdb/sextant/store/disk/disktest"
)

func TestManifestIsReadAndWritten(t *testing.T) {
	text := "file appendonly.aof.2.base.rdb seq 2 type b\n" +
		"file appendonly.aof.1.base.rdb seq 1 type h\n" +
		"file appendonly.aof.4.incr.aof seq 4 type i\n" +
		"file appendonly.aof.7.incr.aof seq 7 type i\n"
	m, err := ParseManifest([]byte(text))
	require.NoError(t, err)
	require.Equal(t, text, string(m.Bytes()))
	require.Equal(t, "appendonly.aof.8.incr.aof", m.addIncr("appendonly.aof").Name)
	require.Equal(t, "appendonly.aof.3.base.aof", m.addBase("appendonly.aof", false).Name)
	m.retire(8)
	require.Equal(t, "file appendonly.aof.3.base.aof seq 3 type b\n"+
		"file appendonly.aof.2.base.rdb seq 2 type h\n"+
		"file appendonly.aof.1.base.rdb seq 1 type h\n"+
		"file appendonly.aof.4.incr.aof seq 4 type h\n"+
		"file appendonly.aof.7.incr.aof seq 7 type h\n"+
		"file appendonly.aof.8.incr.aof seq 8 type i\n", string(m.Bytes()))

	for name, quoted := range map[string]string{
		"a b.aof": `"a b.aof"`, `q"uote.aof`: `"q\"uote.aof"`, "tab\t\x01\xff": `"tab\t\x01\xff"`, "it's": `"it's"`,
	} {
		line := fmt.Sprintf("file %s seq 1 type i\n", quoted)
		m := &Manifest{Incr: []File{{Name: name, Seq: 1, Type: Incr}}}
		require.Equal(t, line, string(m.Bytes()))
		got, err := ParseManifest([]byte(line))
		require.NoError(t, err)
		require.Equal(t, name, got.Incr[0].Name)
	}
	// Later versions write more about a file, in any order, with comments.
	m, err = ParseManifest([]byte("# a comment\nstartoffset 17 type i file 'x y' seq 3 endoffset 20\n"))
	require.NoError(t, err)
	require.Equal(t, []File{{Name: "x y", Seq: 3, Type: Incr}}, m.Files())
}

func TestBadManifests(t *testing.T) {
	const incr = "file a.1.incr.aof seq 1 type i\n"
	for text, want := range map[string]error{
		"":                               errEmptyManifest,
		incr + "\n":                      errManifest,
		incr + "file a":                  errLongLine,
		strings.Repeat("x", 2000) + "\n": errLongLine,
		"file a seq 1\n":                 errManifest,
		"file a seq 1 type i odd\n":      errManifest,
		"filx a seq 1 type i\n":          errManifest,
		"file a seq x type i\n":          errManifest,
		"file \"a seq 1 type i\n":        errManifest,
		"file a/b seq 1 type i\n":        errPath,
		"file .. seq 1 type i\n":         errPath,
		"file a seq 1 type x\n":          errType,
		incr + incr:                      errOrder,
		"file a seq 1 type b\nfile b seq 2 type b\n": errTwoBases,
	} {
		_, err := ParseManifest([]byte(text))
		require.ErrorIs(t, err, want, "%q", text)
	}
}

func record(words ...string) string {
	s := fmt.Sprintf("*%d\r\n", len(words))
	for _, w := range words {
		s += fmt.Sprintf("$%d\r\n%s\r\n", len(w), w)
	}
	return s
}

func TestReader(t *testing.T) {
	big := strings.Repeat("x", 3<<20)
	text := "#TS:1628217470\r\n" + record("SET", "k", "") + "#other\r\n#TS:1628217471\r\n" + record("SET", "k", big) + "#TS:1628217472\r\n"
	r := NewReader(strings.NewReader(text), 100)
	argv, err := r.Next()
	require.NoError(t, err)
	require.Equal(t, [][]byte{[]byte("SET"), []byte("k"), {}}, argv)
	require.Equal(t, int64(1628217470), r.Timestamp())
	require.Equal(t, int64(100+len("#TS:1628217470\r\n")+len(record("SET", "k", ""))), r.Offset())
	argv, err = r.Next()
	require.NoError(t, err)
	require.Equal(t, big, string(argv[2]))
	_, err = r.Next()
	require.Equal(t, io.EOF, err)
	require.Equal(t, int64(1628217472), r.Timestamp())

	// Wherever a file ends within a record it says so, and where the record begins.
	first := record("SET", "key", "value")
	text = first + record("MSET", "a", "1\r\n2", "b", "")
	for cut := len(first) + 1; cut < len(text); cut++ {
		r := NewReader(strings.NewReader(text[:cut]), 0)
		_, err := r.Next()
		require.NoError(t, err)
		_, err = r.Next()
		require.ErrorIs(t, err, ErrTruncated, "cut at %d", cut)
		var f *FormatError
		require.ErrorAs(t, err, &f)
		require.Equal(t, int64(len(first)), f.Offset)
	}
	for _, bad := range []string{"!!!\r\n", "!!", "*x\r\n", "*0\r\n", "*-1\r\n", "*1\r\n+OK\r\n", "*1\r\n$-1\r\n", "*1\r\n$x\r\n", "*1\r\n$1\r\nabc\r\n",
		"*1\r\n$99999999999999\r\n", "PING\r\n", "*99999999999999999999\r\n", strings.Repeat("#", 300<<10) + "\r\n", "\r\n"} {
		r := NewReader(strings.NewReader(first+bad), 0)
		_, err := r.Next()
		require.NoError(t, err)
		_, err = r.Next()
		require.ErrorIs(t, err, ErrFormat, "%.20q", bad)
	}
	broken := errors.New("broken")
	_, err = NewReader(io.MultiReader(strings.NewReader("*1\r\n$4\r\nPI"), failing{broken}), 0).Next()
	require.ErrorIs(t, err, broken)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestLogCutsWhatItCouldNotWrite(t *testing.T) {
	d := disktest.New()
	l, err := CreateLog(d, "/d/x", File{Name: "x"})
	require.NoError(t, err)
	n, err := l.Write([]byte("one"))
	require.NoError(t, err)
	require.Equal(t, 3, n)
	d.SetSpace(2)
	n, err = l.Write([]byte("three"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Zero(t, n)
	require.Equal(t, "one", string(d.Content("/d/x")))
	// It cannot be cut off: then it counts, and the rest follows later.
	d.SetSpace(2)
	d.Fail("truncate", errors.New("read only"))
	n, err = l.Write([]byte("three"))
	require.Error(t, err)
	require.Equal(t, 2, n)
	d.SetSpace(-1)
	_, err = l.Write([]byte("ree"))
	require.NoError(t, err)
	require.Equal(t, "onethree", string(d.Content("/d/x")))
	require.Equal(t, int64(8), l.Size())
}

// What an event loop writes and what others write stand one behind the other in a real file, and a failure says so.
func TestQuickWritesAreWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	l, err := CreateLog(disk.OS{}, path, File{Name: "x"})
	require.NoError(t, err)
	for _, write := range []func([]byte) (int, error){l.QuickWrite, l.Write, l.QuickWrite} {
		n, err := write([]byte("some"))
		require.NoError(t, err)
		require.Equal(t, 4, n)
	}
	require.Equal(t, int64(12), l.Size())
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "somesomesome", string(got))
	require.NoError(t, l.Close())
	n, err := l.QuickWrite([]byte("late"))
	require.Error(t, err)
	require.Zero(t, n)
	require.Equal(t, int64(12), l.Size())

	if full, err := CreateLog(disk.OS{}, "/dev/full", File{Name: "full"}); err == nil {
		_, err = full.QuickWrite([]byte("much"))
		require.ErrorIs(t, err, syscall.ENOSPC)
		require.NoError(t, full.Close())
	}
	// A file that cannot do it is written to as ever.
	d := disktest.New()
	l, err = CreateLog(d, "/d/x", File{Name: "x"})
	require.NoError(t, err)
	_, err = l.QuickWrite([]byte("some"))
	require.NoError(t, err)
	require.Equal(t, "some", string(d.Content("/d/x")))
}

func TestUpgrade(t *testing.T) {
	const old, manifest = "/d/appendonly.aof", "/d/dir/appendonly.aof.manifest"
	open := func(d *disktest.Disk) *Dir {
		dir, err := OpenDir(d, "/d", "dir", "appendonly.aof")
		require.NoError(t, err)
		return dir
	}
	d := disktest.New()
	did, err := open(d).Upgrade()
	require.NoError(t, err)
	require.False(t, did)

	d.Put(old, []byte("data"))
	did, err = open(d).Upgrade()
	require.NoError(t, err)
	require.True(t, did)
	require.Equal(t, []string{"/d/dir/appendonly.aof", manifest}, d.Names())
	require.Equal(t, "file appendonly.aof seq 1 type b\n", string(d.Content(manifest)))

	// Broken off between the two steps.
	d = disktest.New()
	d.Put(old, []byte("data"))
	d.Put(manifest, []byte("file appendonly.aof seq 1 type b\n"))
	did, err = open(d).Upgrade()
	require.NoError(t, err)
	require.True(t, did)
	require.Equal(t, "data", string(d.Content("/d/dir/appendonly.aof")))

	// Another server's.
	d = disktest.New()
	d.Put(old, []byte("data"))
	d.Put(manifest, []byte("file appendonly.aof.1.incr.aof seq 1 type i\n"))
	did, err = open(d).Upgrade()
	require.NoError(t, err)
	require.False(t, did)
}

// TestManifestSurvivesFaults fails every step of a commit in turn: either the old manifest or the new one is in
// force, in memory and on the disk, and all its files are there.
func TestManifestSurvivesFaults(t *testing.T) {
	for _, op := range []string{"create", "write", "sync", "close", "rename", "syncdir"} {
		d := disktest.New()
		dir, err := OpenDir(d, "/d", "dir", "a")
		require.NoError(t, err)
		d.Put("/d/dir/temp", []byte("base 1"))
		_, err = dir.FirstBase("temp", true)
		require.NoError(t, err)
		l, created, err := dir.OpenLast()
		require.NoError(t, err)
		require.True(t, created)
		require.Equal(t, int64(1), l.File.Seq)
		next, err := dir.NewIncr()
		require.NoError(t, err)
		before := string(dir.Manifest().Bytes())

		d.Put("/d/dir/temp", []byte("base 2"))
		d.Fail(op, errors.New("broken"))
		_, _, err = dir.CommitBase("temp", true, next.File.Seq, false)
		require.Error(t, err, op)
		d.Fail(op, nil)
		onDisk := string(d.Content("/d/dir/a.manifest"))
		require.Equal(t, string(dir.Manifest().Bytes()), onDisk, op)
		if op != "syncdir" {
			require.Equal(t, before, onDisk, op)
		}
		for _, f := range dir.Manifest().Files() {
			require.Contains(t, d.Names(), "/d/dir/"+f.Name, op)
		}
		m, err := ParseManifest([]byte(onDisk))
		require.NoError(t, err)
		require.Equal(t, dir.Manifest().Files(), m.Files())
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(record("SET", "k", "v") + "#TS:1\r\n" + record("MULTI") + record("EXEC")))
	f.Add([]byte("*1\r\n$4\r\nPI"))
	f.Add([]byte("*2\r\n$1\r\na\r\n$-1\r\n"))
	f.Add([]byte("#\r\n#TS:x\r\n*"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewReader(bytes.NewReader(data), 0)
		for {
			argv, err := r.Next()
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrFormat) {
					t.Fatal(err)
				}
				if r.Offset() > int64(len(data)) {
					t.Fatalf("offset %d of %d bytes", r.Offset(), len(data))
				}
				return
			}
			// What was read reads the same when it is written again.
			var words []string
			for _, w := range argv {
				words = append(words, string(w))
			}
			again, err := NewReader(strings.NewReader(record(words...)), 0).Next()
			if err != nil || len(again) != len(argv) {
				t.Fatalf("%q: %v", argv, err)
			}
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte("file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\n"))
	f.Add([]byte("file \"a \\x41\" seq 1 type h startoffset 3\n#x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := ParseManifest(data)
		if err != nil || len(m.Bytes()) == 0 {
			return
		}
		again, err := ParseManifest(m.Bytes())
		if err != nil {
			if errors.Is(err, errLongLine) {
				return // quoting makes a name longer
			}
			t.Fatalf("%q: %v", m.Bytes(), err)
		}
		require.Equal(t, m.Files(), again.Files())
	})
}
