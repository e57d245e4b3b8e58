package sim

import (
	"github.com/sextantdb/sextant/cluster/core"
	"github.com/sextantdb/sextant/cluster/topology"
)

// disk is one node's state file: what is durable, and what was written but not fsynced. It
// follows cluster/agent: appended records, a new generation by rename, one fsync a batch.
type disk struct {
	file    []byte // durable
	log     topology.Log
	gen     uint64
	pending []byte    // appended, not yet fsynced
	whole   []byte    // a new generation, not yet renamed
	full    core.Mono // ENOSPC until then
	slow    core.Mono // fsyncs are slow until then
	slowBy  core.Mono
	size0   int // bytes when this generation began
	all     []topology.Record
	at      map[string]int
	blank   bool // at scale: nobody will read it
}

// compactSlack is how far a generation may outgrow four times its beginning.
const compactSlack = 64 << 10

// write takes a batch's save; it is durable only after sync.
func (d *disk) write(s *core.Save) {
	if d.blank {
		return
	}
	if s.All {
		d.all, d.at = d.all[:0], map[string]int{}
	}
	for _, r := range s.Records {
		if i, ok := d.at[r.Key]; ok {
			d.all[i].Value = r.Value
			continue
		}
		d.at[r.Key] = len(d.all)
		d.all = append(d.all, r)
	}
	if s.All || len(d.file)+len(d.pending) > 4*d.size0+compactSlack {
		kept := d.all[:0]
		d.at = map[string]int{}
		for _, r := range d.all {
			if r.Value != "" {
				d.at[r.Key] = len(kept)
				kept = append(kept, r)
			}
		}
		d.all = kept
		d.gen++
		d.whole = d.log.Begin(d.gen, d.all)
		d.pending = d.pending[:0]
		return
	}
	d.pending = d.log.Append(d.pending, s.Records...)
}

// sync makes what was written durable.
func (d *disk) sync() {
	if d.whole != nil {
		d.file, d.whole = d.whole, nil
		d.size0 = len(d.file)
	}
	if len(d.pending) > 0 {
		d.file = append(d.file, d.pending...)
		d.pending = d.pending[:0]
	}
}

// crash loses what was not fsynced; with a torn tail, a part of it may be there.
func (d *disk) crash(torn uint64) {
	if n := len(d.pending); n > 0 && torn != 0 && d.whole == nil {
		d.file = append(d.file, d.pending[:int(torn)%n]...)
	}
	d.whole, d.pending = nil, nil
}

// load reads the file as a start does. A damaged tail is cut off; a damaged middle refuses.
func (d *disk) load(dataPresent bool) (*topology.Loaded, error) {
	l, err := topology.Decode(d.file, dataPresent && len(d.file) > 0)
	if err != nil {
		return nil, err
	}
	d.file = d.file[:l.Keep:l.Keep]
	d.log, d.gen, d.size0 = l.Log, l.Generation, len(d.file)
	d.all, d.at = nil, map[string]int{}
	for _, r := range l.Records {
		d.at[r.Key] = len(d.all)
		d.all = append(d.all, r)
	}
	return l, nil
}
