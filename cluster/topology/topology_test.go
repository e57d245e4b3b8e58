package topology

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/store/slot"
)

func id(b byte) (n bus.NodeID) {
	for i := range n {
		n[i] = b
	}
	return n
}

func sampleView() *View {
	v := &View{Self: id(1), Me: 0, State: StateOK, CurrentEpoch: 7, MyEpoch: 3, Size: 2, Role: RolePrimary, Primary: 0, Assigned: 16384, SlotsOK: 16384}
	a, b := slot.SetOf(slot.Range{First: 0, Last: 100}, slot.Range{First: 200, Last: 200}), slot.SetOf(slot.Range{First: 101, Last: 199}, slot.Range{First: 201, Last: 16383})
	v.Nodes = []Node{
		{ID: id(1), Shard: id(0xa1), IP: "10.0.0.1", Port: 7000, TLSPort: 6000, CPort: 17000, Myself: true, Epoch: 3, Ranges: a.Ranges(), SlotCount: a.Len()},
		{ID: id(2), Shard: id(0xa0), IP: "10.0.0.2", Host: "two.example", Port: 7001, CPort: 17001, Linked: true, PingMs: 0, PongMs: 55, Epoch: 7, Ranges: b.Ranges(), SlotCount: b.Len()},
		{ID: id(3), Shard: id(0xa0), IP: "10.0.0.3", Port: 7002, CPort: 17002, Role: RoleReplica, Primary: id(2), Linked: true, Epoch: 7, Loading: true},
		{ID: id(4), Shard: id(0xa0), IP: "10.0.0.4", Port: 7003, CPort: 17003, Role: RoleReplica, Primary: id(2), Health: Failed, NoFail: true, Epoch: 7, PingMs: 44},
		{ID: id(5), IP: "10.0.0.5", Port: 7004, CPort: 17004, Handshake: true},
	}
	v.Owner = new(SlotTable)
	for s := range v.Owner {
		v.Owner[s] = 1
		if a.Has(slot.Slot(s)) {
			v.Owner[s] = 0
		}
	}
	v.OpenSlots = []Open{{Slot: 5, Peer: id(2)}, {Slot: 150, Importing: true, Peer: id(2)}}
	v.Opened.Add(5)
	v.Opened.Add(150)
	return v
}

func TestNodesTextIsWhatRedisCLIReads(t *testing.T) {
	h := func(b string) string { return strings.Repeat(b, 20) }
	require.Equal(t, h("01")+" 10.0.0.1:7000@17000 myself,master - 0 0 3 connected 0-100 200 [5->-"+h("02")+"] [150-<-"+h("02")+"]\n"+
		h("02")+" 10.0.0.2:7001@17001,two.example master - 0 55 7 connected 101-199 201-16383\n"+
		h("03")+" 10.0.0.3:7002@17002 slave "+h("02")+" 0 0 7 connected\n"+
		h("04")+" 10.0.0.4:7003@17003 slave,fail,nofailover "+h("02")+" 44 0 7 disconnected\n"+
		h("05")+" 10.0.0.5:7004@17004 handshake - 0 0 0 disconnected\n", sampleView().NodesText(false))
	require.Contains(t, sampleView().NodesText(true), "10.0.0.1:6000@17000")
	require.Equal(t, "master,fail?", (&Node{Health: Suspect}).FlagsText())
}

// Replicas that have failed or are still loading are no use to a client (as in Redis).
func TestSlotsListLiveReplicasOnly(t *testing.T) {
	v := sampleView()
	slots := func(second ...int) []SlotRange {
		return []SlotRange{
			{slot.Range{First: 0, Last: 100}, []int{0}}, {slot.Range{First: 101, Last: 199}, second},
			{slot.Range{First: 200, Last: 200}, []int{0}}, {slot.Range{First: 201, Last: 16383}, second},
		}
	}
	require.Equal(t, slots(1), v.Slots())
	v.Nodes[2].Loading = false
	require.Equal(t, slots(1, 2), v.Slots())
}

func TestShards(t *testing.T) {
	v := sampleView()
	s := v.Shards()
	require.Len(t, s, 2)
	require.Equal(t, id(0xa0), s[0].ID)
	require.Equal(t, []int{1, 2, 3}, s[0].Nodes)
	require.Equal(t, []int{0}, s[1].Nodes)
	require.Equal(t, []string{"online", "online", "loading", "fail"}, []string{v.Nodes[0].HealthText(), v.Nodes[1].HealthText(), v.Nodes[2].HealthText(), v.Nodes[3].HealthText()})
}

func TestLookups(t *testing.T) {
	v := sampleView()
	o, ok := v.OwnerOf(150)
	require.True(t, ok)
	require.Equal(t, 1, o)
	require.True(t, v.MyShardOwns(5))
	require.False(t, v.MyShardOwns(150))
	open, ok := v.OpenSlot(150)
	require.True(t, ok)
	require.True(t, open.Importing)
	_, ok = v.OpenSlot(6)
	require.False(t, ok)
	require.Equal(t, []int{2, 3}, v.Replicas(1))
	_, ok = v.Find(id(9))
	require.False(t, ok)
	require.Len(t, v.ReplicasText(1, false), 2)
	v.Owner[7] = NoOwner
	_, ok = v.OwnerOf(7)
	require.False(t, ok)
}

func TestInfo(t *testing.T) {
	v := sampleView()
	v.Sent[bus.KindPing] = 3
	v.Refusals = []Refusal{{Name: "vote-lease-runs", Detail: "number=3", Count: 2}}
	text := v.InfoText(4)
	require.True(t, strings.HasPrefix(text, "cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n"+
		"cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:5\r\ncluster_size:2\r\ncluster_current_epoch:7\r\n"+
		"cluster_my_epoch:3\r\ncluster_stats_messages_ping_sent:3\r\ncluster_stats_messages_sent:3\r\n"), text)
	require.Contains(t, text, "cluster_refusal_vote-lease-runs:count=2,number=3\r\n")
	require.True(t, strings.HasSuffix(text, "total_cluster_links_buffer_limit_exceeded:4\r\n"))
}

func sampleFile() (file []byte, recs []Record) {
	var l Log
	recs = []Record{{"self", "id=1"}, {"node.a", "x y  z"}, {"node.b", "w"}}
	file = l.Begin(3, recs)
	file = l.Append(file, Record{"node.a", "new\nline"}, Record{"node.b", ""}, Record{"rec.c", "1"})
	return file, []Record{{"self", "id=1"}, {"node.a", "new line"}, {"rec.c", "1"}}
}

func TestStateFileRoundTrip(t *testing.T) {
	file, want := sampleFile()
	l, err := Decode(file, true)
	require.NoError(t, err)
	require.Equal(t, want, l.Records)
	require.Equal(t, uint64(3), l.Generation)
	require.Equal(t, len(file), l.Keep)
	require.Empty(t, l.Repaired)
	// appending goes on where it stopped
	file = l.Log.Append(file, Record{"rec.c", "2"})
	l, err = Decode(file, true)
	require.NoError(t, err)
	require.Equal(t, "2", l.Records[2].Value)
}

func TestStateFileCutAnywhereIsRepairedOrRefused(t *testing.T) {
	file, _ := sampleFile()
	lines := bytes.SplitAfter(file, []byte("\n"))
	identity := len(lines[0]) + len(lines[1])
	for cut := range len(file) {
		l, err := Decode(file[:cut], true)
		if cut < identity {
			require.Error(t, err, cut)
			continue
		}
		require.NoError(t, err, cut)
		require.LessOrEqual(t, l.Keep, cut)
		require.Equal(t, byte('\n'), file[l.Keep-1])
		require.Equal(t, cut != l.Keep, l.Repaired != "", cut)
		// what is kept can be appended to
		more := l.Log.Append(append([]byte{}, file[:l.Keep]...), Record{"k", "v"})
		again, err := Decode(more, true)
		require.NoError(t, err)
		require.Empty(t, again.Repaired)
	}
}

func TestStateFileBitFlipInTheMiddleIsRefused(t *testing.T) {
	file, _ := sampleFile()
	last := bytes.LastIndexByte(file[:len(file)-1], '\n') + 1
	r := rand.New(rand.NewPCG(1, 1))
	for at := range last - 1 {
		bad := append([]byte{}, file...)
		bad[at] ^= 1 << r.IntN(8)
		_, err := Decode(bad, true)
		var refused *RefusedError
		require.True(t, errors.As(err, &refused), "flip at %d", at)
		require.Positive(t, refused.Line)
	}
}

func TestStateFileVerdicts(t *testing.T) {
	file, _ := sampleFile()
	lines := bytes.SplitAfter(file, []byte("\n"))
	for name, tc := range map[string]struct {
		file  []byte
		data  bool
		fresh bool
		err   string
	}{
		"no file, no data":            {nil, false, true, ""},
		"empty file with data":        {nil, true, false, "the file is empty but data files are present"},
		"zeroes with data":            {make([]byte, 512), true, false, "the file is empty but data files are present"},
		"first write torn, new":       {file[:len(lines[0])+3], false, true, ""},
		"first write torn, data":      {file[:len(lines[0])+3], true, false, "identity"},
		"a redis nodes.conf, no data": {[]byte("07c3 127.0.0.1:1@2 myself,master - 0 0 1 connected\n"), false, false, "no checksum"},
		"a redis nodes.conf":          {[]byte("07c3 127.0.0.1:1@2 myself,master - 0 0 1 connected\nvars currentEpoch 1\n"), true, false, "no checksum"},
		"lines missing":               {append(append([]byte{}, lines[0]...), bytes.Join(lines[2:], nil)...), true, false, "lines are missing"},
	} {
		l, err := Decode(tc.file, tc.data)
		if tc.err != "" {
			require.ErrorContains(t, err, tc.err, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, tc.fresh, l.Fresh, name)
	}
}

func TestPack(t *testing.T) {
	c := bus.NewCodec()
	s, err := Pack(c, &bus.Msg{Body: &bus.VoterSet{Ver: 4, Set: []bus.NodeID{id(1)}}})
	require.NoError(t, err)
	require.NotContains(t, s, " ")
	m, err := Unpack(c, s)
	require.NoError(t, err)
	require.Equal(t, &bus.VoterSet{Ver: 4, Set: []bus.NodeID{id(1)}}, m.Body)
	_, err = Unpack(c, "*")
	require.Error(t, err)
}

func FuzzStateFile(f *testing.F) {
	file, _ := sampleFile()
	f.Add(file, true)
	f.Add(file[:len(file)-3], false)
	f.Fuzz(func(t *testing.T, file []byte, data bool) {
		l, err := Decode(file, data)
		if err != nil || l.Fresh {
			return
		}
		again, err := Decode(file[:l.Keep], data)
		require.NoError(t, err)
		require.Equal(t, l.Records, again.Records)
	})
}
