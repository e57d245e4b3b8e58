package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// BindError says which address could not be listened on.
type BindError struct {
	Addr     string // as given, without the "-" of an optional one; or the path of the unix socket
	Port     int
	Optional bool
	Err      error
}

func (e *BindError) Error() string {
	if e.Port == 0 {
		return fmt.Sprintf("listen on unix socket %s: %v", e.Addr, e.Err)
	}
	return fmt.Sprintf("listen on %s:%d: %v", e.Addr, e.Port, e.Err)
}

func (e *BindError) Unwrap() error { return e.Err }

// missing reports whether the address does not exist on this machine, which an optional address may.
func (e *BindError) missing() bool {
	for _, errno := range []syscall.Errno{syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT,
		syscall.ENOPROTOOPT, syscall.ESOCKTNOSUPPORT, syscall.EPFNOSUPPORT} {
		if errors.Is(e.Err, errno) {
			return true
		}
	}
	var dns *net.DNSError
	return errors.As(e.Err, &dns)
}

// listener is one open listening socket.
type listener struct {
	spec string // the bind word it came from
	port int    // the configured port
	unix string // path, or ""
	addr net.Addr
	acceptor
}

// name is how events call the listener.
func (ln *listener) name() string {
	if ln.unix != "" {
		return ln.unix
	}
	return ln.addr.String()
}

// listenTCP opens the socket for one word of the bind directive.
func listenTCP(spec string, port, backlog int) (*listener, *BindError) {
	host, optional := strings.CutPrefix(spec, "-")
	network := "tcp"
	switch {
	case host == "*":
		network, host = "tcp4", "0.0.0.0"
	case host == "::*":
		network, host = "tcp6", "::"
	case net.ParseIP(host) != nil && strings.Contains(host, ":"):
		network = "tcp6"
	case net.ParseIP(host) != nil:
		network = "tcp4"
	}
	bindPort := max(port, 0) // −1: any free port
	var lc net.ListenConfig
	nl, err := lc.Listen(context.Background(), network, net.JoinHostPort(host, strconv.Itoa(bindPort)))
	if err == nil {
		var a acceptor
		if a, err = newAcceptor(nl, backlog); err == nil {
			return &listener{spec: spec, port: port, addr: nl.Addr(), acceptor: a}, nil
		}
		nl.Close()
	}
	return nil, &BindError{Addr: host, Port: port, Optional: optional, Err: err}
}

// listenUnix opens the unix socket, in place of a left-over one of the same name, as Redis does.
func listenUnix(path, group string, perm fs.FileMode, backlog int) (*listener, error) {
	if st, err := os.Lstat(path); err == nil && st.Mode()&fs.ModeSocket != 0 {
		os.Remove(path)
	}
	nl, err := net.Listen("unix", path)
	if err != nil {
		return nil, &BindError{Addr: path, Err: err}
	}
	addr := nl.Addr()
	if err := admit(path, group, perm); err != nil {
		nl.Close()
		return nil, &BindError{Addr: path, Err: err}
	}
	a, err := newAcceptor(nl, backlog)
	if err != nil {
		nl.Close()
		return nil, &BindError{Addr: path, Err: err}
	}
	return &listener{unix: path, addr: addr, acceptor: a}, nil
}

// admit says who may use the socket at path: the members of a group, a mode.
func admit(path, group string, perm fs.FileMode) error {
	if group != "" {
		g, err := user.LookupGroup(group)
		if err != nil {
			return err
		}
		gid, err := strconv.Atoi(g.Gid)
		if err != nil {
			return err
		}
		if err := os.Chown(path, -1, gid); err != nil {
			return err
		}
	}
	if perm == 0 {
		return nil
	}
	return os.Chmod(path, perm)
}
