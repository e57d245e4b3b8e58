package store

// Expiry times are found without an index of keys: each segment (a hundred keys or so) has
// a lower bound of its keys' expiry times, each table the least of its segments' (a
// tournament tree), each part one per table. A bound is exact after the segment was looked
// through, and may be too early after keys were deleted or had their time put off; it is
// never too late. So the cost is 16 bytes per segment, and a look through a segment per
// bound that has come. The times at which fields of hashes expire are bounded with them: for a
// segment, the first expiry of a hash's fields is as good as its own (fields.go).

// bound is the lower bound of the expiry times in g.
func (tab *table) bound(g *segment) int64 {
	if tab.next == nil {
		return never
	}
	first, _ := tab.places(g)
	return tab.next[len(tab.dir)+first]
}

// setBound sets the bound of the segment whose first place is i.
func (tab *table) setBound(i int, at int64) {
	i += len(tab.dir)
	tab.next[i] = at
	for i >>= 1; i > 0; i >>= 1 {
		least := min(tab.next[2*i], tab.next[2*i+1])
		if tab.next[i] == least {
			return
		}
		tab.next[i] = least
	}
}

// least is the lower bound over the whole table.
func (tab *table) least() int64 {
	if tab.next == nil {
		return never
	}
	return tab.next[1]
}

// noteExpire keeps counts and bounds right when the expiry time of the key at p changes.
// The key must be in the table at the time.
func (p *place) noteExpire(s *Store, from, to int64) {
	if from != NoExpire {
		p.seg.volatile--
		p.part.volatile.Add(-1)
		p.part.sumExpire.Add(-from)
	}
	if to == NoExpire {
		return
	}
	p.seg.volatile++
	p.part.volatile.Add(1)
	p.part.sumExpire.Add(to)
	p.lowerBound(s, to)
}

// lowerBound keeps the bounds right when the key at p, or a field of its value, expires at `to`.
func (p *place) lowerBound(s *Store, to int64) {
	tab := p.tab
	if tab.next == nil {
		if tab.next = tab.next0[:]; len(tab.dir) > 1 {
			tab.next = make([]int64, 2*len(tab.dir))
			p.st.goBytes += 16 * int64(len(tab.dir)-1)
		}
		for i := range tab.next {
			tab.next[i] = never
		}
	}
	if to >= tab.bound(p.seg) {
		return
	}
	first, _ := tab.places(p.seg)
	tab.setBound(first, to)
	s.lowerNext(p, to)
}

func (s *Store) lowerNext(p *place, at int64) {
	if p.part.next == nil {
		p.part.next = make([]int64, len(p.part.tables))
		for i := range p.part.next {
			p.part.next[i] = never
		}
		p.st.fixedBytes += 8 * int64(len(p.part.next))
	}
	i := p.slot >> s.stripeBits
	p.part.next[i] = min(p.part.next[i], at)
	if at < p.st.nextExpire.Load() {
		p.st.nextExpire.Store(at)
	}
}

// NextExpire is a time before which no key of the stripe expires, so housekeeping need not
// lock it; 1<<63-1 when none has an expiry. It may be too early, never too late.
func (s *Store) NextExpire(stripe int) int64 { return s.stripes[stripe].nextExpire.Load() }

// expired reports whether b's time has come. A key lives up to and including its last ms.
func (t *Txn) expired(b block) bool {
	return entryFlags(b)&flagExpire != 0 && t.now > int64(get64(b, entryHeader))
}

// ActiveExpire deletes expired keys of the stripes held, and fields of hashes, looking at up to
// budget keys or a few more; they are noted in Expired and ExpiredFields. more: some are left whose time has come. On a replica
// (ViewReplica, ViewStream) it does nothing: the primary's deletions come with the stream.
func (t *Txn) ActiveExpire(budget int) (deleted int, more bool) {
	if t.view != ViewPrimary {
		return 0, false
	}
	t.eachStripe(func(st *stripe) {
		if st.nextExpire.Load() >= t.now {
			return
		}
		least := int64(never)
		for db := range t.s.databases {
			space := int(t.s.spaces[db].Load())
			p := st.parts[space].Load()
			if p == nil || p.next == nil {
				continue
			}
			for i := range p.next {
				for p.next[i] < t.now {
					if budget <= 0 {
						more = true
						return
					}
					d, looked := t.expireSegment(st, p, space, i)
					deleted += d
					budget -= looked
				}
				least = min(least, p.next[i])
			}
		}
		st.nextExpire.Store(least)
	})
	return deleted, more
}

// expireSegment looks through the segment of table i with the least bound, deletes what
// has expired and sets the bound right.
func (t *Txn) expireSegment(st *stripe, p *part, space, i int) (deleted, looked int) {
	tab := p.tables[i]
	if tab == nil || tab.next == nil {
		p.next[i] = never
		return 0, 1
	}
	d := 1
	for d < len(tab.dir) { // the tree's way down to the least bound
		if d *= 2; tab.next[d] != tab.next[d/2] {
			d++
		}
	}
	d -= len(tab.dir)
	g := st.seg(tab.dir[d])
	looked = 1 + int(g.n)
	// Deleting may merge the segment away: collect first. (Most looks find a few.)
	var due [segMax]uint64
	n, least := 0, int64(never)
	for _, w := range g.all() {
		b := st.entryAt(w)
		at := st.fieldExpiry(b)
		if expire := entryExpire(b); expire != NoExpire {
			at = min(at, expire)
		}
		switch {
		case at == never:
		case at < t.now && n < len(due):
			due[n] = w
			n++
		default:
			least = min(least, at)
		}
	}
	tab.setBound(d, least)
	p.next[i] = tab.least()
	for _, w := range due[:n] {
		var pl place
		b := st.entryAt(w)
		t.s.findKey(&pl, space, entryKey(b))
		if !t.expired(b) {
			looked += t.dropFields(&pl, entryKey(b))
			if pl.b != nil {
				continue
			}
		} else {
			t.expire(&pl)
		}
		deleted++
	}
	return deleted, looked
}

// expire deletes the key at p, whose time has come, and notes it.
func (t *Txn) expire(p *place) {
	t.notes = append(t.notes, note{db: t.dbOf(p.space), from: len(t.noteBytes), n: len(entryKey(p.b))})
	t.noteBytes = append(t.noteBytes, entryKey(p.b)...)
	p.st.expired.Add(1)
	if t.touch {
		t.noteTouched(t.dbOf(p.space), entryKey(p.b), true)
	}
	// Watchers are not told: a key that was alive when watched and is gone at EXEC fails it
	// anyway, and one that had expired before WATCH has not changed by going.
	t.discard(p)
}

// SetExpire sets the expiry time of key, in ms, whether in the past or not. false: absent.
func (t *Txn) SetExpire(key []byte, at int64) bool {
	var p place
	if !t.locate(&p, key) {
		return false
	}
	t.changing(&p)
	t.setExpire(&p, at)
	t.changed(&p, key)
	return true
}

// Persist removes the expiry of key and reports whether there was one.
func (t *Txn) Persist(key []byte) bool {
	var p place
	if !t.locate(&p, key) || entryFlags(p.b)&flagExpire == 0 {
		return false
	}
	t.changing(&p)
	t.setExpire(&p, NoExpire)
	t.changed(&p, key)
	return true
}

// setExpire gives the entry at p another expiry time, moving it if its block is too small.
func (t *Txn) setExpire(p *place, at int64) {
	b, old := p.b, entryExpire(p.b)
	if old != NoExpire && at != NoExpire {
		put64(b, entryHeader, uint64(at))
		p.noteExpire(t.s, old, at)
		return
	}
	off, keyLen := keyAt(b)
	size := entrySize(b)
	if keyLen > 255 {
		off -= 4
	}
	rest := span(b, off, size-off) // all after the expiry time
	newSize, newOff := size+8, off+8
	flags := entryFlags(b) | flagExpire
	if at == NoExpire {
		newSize, newOff, flags = size-8, off-8, flags&^flagExpire
	}
	if p.st.entries.Resize(p.ref, size, newSize) {
		copy(span(b, newOff, len(rest)), rest)
	} else {
		ref := p.st.entries.Alloc(newSize)
		nb := p.st.entries.At(ref)
		copy(span(nb, 0, entryHeader), span(b, 0, entryHeader))
		copy(span(nb, newOff, len(rest)), rest)
		p.move(ref, size)
		b = p.b
	}
	*at8(b, 1) = flags
	if at != NoExpire {
		put64(b, entryHeader, uint64(at))
	}
	p.ownValue()
	p.noteExpire(t.s, old, at)
}
