package node

import (
	"sync"

	"github.com/sextantdb/sextant/cluster/core"
)

// roleQueue hands what the cluster machine decided about the data side to the one goroutine
// that carries it out. Putting never waits, because the agent must not; taking waits. Its
// bound is one change of role and one of pause: of several that could not yet be carried out only
// the newest counts.
type roleQueue struct {
	wake chan struct{} // capacity 1

	mu    sync.Mutex
	role  *core.RoleChange // guarded by mu, like pause; nil: none waits
	pause *core.Pause
}

func newRoleQueue() *roleQueue { return &roleQueue{wake: make(chan struct{}, 1)} }

// putRole replaces a change of role that still waits. What was to be flushed stays to be.
func (q *roleQueue) putRole(r core.RoleChange) {
	q.mu.Lock()
	if q.role != nil {
		r.Flush = r.Flush || q.role.Flush
	}
	q.role = &r
	q.mu.Unlock()
	q.tell()
}

func (q *roleQueue) putPause(p core.Pause) {
	q.mu.Lock()
	q.pause = &p
	q.mu.Unlock()
	q.tell()
}

func (q *roleQueue) tell() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns what waits, either of it nil. Writes are to be held before a role changes and
// let go after, so a pause goes first and its end last.
func (q *roleQueue) take() (role *core.RoleChange, pause *core.Pause) {
	q.mu.Lock()
	defer q.mu.Unlock()
	role, pause = q.role, q.pause
	q.role, q.pause = nil, nil
	return role, pause
}

// runRoles is the goroutine that carries roles and pauses out.
func (n *Node) runRoles() {
	for {
		select {
		case <-n.roles.wake:
		case <-n.quit:
			return
		}
		role, pause := n.roles.take()
		if pause != nil && pause.Tok != 0 {
			n.hold(pause.Tok)
		}
		if role != nil {
			n.assume(*role)
		}
		if pause != nil && pause.Tok == 0 {
			n.letGo()
		}
		n.agent.Poke()
	}
}
