package store

import (
	"bytes"

	"github.com/sextantdb/sextant/store/value"
)

// Fields of hashes expire as keys do: met after its time, a field is removed and noted; active
// expiry finds hashes with due fields by the same bounds as keys (expire.go), where the first
// expiry of its fields counts as a time of the key; and on a replica a field that has expired is
// hidden (value.HashView) until the primary's stream removes it.

// fieldStep is how many fields one lookup of a key removes at most, so that meeting a hash of
// which a million fields have expired costs no more than a millisecond.
const fieldStep = 512

// FieldNote names fields of a hash that have been removed because their time had come. Gone says
// that they were the last ones, and the key with them.
type FieldNote struct {
	DB     int
	Key    []byte
	Fields [][]byte
	Gone   bool
}

// ExpiredFields is Expired for fields. The caller propagates their deletion, which elsewhere
// deletes the key with the last of them, and fires "hexpired", and "del" if Gone.
func (t *Txn) ExpiredFields() []FieldNote { return t.fieldNotes }

// fieldExpiry is a time before which no field of b's value expires.
func (st *stripe) fieldExpiry(b block) int64 {
	if entryType(b) != value.Hash {
		return never
	}
	off, _ := inlineAt(b)
	if entryFlags(b)&flagObject != 0 {
		return value.NextFieldExpiry(value.Hash, value.Hashtable, nil, st.objects[get32(b, off)])
	}
	if entryEnc(b) != value.ListpackEx {
		return never
	}
	return value.NextFieldExpiry(value.Hash, value.ListpackEx, st.payload(b), nil)
}

// noteFields keeps the bounds right when fields of the hash at p may expire earlier than before.
func (s *Store) noteFields(p *place) {
	if at := p.st.fieldExpiry(p.b); at != never {
		p.lowerBound(s, at)
	}
}

// NoteFieldExpiry must be called after fields of a hash that Edit gave have got times.
func (t *Txn) NoteFieldExpiry(key []byte) {
	var p place
	if t.find(&p, key); p.b != nil {
		t.s.noteFields(&p)
	}
}

// fieldsDue reports whether fields of the hash at p may have expired.
func (t *Txn) fieldsDue(p *place) bool {
	return entryType(p.b) == value.Hash && t.view == ViewPrimary && !t.dropping && p.st.fieldExpiry(p.b) < t.now
}

// dropFields removes fields of the hash at p, which is key, that have expired, at most fieldStep
// of them. Without a field the key goes too; p.b is nil then. It returns how many they were.
func (t *Txn) dropFields(p *place, key []byte) int {
	n := FieldNote{DB: t.dbOf(p.space), Key: bytes.Clone(key)}
	note := func(field []byte) { n.Fields = append(n.Fields, bytes.Clone(field)) }
	t.changing(p)
	off, _ := inlineAt(p.b)
	var o value.Object
	if entryFlags(p.b)&flagObject != 0 {
		o = p.st.objects[get32(p.b, off)]
	}
	e := value.EditHash(entryEnc(p.b), p.st.payload(p.b), o, 0, t.fieldScratch, value.UsualLimits())
	e.RemoveDue(t.now, fieldStep, note)
	if o == nil {
		t.fieldScratch = e.Scratch()
	}
	switch {
	case len(n.Fields) == 0: // the bound was too early
	case e.Len() == 0:
		n.Gone = true
	case o != nil:
		p.st.measure(get32(p.b, off))
	default:
		t.dropping = true // put looks the key up again
		enc, payload, _ := e.Result()
		db := t.db
		t.SelectDB(n.DB)
		t.putBytes(p, n.Key, value.Hash, enc, payload, KeepTTL)
		t.SelectDB(db)
		t.dropping = false
	}
	if len(n.Fields) == 0 {
		t.s.noteFields(p)
		return 0
	}
	p.st.expiredFields.Add(int64(len(n.Fields)))
	t.fieldNotes = append(t.fieldNotes, n)
	t.changed(p, n.Key)
	t.dirty-- // it is nobody's change
	if n.Gone {
		t.discard(p)
	} else {
		t.s.noteFields(p)
	}
	return len(n.Fields)
}
