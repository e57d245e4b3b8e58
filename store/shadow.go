package store

// The shadow is a second data set of the same databases: a replica loads a full sync into it
// while clients go on reading the old data, and exchanges the two when the new one is whole.
//
// Shadow databases have the numbers from Options.Databases on, which only this file gives to
// anyone. Nothing that a client, housekeeping or a snapshot sees includes them: sizes,
// FlushAll, DropSlot, expiry, eviction, cuts. Their memory counts like any other (UsedBytes).
// The changes made in them count as changes, since what is on disk will differ from them.

// HasShadow reports whether the store was made with Options.Shadow.
func (s *Store) HasShadow() bool { return len(s.spaces) > s.databases }

// hidden reports whether a space is of the shadow now. REQUIRES: a stripe is held.
func (s *Store) hidden(space int) bool {
	for db := s.databases; db < len(s.spaces); db++ {
		if int(s.spaces[db].Load()) == space {
			return true
		}
	}
	return false
}

// SelectShadow makes the shadow of database n the current one, for the writes of a loader.
// REQUIRES: HasShadow, 0 <= n < Databases().
func (t *Txn) SelectShadow(n int) {
	t.db = t.s.databases + n
	t.space = int(t.s.spaces[t.db].Load())
}

// FlushShadow empties the shadow and returns how many keys it held; Reclaim frees them.
// REQUIRES: BeginAll, HasShadow.
func (t *Txn) FlushShadow() (n int64) {
	for db := t.s.databases; db < len(t.s.spaces); db++ {
		n += t.FlushDB(db)
	}
	return n
}

// InstallShadow exchanges every database with its shadow and empties what is now the shadow:
// what was loaded is what everyone sees, the old data is left to Reclaim. REQUIRES: BeginAll,
// HasShadow.
func (t *Txn) InstallShadow() {
	for db := range t.s.databases {
		t.SwapDB(db, t.s.databases+db)
	}
	t.FlushShadow()
	// The bounds of the new data do not stand in the stripes' yet.
	t.eachStripe(func(st *stripe) { st.nextExpire.Store(0) })
}
