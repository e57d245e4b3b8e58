package acl

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// little is a catalog that has one of each kind: a plain command, one that writes, a container.
func little() *Catalog {
	const read, write, admin = 1, 2, 4
	return NewCatalog([]string{"read", "write", "admin"}, []Command{
		{"get", 0, read}, {"set", 1, write}, {"select", 2, 0}, {"config", 3, 0}, {"config|get", 70, admin}, {"config|set", 71, admin}, {"exists", 4, read},
	})
}

func TestTextOfRules(t *testing.T) {
	const nothing = "resetchannels -@all"
	for _, c := range []struct{ rules, text string }{
		{"", "off sanitize-payload resetchannels -@all"},
		{"on nopass ~* &* +@all", "on nopass sanitize-payload ~* &* +@all"},
		{"allkeys allchannels allcommands skip-sanitize-payload", "off skip-sanitize-payload ~* &* +@all"},
		{">a #" + strings.Repeat("0f", 32), "off sanitize-payload #ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb #" + strings.Repeat("0f", 32) + " " + nothing},
		{">a >b <a !3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d", "off sanitize-payload " + nothing},
		{"nopass >a", "off sanitize-payload #ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb " + nothing},
		{"~a %R~b %W~c %rw~d %R~e %W~e ~a", "off sanitize-payload ~a %R~b %W~c ~d ~e " + nothing},
		{"~a resetkeys ~b", "off sanitize-payload ~b " + nothing},
		{"&a &b &a", "off sanitize-payload resetchannels &a &b -@all"},
		{"+get +GET +set -get", "off sanitize-payload resetchannels -@all +set -get"},
		{"+config|get +config", "off sanitize-payload resetchannels -@all +config"},
		{"+config -config|set", "off sanitize-payload resetchannels -@all +config -config|set"},
		{"+@all -@admin +config|get", "off sanitize-payload resetchannels +@all -@admin +config|get"},
		{"+@read -@all +get", "off sanitize-payload resetchannels -@all +get"},
		{"+select|0 +SELECT|1", "off sanitize-payload resetchannels -@all +select|0 +select|1"},
		{"+select|0 +select", "off sanitize-payload resetchannels -@all +select"},
		{"(~a +get) ( &b +@write )", "off sanitize-payload resetchannels -@all (~a resetchannels -@all +get) (resetchannels &b -@all +@write)"},
		{"(~a +get) clearselectors", "off sanitize-payload " + nothing},
		{"on nopass ~* &* +@all (~a) reset", "off sanitize-payload " + nothing},
	} {
		l := NewList()
		l.SetCatalog(little())
		_, err := l.SetUser("u", strings.Fields(c.rules))
		require.NoError(t, err, c.rules)
		text := l.Get("u").User().Text()
		assert.Equal(t, c.text, text, c.rules)
		_, err = l.SetUser("again", strings.Fields(text))
		require.NoError(t, err, text)
		assert.Equal(t, text, l.Get("again").User().Text())
	}
}

func TestRefusedRulesChangeNothing(t *testing.T) {
	l := NewList()
	l.SetCatalog(little())
	_, err := l.SetUser("u", []string{"on", ">secret", "~*", "&*", "+get"})
	require.NoError(t, err)
	before := l.Get("u").User()
	for _, c := range []struct {
		rules string
		why   error
	}{
		{"+nothing", ErrUnknown}, {"-get|x", ErrUnknown}, {"+config|x", ErrUnknown}, {"+@x", ErrUnknown}, {"-@x", ErrUnknown}, {"+nothing|x", ErrUnknown},
		{"+config|", ErrSyntax}, {"+config|get|x", ErrFirstArg}, {"x", ErrSyntax}, {"resetkeys %", ErrSyntax}, {"resetkeys (~a))", ErrSyntax}, {"resetkeys %~a", ErrSyntax}, {"resetkeys %RR~a", ErrSyntax}, {"resetkeys %R", ErrSyntax},
		{"~a", ErrAllKeys}, {"&a", ErrAllChannels}, {"#12", ErrHash}, {"#" + strings.Repeat("AB", 32), ErrHash}, {"!zz", ErrHash}, {"<other", ErrNoPassword},
		{"resetkeys resetpass (+x)", ErrUnknown},
	} {
		_, err := l.SetUser("u", strings.Fields(c.rules))
		assert.ErrorIs(t, err, c.why, c.rules)
		assert.Same(t, before, l.Get("u").User(), c.rules)
	}
	_, err = l.SetUser("u", []string{"(~a", "+get"})
	var unmatched *UnmatchedError
	require.ErrorAs(t, err, &unmatched)
	assert.Equal(t, "Unmatched parenthesis in acl selector starting at '(~a'.", err.Error())
	_, err = l.SetUser("u", []string{"+select|a b"})
	assert.ErrorIs(t, err, ErrSyntax)
	_, err = l.SetUser("u", []string{"resetkeys", "~a b"})
	assert.ErrorIs(t, err, ErrSyntax)
	assert.Nil(t, l.Get("other"))
}

func TestWhatSelectorsAllow(t *testing.T) {
	l := NewList()
	l.SetCatalog(little())
	_, err := l.SetUser("u", strings.Fields("+@read +select|0 +config|get ~a* %R~r* %W~w* &news.* (~b +set)"))
	require.NoError(t, err)
	u := l.Get("u").User()
	own := u.Selectors()[0]
	assert.True(t, own.MayRun(0, nil))
	assert.False(t, own.MayRun(1, nil))
	assert.True(t, u.Selectors()[1].MayRun(1, nil))
	assert.True(t, own.MayRun(2, []byte("0")))
	assert.False(t, own.MayRun(2, []byte("1")))
	assert.False(t, own.MayRun(2, nil))
	assert.False(t, own.MayRun(3, nil))
	assert.True(t, own.MayRun(70, nil))
	assert.False(t, own.MayRun(71, nil))
	for key, may := range map[string]Access{"abc": Read | Write, "rx": Read, "wx": Write, "x": 0} {
		for _, want := range []Access{Read, Write, Read | Write} {
			assert.Equal(t, may&want == want, own.MayTouch([]byte(key), want), key)
		}
	}
	assert.False(t, own.MayTouchAny(Read))
	assert.True(t, u.MayListen([]byte("news.x"), false))
	assert.False(t, u.MayListen([]byte("news.x"), true))
	assert.True(t, u.MayListen([]byte("news.*"), true))
	assert.False(t, u.MayAll())
	assert.True(t, l.Default().User().MayAll())
}

func TestListensLess(t *testing.T) {
	l := NewList()
	make := func(rules string) *User {
		c, err := l.SetUser("u", append([]string{"reset"}, strings.Fields(rules)...))
		require.NoError(t, err)
		return c.New
	}
	for _, c := range []struct {
		old, now string
		less     bool
	}{{"&a", "&a &b", false}, {"&a &b", "&b", true}, {"&*", "&a", true}, {"&a", "&*", false}, {"&a (&b)", "&a &b", false}, {"", "", false}} {
		assert.Equal(t, c.less, make(c.now).ListensLess(make(c.old)), c)
	}
}

func TestLoadIsAllOrNothing(t *testing.T) {
	l := NewList()
	l.SetCatalog(little())
	_, err := l.SetUser("gone", nil)
	require.NoError(t, err)
	gone := l.Get("gone")
	_, err = l.Load("users.acl", "\nuser a on +nothing +what\nuser a on\nfoo\nuser b ~x ~* ~y ~z\nuser c (~a")
	require.Error(t, err)
	assert.Equal(t, "users.acl:2: Error in applying operation '+nothing': "+ErrUnknown.Error()+". users.acl:2: Error in applying operation '+what': "+ErrUnknown.Error()+
		". WARNING: Duplicate user 'a' found on line 3. users.acl:4 should start with user keyword followed by the username. users.acl:5: "+ErrAllKeys.Error()+
		". users.acl:6: Unmatched parenthesis in selector definition.WARNING: ACL errors detected, no change to the previously active ACL rules was performed", err.Error())
	assert.Same(t, gone, l.Get("gone"))

	changes, err := l.Load("users.acl", "user a on nopass +get\n\nuser default off")
	require.NoError(t, err)
	assert.Len(t, changes, 2)
	assert.Nil(t, gone.User(), "sessions of a user that is gone are nobody's")
	assert.False(t, l.Default().User().Enabled)
	assert.Equal(t, []string{"user a on nopass sanitize-payload resetchannels -@all +get", "user default off sanitize-payload resetchannels -@all"}, l.Lines())
	_, err = l.Load("users.acl", "user a on")
	require.NoError(t, err)
	assert.True(t, l.Default().User().MayAll(), "a file without the default user leaves it open")
}

func TestDeclared(t *testing.T) {
	d, err := Declare(strings.Fields("alice on +later (~a +get)"))
	require.NoError(t, err)
	_, err = Declare([]string{"alice", "what"})
	assert.ErrorIs(t, err, ErrSyntax)
	l := NewList()
	l.SetCatalog(little())
	assert.EqualError(t, l.Add([]Declared{d}), "Error loading ACL rule '+later' for the user named 'alice': "+ErrUnknown.Error())
}

func TestLogGroups(t *testing.T) {
	l := NewLog(3)
	d := Denial{Reason: DeniedKey, Context: InMulti, Object: "k", User: "u"}
	l.Add(d, "one", 1000)
	other := d
	other.Object = "other"
	l.Add(other, "two", 2000)
	l.Add(d, "three", 3000)
	got := l.Entries(10)
	require.Len(t, got, 2)
	assert.Equal(t, Entry{d, 2, 0, "three", 1000, 3000}, got[0])
	l.Add(d, "late", 3000+groupWithinMs+1)
	l.Add(Denial{Reason: DeniedAuth, Object: "AUTH"}, "x", 5000)
	got = l.Entries(10)
	require.Len(t, got, 3, "the oldest goes")
	assert.Equal(t, []int64{3, 2, 0}, []int64{got[0].ID, got[1].ID, got[2].ID})
	assert.Equal(t, int64(4), l.Count(DeniedKey))
	l.SetMax(0)
	assert.Len(t, l.Entries(10), 3)
	l.Add(d, "x", 5000)
	assert.Empty(t, l.Entries(10))
}

// FuzzRules: whatever is accepted has a text that makes the same user again.
func FuzzRules(f *testing.F) {
	for _, s := range []string{
		"on nopass ~* &* +@all", "+get -@read +@write +select|0 -select", "%R~a %W~a ~b &c (~x +config|get) ( +@all -get )", ">p <p #00 !00 reset", "(", ")", "()", "+|", "-@", "%", "~",
		`(~"a\"b" +get)`, "+config|get -config +config|set +@admin -@admin",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		l := NewList()
		l.SetCatalog(little())
		words := strings.Split(line, " ")
		change, err := l.SetUser("u", words)
		if _, declared := Declare(append([]string{"u"}, words...)); declared != nil && err == nil {
			t.Fatalf("%q is refused before the commands are known: %v", line, declared)
		}
		if err != nil {
			var rule *RuleError
			var unmatched *UnmatchedError
			if !errors.As(err, &rule) && !errors.As(err, &unmatched) {
				t.Fatalf("%q: %v", line, err)
			}
			return
		}
		text := change.New.Text()
		again, err := l.SetUser("again", strings.Split(text, " "))
		if err != nil {
			t.Fatalf("%q gives %q: %v", line, text, err)
		}
		if got := again.New.Text(); got != text {
			t.Fatalf("%q gives %q, which gives %q", line, text, got)
		}
		for i, s := range change.New.Selectors() {
			for id := range 128 {
				for _, first := range []string{"0", "1"} {
					if s.MayRun(id, []byte(first)) != again.New.Selectors()[i].MayRun(id, []byte(first)) {
						if _, known := knownIDs[id]; known {
							t.Fatalf("%q and its text %q differ on command %d %s", line, text, id, first)
						}
					}
				}
			}
		}
	})
}

var knownIDs = map[int]bool{0: true, 1: true, 2: true, 3: true, 4: true, 70: true, 71: true}
