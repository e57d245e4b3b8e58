package node

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// system is the machine as the checks see it: root is "/" (tests give another), files the
// process' bound on open files.
type system struct {
	root  string
	files uint64
}

func thisSystem() system {
	var lim syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &lim) != nil {
		lim.Max = 1 << 20 // unknown: say nothing
	}
	return system{root: "/", files: lim.Max}
}

// read returns a setting of the kernel, "" when it is not there.
func (s system) read(name string) string {
	b, err := os.ReadFile(filepath.Join(s.root, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

const (
	clocksourceFile = "sys/devices/system/clocksource/clocksource0/current_clocksource"
	somaxconnFile   = "proc/sys/net/core/somaxconn"
	overcommitFile  = "proc/sys/vm/overcommit_memory"
)

// systemChecks are what `--check-system` looks at, in its order: each returns what is wrong and
// what to do, or "". Redis' checks of the fork's memory (overcommit 0, huge pages) have nothing
// to warn of here.
var systemChecks = []struct {
	name string
	run  func(system) string
}{
	{"slow-clocksource", func(s system) string {
		switch c := s.read(clocksourceFile); c {
		case "hpet", "acpi_pm", "jiffies", "xen":
			return fmt.Sprintf("The clock source %q needs a system call for every look at the clock, which slows every command down. "+
				"If 'tsc' or 'kvm-clock' stands in /%s, write it into current_clocksource beside it.", c, filepath.Join(filepath.Dir(clocksourceFile), "available_clocksource"))
		}
		return ""
	}},
	{"overcommit", func(s system) string {
		if s.read(overcommitFile) != "2" {
			return ""
		}
		return "Memory overcommit is forbidden (vm.overcommit_memory = 2): memory that is reserved and never used counts, and allocations may fail early. " +
			"To fix this issue set 'vm.overcommit_memory = 1' (or 0) in /etc/sysctl.conf and run the command 'sysctl vm.overcommit_memory=1'."
	}},
	{"tcp-backlog", func(s system) string { return s.backlogWarning(511) }},
	{"open-files", func(s system) string {
		if want := uint64(10000 + spareFiles); s.files < want {
			return fmt.Sprintf("Only %d files may be open, %d are needed for the default of 10000 clients: raise 'ulimit -n', or LimitNOFILE in the systemd unit.", s.files, want)
		}
		return ""
	}},
}

// backlogWarning says that the system cuts the directive tcp-backlog, in Redis' words.
func (s system) backlogWarning(backlog int64) string {
	somaxconn, err := strconv.ParseInt(s.read(somaxconnFile), 10, 64)
	if err != nil || somaxconn <= 0 || somaxconn >= backlog {
		return ""
	}
	return fmt.Sprintf("The TCP backlog setting of %d cannot be enforced because /%s is set to the lower value of %d.", backlog, somaxconnFile, somaxconn)
}

// checkSystem is `--check-system`: one line a check, as redis-server prints them. It returns
// the exit code, 1 when something is wrong.
func checkSystem(s system, out io.Writer) (code int) {
	for _, c := range systemChecks {
		if wrong := c.run(s); wrong != "" {
			fmt.Fprintf(out, "[%s]...WARNING:\n%s\n\n", c.name, wrong)
			code = 1
			continue
		}
		fmt.Fprintf(out, "[%s]...OK\n", c.name)
	}
	return code
}
