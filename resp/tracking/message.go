package tracking

import "github.com/sextantdb/sextant/resp"

// Channel is where RESP2 clients that others redirect to read the messages.
const Channel = "__redis__:invalidate"

// Message is one message to tracking clients, in the forms that they read.
type Message struct {
	keys   [][]byte // nil: all
	plain  []byte   // RESP3
	public []byte   // RESP2, for clients with subscriptions
	broken int64    // the client that is gone, in place of keys
	other  *Message // redirected
}

func newMessage(keys [][]byte) *Message { return &Message{keys: keys} }

func brokenMessage(id int64) *Message { return &Message{broken: id} }

// redirected is m for a client that another redirects to: in RESP2 it comes as a pub/sub message.
func (m *Message) redirected() *Message {
	if m.other == nil {
		m.other = &Message{keys: m.keys}
		w := resp.NewWriter(nil, resp.RESP2)
		w.Array(3)
		w.BulkString("message")
		w.BulkString(Channel)
		m.list(w)
		m.other.public = w.Bytes()
	}
	return m.other
}

func (m *Message) list(w *resp.Writer) {
	if m.keys == nil {
		w.Null()
		return
	}
	w.Array(len(m.keys))
	for _, key := range m.keys {
		w.Bulk(key)
	}
}

// Form is the message in a protocol; nil when it cannot be said there. Every call for one
// protocol returns the same bytes.
func (m *Message) Form(proto int) []byte {
	if proto < resp.RESP3 {
		return m.public
	}
	if m.plain == nil {
		w := resp.NewWriter(nil, resp.RESP3)
		w.Push(2)
		if m.broken != 0 {
			w.BulkString("tracking-redir-broken")
			w.Int(m.broken)
		} else {
			w.BulkString("invalidate")
			m.list(w)
		}
		m.plain = w.Bytes()
	}
	return m.plain
}
