package acl

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
)

// List is the set of users of a node.
type List struct {
	// def is the account of the default user, which is never another.
	def *Account

	mu       sync.RWMutex
	catalog  *Catalog            // guarded by mu; set once, before rules name commands
	open     bool                // guarded by mu: acl-pubsub-default
	accounts map[string]*Account // guarded by mu

}

// Change is what happened to one account, for whoever has to end what is no longer allowed.
type Change struct {
	Account *Account
	Old     *User
	New     *User // nil: it was deleted
}

// NewList returns a list with a default user that needs no password and may do everything.
func NewList() *List {
	l := &List{def: &Account{Name: DefaultName}}
	l.def.user.Store(defaultUser(nil))
	l.accounts = map[string]*Account{DefaultName: l.def}
	return l
}

func defaultUser(c *Catalog) *User {
	u := newUser(DefaultName, false)
	if err := (editor{u, c, false}).apply([]string{"+@all", "~*", "&*", "on", "nopass"}); err != nil {
		panic(err)
	}
	return u.finish()
}

// SetCatalog says which commands there are. REQUIRES: only the default user exists.
func (l *List) SetCatalog(c *Catalog) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.catalog = c
	u := l.def.User().clone()
	u.selectors[0].setAll(true, c)
	l.def.user.Store(u.finish())
}

// SetOpen says whether selectors made from now on allow all channels (acl-pubsub-default).
func (l *List) SetOpen(open bool) {
	l.mu.Lock()
	l.open = open
	l.mu.Unlock()
}

// Default is the account that new connections are, when it needs no password.
func (l *List) Default() *Account { return l.def }

// Get returns an account by name, or nil.
func (l *List) Get(name string) *Account {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.accounts[name]
}

// Users are all users now, by name.
func (l *List) Users() []*User {
	l.mu.RLock()
	defer l.mu.RUnlock()
	users := make([]*User, 0, len(l.accounts))
	for _, a := range l.accounts {
		users = append(users, a.User())
	}
	sort.Slice(users, func(i, j int) bool { return users[i].Name < users[j].Name })
	return users
}

// Lines are all users as lines of an ACL file or of redis.conf.
func (l *List) Lines() []string {
	var lines []string
	for _, u := range l.Users() {
		lines = append(lines, "user "+u.Name+" "+u.Text())
	}
	return lines
}

// RequirePass gives the default user one password, or none when password is empty
// (directive requirepass).
func (l *List) RequirePass(password string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.def.User().clone()
	rules := []string{"nopass"}
	if password != "" {
		rules = []string{"resetpass", ">" + password}
	}
	if err := (editor{u, l.catalog, l.open}).apply(rules); err != nil {
		panic(err)
	}
	l.def.user.Store(u.finish())
}

// Authenticate returns the account when name exists, is enabled and accepts password.
func (l *List) Authenticate(name, password []byte) (*Account, bool) {
	l.mu.RLock()
	a := l.accounts[string(name)]
	l.mu.RUnlock()
	var u *User
	if a != nil {
		u = a.User()
	}
	if u == nil {
		// Spend the time of a comparison, so that names cannot be probed.
		(&User{passwords: make([]hash, 1)}).Accepts(password)
		return nil, false
	}
	ok := u.Accepts(password)
	return a, ok && u.Enabled
}

// SetUser changes a user by rules, or makes it first. All rules hold or none.
func (l *List) SetUser(name string, words []string) (Change, error) {
	rules, err := merge(words)
	if err != nil {
		return Change{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[name]
	var old, u *User
	if a != nil {
		old = a.User()
		u = old.clone()
	} else {
		u = newUser(name, l.open)
	}
	if err := (editor{u, l.catalog, l.open}).apply(rules); err != nil {
		return Change{}, err
	}
	if a == nil {
		a = &Account{Name: name}
		l.accounts[name] = a
	}
	a.user.Store(u.finish())
	return Change{a, old, u}, nil
}

// Delete removes a user; sessions of its account are nobody's from now on.
func (l *List) Delete(name string) (Change, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.accounts[name]
	if a == nil || a == l.def {
		return Change{}, false
	}
	delete(l.accounts, name)
	return Change{Account: a, Old: a.user.Swap(nil)}, true
}

// Load puts the users of an ACL file in place of all there are. When there is anything wrong in the
// text nothing changes, and the error tells all of it, with file and line.
func (l *List) Load(file, text string) ([]Change, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	users := map[string]*User{}
	var wrong strings.Builder
	for i, line := range strings.Split(text, "\n") {
		line = strings.Trim(line, " \t\r\n")
		if line == "" {
			continue
		}
		l.loadLine(users, &wrong, file, i+1, strings.Split(line, " "))
	}
	if wrong.Len() > 0 {
		return nil, errors.New(wrong.String() + "WARNING: ACL errors detected, no change to the previously active ACL rules was performed")
	}
	if users[DefaultName] == nil {
		users[DefaultName] = defaultUser(l.catalog)
	}
	var changes []Change
	for name, a := range l.accounts {
		u := users[name]
		changes = append(changes, Change{a, a.user.Swap(u), u})
		if u == nil {
			delete(l.accounts, name)
		}
	}
	for name, u := range users {
		if l.accounts[name] == nil {
			a := &Account{Name: name}
			a.user.Store(u)
			l.accounts[name] = a
		}
	}
	return changes, nil
}

// loadLine reads one line into users, or says in wrong what is wrong with it.
func (l *List) loadLine(users map[string]*User, wrong *strings.Builder, file string, number int, words []string) {
	if words[0] != "user" || len(words) < 2 {
		fmt.Fprintf(wrong, "%s:%d should start with user keyword followed by the username. ", file, number)
		return
	}
	name := words[1]
	switch {
	case hasSpaces(name):
		fmt.Fprintf(wrong, "'%s:%d: username '%s' contains invalid characters. ", file, number, name)
		return
	case users[name] != nil:
		fmt.Fprintf(wrong, "WARNING: Duplicate user '%s' found on line %d. ", name, number)
		return
	}
	u := newUser(name, l.open)
	users[name] = u
	rules, err := merge(words[2:])
	if err != nil {
		fmt.Fprintf(wrong, "%s:%d: Unmatched parenthesis in selector definition.", file, number)
		return
	}
	told := false // one error that is not about names may only follow from another
	for _, r := range rules {
		r = strings.Trim(r, "\t\r\n")
		switch err := (editor{u, l.catalog, l.open}).one(r); {
		case err == nil:
		case errors.Is(err, ErrUnknown):
			fmt.Fprintf(wrong, "%s:%d: Error in applying operation '%s': %v. ", file, number, r, err)
		case !told:
			fmt.Fprintf(wrong, "%s:%d: %v. ", file, number, err)
			told = true
		}
	}
	u.finish()
}

// Declared is a user directive of redis.conf.
type Declared struct {
	Name  string
	Rules []string
}

// Declare reads the words of a user directive. It cannot know commands yet, and lets their names pass.
func Declare(words []string) (Declared, error) {
	rules, err := merge(words[1:])
	if err != nil {
		return Declared{}, err
	}
	u := newUser(words[0], false)
	for _, r := range rules {
		if err := (editor{u, nil, false}).one(r); err != nil && !errors.Is(err, ErrUnknown) {
			return Declared{}, &RuleError{r, err}
		}
	}
	return Declared{words[0], rules}, nil
}

// Add makes the users that redis.conf declares; the default user is made anew if it is among them.
func (l *List) Add(declared []Declared) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range declared {
		if hasSpaces(d.Name) {
			return errors.New("Spaces not allowed in ACL usernames")
		}
		u := newUser(d.Name, l.open)
		if err := (editor{u, l.catalog, l.open}).apply(d.Rules); err != nil {
			rule := err.(*RuleError)
			return fmt.Errorf("Error loading ACL rule '%s' for the user named '%s': %w", rule.Rule, d.Name, rule.Why)
		}
		a := l.accounts[d.Name]
		if a == nil {
			a = &Account{Name: d.Name}
			l.accounts[d.Name] = a
		}
		a.user.Store(u.finish())
	}
	return nil
}
