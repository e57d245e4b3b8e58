package repl

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sextantdb/sextant/resp"
)

// Member is one life of a node of a cluster: a node that restarted without proof that its data
// is complete is another member, and its data must not replace its replicas' (PROTOCOL H5).
type Member struct {
	Node        string // 40 hex digits
	Incarnation uint64
}

// String is the form in which a replica names its primary on the link.
func (m Member) String() string { return m.Node + ":" + strconv.FormatUint(m.Incarnation, 10) }

func parseMember(s string) (m Member, ok bool) {
	node, inc, two := strings.Cut(s, ":")
	n, err := strconv.ParseUint(inc, 10, 64)
	return Member{node, n}, two && err == nil && len(node) == len(NoID)
}

// memberOption is the option of REPLCONF by which a replica of a cluster asks, before PSYNC,
// whether the other end is the member it was told to follow. The bus may hear of a restart
// later than the link does.
const memberOption = "sextant-member"

// Expect says who our primary must be from the next connection on; the zero Member: anybody.
func (e *Engine) Expect(m Member) {
	if m == (Member{}) {
		e.member.Store(nil)
		return
	}
	e.member.Store(&m)
}

// vouch answers memberOption.
func (e *Engine) vouch(value string) resp.Error {
	m, ok := parseMember(value)
	if !ok {
		return resp.ErrSyntax
	}
	if e.deps.Leads == nil {
		return resp.ErrClusterDisabled
	}
	if why := e.deps.Leads(m); why != "" {
		return resp.Error(fmt.Sprintf("NOTLEADING %s", why))
	}
	return ""
}
