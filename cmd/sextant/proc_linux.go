package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// nodeAttr puts a node into a process group of its own, so that Ctrl-C reaches us alone and we
// stop all nodes in order; and ends it when we die without having done so.
func nodeAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// launcher starts processes, all on one thread that lives as long as we do: the kernel sends
// Pdeathsig when the thread ends that started the process.
func (s *squad) launcher() {
	runtime.LockOSThread()
	for f := range s.launch {
		f()
	}
}

// listener names the process that listens on a port, "" when it cannot be known.
func listener(port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		b, _ := os.ReadFile(table)
		for _, line := range strings.Split(string(b), "\n") {
			f := strings.Fields(line)
			// sl, local address, remote address, state (0A = listening), …, inode
			if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", port)) {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && inodes[to] {
			pid, _ := strconv.Atoi(strings.Split(fd, "/")[2])
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			return fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(name)), pid)
		}
	}
	return ""
}
