// Package core is the cluster as one deterministic machine.
package core

import "github.com/sextantdb/sextant/cluster/topology"

// Machine is one node's part of the cluster. It is owned by one goroutine.
type Machine struct {
	view *topology.View
}

// New starts a node. The Effects are to be performed like those of a Step.
func New(cfg Config, boot Boot, now Mono) (*Machine, Effects) { return &Machine{}, Effects{} }

// Step takes one input at a given time and says what must now happen.
func (m *Machine) Step(now Mono, in Input) Effects { return Effects{} }

// Check verifies the machine's local invariants.
func (m *Machine) Check() error { return nil }

// Hash is a canonical hash of the state.
func (m *Machine) Hash() uint64 { return 0 }

// View is the last published view.
func (m *Machine) View() *topology.View { return m.view }

// Inspect copies facts for checkers.
func (m *Machine) Inspect() Inspect { return Inspect{} }
