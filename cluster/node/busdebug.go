package node

import (
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/bus"
	"github.com/sextantdb/sextant/bus/link"
	"github.com/sextantdb/sextant/resp"
)

// What DEBUG does to the bus: it makes this node deaf to some messages, and breaks links.

const errNoBus resp.Error = "ERR Debug option only available for cluster mode enabled setup!"

// redisPackets are, by the number that a type of packet has on Redis' bus, the messages of ours that do what it does
// there. Our ping is Redis' PING and PONG, since it is sent without being asked.
var redisPackets = [...][]bus.Kind{
	0:  {bus.KindPing},                      // PING
	1:  {bus.KindPing, bus.KindMeetAck},     // PONG
	2:  {bus.KindMeet},                      // MEET
	3:  {bus.KindSuspect},                   // FAIL
	4:  {bus.KindPublish},                   // PUBLISH
	5:  {bus.KindVoteReq},                   // FAILOVER_AUTH_REQUEST
	6:  {bus.KindVoteAck, bus.KindVoteWait}, // FAILOVER_AUTH_ACK
	7:  {bus.KindTable, bus.KindSlotMap},    // UPDATE
	8:  {bus.KindHandover},                  // MFSTART
	10: {bus.KindPublish},                   // PUBLISHSHARD
}

// busFilter reads what DROP-CLUSTER-PACKET-FILTER is told: a number of Redis' bus, where one that stands for nothing
// filters nothing, or the name of one of our messages. The result has a bit for each kind.
func busFilter(word string) (mask uint64, err resp.Error) {
	n, notNumber := strconv.ParseInt(word, 10, 64)
	if notNumber == nil {
		if n >= 0 && n < int64(len(redisPackets)) {
			for _, k := range redisPackets[n] {
				mask |= 1 << k
			}
		}
		return mask, ""
	}
	for k := range bus.Kind(bus.Kinds) {
		if strings.EqualFold(k.String(), word) {
			return 1 << k, ""
		}
	}
	return 0, resp.ErrNotInteger
}

func (d debugger) DropBusPackets(word string) resp.Error {
	mask, err := busFilter(word)
	if err == "" && d.n.wire != nil {
		d.n.wire.deaf.Store(mask)
	}
	return err
}

func (d debugger) CloseOnDrop(on bool) {
	if d.n.wire != nil {
		d.n.wire.hangsUp.Store(on)
	}
}

// ignored reports whether a message is one that this node is deaf to.
func (w *wire) ignored(from link.Peer, purpose link.Purpose, k bus.Kind) bool {
	if w.deaf.Load()>>k&1 == 0 {
		return false
	}
	if w.hangsUp.Load() {
		w.net.Break(from.Serial, from.ID, purpose)
	}
	return true
}

func (d debugger) KillBusLinks(direction, node string) resp.Error {
	w := d.n.wire
	if w == nil {
		return errNoBus
	}
	id, ok := bus.ParseNodeID(node)
	view := d.n.agent.View()
	known := false
	for i := range view.Nodes {
		known = known || view.Nodes[i].ID == id
	}
	switch {
	case !ok || !known:
		return resp.ErrUnknownNode(node)
	case id == view.Self:
		return "ERR Cannot free cluster link(s) to myself"
	}
	var dialed, accepted bool
	switch strings.ToLower(direction) {
	case "to":
		dialed = true
	case "from":
		accepted = true
	case "all":
		dialed, accepted = true, true
	default:
		return resp.Errorf("ERR Unknown direction %s", direction)
	}
	for _, l := range w.net.Links() {
		if l.ID == id && (l.Dialed && dialed || !l.Dialed && accepted) {
			w.net.Break(l.Serial, id, l.Purpose)
		}
	}
	return ""
}
