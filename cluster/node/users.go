package node

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/sextantdb/sextant/cluster/repl"
	"github.com/sextantdb/sextant/resp"
	"github.com/sextantdb/sextant/resp/acl"
	"github.com/sextantdb/sextant/resp/command"
	"github.com/sextantdb/sextant/resp/command/conn"
	"github.com/sextantdb/sextant/resp/command/users"
	"github.com/sextantdb/sextant/resp/session"
)

// This file is where users are kept: in redis.conf or in an ACL file, never in both.

func (n *Node) userDeps() users.Deps {
	return users.Deps{
		Table: func() *command.Table { return n.table }, Users: n.acl, Log: n.aclLog, Enforce: n.enforce,
		Load: n.loadACLFile, Save: n.saveACLFile,
		Rand: func(b []byte) { _, _ = rand.Read(b) }, // never fails (crypto/rand)
	}
}

func aclLogMax(v *Values) int { return int(min(v.ACLLogMaxLen, 1<<30)) }

// loadUsers makes the users of the configuration or of the ACL file, before anybody is served.
func (n *Node) loadUsers(v *Values) error {
	if v.ACLFile != "" && len(n.cfg.Users) > 0 {
		return errors.New("Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. This setup is very likely to lead to configuration errors and security holes, please define either an ACL file or declare users directly in your redis.conf, but not both.")
	}
	if err := n.acl.Add(n.cfg.Users); err != nil {
		return fmt.Errorf("%w\nCritical error while loading ACLs. Exiting.", err)
	}
	for _, d := range n.cfg.Users {
		if !n.acl.Get(d.Name).User().Enabled {
			n.log.Notice("The user '%s' is disabled (there is no 'on' modifier in the user description). Make sure this is not a configuration error.", d.Name)
		}
	}
	n.cfg.UserLines = func() []string {
		if v.ACLFile != "" {
			return nil
		}
		var lines []string
		for _, u := range n.acl.Users() {
			lines = append(lines, u.Name+" "+u.Text())
		}
		return lines
	}
	if v.ACLFile == "" {
		return nil
	}
	if _, err := n.readACLFile(v.ACLFile); err != nil {
		return fmt.Errorf("Aborting Redis startup because of ACL errors: %w", err)
	}
	return nil
}

func (n *Node) readACLFile(name string) ([]acl.Change, error) {
	text, err := os.ReadFile(n.cfg.Now().Path(name))
	if err != nil {
		return nil, fmt.Errorf("Error loading ACLs, opening file '%s': %v", name, reason(err))
	}
	return n.acl.Load(name, string(text))
}

func (n *Node) loadACLFile() ([]acl.Change, resp.Error) {
	name := n.cfg.Now().ACLFile
	if name == "" {
		return nil, resp.ErrNoACLFile
	}
	changes, err := n.readACLFile(name)
	if err != nil {
		return nil, resp.Errorf("ERR %v", err)
	}
	return changes, ""
}

func (n *Node) saveACLFile() resp.Error {
	v := n.cfg.Now()
	if v.ACLFile == "" {
		return resp.ErrNoACLFile
	}
	text := strings.Join(n.acl.Lines(), "\n") + "\n"
	if err := replaceFile(v.Path(v.ACLFile), text); err != nil {
		n.log.Warning("ACL SAVE: %v", err)
		return resp.ErrACLSave
	}
	return ""
}

// enforce ends connections that a change of an account leaves without what they need.
func (n *Node) enforce(c *command.Ctx, change acl.Change) {
	n.disp.Enforce(c, change)
	if change.New != nil {
		return // replicas have no subscriptions
	}
	var ids []int64
	n.repl.EachConn(func(c *repl.Conn) {
		if c.Sess.Account() == change.Account {
			ids = append(ids, c.Sess.ID)
		}
	})
	for _, id := range ids {
		n.repl.DropConn(id)
	}
}

// denied records a call that rules refused.
func (n *Node) denied(s *session.Session, d acl.Denial) {
	var info conn.Info
	if !(clients{n}).Get(s.ID, &info) {
		info = conn.Info{Sess: s, FD: -1}
	}
	n.aclLog.Add(d, info.Line(), nowMs())
}

// AuthFailed implements conn.Clients.
func (k clients) AuthFailed(c *command.Ctx, user []byte) {
	where := acl.TopLevel
	if c.Sess.Any(session.Multi) {
		where = acl.InMulti
	}
	k.n.denied(c.Sess, acl.Denial{Reason: acl.DeniedAuth, Context: where, Object: string(c.Argv[0]), User: string(user)})
}
