//go:build !linux

package server

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// poller is the wait of a loop whose sockets are all streams: their goroutines wake it.
type poller struct {
	loop   *Loop
	bell   chan struct{}
	ticker *time.Ticker
	woken  atomic.Bool
}

func newPoller(l *Loop, hz int) (*poller, error) {
	return &poller{loop: l, bell: make(chan struct{}, 1), ticker: time.NewTicker(time.Second / time.Duration(hz))}, nil
}

func (p *poller) setHz(hz int) { p.ticker.Reset(time.Second / time.Duration(hz)) }

func (p *poller) wake() {
	if p.woken.CompareAndSwap(false, true) {
		select {
		case p.bell <- struct{}{}:
		default:
		}
	}
}

func (p *poller) alarmIn(d time.Duration) { time.AfterFunc(d, p.wake) }

func (p *poller) takeWake() bool { return p.woken.Load() && p.woken.Swap(false) }

func (p *poller) wait(block bool) {
	if !block || p.woken.Load() {
		select {
		case <-p.bell:
		case <-p.ticker.C:
			p.loop.ticked = true
		default:
		}
		return
	}
	p.loop.idle()
	select {
	case <-p.bell:
	case <-p.ticker.C:
		p.loop.ticked = true
	}
}

func (p *poller) serve() {}

func (p *poller) close() { p.ticker.Stop() }

// acceptor is a listener with a goroutine that accepts from it.
type acceptor struct{ nl net.Listener }

func newAcceptor(nl net.Listener, _ int) (acceptor, error) { return acceptor{nl: nl}, nil }

func (a *acceptor) close() { a.nl.Close() }

// acceptPause is how long accepting rests after an error such as too many open files.
const acceptPause = 50 * time.Millisecond

func (l *Loop) serve(ln *listener) {
	go func() {
		for {
			nc, err := ln.nl.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				l.srv.Stats.AcceptFails.Inc()
				l.srv.opts.Events(AcceptFailed{Listener: ln.name(), Err: err})
				time.Sleep(acceptPause)
				continue
			}
			if tc, ok := nc.(*net.TCPConn); ok {
				idle := time.Duration(l.srv.settings.Load().TCPKeepAlive) * time.Second
				tc.SetKeepAliveConfig(net.KeepAliveConfig{Enable: idle > 0, Idle: idle, Interval: idle / 3, Count: 3})
			}
			l.srv.Adopt(nc)
		}
	}()
}

// mute and unmute are not to be had here: a listener is closed or open.
func (a *acceptor) mute() error      { return errors.ErrUnsupported }
func (a *acceptor) unmute(int) error { return errors.ErrUnsupported }

func (l *Loop) unserve(ln *listener) { ln.close() }

// processStart anchors mono.
var processStart = time.Now()

func systemClock() (nowMs, mono int64) {
	return time.Now().UnixMilli(), int64(time.Since(processStart))
}

// setAside and takeUp have nothing to do: there are no events in a batch.
func (p *poller) setAside() {}
func (p *poller) takeUp()   {}
