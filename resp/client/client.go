// Package client owns outgoing connections to servers that speak RESP: dialling, the greeting (HELLO, AUTH), requests and
// replies, pipelines, and strings too large to keep.
//
// The replication link, slot migration, the Sentinel driver, the command line and tests use it.
//
// It must not know the store, nor what the requests mean. It does not reconnect and has no pool: whoever owns a Client
// decides when to dial again.
package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sextantdb/sextant/resp"
)

// Options say how to dial and to greet. The zero value dials plain TCP without a greeting.
type Options struct {
	Network string // "tcp" (default) or "unix"
	// Timeout bounds dialling and the greeting together; 0 = 5 s. The context may end earlier.
	Timeout time.Duration
	// IOTimeout bounds each Send and Receive; 0 = none. See SetIOTimeout.
	IOTimeout time.Duration
	// LocalAddr is the source address (bind-source-addr), or empty.
	LocalAddr string
	KeepAlive time.Duration // 0 = the system's default, < 0 = off
	TLS       *tls.Config   // nil = plain
	Username  string        // with Password; empty = the default user
	Password  string        // empty = no AUTH
	// Proto: 0 or 2 sends no HELLO, 3 sends HELLO 3.
	Proto  int
	Name   string // CLIENT SETNAME, or empty
	DB     int    // SELECT, when not 0
	Limits resp.ReadLimits
	// OnPush takes RESP3 push messages that arrive among replies; nil lets Receive return them.
	OnPush func(resp.Value)
}

// defaultTimeout is Options.Timeout's default.
const defaultTimeout = 5 * time.Second

// Client is one connection. Requests may be written by one goroutine while another receives; apart from that, and from
// Close, it is not safe for concurrent use.
type Client struct {
	nc   net.Conn
	opts Options

	// Owned by the sender.
	w   *bufio.Writer
	buf []byte // of one request

	// Owned by the receiver.
	r *resp.Reader

	ioTimeout atomic.Int64 // ns
}

// Dial connects and greets. When the server answers the greeting with an error, that error is wrapped (errors.As
// finds the resp.Error).
func Dial(ctx context.Context, addr string, opts Options) (*Client, error) {
	if opts.Network == "" {
		opts.Network = "tcp"
	}
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, opts.Timeout)
	defer cancel()
	d := net.Dialer{KeepAlive: opts.KeepAlive}
	if opts.LocalAddr != "" && opts.Network == "tcp" {
		local, err := net.ResolveTCPAddr("tcp", net.JoinHostPort(opts.LocalAddr, "0"))
		if err != nil {
			return nil, fmt.Errorf("dial %s: source address: %w", addr, err)
		}
		d.LocalAddr = local
	}
	nc, err := d.DialContext(ctx, opts.Network, addr)
	if err != nil {
		return nil, err
	}
	if opts.TLS != nil {
		tc := tls.Client(nc, opts.TLS)
		if err := tc.HandshakeContext(ctx); err != nil {
			nc.Close()
			return nil, fmt.Errorf("dial %s: TLS: %w", addr, err)
		}
		nc = tc
	}
	c := New(nc, opts)
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	err = c.greet()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("greet %s: %w", addr, err)
	}
	return c, nil
}

// New makes a client of an open connection, without a greeting. The client owns nc.
func New(nc net.Conn, opts Options) *Client {
	c := &Client{nc: nc, opts: opts, w: bufio.NewWriterSize(nc, 16<<10), r: resp.NewReader(nc, opts.Limits)}
	c.ioTimeout.Store(int64(opts.IOTimeout))
	return c
}

func (c *Client) greet() error {
	var lines [][]string
	hello := []string{"HELLO", "3"}
	if c.opts.Password != "" {
		user := c.opts.Username
		switch {
		case c.opts.Proto == 3:
			if user == "" {
				user = "default"
			}
			hello = append(hello, "AUTH", user, c.opts.Password)
		case user != "":
			lines = append(lines, []string{"AUTH", user, c.opts.Password})
		default:
			lines = append(lines, []string{"AUTH", c.opts.Password})
		}
	}
	if c.opts.Proto == 3 {
		lines = append(lines, hello)
	}
	if c.opts.Name != "" {
		lines = append(lines, []string{"CLIENT", "SETNAME", c.opts.Name})
	}
	if c.opts.DB != 0 {
		lines = append(lines, []string{"SELECT", fmt.Sprint(c.opts.DB)})
	}
	for _, argv := range lines {
		v, err := c.Do(argv...)
		if err == nil {
			err = v.Err()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", strings.ToLower(argv[0]), err)
		}
	}
	return nil
}

// Do sends a request and receives its reply. An error reply is a Value; err is about the connection.
func (c *Client) Do(argv ...string) (resp.Value, error) {
	if err := c.Send(argv...); err != nil {
		return resp.Value{}, err
	}
	if err := c.Flush(); err != nil {
		return resp.Value{}, err
	}
	return c.Receive()
}

// DoContext is Do that ends with ctx; the connection is then unusable and closed.
func (c *Client) DoContext(ctx context.Context, argv ...string) (resp.Value, error) {
	stop := context.AfterFunc(ctx, func() { c.nc.Close() })
	v, err := c.Do(argv...)
	if !stop() && ctx.Err() != nil {
		return resp.Value{}, ctx.Err()
	}
	return v, err
}

// Pipeline sends all requests and receives all replies. Replies are received while requests are still being sent, so a
// pipeline of any size cannot deadlock against a server that waits for its replies to be read.
func (c *Client) Pipeline(requests [][]string) ([]resp.Value, error) {
	sent := make(chan error, 1)
	go func() {
		var err error
		for _, argv := range requests {
			if err = c.Send(argv...); err != nil {
				break
			}
		}
		if err == nil {
			err = c.Flush()
		}
		if err != nil {
			c.nc.Close() // the replies that are still awaited will not come
		}
		sent <- err
	}()
	replies := make([]resp.Value, 0, len(requests))
	var err error
	for range requests {
		var v resp.Value
		if v, err = c.Receive(); err != nil {
			c.nc.Close()
			break
		}
		replies = append(replies, v)
	}
	if sendErr := <-sent; sendErr != nil && (err == nil || errors.Is(err, net.ErrClosed)) {
		err = sendErr
	}
	return replies, err
}

// Send writes a request to the buffer, which goes out when it is full or at Flush.
func (c *Client) Send(argv ...string) error {
	c.buf = resp.AppendCommandStrings(c.buf[:0], argv...)
	return c.sendBuf()
}

// SendBytes is Send for byte slices.
func (c *Client) SendBytes(argv ...[]byte) error {
	c.buf = resp.AppendCommand(c.buf[:0], argv...)
	return c.sendBuf()
}

// keptRequest is the largest request buffer that is kept for the next one.
const keptRequest = 1 << 20

func (c *Client) sendBuf() error {
	err := c.SendRaw(c.buf)
	if cap(c.buf) > keptRequest {
		c.buf = nil
	}
	return err
}

// SendRaw writes bytes that are RESP already to the buffer.
func (c *Client) SendRaw(b []byte) error {
	if len(b) > c.w.Available() {
		if err := c.writeDeadline(); err != nil {
			return err
		}
	}
	_, err := c.w.Write(b)
	return err
}

// Flush sends what is buffered.
func (c *Client) Flush() error {
	if c.w.Buffered() == 0 {
		return nil
	}
	if err := c.writeDeadline(); err != nil {
		return err
	}
	return c.w.Flush()
}

// Receive returns the next reply.
func (c *Client) Receive() (resp.Value, error) {
	for {
		if err := c.readDeadline(); err != nil {
			return resp.Value{}, err
		}
		v, err := c.r.ReadValue()
		if err == nil && v.Kind == resp.KindPush && c.opts.OnPush != nil {
			c.opts.OnPush(v)
			continue
		}
		return v, err
	}
}

// ReceiveLine returns the next line without its end: what PSYNC answers may be a reply or a bare line. It is valid until
// the next call.
func (c *Client) ReceiveLine() ([]byte, error) {
	if err := c.readDeadline(); err != nil {
		return nil, err
	}
	return c.r.ReadLine()
}

// ReceiveBulk reads the announcement of a string ("$<size>" or "$EOF:<mark>") and returns a reader of it, each of whose
// Reads has the I/O timeout. size is −1 if unknown. alive, which may be nil, is told about the empty lines before it.
func (c *Client) ReceiveBulk(alive func()) (size int64, body io.Reader, err error) {
	if err := c.readDeadline(); err != nil {
		return 0, nil, err
	}
	h, err := c.r.ReadBulkHeader(func() {
		c.readDeadline() // an error shows at the next read
		if alive != nil {
			alive()
		}
	})
	if err != nil {
		return 0, nil, err
	}
	return h.Size, &timedReader{c: c, src: c.r.Bulk(h)}, nil
}

// Stream returns a reader of the raw bytes that follow, each of whose Reads has the I/O timeout.
func (c *Client) Stream() io.Reader { return &timedReader{c: c, src: c.r} }

type timedReader struct {
	c   *Client
	src io.Reader
}

func (t *timedReader) Read(p []byte) (int, error) {
	if err := t.c.readDeadline(); err != nil {
		return 0, err
	}
	return t.src.Read(p)
}

// SetIOTimeout changes Options.IOTimeout from the next read or write on. Any goroutine.
func (c *Client) SetIOTimeout(d time.Duration) {
	c.ioTimeout.Store(int64(d))
	if d <= 0 {
		c.nc.SetDeadline(time.Time{}) // an error shows at the next read or write
	}
}

func (c *Client) readDeadline() error {
	if d := time.Duration(c.ioTimeout.Load()); d > 0 {
		return c.nc.SetReadDeadline(time.Now().Add(d))
	}
	return nil
}

func (c *Client) writeDeadline() error {
	if d := time.Duration(c.ioTimeout.Load()); d > 0 {
		return c.nc.SetWriteDeadline(time.Now().Add(d))
	}
	return nil
}

// LocalAddr and RemoteAddr return the ends of the connection. Any goroutine.
func (c *Client) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// RemoteAddr returns the server's end. Any goroutine.
func (c *Client) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Conn returns the connection, for owners that want to set its options. Any goroutine.
func (c *Client) Conn() net.Conn { return c.nc }

// Close closes the connection; calls that wait in it return with an error. Any goroutine.
func (c *Client) Close() error { return c.nc.Close() }
