package command

import "github.com/sextantdb/sextant/store"

// What the keyspace removed because its time had come, as whoever runs the call publishes it:
// keys with a deletion and "expired"; fields of hashes with an HDEL, which deletes the key with
// the last of them, and "hexpired".

var wordHDel = []byte("HDEL")

// AppendExpired adds what t has noted, for everybody whatever a script withholds: the keys are gone here. deletion is the word for keys, DEL or UNLINK.
func (e *Effects) AppendExpired(t *store.Txn, deletion []byte) {
	if e.Off {
		return
	}
	for _, k := range t.Expired() {
		e.append(k.DB, 0, [][]byte{deletion, k.Key})
	}
	for _, n := range t.ExpiredFields() {
		e.append(n.DB, 0, append([][]byte{wordHDel, n.Key}, n.Fields...))
	}
}

// EachExpired visits the keyspace events of what t has noted.
func EachExpired(t *store.Txn, fn func(class EventClass, event string, db int, key []byte)) {
	for _, k := range t.Expired() {
		fn(EventExpired, "expired", k.DB, k.Key)
	}
	for _, n := range t.ExpiredFields() {
		fn(EventHash, "hexpired", n.DB, n.Key)
		if n.Gone {
			fn(EventGeneric, "del", n.DB, n.Key)
		}
	}
}
