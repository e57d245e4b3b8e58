package rdb

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
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

// startRedis runs the real redis-server in dir, which may hold a dump.rdb, and waits until it
// has loaded it.
func startRedis(t *testing.T, dir string, args ...string) func(db int) *redis.Client {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed (scripts/test.sh installs it)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())

	var log bytes.Buffer
	cmd := exec.Command("redis-server", append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1",
		"--dir", dir, "--save", "", "--enable-debug-command", "yes"}, args...)...)
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	gone := make(chan struct{})
	go func() { _ = cmd.Wait(); close(gone) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-gone })

	client := func(db int) *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: fmt.Sprintf("127.0.0.1:%d", port), DB: db, MaxRetries: -1})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	c := client(0)
	for deadline := time.Now().Add(20 * time.Second); ; {
		if err := c.Ping(context.Background()).Err(); err == nil {
			return client
		}
		select {
		case <-gone:
			t.Fatalf("redis-server ended:\n%s", &log)
		case <-time.After(5 * time.Millisecond): // the other process gives no event to wait for
		}
		require.True(t, time.Now().Before(deadline), "redis-server does not answer")
	}
}

func TestRedisTakesOurFile(t *testing.T) {
	for name, o := range map[string]WriterOptions{"compressed": {Compress: true}, "without checksum": {NoChecksum: true}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "dump.rdb")
			in, err := os.Create(file)
			require.NoError(t, err)
			w := NewWriter(in, o)
			w.Begin(Info{CreatedUnix: time.Now().Unix(), UsedMemory: 1 << 20, Replication: &Replication{ID: strings.Repeat("ab", 20), Offset: 5}})
			w.Function([]byte("#!lua name=lib\nredis.register_function('f', function() return 42 end)"))
			want := map[string]string{}
			at := time.Now().Add(time.Hour).UnixMilli()
			for db := range 3 {
				for i := range 300 {
					k, v := fmt.Sprintf("key:%d:%d", db, i), strings.Repeat(fmt.Sprint(i), i*db)
					want[k] = v
					w.Select(db*5, 300, 100) // again and again: repeated selection is part of the format
					a := Attributes{}
					if i%3 == 0 {
						a.ExpireAt = at
					}
					w.Entry(a, []byte(k), text(v))
				}
			}
			w.Select(0, 0, 0)
			for _, n := range []int64{0, -1, 127, 128, 32767, -32769, 1 << 31, -1 << 31, 1 << 62} {
				k := fmt.Sprint(n)
				want[k] = k
				w.Entry(Attributes{}, []byte(k), number(n))
			}
			want["big"] = randomBytes(3 << 20)
			w.Entry(Attributes{}, []byte("big"), text(want["big"]))
			require.NoError(t, w.End())
			require.NoError(t, in.Close())

			out, err := exec.Command("redis-check-rdb", file).CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "RDB looks OK!")

			client := startRedis(t, dir)
			ctx := context.Background()
			dbs := map[int]*redis.Client{0: client(0), 5: client(5), 10: client(10)}
			total := int64(0)
			for db, c := range dbs {
				n, err := c.DBSize(ctx).Result()
				require.NoError(t, err)
				total += n
				keys, err := c.Keys(ctx, "*").Result()
				require.NoError(t, err)
				vals, err := c.MGet(ctx, keys...).Result()
				require.NoError(t, err)
				for i, k := range keys {
					require.Equal(t, want[k], vals[i], "database %d, key %q", db, k)
				}
			}
			require.Equal(t, int64(len(want)), total)
			got, err := dbs[5].PExpireTime(ctx, "key:1:3").Result()
			require.NoError(t, err)
			require.Equal(t, at, got.Milliseconds())
			n, err := dbs[0].FCall(ctx, "f", nil).Int()
			require.NoError(t, err)
			require.Equal(t, 42, n)

			// DUMP and RESTORE both ways.
			for _, v := range []string{"", "17", "hello", strings.Repeat("hello", 100), randomBytes(100_000)} {
				require.NoError(t, dbs[0].Restore(ctx, "restored", 0, string(AppendPayload(nil, text(v), WriterOptions{Compress: true}))).Err())
				require.Equal(t, v, dbs[0].Get(ctx, "restored").Val())
				payload := dbs[0].Dump(ctx, "restored").Val()
				parsed, err := ParsePayload([]byte(payload), ReaderOptions{})
				require.NoError(t, err)
				require.Equal(t, v, string(parsed.Payload))
				require.NoError(t, dbs[0].Del(ctx, "restored").Err())
			}
		})
	}
}

func TestWeTakeRedisFile(t *testing.T) {
	for _, policy := range []string{"noeviction", "allkeys-lru", "allkeys-lfu"} {
		t.Run(policy, func(t *testing.T) {
			dir := t.TempDir()
			client := startRedis(t, dir, "--maxmemory-policy", policy)
			ctx := context.Background()
			want := map[string]string{}
			expire := map[string]int64{}
			at := time.Now().Add(time.Hour).UnixMilli()
			for _, db := range []int{0, 7, 15} {
				pipe := client(db).Pipeline()
				set := func(k, v string) {
					pipe.Set(ctx, k, v, 0)
					want[fmt.Sprint(db, k)] = v
				}
				for i := range 200 {
					set(fmt.Sprint("key:", i), strings.Repeat(strconv.Itoa(i), i))
				}
				for _, n := range []int64{0, 1, -1, 127, -128, 128, 32767, 32768, -32769, 1 << 31, 1 << 40, -1 << 63} {
					set(fmt.Sprint(n), fmt.Sprint(n))
				}
				set("random", randomBytes(100_000))
				set("zeros", strings.Repeat("\x00", 1<<20))
				set(strings.Repeat("long key ", 1000), "x")
				pipe.PExpireAt(ctx, "key:1", time.UnixMilli(at))
				expire[fmt.Sprint(db, "key:1")] = at
				_, err := pipe.Exec(ctx)
				require.NoError(t, err)
			}
			require.NoError(t, client(0).FunctionLoad(ctx, "#!lua name=lib\nredis.register_function('f', function() return 42 end)").Err())
			require.NoError(t, client(0).Save(ctx).Err())

			file, err := os.Open(filepath.Join(dir, "dump.rdb"))
			require.NoError(t, err)
			defer file.Close()
			items, r, err := readAll(file, ReaderOptions{})
			require.NoError(t, err)
			require.Equal(t, 10, r.Version())
			require.False(t, r.Unchecked())
			functions := 0
			for _, it := range items {
				switch it.Kind {
				case KindFunction:
					require.Contains(t, it.Text, "#!lua name=lib")
					functions++
				case KindKey:
					k := fmt.Sprint(it.DB, it.Key)
					require.Equal(t, want[k], it.Val, k)
					require.Equal(t, expire[k], it.Attributes.ExpireAt, k)
					require.Equal(t, map[string]Usage{"noeviction": UsageNone, "allkeys-lru": UsageIdle, "allkeys-lfu": UsageFreq}[policy], it.Attributes.Usage)
					delete(want, k)
				case KindSize:
					require.Equal(t, uint64(215), it.Keys)
					require.Equal(t, uint64(1), it.Expiring)
				}
			}
			require.Empty(t, want)
			require.Equal(t, 1, functions)
		})
	}
}

// randomWords makes words that take every way into a value: numbers, short, long and very long ones, with repetitions.
func randomWords(r *rand.Rand) func() string {
	return func() string {
		switch r.IntN(5) {
		case 0:
			return strconv.FormatInt(int64(r.Uint64())>>r.IntN(64), 10)
		case 1:
			return strings.Repeat("w", r.IntN(100))
		case 2:
			return strings.Repeat("long", r.IntN(200)*r.IntN(20))
		}
		return fmt.Sprint("w", r.IntN(1000))
	}
}
