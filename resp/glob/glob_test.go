package glob

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", false}, {"a", "", false},
		{"*", "a", true}, {"**", "abc", true}, {"a*", "a", true}, {"a**", "a", true}, {"*a", "a", true},
		{"h?llo", "hello", true}, {"h?llo", "hllo", false}, {"h*llo", "heeeello", true}, {"h*llo", "hllo", true},
		{"*a*b*c", "xaxxbxxc", true}, {"*a*b*c", "xaxxbxx", false}, {"*ab", "aab", true}, {"*aab*", "aaab", true},
		{"a*b", "a", false}, {"a*?", "a", false}, {"a*?", "ab", true},
		{"h[ae]llo", "hallo", true}, {"h[ae]llo", "hillo", false}, {"h[^e]llo", "hallo", true}, {"h[^e]llo", "hello", false},
		{"h[a-b]llo", "hbllo", true}, {"h[b-a]llo", "hallo", true}, {"h[a-b]llo", "hcllo", false},
		{`h\*llo`, "h*llo", true}, {`h\*llo`, "hello", false}, {`\?`, "?", true}, {`\?`, "a", false},
		{`a\`, `a\`, true}, {`[\]]`, "]", true}, {`[\-x]`, "-", true}, {`[\`, `\`, true},
		{"[abc", "b", true}, {"[abc", "d", false}, {"[", "a", false}, {"[^", "a", true}, {"[]", "a", false}, {"[^]", "a", true},
		{"[a-]x", "^", true}, // the range a-], which swallows the bracket: the class goes to the end
		{"[\x80-\xff]", "\x90", true}, {"[a-\xff]", "0", true}, {"[a-\xff]", "b", false},
		{"news.*", "news.art", true}, {"foo*bar", "fooxbarx", false}, {"A", "a", false},
	} {
		assert.Equal(t, c.want, Match(c.pattern, c.name), "%q %q", c.pattern, c.name)
		assert.Equal(t, c.want, Match([]byte(c.pattern), []byte(c.name)), "%q %q as bytes", c.pattern, c.name)
	}
}

func TestMatchFold(t *testing.T) {
	assert.True(t, MatchFold("MaxMem*", "maxmemory-policy"))
	assert.True(t, MatchFold("[A-C]x", "BX"))
	assert.True(t, MatchFold("[abc]", "B"))
	assert.False(t, MatchFold(`[\A]`, "a"), "an escaped byte in brackets keeps its case")
}

// slow is the definition: every star tries everything.
func slow(p, s string) bool {
	if p == "" {
		return s == ""
	}
	if p[0] == '*' {
		for i := 0; i <= len(s); i++ {
			if slow(p[1:], s[i:]) {
				return true
			}
		}
		return false
	}
	if s == "" {
		return false
	}
	next, ok := element(p, 0, s[0], false)
	return ok && slow(p[next:], s[1:])
}

func TestMatchAgainstDefinition(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func(alphabet string, n int) string {
		b := make([]byte, rng.IntN(n))
		for i := range b {
			b[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(b)
	}
	for range 200_000 {
		p, s := draw(`ab*?[]^-\`, 9), draw("ab]-", 9)
		want := slow(p, s)
		if s == "" {
			want = p == ""
		}
		if want != Match(p, s) {
			t.Fatalf("%q %q: want %v", p, s, want)
		}
	}
}

func TestAbusivePatternEnds(t *testing.T) {
	pattern := strings.Repeat("a*", 20000) + "b"
	name := strings.Repeat("a", 30000)
	began := time.Now()
	assert.False(t, Match(pattern, name))
	assert.Less(t, time.Since(began), 2*time.Second)
	// This one would match, after 75 million steps.
	assert.False(t, Match("*"+strings.Repeat("a", 5000)+"b", strings.Repeat("a", 20000)+"b"))
	assert.True(t, Match("*"+strings.Repeat("b", 10), strings.Repeat("a", 1<<20)+strings.Repeat("b", 10)), "a long name is no abuse")
}

func TestStarsAreBounded(t *testing.T) {
	name := strings.Repeat("a", 5000)
	for _, c := range []struct {
		pattern string
		want    bool
	}{
		{strings.Repeat("*?", MaxStars), true},
		{strings.Repeat("*?", MaxStars) + "*", true},
		{strings.Repeat("*?", MaxStars+1), false},
		{strings.Repeat("*", 3*MaxStars) + "a", true},
	} {
		assert.Equal(t, c.want, Match(c.pattern, name), "%.10s… of %d bytes", c.pattern, len(c.pattern))
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	p, s := []byte("user:*:name"), []byte("user:1234:name")
	assert.Zero(t, testing.AllocsPerRun(100, func() { Match(p, s) }))
}

func FuzzMatch(f *testing.F) {
	f.Add(`a*[^b-c\]]?`, "aXd")
	f.Fuzz(func(t *testing.T, p, s string) {
		if len(p) > 12 || len(s) > 12 || s == "" {
			t.Skip()
		}
		assert.Equal(t, slow(p, s), Match(p, s))
	})
}

func BenchmarkMatch(b *testing.B) {
	p, s := []byte("user:*:name"), []byte("user:1234:name")
	for b.Loop() {
		Match(p, s)
	}
}
