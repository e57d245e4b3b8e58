package persist

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/store"
	"github.com/sextantdb/sextant/store/disk"
	"github.com/sextantdb/sextant/store/slot"
	"github.com/sextantdb/sextant/store/snapshot"
)

// startRedis runs the real redis-server in dir and waits until it has loaded what is there.
func startRedis(t testing.TB, dir string, args ...string) (client func(db int) *redis.Client, stop func(), log *bytes.Buffer) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed (scripts/test.sh installs it)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	log = new(bytes.Buffer)
	cmd := exec.Command("redis-server", append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--save", ""}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	stop = func() { _ = cmd.Process.Kill(); <-gone }
	t.Cleanup(stop)
	client = func(db int) *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port), DB: db, MaxRetries: -1, ReadTimeout: time.Minute})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	c := client(0)
	for deadline := time.Now().Add(time.Minute); c.Ping(context.Background()).Err() != nil; {
		select {
		case <-gone:
			t.Fatalf("redis-server ended:\n%s", log)
		case <-time.After(5 * time.Millisecond): // the other process gives no event to wait for
		}
		require.True(t, time.Now().Before(deadline), "redis-server does not answer")
	}
	return client, stop, log
}

// A file of ours goes through a real Redis and comes back the same.
func TestThereAndBackThroughRedis(t *testing.T) {
	dir := t.TempDir()
	b := newBench(t)
	b.pass(time.Since(b.clock())) // real time: Redis drops what has expired
	b.settings.Dir = dir
	b.saver.o.FS, b.loader.o.FS = disk.OS{}, disk.OS{}
	b.saver.o.Libraries = nil
	rng := rand.New(rand.NewPCG(1, 2))
	at := time.Now().Add(time.Hour).UnixMilli()
	for i := range 3000 {
		val := make([]byte, rng.IntN(200))
		for j := range val {
			val[j] = byte(rng.IntN(1 + rng.IntN(256)))
		}
		b.set(i%16, fmt.Sprint("key:", i), string(val), []int64{store.NoExpire, at + int64(i)}[i%2])
		b.set(i%16, fmt.Sprint(i), fmt.Sprint(int64(rng.Uint64())>>rng.IntN(64)), store.NoExpire)
	}
	require.NoError(t, b.saver.Save(context.Background()))
	file := filepath.Join(dir, "dump.rdb")
	out, err := exec.Command("redis-check-rdb", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "RDB looks OK!")

	client, stop, _ := startRedis(t, dir)
	require.NoError(t, client(0).Save(context.Background()).Err())
	stop()
	c := newBench(t)
	c.pass(time.Since(c.clock()))
	c.loader.o.FS = disk.OS{}
	got, err := c.loader.File(context.Background(), file, LoadOptions{})
	require.NoError(t, err)
	require.Equal(t, int64(6000), got.Keys)
	require.Equal(t, b.state(), c.state())
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{file}, names)
}

// BenchmarkTwoMillionKeys saves and loads 2 M keys of 16 bytes with random values of 64, and
// lets the real Redis do the same in the same run. The package doc quotes it.
func BenchmarkTwoMillionKeys(b *testing.B) {
	const keys = 2_000_000
	dir := b.TempDir()
	s, err := store.New(store.Options{})
	require.NoError(b, err)
	rng := rand.New(rand.NewPCG(1, 2))
	val := make([]byte, 64)
	var t store.Txn
	fill := time.Now()
	for i := range keys {
		key := fmt.Appendf(nil, "key:%012d", i)
		for j := range val {
			val[j] = byte(rng.Uint32())
		}
		t.Begin(s, 1, slot.Of(key))
		t.SetString(key, val, store.NoExpire)
		t.End()
	}
	b.Logf("filled in %v", time.Since(fill))
	saver := NewSaver(Options{
		Store: s, Source: snapshot.NewSource(s), Now: time.Now, PID: os.Getpid(),
		Settings: func() Settings {
			return Settings{Dir: dir, Filename: "dump.rdb", Compress: true, Checksum: true, IncrementalSync: true}
		},
	})
	file := filepath.Join(dir, "dump.rdb")
	for b.Loop() {
		began, cpu := time.Now(), ourCPU(b)
		require.NoError(b, saver.Save(context.Background()))
		save, saveCPU := time.Since(began), ourCPU(b)-cpu
		info, err := os.Stat(file)
		require.NoError(b, err)

		fresh, err := store.New(store.Options{})
		require.NoError(b, err)
		began, cpu = time.Now(), ourCPU(b)
		got, err := NewLoader(LoaderOptions{Store: fresh, Now: time.Now}).File(context.Background(), file, LoadOptions{})
		load, loadCPU := time.Since(began), ourCPU(b)-cpu
		require.NoError(b, err)
		require.Equal(b, int64(keys), got.Keys)
		fresh.Close()

		client, stop, log := startRedis(b, dir)
		c := client(0)
		redisLoadCPU := redisCPU(b, c)
		began = time.Now()
		require.NoError(b, c.Save(context.Background()).Err())
		redisSave, redisSaveCPU := time.Since(began), redisCPU(b, c)-redisLoadCPU
		stop()
		redisLoad := "?"
		if _, after, ok := strings.Cut(log.String(), "DB loaded from disk: "); ok {
			redisLoad, _, _ = strings.Cut(after, "\n")
		}
		mb := float64(info.Size()) / 1e6
		b.Logf("%.0f MB: save %v (%.0f MB/s, CPU %v), load %v (CPU %v); redis: save %v (%.0f MB/s, CPU %v), load %s (CPU with start %v)", mb,
			save.Round(time.Millisecond), mb/save.Seconds(), saveCPU, load.Round(time.Millisecond), loadCPU,
			redisSave.Round(time.Millisecond), mb/redisSave.Seconds(), redisSaveCPU, redisLoad, redisLoadCPU)
	}
}

// ourCPU is the processor time this process has used: what counts on a busy machine.
func ourCPU(t testing.TB) time.Duration {
	var u syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return (time.Duration(u.Utime.Nano()) + time.Duration(u.Stime.Nano())).Round(time.Millisecond)
}

// redisCPU is the same of the server behind c.
func redisCPU(t testing.TB, c *redis.Client) (sum time.Duration) {
	info, err := c.Info(context.Background(), "cpu").Result()
	require.NoError(t, err)
	for _, name := range []string{"used_cpu_sys:", "used_cpu_user:"} {
		_, after, _ := strings.Cut(info, name)
		line, _, _ := strings.Cut(after, "\r\n")
		secs, err := strconv.ParseFloat(line, 64)
		require.NoError(t, err)
		sum += time.Duration(secs * 1e9)
	}
	return sum.Round(time.Millisecond)
}

// BenchmarkSaveUnderWrites saves 1 M keys while one goroutine overwrites keys as fast as it
// can: what the pre-images cost, and how long a write takes at worst.
func BenchmarkSaveUnderWrites(b *testing.B) {
	const keys = 1_000_000
	dir := b.TempDir()
	s, err := store.New(store.Options{})
	require.NoError(b, err)
	defer s.Close()
	val := make([]byte, 64)
	var t store.Txn
	write := func(i int) {
		var buf [32]byte
		key := fmt.Appendf(buf[:0], "key:%012d", i)
		t.Begin(s, 1, slot.Of(key))
		t.SetString(key, val, store.NoExpire)
		t.End()
	}
	for i := range keys {
		write(i)
	}
	saver := NewSaver(Options{
		Store: s, Source: snapshot.NewSource(s), Now: time.Now, PID: os.Getpid(),
		Settings: func() Settings {
			return Settings{Dir: dir, Filename: "dump.rdb", Compress: true, Checksum: true, IncrementalSync: true, MaxPreImageBytes: 1 << 30}
		},
	})
	rng := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		began := time.Now()
		_, err := saver.Background(false)
		require.NoError(b, err)
		cut := time.Since(began)
		writes, worst := 0, time.Duration(0)
		for last := time.Now(); saver.Info().BgsaveInProgress; {
			for range 100 {
				write(rng.IntN(keys))
				now := time.Now()
				worst, last = max(worst, now.Sub(last)), now
			}
			writes += 100
		}
		took := time.Since(began)
		in := saver.Info()
		require.True(b, in.LastBgsaveOK)
		b.Logf("cut %v, save %v, %.2f M writes/s, worst %v, pre-images: peak %.1f MB = %.1f%% of %d MB", cut, took.Round(time.Millisecond),
			float64(writes)/took.Seconds()/1e6, worst, float64(in.LastPreImageBytes)/1e6, 100*float64(in.LastPreImageBytes)/float64(s.UsedBytes()), s.UsedBytes()>>20)
	}
}
