package channel

import "github.com/sextantdb/sextant/resp"

// Message is one message on its way to receivers. It belongs to the goroutine that publishes it.
type Message struct {
	kind      string // message, smessage or pmessage
	pattern   string // of a pmessage
	patterned bool
	channel   []byte
	payload   []byte
	forms     [2][]byte // in RESP2 and RESP3, when somebody has asked
}

// Form is the message as a client that speaks proto reads it. Every call for one protocol returns
// the same bytes, which are never changed.
func (m *Message) Form(proto int) []byte {
	i := 0
	if proto >= resp.RESP3 {
		i = 1
	}
	if m.forms[i] == nil {
		w := resp.NewWriter(make([]byte, 0, 64+len(m.pattern)+len(m.channel)+len(m.payload)), proto)
		if m.patterned {
			w.Push(4)
			w.BulkString(m.kind)
			w.BulkString(m.pattern)
		} else {
			w.Push(3)
			w.BulkString(m.kind)
		}
		w.Bulk(m.channel)
		w.Bulk(m.payload)
		m.forms[i] = w.Bytes()
	}
	return m.forms[i]
}

// Words of the confirmations.
var (
	subscribed   = [numKinds]string{Channel: "subscribe", Shard: "ssubscribe", Pattern: "psubscribe"}
	unsubscribed = [numKinds]string{Channel: "unsubscribe", Shard: "sunsubscribe", Pattern: "punsubscribe"}
)

// Subscribed and Unsubscribed are the words that confirm a change of a kind's subscriptions.
func Subscribed(k Kind) string   { return subscribed[k] }
func Unsubscribed(k Kind) string { return unsubscribed[k] }

// Confirm tells a client that it has subscribed or unsubscribed; a nil name says that there was
// nothing to unsubscribe from. count is the number of subscriptions now.
func Confirm(w *resp.Writer, word string, name []byte, count int) {
	w.Push(3)
	w.BulkString(word)
	if name == nil {
		w.Null()
	} else {
		w.Bulk(name)
	}
	w.Int(int64(count))
}
