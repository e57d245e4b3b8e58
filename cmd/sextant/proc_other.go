//go:build !linux

package main

import "syscall"

// nodeAttr puts a node into a process group of its own, so that Ctrl-C reaches us alone and we
// stop all nodes in order.
func nodeAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func (s *squad) launcher() {
	for f := range s.launch {
		f()
	}
}

// listener cannot be known without /proc.
func listener(int) string { return "" }
