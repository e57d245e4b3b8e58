// Package acl decides who a client is and what it may do: users, their passwords and rules.
// Session keeps the User a client authenticated as, admission asks it. It works on plain
// names and categories and must not know the command table.
//
// # Concurrency
//
// A User is immutable; a change makes a new one. List is safe for use from any goroutine.
package acl

import (
	"crypto/sha256"
	"crypto/subtle"
	"sync"
)

// DefaultName is the user a connection begins as.
const DefaultName = "default"

// User is one user as it was when a client authenticated. Immutable.
type User struct {
	Name      string
	Enabled   bool
	NoPass    bool // any password fits, and new connections need none
	passwords [][sha256.Size]byte
}

// Accepts reports whether password is one of u's, in time that does not depend on where it differs.
func (u *User) Accepts(password []byte) bool {
	if u.NoPass {
		return true
	}
	sum := sha256.Sum256(password)
	ok := 0
	for i := range u.passwords {
		ok |= subtle.ConstantTimeCompare(sum[:], u.passwords[i][:])
	}
	return ok == 1
}

// List is the set of users of a node.
type List struct {
	mu    sync.RWMutex
	users map[string]*User // guarded by mu
}

// NewList returns a list with an enabled default user that needs no password.
func NewList() *List {
	return &List{users: map[string]*User{DefaultName: {Name: DefaultName, Enabled: true, NoPass: true}}}
}

// Default is the user a new connection is, when that user needs no password.
func (l *List) Default() *User {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.users[DefaultName]
}

// Get returns a user by name, or nil.
func (l *List) Get(name string) *User {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.users[name]
}

// RequirePass gives the default user one password, or none when password is empty
// (directive requirepass).
func (l *List) RequirePass(password string) {
	u := &User{Name: DefaultName, Enabled: true, NoPass: password == ""}
	if password != "" {
		u.passwords = [][sha256.Size]byte{sha256.Sum256([]byte(password))}
	}
	l.mu.Lock()
	l.users[DefaultName] = u
	l.mu.Unlock()
}

// Authenticate returns the user when name exists, is enabled and accepts password.
func (l *List) Authenticate(name, password []byte) (*User, bool) {
	l.mu.RLock()
	u := l.users[string(name)]
	l.mu.RUnlock()
	if u == nil {
		// Spend the time of a comparison, so that names cannot be probed.
		(&User{passwords: make([][sha256.Size]byte, 1)}).Accepts(password)
		return nil, false
	}
	ok := u.Accepts(password)
	return u, ok && u.Enabled
}
