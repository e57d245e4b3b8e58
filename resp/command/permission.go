package command

import "github.com/sextantdb/sextant/resp/acl"

// Channels says how the words of a call name channels of publish and subscribe. Leaving a channel
// needs no permission.
type Channels uint8

const (
	NoChannels        Channels = iota
	PublishesTo                // word 1
	ListensTo                  // every word from 1 on
	ListensToPatterns          // the same, and they are patterns
)

// Permission says whether u may make the call argv, and if not why, and which word was in the way:
// the key or channel, or 0. It is the one check of ACL rules: admission, EXEC, scripts and ACL DRYRUN ask it.
// refs is memory for it to use.
func (c *Command) Permission(u *acl.User, argv [][]byte, refs *[]KeyRef) (why acl.Reason, word int) {
	if u.MayAll() {
		return acl.Allowed, 0
	}
	keys := (*refs)[:0]
	if c.HasKeys() {
		keys, _ = c.KeysOf(argv, keys, false)
		*refs = keys
	}
	// What comes nearest to being allowed is told: a key rather than the command, and the last of several.
	why = acl.DeniedCommand
	for _, s := range u.Selectors() {
		reason, at := c.selected(s, argv, keys)
		if reason == acl.Allowed {
			return reason, 0
		}
		if reason > why || reason == why && at > word {
			why, word = reason, at
		}
	}
	return why, word
}

// selected is Permission by one set of rules.
func (c *Command) selected(s *acl.Selector, argv [][]byte, keys []KeyRef) (acl.Reason, int) {
	if c.Flags&NoAuth == 0 {
		var first []byte
		if len(argv) > 1 {
			first = argv[1]
		}
		if !s.MayRun(c.id, first) {
			return acl.DeniedCommand, 0
		}
	}
	if !s.AllKeys() {
		for _, k := range keys {
			if !s.MayTouch(argv[k.Index], k.Access.permission()) {
				return acl.DeniedKey, k.Index
			}
		}
	}
	if c.Channels != NoChannels && !s.AllChannels() {
		words := argv[1:]
		if c.Channels == PublishesTo && len(words) > 0 {
			words = words[:1]
		}
		for i, name := range words {
			if !s.MayUse(name, c.Channels == ListensToPatterns) {
				return acl.DeniedChannel, 1 + i
			}
		}
	}
	return acl.Allowed, 0
}

// permission is what a user needs to use a key so.
func (a Access) permission() (need acl.Access) {
	if a&ReadsValue != 0 {
		need |= acl.Read
	}
	if a&(Insert|Update|Delete) != 0 {
		need |= acl.Write
	}
	return need
}

// MayReadAll reports whether one set of u's rules allows the call and the reading of any key too: for
// commands that find keys in data (SORT BY).
func (c *Command) MayReadAll(u *acl.User, argv [][]byte) bool {
	if u.MayAll() {
		return true
	}
	keys, _ := c.KeysOf(argv, nil, false)
	for _, s := range u.Selectors() {
		if s.MayTouchAny(acl.Read) {
			if reason, _ := c.selected(s, argv, keys); reason == acl.Allowed {
				return true
			}
		}
	}
	return false
}

// Catalog is the table as rules of users name it: under the names before rename-command.
func (t *Table) Catalog() *acl.Catalog {
	commands := make([]acl.Command, len(t.all))
	for i, c := range t.all {
		commands[i] = acl.Command{Name: c.lower, ID: c.id, Categories: uint64(c.categories)}
	}
	return acl.NewCatalog(CategoryNames, commands)
}
