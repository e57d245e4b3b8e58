package repl

import "fmt"

// Event is one thing worth a log line. Text says it in Redis' words, with all numbers of the
// decision; Kind is for listeners that count or wait.
type Event struct {
	Kind    EventKind
	Warning bool
	Text    string
}

// EventKind names what happened.
type EventKind uint8

const (
	EvReplicaAsks    EventKind = iota // a replica asks for synchronization
	EvPartialOK                       // it is continued from the backlog
	EvPartialRefused                  // it is not; Text says why
	EvFullSync                        // a full sync of one or more replicas: begun, waiting, ended
	EvReplicaOnline                   // a replica has its copy
	EvReplicaLost                     // a replica's connection ended
	EvReplicaDropped                  // we ended it: too slow, silent, or the history changed
	EvBacklog                         // the backlog was made or freed
	EvLink                            // a step of our own link to the primary
	EvLinkUp                          // the link streams
	EvLinkDown                        // the link is lost
	EvLinkError                       // a step failed
	EvLoad                            // a step of taking in a full sync
	EvRole                            // primary or replica from now on
	EvApplyError                      // a command of the primary's stream failed here
)

// Listener takes events. It is called from any goroutine, also under locks, so it must not
// block and must not call the Engine.
type Listener func(Event)

func (e *Engine) emit(k EventKind, format string, args ...any) {
	e.deps.Listen(Event{Kind: k, Text: fmt.Sprintf(format, args...)})
}

func (e *Engine) warn(k EventKind, format string, args ...any) {
	e.deps.Listen(Event{Kind: k, Warning: true, Text: fmt.Sprintf(format, args...)})
}
