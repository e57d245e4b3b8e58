package channel_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/channel"
	"github.com/sextantdb/sextant/resp/glob"
)

// box is a Receiver that keeps what it gets, in the protocol it speaks.
type box struct {
	mu    sync.Mutex
	proto int
	got   [][]byte
}

func (b *box) Push(_ any, m *channel.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, m.Form(b.proto))
}

func (b *box) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []string
	for _, m := range b.got {
		all = append(all, strings.ReplaceAll(string(m), "\r\n", " "))
	}
	b.got = nil
	return strings.Join(all, "| ")
}

func b(s string) []byte { return []byte(s) }

func TestDelivery(t *testing.T) {
	r := channel.New(nil)
	two, three := &box{proto: resp.RESP2}, &box{proto: resp.RESP3}
	s2, s3 := r.NewSubscriber(two), r.NewSubscriber(three)
	require.True(t, s2.Join(channel.Channel, b("news")))
	require.False(t, s2.Join(channel.Channel, b("news")), "twice is once")
	s3.Join(channel.Channel, b("news"))
	s3.Join(channel.Pattern, b("n*"))
	s3.Join(channel.Shard, b("news"))

	require.Equal(t, 3, r.Publish(nil, b("news"), b("x")))
	require.Equal(t, "*3 $7 message $4 news $1 x ", two.take())
	require.Equal(t, ">3 $7 message $4 news $1 x | >4 $8 pmessage $2 n* $4 news $1 x ", three.take())
	require.Equal(t, 1, r.PublishShard(nil, b("news"), b("x")), "shard channels are apart")
	require.Equal(t, ">3 $8 smessage $4 news $1 x ", three.take())
	require.Equal(t, 1, r.Publish(nil, b("no"), b("")))
	require.Equal(t, ">4 $8 pmessage $2 n* $2 no $0  ", three.take())
	require.Zero(t, r.Publish(nil, b("other"), b("x")))

	require.EqualValues(t, 2, r.Clients())
	require.Equal(t, 4, s2.Total()+s3.Total())
	require.Positive(t, r.Bytes())
	require.True(t, s3.Leave(channel.Pattern, b("n*")))
	require.False(t, s3.Leave(channel.Pattern, b("n*")))
	s2.Close()
	s3.Close()
	require.Zero(t, r.Bytes())
	require.Zero(t, r.Clients())
	require.Zero(t, r.Publish(nil, b("news"), b("x")))
	require.Empty(t, r.Matching(channel.Channel, nil))
}

// An empty pattern is a pattern: it must not be taken for a message without one.
func TestEmptyPattern(t *testing.T) {
	r := channel.New(nil)
	to := &box{proto: resp.RESP2}
	r.NewSubscriber(to).Join(channel.Pattern, b(""))
	require.Equal(t, 1, r.Publish(nil, b(""), b("x")))
	require.Equal(t, "*4 $8 pmessage $0  $0  $1 x ", to.take())
}

// A message is encoded once per protocol, and all its receivers get the same bytes.
func TestMessagesAreShared(t *testing.T) {
	r := channel.New(nil)
	boxes := make([]*box, 100)
	for i := range boxes {
		boxes[i] = &box{proto: 2 + i%2}
		r.NewSubscriber(boxes[i]).Join(channel.Channel, b("c"))
	}
	r.Publish(nil, b("c"), b("payload"))
	for i := range boxes {
		require.Same(t, &boxes[i%2].got[0][0], &boxes[i].got[0][0])
	}
}

func TestPublishToNobodyDoesNotAllocate(t *testing.T) {
	r := channel.New(nil)
	name, payload := b("nobody"), b("x")
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Publish(nil, name, payload) }))
	r.NewSubscriber(&box{}).Join(channel.Channel, b("somebody"))
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Publish(nil, name, payload) }))
}

type watcher map[string]int

func (w watcher) Appeared(k channel.Kind, name string) { w[fmt.Sprint(k, name)]++ }
func (w watcher) Vanished(k channel.Kind, name string) { w[fmt.Sprint(k, name)]-- }

// The registry against plain maps.
func TestAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	seen := watcher{}
	r := channel.New(seen)
	const clients = 8
	subs := make([]*channel.Subscriber, clients)
	boxes := make([]*box, clients)
	model := make([][3]map[string]bool, clients)
	for i := range subs {
		boxes[i] = &box{proto: 3}
		subs[i] = r.NewSubscriber(boxes[i])
		for k := range model[i] {
			model[i][k] = map[string]bool{}
		}
	}
	names := []string{"", "a", "b", "ab", "abc", "*", "a*", "?", "[ab]"}
	for range 5000 {
		i, k, name := rng.IntN(clients), channel.Kind(rng.IntN(3)), names[rng.IntN(len(names))]
		switch rng.IntN(7) {
		case 0, 1, 2:
			require.Equal(t, !model[i][k][name], subs[i].Join(k, b(name)))
			model[i][k][name] = true
		case 3, 4:
			require.Equal(t, model[i][k][name], subs[i].Leave(k, b(name)))
			delete(model[i][k], name)
		case 5:
			want, wantShard := 0, 0
			for _, m := range model {
				want += len(m[channel.Channel]) - len(without(m[channel.Channel], name))
				wantShard += len(m[channel.Shard]) - len(without(m[channel.Shard], name))
				for p := range m[channel.Pattern] {
					if glob.Match(p, name) {
						want++
					}
				}
			}
			require.Equal(t, want, r.Publish(nil, b(name), b("x")))
			require.Equal(t, wantShard, r.PublishShard(nil, b(name), b("x")))
		case 6:
			if rng.IntN(10) == 0 {
				subs[i].Close()
				for k := range model[i] {
					clear(model[i][k])
				}
			}
		}
		for k := range channel.Kind(3) {
			distinct := map[string]int{}
			for i, m := range model {
				require.Equal(t, len(m[k]), subs[i].Count(k))
				for name := range m[k] {
					distinct[name]++
				}
			}
			require.EqualValues(t, len(distinct), r.Names(k))
			for _, name := range names {
				if k != channel.Pattern {
					require.Equal(t, distinct[name], r.Subscribers(k, b(name)))
				}
				if k != channel.Shard {
					require.Equal(t, min(distinct[name], 1), seen[fmt.Sprint(k, name)])
				}
			}
		}
	}
}

func without(set map[string]bool, name string) (rest []string) {
	for n := range set {
		if n != name {
			rest = append(rest, n)
		}
	}
	return rest
}

// All receivers of a channel, those by pattern too, get its messages in one order, whoever
// publishes at the same time; and none after Leave has returned.
func TestOneOrderForAll(t *testing.T) {
	r := channel.New(nil)
	boxes := []*box{{proto: 2}, {proto: 2}, {proto: 3}}
	for _, to := range boxes[:2] {
		r.NewSubscriber(to).Join(channel.Channel, b("c"))
	}
	r.NewSubscriber(boxes[2]).Join(channel.Pattern, b("c"))
	var published sync.WaitGroup
	var stop atomic.Bool
	for p := range 4 {
		published.Go(func() {
			for i := range 500 {
				r.Publish(nil, b("c"), fmt.Appendf(nil, "%d.%d", p, i))
			}
		})
	}
	var fickle sync.WaitGroup
	for range 2 {
		fickle.Go(func() {
			for !stop.Load() {
				to := &box{proto: 2}
				s := r.NewSubscriber(to)
				s.Join(channel.Channel, b("c"))
				s.Join(channel.Pattern, b("?"))
				s.Leave(channel.Channel, b("c"))
				s.Close()
				n := len(to.got)
				require.LessOrEqual(t, n, 4000)
				require.Len(t, to.got, n)
			}
		})
	}
	published.Wait()
	stop.Store(true)
	fickle.Wait()
	order := func(to *box) (payloads []string) {
		for _, m := range to.got {
			words := strings.Split(string(m), "\r\n")
			payloads = append(payloads, words[len(words)-2])
		}
		return payloads
	}
	require.Len(t, boxes[0].got, 2000)
	require.Equal(t, order(boxes[0]), order(boxes[1]))
	require.Equal(t, order(boxes[0]), order(boxes[2]))
	require.False(t, slices.IsSorted(order(boxes[0])), "publishers took turns")
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{0, 1, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := channel.New(nil)
			r.NewSubscriber(discard{}).Join(channel.Channel, []byte("other"))
			for range n {
				r.NewSubscriber(discard{}).Join(channel.Channel, []byte("c"))
			}
			name, payload := []byte("c"), make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				r.Publish(nil, name, payload)
			}
		})
	}
}

type discard struct{}

func (discard) Push(_ any, m *channel.Message) { m.Form(2) }
