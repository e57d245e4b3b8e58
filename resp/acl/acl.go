// Package acl decides who a client is and what it may do: users, their passwords and rules, the
// list of them, and the log of what was refused. A session keeps the Account it authenticated
// as; admission asks the account's User of now, through resp/command, which knows where the keys
// and channels of a call stand. The package works on plain names, numbers and categories and must
// not know the command table: a Catalog says once which commands there are.
//
// # Concurrency
//
// A User is immutable; a change makes a new one and swaps it into the Account, so that every
// session of the account goes by the new rules from its next call on, and nobody waits. List and
// Log are safe for use from any goroutine.
package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"sync/atomic"

	"github.com/sextantdb/sextant/resp/glob"
)

// DefaultName is the user a connection begins as.
const DefaultName = "default"

// Account is one name in the list of users. Sessions hold it; what it allows may change.
type Account struct {
	// Name is immutable.
	Name string
	user atomic.Pointer[User]
}

// User is what the account is and may do now; nil when it was deleted. Any goroutine.
func (a *Account) User() *User { return a.user.Load() }

// User is one version of an account. Immutable once an Account has it.
type User struct {
	Name    string
	Enabled bool
	NoPass  bool // any password fits; as the default user, new connections need none
	// SkipSanitize is the flag skip-sanitize-payload. It is kept and shown; RESTORE always checks.
	SkipSanitize bool

	passwords []hash
	// selectors[0] are the user's own rules, the rest those in parentheses. A call is allowed if
	// one of them allows all of it.
	selectors []*Selector
	// all says that selectors[0] allows everything.
	all bool
}

type hash [sha256.Size]byte

func (p hash) String() string { return hex.EncodeToString(p[:]) }

// Open reports whether clients are u without saying a password, if u is the default user.
func (u *User) Open() bool { return u.Enabled && u.NoPass }

// MayAll reports whether u may do everything, so that nothing else needs to be asked.
func (u *User) MayAll() bool { return u.all }

// Selectors are the sets of rules, of which one must allow all of a call.
func (u *User) Selectors() []*Selector { return u.selectors }

// Accepts reports whether word is one of u's passwords, in time that does not depend on where it differs.
func (u *User) Accepts(word []byte) bool {
	if u.NoPass {
		return true
	}
	sum := sha256.Sum256(word)
	ok := 0
	for i := range u.passwords {
		ok |= subtle.ConstantTimeCompare(sum[:], u.passwords[i][:])
	}
	return ok == 1
}

// MayListen reports whether u may subscribe to a channel, or to a pattern of channels.
func (u *User) MayListen(name []byte, pattern bool) bool {
	for _, s := range u.selectors {
		if s.MayUse(name, pattern) {
			return true
		}
	}
	return false
}

// ListensLess reports whether u may not listen to all that old was allowed by the words of its
// rules: then its clients' subscriptions must be looked at.
func (u *User) ListensLess(old *User) bool {
	allowed := map[string]bool{}
	for _, s := range u.selectors {
		if s.allChannels {
			return false
		}
		for _, p := range s.channels {
			allowed[p] = true
		}
	}
	for _, s := range old.selectors {
		if s.allChannels {
			return true
		}
		for _, p := range s.channels {
			if !allowed[p] {
				return true
			}
		}
	}
	return false
}

// Access is what may be done with a key.
type Access uint8

const (
	Read Access = 1 << iota
	Write
)

// Selector is one set of rules: commands, keys and channels.
type Selector struct {
	allKeys, allChannels bool
	// allCommands: no command was taken away since +@all.
	allCommands bool
	// fromAll: the rules begin with +@all, so that commands of later versions are allowed too.
	fromAll   bool
	commands  []uint64         // bitmap over Command.ID
	firstArgs map[int][]string // by Command.ID: the first arguments with which a command is allowed that is not otherwise
	keys      []keyPattern
	channels  []string
	rules     []string // in the order that they count in: "+get", "-@write", "+select|0"
}

type keyPattern struct {
	pattern string
	access  Access
}

// MayRun reports whether the command with this ID, called with this first argument (nil: none), is allowed.
func (s *Selector) MayRun(id int, first []byte) bool {
	if s.allCommands || s.bit(id) {
		return true
	}
	if first == nil || s.firstArgs == nil {
		return false
	}
	for _, a := range s.firstArgs[id] {
		if foldEqual(first, a) {
			return true
		}
	}
	return false
}

// AllKeys and AllChannels report that MayTouch and MayUse need not be asked.
func (s *Selector) AllKeys() bool     { return s.allKeys }
func (s *Selector) AllChannels() bool { return s.allChannels }

// MayTouch reports whether key may be used as want says.
func (s *Selector) MayTouch(key []byte, want Access) bool {
	if s.allKeys {
		return true
	}
	for i := range s.keys {
		p := &s.keys[i]
		if p.access&want == want && glob.Match(p.pattern, key) {
			return true
		}
	}
	return false
}

// MayTouchAny reports whether every key may be used as want says, by a rule that says so.
func (s *Selector) MayTouchAny(want Access) bool {
	if s.allKeys {
		return true
	}
	for _, p := range s.keys {
		if p.access&want == want && p.pattern == "*" {
			return true
		}
	}
	return false
}

// MayUse reports whether a channel may be published or subscribed to. A pattern is allowed only
// where the rules have the very same.
func (s *Selector) MayUse(name []byte, pattern bool) bool {
	if s.allChannels {
		return true
	}
	for _, p := range s.channels {
		if pattern && p == string(name) || !pattern && glob.Match(p, name) {
			return true
		}
	}
	return false
}

func (s *Selector) bit(id int) bool {
	return id>>6 < len(s.commands) && s.commands[id>>6]&(1<<(id&63)) != 0
}

func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
