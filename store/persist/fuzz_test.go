package persist

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/disk/disktest"
	"github.com/sextantdb/sextant/store/rdb"
	"github.com/sextantdb/sextant/store/slot"
)

// loadBytes loads bytes as an RDB file into a bench of its own.
func loadBytes(t *testing.T, file []byte) (*bench, error) {
	b := newBench(t)
	b.fs.Put("/data/dump.rdb", file)
	_, err := b.loader.File(context.Background(), "/data/dump.rdb", LoadOptions{KeepExpired: true, Library: func([]byte) error { return nil }})
	return b, err
}

// FuzzRDBFile loads whole files, those of the corpora of store/rdb's reader among them. A file is
// refused by name and leaves nothing, or what it holds can be saved and loaded again.
func FuzzRDBFile(f *testing.F) {
	f.Add([]byte("REDIS0011\xfe\x01\xf4\x7f\xff\x02\x01\xf8\x05\xf9\x01\xfd\x00\x00\x00\x60\x00\x01k\x01v\xff\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("REDIS0003\xfe\x00\x00\x01k\x01v\x04\x01h\x01\x01a\xc0\x07\xff"))
	f.Add([]byte("REDIS0010\xf5\x0d#!lua name=l\n\xfe\x03\x02\x01s\x02\x01a\x01b\xff\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, file []byte) {
		b, err := loadBytes(t, file)
		defer b.store.Close()
		if err != nil {
			require.ErrorContains(t, err, "/data/dump.rdb")
			require.Empty(t, b.state(), "nothing is half loaded")
			return
		}
		require.NoError(t, b.saver.Save(context.Background()))
		c, err := loadBytes(t, b.fs.Content("/data/dump.rdb"))
		defer c.store.Close()
		require.NoError(t, err)
		require.Equal(t, digests(b), digests(c))
	})
}

// digests are the bytes of all values, in no order: tables may be walked in another one.
func digests(b *bench) map[string]string {
	got := map[string]string{}
	var t store.Txn
	t.BeginAll(b.store, start*1000)
	defer t.End()
	for db := range b.store.Databases() {
		t.SelectDB(db)
		for sl := range slot.Count {
			t.EachInSlot(slot.Slot(sl), func(e store.Entry) bool {
				v := rdb.Value{Type: e.Type(), Encoding: e.Encoding(), Payload: e.Payload(), Object: e.Object()}
				dump := rdb.AppendPayload(nil, &v, rdb.WriterOptions{})
				slices.Sort(dump[:len(dump)-10])
				got[fmt.Sprintf("%d/%s@%d", db, e.Key(), e.ExpireAt())] = string(dump[:len(dump)-10])
				return true
			})
		}
	}
	return got
}

// FuzzAOF loads whole directories: a manifest, a base and an incremental file. They are refused and
// leave nothing; or they load, the torn end cut, and then load again to the same without a cut.
func FuzzAOF(f *testing.F) {
	set := func(k, v string) string { return recordOf("SET", k, v) }
	const plain = "file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n"
	base := []byte("REDIS0010\xfa\x08aof-base\x01\x31\xfe\x00\x00\x01k\x01v\xff\x00\x00\x00\x00\x00\x00\x00\x00")
	f.Add([]byte(plain), base, []byte(set("a", "1")+recordOf("MULTI")+set("b", "2")+recordOf("EXEC")))
	f.Add([]byte(plain), []byte(set("k", "v")), []byte("#TS:1700000000\r\n"+set("a", "1")+set("b", "2")[:20]))
	f.Add([]byte("file a.aof.1.incr.aof seq 1 type i\n"), base, []byte(set("a", "1")+recordOf("MULTI")+set("b", "2")))
	f.Add([]byte("file \"a.aof.1.incr.aof\" seq 1 type i startoffset 7\nfile a.aof.1.base.rdb seq 2 type i\n"), []byte{}, []byte("\x00\x00\x00"))
	f.Add([]byte("file a.aof.1.base.rdb seq 1 type h\nfile a.aof.1.incr.aof seq 1 type i\n"), base, []byte("*1\r\n$3\r\nbla\r\n"))
	f.Fuzz(func(t *testing.T, manifest, base, incr []byte) {
		d := disktest.New()
		d.Put("/d/aofdir/a.aof.manifest", manifest)
		d.Put("/d/aofdir/a.aof.1.base.rdb", base)
		d.Put("/d/aofdir/a.aof.1.incr.aof", incr)
		state, err := loadDirectory(t, d)
		if err != nil {
			require.Empty(t, state, "nothing is half loaded")
			return
		}
		before := bytes.Clone(d.Content("/d/aofdir/a.aof.1.incr.aof"))
		again, err := loadDirectory(t, d)
		require.NoError(t, err, "what was cut is whole")
		require.Equal(t, state, again)
		require.Equal(t, before, d.Content("/d/aofdir/a.aof.1.incr.aof"), "and is not cut again")
	})
}

// loadDirectory loads what is on the disk into a world of its own.
func loadDirectory(t *testing.T, d *disktest.Disk) (state map[string]string, err error) {
	w := makeWorld(t, d)
	defer func() { _ = w.aof.Close(); w.store.Close() }()
	if err := w.aof.Bad(); err != nil {
		return w.state(), err
	}
	err = w.load()
	return w.state(), err
}

// TestAOFDamage flips bits and cuts at every place of the manifest and of the files: what does not load is
// refused by the file's name and with a reason, and leaves nothing; of what loads, the data are as of one write.
func TestAOFDamage(t *testing.T) {
	b := newBench(t)
	b.set(0, "k", "base", -1)
	require.NoError(t, b.saver.Save(context.Background()))
	incr := recordOf("SET", "k", "0") + recordOf("SET", "k", "1") + recordOf("MULTI") + recordOf("SET", "k", "half") + recordOf("SET", "k", "2") + recordOf("EXEC") + recordOf("SET", "k", "3")
	files := map[string][]byte{
		"a.aof.manifest":   []byte("file a.aof.1.base.rdb seq 1 type b\nfile a.aof.1.incr.aof seq 1 type i\n"),
		"a.aof.1.base.rdb": b.fs.Content("/data/dump.rdb"),
		"a.aof.1.incr.aof": []byte(incr),
	}
	load := func(name string, damaged []byte) (map[string]string, error) {
		d := disktest.New()
		for other, content := range files {
			d.Put("/d/aofdir/"+other, content)
		}
		d.Put("/d/aofdir/"+name, damaged)
		return loadDirectory(t, d)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for name, whole := range files {
		for at := range whole {
			for _, damaged := range [][]byte{whole[:at], flipped(whole, at, rnd.IntN(8))} {
				state, err := load(name, damaged)
				if err == nil {
					require.NotContains(t, state, "half", "%s at %d", name, at)
					if strings.HasSuffix(name, "base.rdb") {
						require.Fail(t, "a damaged base was loaded", "%d of %d", at, len(whole))
					}
					continue
				}
				require.Empty(t, state, "%s at %d: %v", name, at, err)
				require.Regexp(t, `append log file \S+|\S+\.(aof|rdb|manifest)`, err.Error(), "%s at %d", name, at)
			}
		}
	}
}

func flipped(whole []byte, at, bit int) []byte {
	b := bytes.Clone(whole)
	b[at] ^= 1 << bit
	return b
}
