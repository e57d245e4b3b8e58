package snapshot

import (
	"context"
	"io"
)

// Stream is one reader of a Snapshot. One goroutine uses it.
type Stream struct {
	sp      *Snapshot
	queue   chan *Batch   // closed by Run at its end
	left    chan struct{} // closed by Close
	current *Batch        // what Next returned last; owned by the reader
}

// Stream joins a reader. It must come before Run.
func (sp *Snapshot) Stream() (*Stream, error) {
	sp.streams.Lock()
	defer sp.streams.Unlock()
	if sp.streams.started {
		return nil, ErrStarted
	}
	st := &Stream{sp: sp, queue: make(chan *Batch, queueBatches), left: make(chan struct{})}
	sp.streams.all = append(sp.streams.all, st)
	return st, nil
}

// Read walks the snapshot for one reader: it runs read beside the walk and returns when both have ended. When read fails the
// snapshot is aborted. The error is read's, else the walk's. low is for the walk, as Go's. REQUIRES: no Run before it.
func (sp *Snapshot) Read(ctx context.Context, low bool, read func(in *Stream) error) error {
	in, err := sp.Stream()
	if err != nil {
		return err
	}
	walked := Go(low, func() error { return sp.Run(ctx) })
	if err = read(in); err != nil {
		sp.Abort(err)
	}
	in.Close()
	if walkErr := <-walked; err == nil {
		err = walkErr
	}
	return err
}

// Drop ends a snapshot that nobody reads.
func (sp *Snapshot) Drop(reason error) {
	sp.Abort(reason)
	_ = sp.Run(context.Background()) // returns reason
}

// Next returns the next batch, which is valid until the following call. The error is io.EOF
// when the reader has everything, else why the snapshot ended early, or ctx did.
func (st *Stream) Next(ctx context.Context) (*Batch, error) {
	st.giveBack()
	if err := st.sp.reason(); err != nil {
		return nil, err
	}
	select {
	case b, ok := <-st.queue:
		if ok {
			st.current = b
			return b, nil
		}
		if err := st.sp.reason(); err != nil {
			return nil, err
		}
		return nil, io.EOF
	case <-st.sp.aborted:
		return nil, st.sp.abort.reason
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close leaves. The snapshot goes on for its other readers. It may be called more than once.
func (st *Stream) Close() {
	st.giveBack()
	if st.hasLeft() {
		return
	}
	close(st.left)
	sp := st.sp
	sp.streams.Lock()
	for i, other := range sp.streams.all {
		if other == st {
			sp.streams.all = append(sp.streams.all[:i:i], sp.streams.all[i+1:]...)
			break
		}
	}
	sp.streams.Unlock()
	st.discard()
}

func (st *Stream) giveBack() {
	if st.current != nil {
		st.current.release()
		st.current = nil
	}
}

func (st *Stream) hasLeft() bool {
	select {
	case <-st.left:
		return true
	default:
		return false
	}
}

// discard releases what is queued. REQUIRES: the reader has left.
func (st *Stream) discard() {
	for {
		select {
		case b, ok := <-st.queue:
			if !ok {
				return
			}
			b.release()
		default:
			return
		}
	}
}
